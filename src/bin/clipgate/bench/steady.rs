//! Frame after frame without a pause: times of each stage, and whether the machine keeps its pace.

use std::time::{Duration, Instant};

use clipgate::Result;
use serde::{Deserialize, Serialize};

use super::args::BenchArgs;
use super::figures::{Distribution, PARTS, rate};
use super::input::Input;
use super::model::{Opened, Stages, milliseconds};

/// Frames before the first that counts: buffers are made, caches filled, the processor wakes.
const WARM_UP: usize = 5;

/// What a run keeps of its frames is bounded.
const MAX_FRAMES: usize = 1_000_000;

/// Different frames that take turns, so that pixels come from memory, as a camera's do, and not from a cache.
pub(super) const FRAMES: usize = 4;

/// The stages of a frame, in their order; those that it does not have are `None`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StageFigures {
    /// An image file's reading and decoding.
    decode: Option<Distribution>,
    preprocess: Option<Distribution>,
    encode: Option<Distribution>,
    /// Where the bundle has labels and calibration.
    decide: Option<Distribution>,
    total: Option<Distribution>,
}

impl StageFigures {
    pub(super) fn named(&self) -> [(&'static str, Option<&Distribution>); 5] {
        [
            ("decode", self.decode.as_ref()),
            ("preprocess", self.preprocess.as_ref()),
            ("encode", self.encode.as_ref()),
            ("decide", self.decide.as_ref()),
            ("total", self.total.as_ref()),
        ]
    }
}

/// How many frames a second were answered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Pace {
    pub(super) frames: usize,
    pub(super) seconds: f64,
    pub(super) frames_per_second: f64,
    /// The same in the first and in the last quarter: a machine that throttles is slower at the end.
    pub(super) first_quarter: f64,
    pub(super) last_quarter: f64,
}

#[derive(Default)]
struct Times {
    decode: Vec<f64>,
    preprocess: Vec<f64>,
    encode: Vec<f64>,
    decide: Vec<f64>,
    total: Vec<f64>,
}

/// Answers frames for the time or number that was asked for.
pub(super) fn run(
    opened: &mut Opened,
    input: &mut Input,
    args: &BenchArgs,
) -> Result<(StageFigures, Pace)> {
    let mut times = Times::default();
    for number in 0..WARM_UP {
        input.show(number, |frame| opened.answer(frame))?;
    }
    let start = Instant::now();
    let longest = Duration::from_secs(args.seconds.into());
    let goes_on = |frames: usize, start: Instant| match args.iterations {
        Some(iterations) => frames < iterations as usize,
        None => frames < MAX_FRAMES && (frames < PARTS || start.elapsed() < longest),
    };
    let mut frames = 0;
    while goes_on(frames, start) {
        let begin = Instant::now();
        let shown = input.show(frames, |frame| opened.answer(frame))?;
        times.push(shown.decode, &shown.answer, begin.elapsed());
        frames += 1;
    }
    Ok((times.figures(), times.pace()))
}

impl Times {
    fn push(&mut self, decode: Option<Duration>, stages: &Stages, total: Duration) {
        self.decode.extend(decode.map(milliseconds));
        self.preprocess.push(milliseconds(stages.preprocess));
        self.encode.push(milliseconds(stages.encode));
        self.decide.extend(stages.decide.map(milliseconds));
        self.total.push(milliseconds(total));
    }

    fn figures(&self) -> StageFigures {
        StageFigures {
            decode: Distribution::of(&self.decode),
            preprocess: Distribution::of(&self.preprocess),
            encode: Distribution::of(&self.encode),
            decide: Distribution::of(&self.decide),
            total: Distribution::of(&self.total),
        }
    }

    fn pace(&self) -> Pace {
        let quarter = (self.total.len() / 4).max(1);
        Pace {
            frames: self.total.len(),
            seconds: self.total.iter().sum::<f64>() / 1e3,
            frames_per_second: rate(&self.total),
            first_quarter: rate(&self.total[..quarter]),
            last_quarter: rate(&self.total[self.total.len() - quarter..]),
        }
    }
}
