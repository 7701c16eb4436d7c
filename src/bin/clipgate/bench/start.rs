//! From nothing to the first decision: measured in processes of their own, each of which makes one decision and ends.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Instant;

use clipgate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::args::BenchArgs;
use super::figures::{Distribution, median};
use super::input::Input;
use super::machine;
use super::model::{Opened, Parts, milliseconds};
use crate::report;

/// The exit status of a command that has said on stderr what it could not do.
const REFUSED: i32 = 2;

/// The longest line that is read from a process that was started.
const MAX_LINE: u64 = 1 << 16;

/// Starts, and where their time went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StartFigures {
    pub(super) starts: u32,
    /// The one before those that count; it may have read the files from the disk.
    pub(super) first_ms: f64,
    /// From before the process was started to its first decision.
    pub(super) to_first_decision_ms: Distribution,
    /// The medians of its parts.
    pub(super) parts_ms: StartParts,
    /// The most memory that was resident in any of them when it had decided, in bytes.
    pub(super) peak_rss_bytes: Option<u64>,
}

/// Where the time of one start went, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct StartParts {
    /// All that is none of the other parts: the system's loader, arguments, drawing the frame, the answer's way back.
    pub(super) process: f64,
    #[serde(flatten)]
    pub(super) model: Parts,
    /// The first frame, its decoding included.
    pub(super) frame: f64,
}

/// What a process that was started says: one line of JSON.
#[derive(Serialize, Deserialize)]
struct FirstDecision {
    parts: Parts,
    frame: f64,
    peak_rss_bytes: Option<u64>,
}

/// In the process that was started: one decision.
pub(super) fn first_decision(args: &BenchArgs) -> Result<()> {
    let mut opened = Opened::new(args)?;
    let mut input = Input::new(args, &opened.preprocessing, 1)?;
    let start = Instant::now();
    input.show(0, |frame| opened.answer(frame))?;
    report::json(&FirstDecision {
        parts: opened.parts,
        frame: milliseconds(start.elapsed()),
        peak_rss_bytes: machine::peak_rss_bytes(),
    });
    Ok(())
}

/// Starts this command again and again, with the same arguments; `None` if a process refused, having said why on stderr.
pub(super) fn measure(starts: u32) -> Result<Option<StartFigures>> {
    let Some((first_ms, _)) = start()? else {
        return Ok(None);
    };
    let mut times = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..starts {
        let Some((total, answer)) = start()? else {
            return Ok(None);
        };
        times.push(total);
        answers.push(answer);
    }
    Ok(Distribution::of(&times).map(|total| StartFigures {
        starts,
        first_ms,
        parts_ms: parts(&times, &answers),
        to_first_decision_ms: total,
        peak_rss_bytes: answers
            .iter()
            .filter_map(|answer| answer.peak_rss_bytes)
            .max(),
    }))
}

fn start() -> Result<Option<(f64, FirstDecision)>> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Machine, "this command cannot start itself").with_source(error)
    };
    let begin = Instant::now();
    let mut child = Command::new(env::current_exe().map_err(failed)?)
        .args(env::args_os().skip(1))
        .arg("--first-decision")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout.take(MAX_LINE));
        reader.read_line(&mut line).map_err(failed)?;
    }
    let total = milliseconds(begin.elapsed());
    let status = child.wait().map_err(failed)?;
    if status.code() == Some(REFUSED) {
        return Ok(None);
    }
    let answer = serde_json::from_str(&line).map_err(|error| {
        Error::new(
            ErrorKind::Machine,
            format!("the process that was to make one decision made none: {status}"),
        )
        .with_source(error)
    })?;
    Ok(Some((total, answer)))
}

fn parts(times: &[f64], answers: &[FirstDecision]) -> StartParts {
    let median = |value: &dyn Fn(&Parts) -> f64| {
        let values: Vec<f64> = answers.iter().map(|answer| value(&answer.parts)).collect();
        median(&values)
    };
    let frames: Vec<f64> = answers.iter().map(|answer| answer.frame).collect();
    let rest: Vec<f64> = times
        .iter()
        .zip(answers)
        .map(|(total, answer)| total - answer.parts.sum() - answer.frame)
        .collect();
    StartParts {
        process: self::median(&rest),
        model: Parts {
            library: median(&|parts| parts.library),
            bundle: median(&|parts| parts.bundle),
            session: median(&|parts| parts.session),
            self_test: median(&|parts| parts.self_test),
        },
        frame: self::median(&frames),
    }
}
