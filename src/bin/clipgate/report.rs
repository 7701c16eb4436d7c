//! What people and machines read: errors on stderr, results on stdout.

use std::io::{self, IsTerminal, Write};

use clipgate::{Error, ErrorKind};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

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

/// An error as a JSON line: who is at fault and what happened.
pub(crate) fn json_error(image: &str, error: &Error) {
    json(&serde_json::json!({
        "image": image,
        "error": { "kind": format!("{:?}", error.kind()).to_lowercase(), "message": error.report() },
    }));
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
