//! What people and machines read: errors on stderr, results on stdout.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clipgate::{Error, ErrorKind};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::Format;

/// Prints an error. Whoever reads standard error may have gone away; that is no reason to stop.
pub(crate) fn error(error: &Error) {
    let _ = writeln!(
        io::stderr().lock(),
        "clipgate: {}",
        printable(&error.report())
    );
}

/// Says something that is no error, on stderr.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "clipgate: {}", printable(text));
}

/// Text of others (names, paths, licences) without what a terminal would obey: control characters but the
/// line feed are written as escapes.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && c != '\n';
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if obeyed(c) {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}

/// The command's version; figures of a debug build are of no use but for its tests.
pub(crate) fn version() -> String {
    let build = if cfg!(debug_assertions) {
        " (debug build)"
    } else {
        ""
    };
    format!("{}{build}", env!("CARGO_PKG_VERSION"))
}

/// A path on one line.
pub(crate) fn path(path: &Path) -> String {
    path.display().to_string().replace('\n', "\\n")
}

/// Prints one line on stdout. A reader that has gone away (`| head`) ends the program quietly.
pub(crate) fn line(text: &str) {
    let written = writeln!(io::stdout().lock(), "{}", printable(text));
    if let Err(error) = written {
        let gone = error.kind() == io::ErrorKind::BrokenPipe;
        if !gone {
            let _ = writeln!(
                io::stderr(),
                "clipgate: standard output cannot be written: {error}"
            );
        }
        std::process::exit(if gone { 0 } else { 2 });
    }
}

/// Ends the results: what native libraries print from here on goes to stderr. Qualcomm's emulator keeps a greeting in C's
/// buffer of stdout until the process ends, behind what machines read.
pub(crate) fn close() {
    let _ = io::stdout().flush();
    #[cfg(unix)]
    let _ = rustix::stdio::dup2_stdout(io::stderr());
}

/// Prints one JSON line on stdout.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(&text),
        Err(error) => line(&serde_json::json!({ "error": error.to_string() }).to_string()),
    }
}

/// An input that could not be answered: on stderr, and in JSON output a line of its own in its place.
pub(crate) fn failed_input(kind: &str, input: &str, error: &Error, format: Format) {
    self::error(error);
    if format == Format::Json {
        json(&failed_line(kind, input, error));
    }
}

/// What JSON output says of an input that could not be answered.
pub(crate) fn failed_line(kind: &str, input: &str, error: &Error) -> serde_json::Value {
    serde_json::json!({
        kind: input,
        "error": { "kind": kind_name(error.kind()), "message": error.report() },
    })
}

fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Machine => "machine",
        ErrorKind::Bundle => "bundle",
        ErrorKind::Caller => "caller",
        ErrorKind::Policy => "policy",
        ErrorKind::Model => "model",
        _ => "other",
    }
}

/// [`progress`] for work that prints a line a step: on a terminal the lines themselves show how far it is.
pub(crate) fn progress_beside_lines(length: usize, what: &'static str) -> ProgressBar {
    if io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    progress(length, what)
}

/// A progress bar on stderr for work of `length` steps, where someone is there to see it.
pub(crate) fn progress(length: usize, what: &'static str) -> ProgressBar {
    const WORTH_A_BAR: usize = 20;
    if length < WORTH_A_BAR || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(printable("a\u{1b}[31mb\tc\nd"), "a\\u{1b}[31mb\\tc\nd");
        assert_eq!(path(Path::new("two\nlines.jpg")), "two\\nlines.jpg");
    }
}
