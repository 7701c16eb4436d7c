//! A run as it is kept: one JSON object, and a table for people.

use serde::{Deserialize, Serialize};

use super::input::Described;
use super::machine::{BeforeAfter, Machine};
use super::start::StartFigures;
use super::steady::{Pace, StageFigures};
use crate::numbers;

/// The number that this clipgate writes and reads. It rises when a field changes its meaning.
pub(super) const SCHEMA: u32 = 1;

/// A last quarter slower than the first by more than this share is told of.
const SLOWING: f64 = 0.05;

/// One run of `clipgate bench`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) schema: u32,
    /// The version of the command.
    pub(super) clipgate: String,
    #[serde(flatten)]
    pub(super) subject: Subject,
    /// ONNX Runtime's, that executed the graph.
    pub(super) provider: String,
    /// The version of ONNX Runtime.
    pub(super) onnxruntime: String,
    pub(super) machine: Machine,
    pub(super) stages_ms: StageFigures,
    pub(super) pace: Pace,
    pub(super) start: Option<StartFigures>,
    /// The most memory that was resident in the process that ran all frames, in bytes.
    pub(super) peak_rss_bytes: Option<u64>,
}

/// What is measured: two runs of one subject can be compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) bundle: BundleName,
    pub(super) input: Described,
    /// Labels that are told apart; `None` where nothing is decided.
    pub(super) labels: Option<usize>,
    pub(super) threads: u16,
}

/// Which model ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BundleName {
    pub(super) id: String,
    pub(super) version: u64,
    /// Of the image graph that was executed.
    pub(super) graph_sha256: String,
}

/// The table for people.
pub(super) fn describe(run: &Run) -> String {
    let mut lines = heading(run);
    lines.push(String::new());
    lines.push(format!(
        "{:<14}{:>10}{:>10}{:>10}",
        "ms a frame", "p50", "p90", "p99"
    ));
    for (name, stage) in run.stages_ms.named() {
        if let Some(stage) = stage {
            lines.push(format!(
                "{name:<14}{:>10}{:>10}{:>10}",
                ms(stage.p50),
                ms(stage.p90),
                ms(stage.p99)
            ));
        }
    }
    lines.push(String::new());
    lines.extend(pace(&run.pace));
    lines.extend(run.start.iter().flat_map(start));
    lines.extend(memory(run));
    lines.join("\n")
}

fn heading(run: &Run) -> Vec<String> {
    let subject = &run.subject;
    let input = match &subject.input {
        Described::Image {
            path,
            width,
            height,
            fast_decode,
            ..
        } => format!("{path}, {width}x{height}{}", decoding(*fast_decode)),
        Described::Frames {
            pixel_format,
            width,
            height,
        } => format!("{width}x{height} {pixel_format}, drawn frames"),
    };
    let labels = match subject.labels {
        Some(labels) => format!("{labels} labels"),
        None => "no labels or calibration, so nothing is decided".to_owned(),
    };
    let machine = &run.machine;
    let cpu = machine.cpu.as_deref().unwrap_or("unknown processor");
    let digest: String = subject.bundle.graph_sha256.chars().take(12).collect();
    let mut lines = vec![
        entry(
            "bundle",
            &format!(
                "{}, version {}, graph {digest}, {labels}",
                subject.bundle.id, subject.bundle.version
            ),
        ),
        entry("input", &input),
        entry(
            "runs on",
            &format!(
                "clipgate {}, ONNX Runtime {}, {}, {}",
                run.clipgate,
                run.onnxruntime,
                run.provider,
                counted(subject.threads.into(), "thread")
            ),
        ),
        entry(
            "machine",
            &format!(
                "{cpu}, {}, {}, {}",
                machine.target,
                counted(machine.cores, "core"),
                machine.cpu_features.join(" ")
            ),
        ),
    ];
    let state = state(machine);
    if !state.is_empty() {
        lines.push(entry("", &state.join(", ")));
    }
    lines
}

/// What the machine was doing, as far as it says.
fn state(machine: &Machine) -> Vec<String> {
    let change = |BeforeAfter { before, after }: &BeforeAfter, digits: usize| {
        format!("{before:.digits$} to {after:.digits$}")
    };
    let mut state = Vec::new();
    state.extend(
        machine
            .governor
            .as_ref()
            .map(|name| format!("governor {name}")),
    );
    state.extend(machine.mhz.as_ref().map(|mhz| match machine.max_mhz {
        Some(max) => format!("{} of {max:.0} MHz", change(mhz, 0)),
        None => format!("{} MHz", change(mhz, 0)),
    }));
    state.extend(
        machine
            .temperature
            .as_ref()
            .map(|degrees| format!("{} °C", change(degrees, 0))),
    );
    state.extend(
        machine
            .load
            .as_ref()
            .map(|load| format!("load {}", change(load, 1))),
    );
    state
}

fn pace(pace: &Pace) -> Vec<String> {
    let rate = format!(
        "{:.1} a second over {} in {:.1} s; {:.1} in the first quarter, {:.1} in the last",
        pace.frames_per_second,
        counted(pace.frames, "frame"),
        pace.seconds,
        pace.first_quarter,
        pace.last_quarter
    );
    let mut lines = vec![entry("frames", &rate)];
    if pace.last_quarter < pace.first_quarter * (1.0 - SLOWING) {
        lines.push(entry(
            "",
            "slower at the end: the machine throttles, or something else runs",
        ));
    }
    lines
}

fn start(start: &StartFigures) -> [String; 2] {
    let parts = &start.parts_ms;
    [
        entry(
            "start",
            &format!(
                "{} ms to the first decision, the median of {} (the very first took {})",
                ms(start.to_first_decision_ms.p50),
                start.starts,
                ms(start.first_ms)
            ),
        ),
        entry(
            "",
            &format!(
                "process {}, library {}, bundle {}, session {}, self-test {}, frame {}",
                ms(parts.process),
                ms(parts.model.library),
                ms(parts.model.bundle),
                ms(parts.model.session),
                ms(parts.model.self_test),
                ms(parts.frame)
            ),
        ),
    ]
}

fn memory(run: &Run) -> Option<String> {
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let first = run.start.as_ref().and_then(|start| start.peak_rss_bytes);
    let said = match (first, run.peak_rss_bytes) {
        (Some(first), Some(last)) => format!(
            "{} at the first decision, {} after all frames (peak resident)",
            mb(first),
            mb(last)
        ),
        (None, Some(last)) => format!("{} (peak resident)", mb(last)),
        (Some(first), None) => format!("{} at the first decision (peak resident)", mb(first)),
        (None, None) => return None,
    };
    Some(entry("memory", &said))
}

/// A name and a value.
fn entry(name: &str, value: &str) -> String {
    format!("{name:<14}{value}")
}

/// Milliseconds in as many digits as are of use.
pub(super) fn ms(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.3}"),
        value if value < 100.0 => format!("{value:.2}"),
        value => format!("{value:.1}"),
    }
}

/// What stands behind an image that is not decoded exactly.
pub(super) fn decoding(fast: bool) -> &'static str {
    if fast { ", decoded fast" } else { "" }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", numbers::count(count))
}
