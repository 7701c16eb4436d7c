//! The change beside an earlier run, and whether it is one.

use std::path::Path;

use clipgate::metrics::{Interval, Resampling, bootstrap};
use clipgate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;

use super::figures::{Distribution, median};
use super::input::Described;
use super::report::{Run, SCHEMA, Subject, decoding, ms};

/// The largest JSON that is read as a run.
const MAX_BYTES: u64 = 1 << 20;

/// With fewer medians a side, resampling them says nothing of how far another run may be.
const LEAST_PARTS: usize = 5;

/// A change below this share is none: runs of the same program on a quiet machine differ by as much.
const LEAST_CHANGE: f64 = 0.03;

/// Chooses the resamples; any would do.
const SEED: u64 = 0;

/// One figure of both runs.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    what: &'static str,
    before: f64,
    now: f64,
    /// `now / before`.
    ratio: f64,
    /// 95 % of the resampled ratios lie within; `None` where too few values on a side say nothing of noise.
    interval: Option<Interval>,
    verdict: Option<Verdict>,
}

/// What a change comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Faster,
    Slower,
    WithinNoise,
}

/// An earlier run.
///
/// # Errors
/// [`ErrorKind::Caller`], naming the file, if it is no JSON of this command and this schema.
pub(super) fn read(path: &Path) -> Result<Run> {
    let refused = |why: String| Error::new(ErrorKind::Caller, why).at(path.display());
    let bytes = clipgate::file::read_file(path, MAX_BYTES)?;
    let value: Value = serde_json::from_slice((*bytes).as_ref())
        .map_err(|error| refused("not JSON".to_owned()).with_source(error))?;
    match value.get("schema").and_then(Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => {
            return Err(refused(format!(
                "a run of schema {schema}; this clipgate reads {SCHEMA}: measure it again"
            )));
        }
        None => {
            return Err(refused(
                "not the JSON of `clipgate bench`: it has no schema".to_owned(),
            ));
        }
    }
    serde_json::from_value(value)
        .map_err(|error| refused("not the JSON of `clipgate bench`".to_owned()).with_source(error))
}

/// What makes two runs incomparable, in words.
pub(super) fn differences(before: &Subject, now: &Subject) -> Vec<String> {
    let labels = |subject: &Subject| {
        subject
            .labels
            .map_or("none".to_owned(), |count| count.to_string())
    };
    let compared = [
        ("bundle", before.bundle.id.clone(), now.bundle.id.clone()),
        (
            "graph",
            before.bundle.graph_sha256.clone(),
            now.bundle.graph_sha256.clone(),
        ),
        ("input", input(&before.input), input(&now.input)),
        ("labels", labels(before), labels(now)),
        (
            "threads",
            before.threads.to_string(),
            now.threads.to_string(),
        ),
    ];
    told(compared).collect()
}

/// What else than time lies between two runs, in words: a ratio may come from each of these.
pub(super) fn notes(before: &Run, now: &Run) -> Vec<String> {
    let cpu = |run: &Run| {
        let name = run.machine.cpu.as_deref();
        name.unwrap_or("unknown processor").to_owned()
    };
    let around = [
        ("processor", cpu(before), cpu(now)),
        ("clipgate", before.clipgate.clone(), now.clipgate.clone()),
        (
            "ONNX Runtime",
            before.onnxruntime.clone(),
            now.onnxruntime.clone(),
        ),
        ("provider", before.provider.clone(), now.provider.clone()),
    ];
    let mut notes = differences(&before.subject, &now.subject);
    notes.extend(told(around));
    notes
}

/// Of each thing that differs, what it was and what it is.
fn told<const N: usize>(compared: [(&str, String, String); N]) -> impl Iterator<Item = String> {
    compared
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(what, before, now)| format!("{what}: {before} then, {now} now"))
}

/// What an input is, wherever it lies.
fn input(input: &Described) -> String {
    match input {
        Described::Image {
            sha256,
            fast_decode,
            ..
        } => format!("image {sha256}{}", decoding(*fast_decode)),
        Described::Frames {
            pixel_format,
            width,
            height,
        } => format!("{width}x{height} {pixel_format}"),
    }
}

/// Stages, start and memory of both runs.
///
/// # Errors
/// [`ErrorKind::Caller`] if the earlier run has figures that no run can have.
pub(super) fn changes(before: &Run, now: &Run) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let stages = before
        .stages_ms
        .named()
        .into_iter()
        .zip(now.stages_ms.named());
    for ((name, before), (_, now)) in stages {
        if let (Some(before), Some(now)) = (before, now) {
            changes.push(Change::of_times(name, before, now)?);
        }
    }
    if let (Some(before), Some(now)) = (&before.start, &now.start) {
        let (before, now) = (&before.to_first_decision_ms, &now.to_first_decision_ms);
        changes.push(Change::of_times("start", before, now)?);
    }
    let first = |run: &Run| Some(run.start.as_ref()?.peak_rss_bytes? as f64 / 1e6);
    if let (Some(before), Some(now)) = (first(before), first(now)) {
        changes.push(Change {
            interval: None,
            verdict: None,
            ..Change::of_values("memory, MB", before, now)?
        });
    }
    Ok(changes)
}

/// A line a change, for people, and before them a line for each of `notes`.
pub(super) fn describe(changes: &[Change], notes: &[String], before: &Run) -> String {
    let cpu = before.machine.cpu.as_deref().unwrap_or("unknown processor");
    let mut text = format!(
        "compared with clipgate {}, ONNX Runtime {}, {cpu}",
        before.clipgate, before.onnxruntime
    );
    for note in notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    text.push_str(&format!(
        "\n{:<14}{:>10}{:>10}{:>10}   95 % interval",
        "ms", "before", "now", "ratio"
    ));
    for change in changes {
        let interval = change.interval.map_or(String::new(), |interval| {
            format!("{:.2} to {:.2}", interval.low, interval.high)
        });
        let verdict = match change.verdict {
            Some(Verdict::Faster) => "faster",
            Some(Verdict::Slower) => "slower",
            Some(Verdict::WithinNoise) => "within noise",
            None => "",
        };
        let line = format!(
            "\n{:<14}{:>10}{:>10}{:>9.2}x   {interval:<14}  {verdict}",
            change.what,
            ms(change.before),
            ms(change.now),
            change.ratio
        );
        text.push_str(line.trim_end());
    }
    text
}

impl Change {
    fn of_times(what: &'static str, before: &Distribution, now: &Distribution) -> Result<Self> {
        let mut change = Self::of_values(what, before.p50, now.p50)?;
        if !before.parts.iter().all(|part| *part > 0.0) {
            return Err(impossible(what));
        }
        if before.parts.len().min(now.parts.len()) < LEAST_PARTS {
            return Ok(change);
        }
        let pick = |parts: &[f64], rows: &[usize]| -> f64 {
            median(&rows.iter().map(|row| parts[*row]).collect::<Vec<_>>())
        };
        let sizes = [before.parts.len(), now.parts.len()];
        let interval = bootstrap(sizes, &Resampling::seeded(SEED), |[earlier, later]| {
            Ok(pick(&now.parts, later) / pick(&before.parts, earlier))
        })?;
        change.verdict = Some(match change.ratio {
            ratio if ratio < 1.0 - LEAST_CHANGE && interval.high < 1.0 => Verdict::Faster,
            ratio if ratio > 1.0 + LEAST_CHANGE && interval.low > 1.0 => Verdict::Slower,
            _ => Verdict::WithinNoise,
        });
        change.interval = Some(interval);
        Ok(change)
    }

    /// Without a verdict.
    fn of_values(what: &'static str, before: f64, now: f64) -> Result<Self> {
        let ratio = now / before;
        if !(before > 0.0 && ratio.is_finite()) {
            return Err(impossible(what));
        }
        Ok(Self {
            what,
            before,
            now,
            ratio,
            interval: None,
            verdict: None,
        })
    }
}

fn impossible(what: &str) -> Error {
    Error::new(
        ErrorKind::Caller,
        format!("{what}: a figure that no run can have; measure it again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(level: f64, spread: f64) -> Distribution {
        let times: Vec<f64> = (0..200)
            .map(|frame| level * (1.0 + spread * f64::from(frame * 37 % 101) / 100.0))
            .collect();
        Distribution::of(&times).unwrap()
    }

    fn verdict(before: &Distribution, now: &Distribution) -> Option<Verdict> {
        Change::of_times("total", before, now).unwrap().verdict
    }

    #[test]
    fn a_change_is_told_from_noise() {
        let before = run(10.0, 0.1);
        for (level, told) in [
            (10.0, Verdict::WithinNoise),
            (10.2, Verdict::WithinNoise),
            (11.0, Verdict::Slower),
            (9.0, Verdict::Faster),
        ] {
            assert_eq!(verdict(&before, &run(level, 0.1)), Some(told), "{level}");
        }
    }

    #[test]
    fn parts_that_disagree_leave_a_change_undecided() {
        let drifting: Vec<f64> = (0..200)
            .map(|frame| 8.0 + f64::from(frame) / 40.0)
            .collect();
        let drifting = Distribution::of(&drifting).unwrap();
        assert_eq!(
            verdict(&run(10.0, 0.1), &drifting),
            Some(Verdict::WithinNoise)
        );
    }

    #[test]
    fn one_value_says_nothing_of_noise() {
        let one = Distribution::of(&[10.0]).unwrap();
        let change = Change::of_times("start", &one, &run(20.0, 0.1)).unwrap();
        assert!(change.interval.is_none() && change.verdict.is_none());
    }

    #[test]
    fn figures_that_no_run_can_have_are_refused() {
        for wrong in [0.0, -1.0] {
            let before = Distribution {
                parts: vec![1.0, wrong],
                ..run(1.0, 0.1)
            };
            assert!(Change::of_times("total", &before, &run(1.0, 0.1)).is_err());
            assert!(Change::of_values("memory", wrong, 1.0).is_err());
        }
    }
}
