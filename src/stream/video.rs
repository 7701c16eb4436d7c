//! Every frame in order, answered where it is called.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::calibration::PromiseKind;
use crate::classifier::{Classification, Classifier};
use crate::decision::{Abstention, Decision};
use crate::error::{Error, Result};
use crate::frame::Frame;

use super::change::ChangeDetector;
use super::smooth::{Smoother, is_same};
use super::{SteadyDecision, StreamAnswer, StreamOptions};

/// Answers the frames of a video one by one, in order: a file that is read, a recording that is judged, or a loop of
/// one's own that has time for every frame.
///
/// ```no_run
/// use std::time::Duration;
/// use clipgate::{Bundle, Classifier, Frame, PixelFormat, Runtime, StreamOptions, VideoStream};
///
/// let runtime = Runtime::load("/usr/lib/libonnxruntime.so".as_ref())?;
/// let classifier = Classifier::new(&runtime, &Bundle::embedded()?)?;
/// let mut video = VideoStream::new(classifier, StreamOptions::default())?;
/// let pixels = vec![127; 640 * 480 * 3];
/// for n in 0..300 {
///     let frame = Frame::new(&pixels, 640, 480, PixelFormat::Rgb8)?;
///     let answer = video.classify(&frame, Duration::from_millis(n * 33))?;
///     println!("{:?}, skipped: {}", answer.steady.decision, answer.skipped);
/// }
/// # Ok::<(), clipgate::Error>(())
/// ```
pub struct VideoStream {
    classifier: Classifier,
    change: Option<ChangeDetector>,
    smoother: Option<Smoother>,
    seen: u64,
    last_timestamp: Option<Duration>,
    last: Option<Answered>,
    /// The last steady decision where nothing is smoothed.
    unsmoothed: Option<SteadyDecision>,
}

/// The last frame that the model answered.
struct Answered {
    raw: Arc<Classification>,
    timestamp: Duration,
}

impl VideoStream {
    /// A stream that has seen nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for options out of their range.
    pub fn new(classifier: Classifier, options: StreamOptions) -> Result<Self> {
        options.validate()?;
        let threshold = classifier.gate().calibration().confidence().threshold;
        Ok(Self {
            classifier,
            change: options.unchanged.map(ChangeDetector::new),
            smoother: options
                .smoothing
                .map(|smoothing| Smoother::new(smoothing, threshold)),
            seen: 0,
            last_timestamp: None,
            last: None,
            unsmoothed: None,
        })
    }

    /// Answers the next frame. Its size, format and everything else may differ from the last one's.
    ///
    /// `timestamp` counts from any beginning, in the camera's time; smoothing and the longest time without an answer go
    /// by it alone, so that a recording gives the same answers however fast it is read.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the timestamp is not above the last one's; then the frame does
    /// not count. As [`Classifier::classify`] otherwise; then the next frame can be answered.
    pub fn classify(&mut self, frame: &Frame<'_>, timestamp: Duration) -> Result<StreamAnswer> {
        check_order(self.last_timestamp, timestamp)?;
        let number = self.seen;
        self.seen += 1;
        self.answer(frame, number, timestamp)
    }

    /// Answers the frame that the caller has counted and whose timestamp it has checked.
    pub(super) fn answer(
        &mut self,
        frame: &Frame<'_>,
        number: u64,
        timestamp: Duration,
    ) -> Result<StreamAnswer> {
        let start = Instant::now();
        self.last_timestamp = Some(timestamp);
        let skipped = match (&mut self.change, &self.last) {
            (Some(change), Some(last)) => {
                change.is_unchanged(frame, timestamp.saturating_sub(last.timestamp))
            }
            (Some(change), None) => {
                change.look(frame);
                false
            }
            (None, _) => false,
        };
        if !skipped {
            // Whatever happens now, the frame before is the last answer no more.
            let slot = self.last.take().map(|last| last.raw);
            let classification = self.classifier.classify(frame)?;
            self.last = Some(Answered {
                raw: share(slot, classification),
                timestamp,
            });
            if let Some(change) = &mut self.change {
                change.keep();
            }
        }
        let Some(last) = &self.last else {
            return Err(Error::model("a frame was skipped before any was answered"));
        };
        let steady = match &mut self.smoother {
            Some(smoother) => smoother.observe(&last.raw, timestamp).clone(),
            None => {
                let decision = unpromised(&last.raw.decision);
                let before = self.unsmoothed.take();
                let same = before.filter(|before| is_same(&before.decision, &decision));
                let steady = SteadyDecision {
                    decision,
                    since: same.map_or(timestamp, |same| same.since),
                    promise: PromiseKind::None,
                };
                self.unsmoothed.insert(steady).clone()
            }
        };
        Ok(StreamAnswer {
            frame: number,
            timestamp,
            steady,
            raw: Arc::clone(&last.raw),
            raw_timestamp: last.timestamp,
            skipped,
            took: start.elapsed(),
            dropped: 0,
        })
    }

    /// Forgets what was smoothed and what the last frame looked like, for a camera that was away or turned elsewhere.
    /// Timestamps go on.
    pub fn reset(&mut self) {
        self.last = None;
        self.unsmoothed = None;
        if let Some(smoother) = &mut self.smoother {
            smoother.reset();
        }
    }

    /// Forgets the drift of the frames so far, and with it the reason `stale_calibration`, as
    /// [`Classifier::reset_drift`] does. The model is asked about the next frame, so that no answer of before is repeated.
    pub fn reset_drift(&mut self) {
        self.classifier.reset_drift();
        self.last = None;
    }

    /// The classifier that answers.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// The classifier, for another stream.
    pub fn into_classifier(self) -> Classifier {
        self.classifier
    }
}

impl fmt::Debug for VideoStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VideoStream")
            .field("seen", &self.seen)
            .field("last_timestamp", &self.last_timestamp)
            .finish_non_exhaustive()
    }
}

/// Refuses a timestamp that does not come after the last one.
pub(super) fn check_order(last: Option<Duration>, timestamp: Duration) -> Result<()> {
    match last {
        Some(last) if timestamp <= last => Err(Error::caller(format!(
            "timestamp {timestamp:?} does not come after {last:?}, the last frame's: timestamps must increase"
        ))),
        _ => Ok(()),
    }
}

/// Puts the classification where the last one was, if nobody holds that any more.
fn share(slot: Option<Arc<Classification>>, classification: Classification) -> Arc<Classification> {
    let Some(mut slot) = slot else {
        return Arc::new(classification);
    };
    match Arc::get_mut(&mut slot) {
        Some(free) => {
            *free = classification;
            slot
        }
        None => Arc::new(classification),
    }
}

/// A raw decision without the label set, which only a promise gives a meaning.
fn unpromised(raw: &Decision) -> Decision {
    match raw {
        Decision::Accept(prediction) => Decision::Accept(prediction.clone()),
        Decision::Abstain(abstention) => Decision::Abstain(Abstention::because(abstention.reason)),
    }
}
