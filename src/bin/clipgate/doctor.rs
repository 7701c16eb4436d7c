//! `clipgate doctor`: what this machine has, and what to do about what is missing.

mod board;
mod child;
mod finding;
mod memory;
mod model;
mod pace;
mod plugin;
mod processor;
mod storage;
#[cfg(test)]
mod tests;
mod trial;

use std::env::consts::{ARCH, OS};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use clipgate::Result;
use clipgate::internal::System;
use serde::Serialize;

use crate::args::Format;
use crate::exit_code::Outcome;
use crate::provider::QnnArgs;
use crate::runtime_search::runtime_cache;
use crate::{cpu, report};
use board::CLibrary;
use finding::{Finding, Level};

/// The number that `--format json` states. It rises when a key changes its meaning.
const SCHEMA: u32 = 1;

/// How long a board's own tool may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 clipgate works here, with or without warnings; 1 a problem keeps it from working; 2 the \
command could not be run."
)]
pub(crate) struct DoctorArgs {
    /// Bundle directory to try [default: the embedded pocket model]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    qnn: QnnArgs,
    /// Try library and model, and print what comes of it
    #[arg(long, hide = true)]
    trial: bool,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Report {
    schema: u32,
    clipgate: String,
    target: String,
    problems: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: &DoctorArgs, format: Format) -> Result<Outcome> {
    if args.trial {
        trial::say(args.bundle.as_ref(), &args.qnn);
        return Ok(Outcome::Answered);
    }
    let system = System::here();
    let mut findings = machine(&system, ARCH, cpu::cores(), &c_library(), vcgencmd(&system));
    findings.push(storage::finding(runtime_cache::directory().as_deref()));
    let trial = trial::run(args.bundle.as_ref(), &args.qnn);
    findings.extend(model::findings(&trial));
    findings.extend(match args.qnn.options(args.bundle.as_ref()) {
        Some(qnn) => plugin::finding(&trial, &qnn, args.bundle.as_deref()),
        None => args.qnn.given().map(plugin::unnamed),
    });

    let count = |level| findings.iter().filter(|found| found.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    let found = Report {
        schema: SCHEMA,
        clipgate: report::version(),
        target: format!("{ARCH} {OS}"),
        problems,
        warnings,
        findings,
    };
    match format {
        Format::Json => report::json(&found),
        Format::Text => report::line(&describe(&found)),
    }
    Ok(match problems {
        0 => Outcome::Answered,
        _ => Outcome::CheckFailed,
    })
}

/// What the system's files say, of a process for `arch` that may use so many cores.
fn machine(
    system: &System,
    arch: &str,
    cores: usize,
    library: &CLibrary,
    vcgencmd: Option<String>,
) -> Vec<Finding> {
    let mut findings = board::findings(system, arch, library);
    findings.push(processor::finding(system, cores));
    findings.extend(pace::findings(system, vcgencmd));
    findings.extend(memory::finding(system));
    findings
}

/// What a Raspberry Pi's own tool says, for kernels that do not hand it on themselves.
fn vcgencmd(system: &System) -> Option<String> {
    let is_pi = cpu::board(system).is_some_and(|board| board.contains("Raspberry Pi"));
    let mut command = Command::new("vcgencmd");
    let ended =
        is_pi.then(|| child::run(command.arg("get_throttled"), PATIENCE, "asking vcgencmd"));
    Some(ended?.ok()?.said)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn c_library() -> CLibrary {
    #[expect(unsafe_code, reason = "the C library alone knows its version")]
    // SAFETY: takes nothing and returns a static, NUL-terminated string, by gnu_get_libc_version(3); it is copied.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    CLibrary {
        glibc: Some(version.to_string_lossy().into_owned()),
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn c_library() -> CLibrary {
    CLibrary { glibc: None }
}

fn describe(report: &Report) -> String {
    let mut text = format!("clipgate {}, {}\n\n", report.clipgate, report.target);
    for found in &report.findings {
        text.push_str(&entry(found));
        text.push('\n');
    }
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    text.push_str(&match (report.problems, report.warnings) {
        (0, 0) => "\nclipgate works here.".to_owned(),
        (0, warnings) => format!("\nclipgate works here; {}.", counted(warnings, "warning")),
        (problems, _) => format!(
            "\nclipgate does not work here: {}.",
            counted(problems, "problem")
        ),
    });
    text
}

/// A finding on lines of its own: its subject, how much it matters, what is, and what to do.
fn entry(found: &Finding) -> String {
    const WIDTH: usize = 110;
    let first = format!("{:<14}{:<9}", found.check, found.level.as_str());
    let to_do = format!("{:<14}{:<9}", "", "to do:");
    let indent = " ".repeat(first.len());
    let wrapped = |start: &str, text: &str| {
        let options = textwrap::Options::new(WIDTH)
            .initial_indent(start)
            .subsequent_indent(&indent)
            .break_words(false);
        textwrap::fill(text, options)
    };
    let mut text = wrapped(&first, &found.what);
    if let Some(what) = &found.to_do {
        text.push('\n');
        text.push_str(&wrapped(&to_do, what));
    }
    text
}
