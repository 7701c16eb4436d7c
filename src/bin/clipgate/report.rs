//! What people and machines read: errors on stderr, results on stdout.

use std::io::{self, IsTerminal, Write};

use clipgate::{Error, ErrorKind};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::Format;

/// Prints an error and, where it helps, what to do next.
pub(crate) fn error(error: &Error) {
    eprintln!("clipgate: {}", error.report());
    let advice = match error.kind() {
        ErrorKind::Bundle => {
            Some("`clipgate verify BUNDLE` lists everything that is wrong with a bundle")
        }
        _ => None,
    };
    if let Some(advice) = advice {
        eprintln!("          {advice}");
    }
}

/// Prints one line on stdout. A reader that has gone away (`| head`) ends the program quietly.
pub(crate) fn line(text: &str) {
    let written = writeln!(io::stdout().lock(), "{text}");
    if let Err(error) = written {
        let gone = error.kind() == io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("clipgate: standard output cannot be written: {error}");
        }
        std::process::exit(if gone { 0 } else { 2 });
    }
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
        json(&serde_json::json!({
            kind: input,
            "error": { "kind": format!("{:?}", error.kind()).to_lowercase(), "message": error.report() },
        }));
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
