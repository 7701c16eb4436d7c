//! Streams: frames with timestamps in, steady decisions out.
//!
//! An image is [`Classifier::classify`]'s alone. [`VideoStream`] answers every frame in order, [`LiveStream`] the newest
//! one. Both skip frames that did not change and smooth what is decided.

mod buffer;
mod change;
mod live;
mod results;
mod shared;
mod smooth;
mod status;
mod video;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use crate::calibration::PromiseKind;
use crate::classifier::Classification;
use crate::decision::Decision;
use crate::error::{Error, Result};

pub use change::Unchanged;
pub use live::LiveStream;
pub use results::LiveResults;
pub use smooth::Smoothing;
pub use status::{InFlight, LiveStatus, Stage};
pub use video::VideoStream;

/// What a live frame may take unless told otherwise; as long as the gap after which smoothing begins anew.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);

/// Bytes a live frame may have unless told otherwise: 4K in RGBA takes 33 million.
const DEFAULT_MAX_FRAME_BYTES: usize = 64 << 20;

/// How a stream of frames is answered.
///
/// ```
/// use std::time::Duration;
/// use clipgate::{Smoothing, StreamOptions};
///
/// // A battery camera at 5 frames a second: patient, and sure to look once every 3 seconds.
/// let options = StreamOptions::default()
///     .smoothing(Smoothing::default().time_constant(Duration::from_secs(1)))
///     .unchanged(clipgate::Unchanged::default().longest(Duration::from_secs(3)));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct StreamOptions {
    smoothing: Option<Smoothing>,
    unchanged: Option<Unchanged>,
    deadline: Duration,
    max_frame_bytes: usize,
}

/// The answer to one frame of a stream.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct StreamAnswer {
    /// Number of the frame: every frame that was handed over counts, from 0.
    pub frame: u64,
    /// The frame's timestamp, as it was handed over.
    pub timestamp: Duration,
    /// What the stream shows, without flicker; nothing is promised of it.
    pub steady: SteadyDecision,
    /// The gate's answer to a single frame, with its own promise: this frame's, or where it was skipped that of the last
    /// one that was not.
    pub raw: Arc<Classification>,
    /// Timestamp of the frame that `raw` answers.
    pub raw_timestamp: Duration,
    /// Whether the frame was taken to show what the last answered one showed, so that the model was not asked.
    pub skipped: bool,
    /// Wall-clock time from beginning to answer, without waiting.
    pub took: Duration,
    /// Frames that were dropped before this one because newer ones came; always 0 for [`VideoStream`].
    pub dropped: u64,
}

/// A decision on a stream: smoothed over time, with hysteresis.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct SteadyDecision {
    /// A label with its smoothed probability, or an abstention. [`Reason::Unsettled`](crate::Reason::Unsettled) until one
    /// of them has held for long enough.
    pub decision: Decision,
    /// Timestamp of the frame since which it has been this label or this reason.
    pub since: Duration,
    /// Always [`PromiseKind::None`]: a calibration's promise speaks of single frames, not of frames that depend on each
    /// other.
    pub promise: PromiseKind,
}

/// What a [`LiveStream`] tells its listener.
#[non_exhaustive]
#[derive(Debug)]
pub enum StreamEvent {
    /// A frame was answered, or skipped as unchanged.
    Answer(StreamAnswer),
    /// A frame could not be answered; the next one is tried all the same.
    Failed {
        /// Number of the frame.
        frame: u64,
        /// Its timestamp.
        timestamp: Duration,
        /// Why.
        error: Error,
    },
    /// The classifier or the listener took longer than [`StreamOptions::deadline`]. It is told when they have ended at
    /// last, before the frame's own event if that is still to come; meanwhile [`LiveStream::status`] tells it.
    Late {
        /// Number of the frame.
        frame: u64,
        /// Its timestamp.
        timestamp: Duration,
        /// What took so long.
        stage: Stage,
        /// How long.
        took: Duration,
    },
}

impl StreamOptions {
    /// How decisions are smoothed over time; `None` takes every raw decision as it is.
    pub fn smoothing(mut self, smoothing: impl Into<Option<Smoothing>>) -> Self {
        self.smoothing = smoothing.into();
        self
    }

    /// Which frames are skipped as unchanged; `None` asks the model about every frame.
    pub fn unchanged(mut self, unchanged: impl Into<Option<Unchanged>>) -> Self {
        self.unchanged = unchanged.into();
        self
    }

    /// For [`LiveStream`]: how long the classifier or the listener may take for a frame before that is reported; 2 s
    /// unless set.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// For [`LiveStream`]: the most bytes a frame may have, 64 MiB unless set. Three frames are kept at most.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.max_frame_bytes = bytes;
        self
    }

    fn validate(&self) -> Result<()> {
        if let Some(smoothing) = &self.smoothing {
            smoothing.validate()?;
        }
        if let Some(unchanged) = &self.unchanged {
            unchanged.validate()?;
        }
        if self.deadline.is_zero() {
            return Err(Error::caller("a deadline of 0: every frame would be late"));
        }
        Ok(())
    }
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            smoothing: Some(Smoothing::default()),
            unchanged: Some(Unchanged::default()),
            deadline: DEFAULT_DEADLINE,
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
        }
    }
}
