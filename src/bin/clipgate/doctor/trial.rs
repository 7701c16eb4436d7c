//! Tries library and model in a process of its own: native code of others may end the process, and this is where one wants
//! to know.

use std::env;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clipgate::{
    Bundle, Classifier, Error, ErrorKind, Frame, ImageEncoder, PixelFormat, Provider,
    ProviderLadder, QnnOptions, Result, Runtime, SessionOptions,
};
use serde::{Deserialize, Serialize};

use crate::doctor::child::{self, Ended};
use crate::provider::QnnArgs;
use crate::{inputs, report, runtime_search};

/// How long all of it may take: under emulation a ViT-B/32 takes more than a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// Frames that the time of one is the median of, and the time after which no other is begun.
const FRAMES: usize = 5;
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// The frame that is timed: its edges, and the greys of its tiles, so that it shows something.
pub(super) const SIZE: (u32, u32) = (640, 480);
const TILE: usize = 40;

/// A line of the process that tries.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// Begins with a part; if nothing follows it crashed there.
    Begun(Part),
    Library(Library),
    Bundle(Named),
    Model(Timed),
    Npu(Offloaded),
    Failed(Failure),
    /// All was tried.
    Done,
}

/// What is tried, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Library,
    Bundle,
    Model,
    /// Qualcomm's, where one was named.
    Plugin,
}

/// The ONNX Runtime that is used.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Library {
    pub(super) version: String,
    pub(super) path: String,
    pub(super) providers: Vec<String>,
    /// Why files that come before it were not taken.
    pub(super) passed_over: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) version: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Timed {
    pub(super) frame_ms: f64,
    pub(super) frames: usize,
}

/// A model that ran on the NPU.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Offloaded {
    /// Those that it runs: one, where the graph was compiled ahead of time.
    pub(super) nodes: usize,
    /// Of the self-test's embedding to the expected one.
    pub(super) cosine: Option<f32>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) part: Part,
    pub(super) error: String,
    /// Whether the model computed something wrong.
    pub(super) computes_wrongly: bool,
}

/// What a process said, and what ended it where that was not its own doing.
pub(super) struct Trial {
    pub(super) said: Vec<Said>,
    pub(super) end: Option<String>,
}

impl Trial {
    /// The part that was begun last: where the process ended, if something ended it.
    pub(super) fn last(&self) -> Option<Part> {
        self.said.iter().rev().find_map(|said| match said {
            Said::Begun(part) => Some(*part),
            _ => None,
        })
    }
}

/// Tries in a process of its own; in this one where none can be started, as under some emulators, and then no plugin.
pub(super) fn run(bundle: Option<&PathBuf>, qnn: &QnnArgs) -> Trial {
    let ended = env::current_exe().and_then(|executable| {
        let mut command = Command::new(executable);
        command.args(["doctor", "--trial"]);
        child::run(
            command.args(qnn.arguments(bundle)),
            PATIENCE,
            "trying library and model in a process of their own",
        )
    });
    let Some(ended) = ended.ok().filter(was_executed) else {
        let mut said = Vec::new();
        each(bundle, None, &mut |line| said.push(line));
        return Trial { said, end: None };
    };
    // Libraries may print, too.
    let lines = ended.said.lines();
    let said: Vec<Said> = lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    // Native code may end a process with any status, 0 as well.
    let is_done = said.iter().any(|said| matches!(said, Said::Done));
    let end = match ended.status {
        Some(status) if status.success() && is_done => None,
        Some(status) => Some(status.to_string()),
        None => Some(format!("not done after {} s", PATIENCE.as_secs())),
    };
    Trial { said, end }
}

/// Whether the process was this program, which speaks at once. Where the system cannot make it that, and does not say so, it
/// ends by itself without a word: with 127 (posix_spawn(3)), or as a shell that cannot read the program (execvp(3)).
fn was_executed(ended: &Ended) -> bool {
    let exited = ended.status.is_some_and(|status| status.code().is_some());
    !exited || !ended.said.is_empty()
}

/// In the process that was started: tries, and says what comes of it.
pub(super) fn say(bundle: Option<&PathBuf>, qnn: &QnnArgs) {
    each(bundle, qnn.options(bundle), &mut |line| report::json(&line));
}

fn each(path: Option<&PathBuf>, qnn: Option<QnnOptions>, say: &mut dyn FnMut(Said)) {
    say(Said::Begun(Part::Library));
    let runtime = settle(Part::Library, library(say), say);
    say(Said::Begun(Part::Bundle));
    let bundle = settle(
        Part::Bundle,
        inputs::bundle(path.map(PathBuf::as_path)),
        say,
    );
    if let Some(bundle) = &bundle {
        say(Said::Bundle(Named {
            id: bundle.manifest().id.clone(),
            version: bundle.manifest().version,
        }));
    }
    if let (Some(runtime), Some(bundle)) = (runtime, bundle) {
        say(Said::Begun(Part::Model));
        if let Some(timed) = settle(Part::Model, time(&runtime, &bundle), say) {
            say(Said::Model(timed));
        }
        // The last, because it is the likeliest to end the process.
        if let Some(qnn) = qnn {
            say(Said::Begun(Part::Plugin));
            if let Some(offloaded) = settle(Part::Plugin, offload(&runtime, &bundle, qnn), say) {
                say(Said::Npu(offloaded));
            }
        }
    }
    say(Said::Done);
}

fn settle<T>(part: Part, result: Result<T>, say: &mut dyn FnMut(Said)) -> Option<T> {
    result
        .map_err(|error| {
            say(Said::Failed(Failure {
                part,
                error: error.report(),
                computes_wrongly: error.kind() == ErrorKind::Model,
            }));
        })
        .ok()
}

fn library(say: &mut dyn FnMut(Said)) -> Result<Runtime> {
    let mut passed_over = Vec::new();
    for candidate in runtime_search::candidates() {
        if !candidate.exists() {
            continue;
        }
        match Runtime::load(&candidate) {
            Ok(runtime) => {
                say(Said::Library(Library {
                    version: runtime.version().to_owned(),
                    path: report::path(runtime.path()),
                    providers: runtime.providers()?,
                    passed_over,
                }));
                return Ok(runtime);
            }
            Err(error) => passed_over.push(error.report()),
        }
    }
    // Says in one message what every command would.
    runtime_search::load()
}

/// Opens the model, which runs its self-test, and times some frames.
fn time(runtime: &Runtime, bundle: &Bundle) -> Result<Timed> {
    let (width, height) = SIZE;
    let pixels = tiles();
    let frame = Frame::new(&pixels, width, height, PixelFormat::Rgb8)?;
    let manifest = bundle.manifest();
    if manifest.labels.is_some() && manifest.calibration.is_some() {
        let mut classifier = Classifier::new(runtime, bundle)?;
        return median(|| classifier.classify(&frame).map(|_| ()));
    }
    let mut encoder = ImageEncoder::open(runtime, bundle, SessionOptions::default())?;
    median(|| encoder.encode(&frame).map(|_| ()))
}

/// Loads the plugin and runs the model's self-test on the NPU.
fn offload(runtime: &Runtime, bundle: &Bundle, qnn: QnnOptions) -> Result<Offloaded> {
    let options = SessionOptions::default()
        .with_providers(ProviderLadder::required(Provider::Qnn))
        .with_qnn(qnn);
    let encoder = ImageEncoder::open(runtime, bundle, options).map_err(undemanding)?;
    let report = encoder.provider_reports().first();
    let placement = report.and_then(|report| report.placement.as_ref());
    Ok(Offloaded {
        nodes: placement.map_or(0, |placement| placement.nodes().len()),
        cosine: report.and_then(|report| report.cosine),
    })
}

/// Why a provider does not run the model, without the words that it is required: nobody here requires it.
fn undemanding(error: Error) -> Error {
    let cause = StdError::source(&error).and_then(|source| source.downcast_ref::<Error>());
    match cause {
        Some(cause) => Error::new(cause.kind(), cause.report()),
        None => error,
    }
}

fn median(mut answer: impl FnMut() -> Result<()>) -> Result<Timed> {
    // The first grows buffers.
    answer()?;
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < FRAMES && (times.is_empty() || begin.elapsed() < LONG_ENOUGH) {
        let start = Instant::now();
        answer()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let middle = times.get(times.len() / 2).copied();
    let frame_ms = middle.ok_or_else(|| Error::new(ErrorKind::Machine, "no frame was timed"))?;
    Ok(Timed {
        frame_ms,
        frames: times.len(),
    })
}

/// A picture of grey and coloured tiles.
fn tiles() -> Vec<u8> {
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    (0..width * height)
        .flat_map(|place| {
            let (x, y) = (place % width / TILE, place / width / TILE);
            [x * 16, y * 20, (x * 7 + y * 13) * 5].map(|value| value as u8)
        })
        .collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_never_this_program_is_told_from_one_that_failed() {
        for (script, expected) in [
            ("exit 127", false),
            ("echo begun; exit 127", true),
            ("exit 2", false),
            ("kill -ILL $$", true),
        ] {
            let mut shell = Command::new("/bin/sh");
            let ended = child::run(shell.args(["-c", script]), PATIENCE, script).unwrap();
            assert_eq!(was_executed(&ended), expected, "{script}");
        }
    }
}
