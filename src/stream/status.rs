//! How a live stream is doing.

use std::time::Duration;

use serde::Serialize;

/// What a [`LiveStream`](crate::LiveStream) has done with its frames.
///
/// Every frame that was pushed is answered, skipped, dropped or failed, but for one in flight and one that waits.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveStatus {
    /// Frames taken by [`push`](crate::LiveStream::push).
    pub pushed: u64,
    /// Frames that the model answered.
    pub answered: u64,
    /// Frames that were taken for unchanged.
    pub skipped: u64,
    /// Frames that a newer one replaced before their turn, or that still waited when the stream was stopped.
    pub dropped: u64,
    /// Frames that met an error.
    pub failed: u64,
    /// Times that the classifier or the listener took longer than the deadline and came back.
    pub late: u64,
    /// Times that the listener panicked; the next frame was told to it all the same.
    pub listener_panics: u64,
    /// Results that a newer one replaced because nobody received them.
    pub results_dropped: u64,
    /// The frame that is being answered or told.
    pub in_flight: Option<InFlight>,
    /// Whether the stream takes no more frames.
    pub stopped: bool,
}

/// The frame that a live stream is at work on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InFlight {
    /// Number of the frame.
    pub frame: u64,
    /// Its timestamp.
    pub timestamp: Duration,
    /// Where it is.
    pub stage: Stage,
    /// Wall-clock time since this stage began.
    pub elapsed: Duration,
    /// Whether that is longer than the deadline.
    pub is_late: bool,
}

/// Who is at work on a frame.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The classifier, and with it the model.
    Classifier,
    /// The listener.
    Listener,
}

impl LiveStatus {
    /// The frame that has been at work for longer than the deadline, if there is one: the classifier or the listener is
    /// stuck, or too slow.
    pub fn stuck(&self) -> Option<InFlight> {
        self.in_flight.filter(|flight| flight.is_late)
    }
}
