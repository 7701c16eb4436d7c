//! Probabilities averaged over time, and a decision on them that does not flicker.

mod averages;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::calibration::PromiseKind;
use crate::classifier::Classification;
use crate::decision::{Abstention, Decision, Prediction, Reason};
use crate::error::{Error, Result};

use super::SteadyDecision;
use averages::{Averages, Tracked};

/// A label in place gives way to one whose average is larger by its inverse, and is left below this share of the
/// confidence that lets one in.
const LEAVE_SHARE: f32 = 0.75;

/// Share of the time in which frames must show something that the labels describe, to name a label and to stop.
const PRESENCE: Hysteresis = Hysteresis {
    enter: 0.6,
    leave: 0.4,
};

/// Share of a threshold by which an average may miss it for rounding alone. What must not reach it counts for twice that
/// less.
const ROUNDING: f32 = 1.0 / 2048.0;

/// A reason gives way to one that is more frequent by this share of the time.
const REASON_MARGIN: f32 = 0.2;

/// How decisions are smoothed: averages over time, and what it takes to change the steady decision.
///
/// Every label's calibrated probability is averaged with a weight that falls by `exp(-age / time_constant)`, so that the
/// frame rate may vary: at a frame `dt` after the last one, `average = exp(-dt / time_constant) * average + (1 -
/// exp(-dt / time_constant)) * probability` (Müller 1991, "Specially weighted moving averages with repeated
/// application of the EMA operator"; Eckner 2019, "Algorithms for unevenly spaced time series: moving averages and
/// other rolling operators", there with the next value). A frame on which the gate abstains for another reason than low
/// confidence shows none of the labels: it counts 0 for all of them.
///
/// The averages are asked what the gate asks of a frame, each question with two thresholds (Schmitt 1938, "A thermionic
/// trigger"), so that noise around one of them changes nothing:
///
/// 1. Does the stream show something that the labels describe? More than 60 % of the time to name a label, more than
///    40 % to keep it.
/// 2. Is the best label's average probability, over that part of the time, high enough? [`confidence`](Self::confidence)
///    to name it, 75 % of that to keep it. Another label takes its place when it is good enough itself and the old one's
///    average is below 75 % of its own.
///
/// A label is named only while the gate itself has accepted it of late, and on frames that the gate does not accept every
/// probability counts for less than the calibration's threshold.
///
/// What these ask for must be the same for [`hold`](Self::hold) before the steady decision follows. A label that has not
/// been asked for during twice that time is given up as [`Reason::Unsettled`] though nothing else has held. Under frames
/// that are all alike it comes to be what the gate says of each, or, within the hysteresis, stays what it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    time_constant: Duration,
    hold: Duration,
    max_gap: Duration,
    confidence: Option<f32>,
}

impl Smoothing {
    /// Seconds over which the weight of a frame falls to 1/e; 0.5 unless set. 0 takes each frame for itself.
    pub fn time_constant(mut self, time_constant: Duration) -> Self {
        self.time_constant = time_constant;
        self
    }

    /// How long a new label or an abstention must be asked for before it takes the old one's place; 0.3 s unless set.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// The longest time between two answered frames that are still one stream; after a longer one all begins anew. 2 s
    /// unless set; set it above the time between two frames of a slow camera.
    pub fn max_gap(mut self, max_gap: Duration) -> Self {
        self.max_gap = max_gap;
        self
    }

    /// The average probability that names a label, above 0 to 1; the calibration's threshold unless set. However low, it
    /// names no label that the gate has accepted on no frame of late.
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.confidence = Some(confidence);
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.max_gap.is_zero() {
            return Err(Error::caller(
                "a longest gap of 0 between frames: every frame would begin anew",
            ));
        }
        // Written so that NaN is refused.
        match self.confidence {
            Some(confidence) if !(confidence > 0.0 && confidence <= 1.0) => Err(Error::caller(
                format!("a smoothed confidence of {confidence}: above 0, at most 1"),
            )),
            _ => Ok(()),
        }
    }
}

impl Default for Smoothing {
    fn default() -> Self {
        Self {
            time_constant: Duration::from_millis(500),
            hold: Duration::from_millis(300),
            max_gap: Duration::from_secs(2),
            confidence: None,
        }
    }
}

/// Two thresholds: one to begin, a lower one to go on.
#[derive(Clone, Copy, Debug)]
struct Hysteresis {
    enter: f32,
    leave: f32,
}

/// The averages of one stream, and the decision that stands.
#[derive(Debug)]
pub(super) struct Smoother {
    options: Smoothing,
    confidence: Hysteresis,
    last: Option<Duration>,
    averages: Averages,
    steady: SteadyDecision,
    pending: Option<Pending>,
    /// Since when what stands is not what the averages ask for.
    unasked_since: Option<Duration>,
}

/// What the averages ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Label(usize),
    Abstain(Reason),
}

/// A change that waits for its time.
#[derive(Debug)]
struct Pending {
    target: Target,
    since: Duration,
}

impl Smoother {
    /// A smoother that has seen nothing; `threshold` is the gate's own, where the options name none.
    pub(super) fn new(options: Smoothing, threshold: f32) -> Self {
        let enter = options.confidence.unwrap_or(threshold);
        Self {
            options,
            confidence: Hysteresis {
                enter: enter * (1.0 - ROUNDING),
                leave: enter * LEAVE_SHARE,
            },
            last: None,
            averages: Averages::new(threshold * (1.0 - 2.0 * ROUNDING)),
            steady: unsettled(Duration::ZERO),
            pending: None,
            unasked_since: None,
        }
    }

    /// Takes what the gate said of the frame at `timestamp`, or of the one that it is no different from.
    pub(super) fn observe(&mut self, raw: &Classification, timestamp: Duration) -> &SteadyDecision {
        let age = self.last.map(|last| timestamp.saturating_sub(last));
        if age.is_some_and(|age| age > self.options.max_gap) {
            self.reset();
        }
        if self.last.is_none() {
            self.steady = unsettled(timestamp);
        }
        let kept = match (self.last, age) {
            (Some(_), Some(age)) => decay(age, self.options.time_constant),
            _ => 0.0,
        };
        self.last = Some(timestamp);
        self.averages.take(raw, kept);
        self.settle(self.target(), timestamp);
        &self.steady
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        self.last = None;
        self.averages.clear();
        self.pending = None;
        self.unasked_since = None;
    }

    /// What the averages ask for, given what stands.
    fn target(&self) -> Target {
        let averages = &self.averages;
        let passes = |label: &Tracked, presence: f32, confidence: f32| {
            averages.presence() >= presence && label.average >= confidence * averages.presence()
        };
        let best = averages
            .best()
            .filter(|best| best.is_accepted())
            .filter(|best| passes(best, PRESENCE.enter, self.confidence.enter));
        let standing = self
            .steady
            .decision
            .accepted()
            .and_then(|standing| averages.of(standing.index))
            .filter(|one| passes(one, PRESENCE.leave, self.confidence.leave));
        match (best, standing) {
            (Some(best), Some(standing)) if standing.average >= LEAVE_SHARE * best.average => {
                Target::Label(standing.index)
            }
            (Some(best), _) => Target::Label(best.index),
            (None, Some(standing)) => Target::Label(standing.index),
            (None, None) => Target::Abstain(self.reason()),
        }
    }

    /// The most frequent reason of late, or the one that stands unless it is clearly less frequent.
    fn reason(&self) -> Reason {
        let most = self.averages.most_frequent();
        let share = |reason| self.averages.share(reason);
        match self.steady.decision.reason() {
            Some(standing) if share(most) < share(standing) + REASON_MARGIN => standing,
            _ => most,
        }
    }

    /// Follows a target that has been the same for long enough, and gives up a label that has not been it for too long.
    fn settle(&mut self, target: Target, timestamp: Duration) {
        if target == Target::of(&self.steady.decision) {
            self.pending = None;
            self.unasked_since = None;
            self.refresh();
            return;
        }
        let unasked_since = *self.unasked_since.get_or_insert(timestamp);
        let since = match &self.pending {
            Some(pending) if pending.target.is_like(target) => pending.since,
            _ => timestamp,
        };
        self.pending = Some(Pending { target, since });
        let hold = self.options.hold;
        if timestamp.saturating_sub(since) < hold {
            // Twice the hold, so that a label which follows within one hold takes the old one's place directly.
            let limit = hold.saturating_mul(2);
            let is_label = self.steady.decision.accepted().is_some();
            if is_label && timestamp.saturating_sub(unasked_since) >= limit {
                self.unasked_since = None;
                self.steady = unsettled(timestamp);
            } else {
                self.refresh();
            }
            return;
        }
        self.pending = None;
        self.unasked_since = None;
        self.steady = SteadyDecision {
            decision: match target {
                Target::Label(index) => self.prediction(index),
                Target::Abstain(reason) => abstain(reason),
            },
            since: timestamp,
            promise: PromiseKind::None,
        };
    }

    /// The confidence of the label that stands, as it is now.
    fn refresh(&mut self) {
        if let Decision::Accept(standing) = &self.steady.decision {
            self.steady.decision = self.prediction(standing.index);
        }
    }

    fn prediction(&self, index: usize) -> Decision {
        match self.averages.of(index) {
            Some(one) => Decision::Accept(Prediction {
                index,
                label: Arc::clone(&one.label),
                confidence: self.averages.confidence(one),
            }),
            // Its average has vanished while the change waits for its time.
            None => match self.steady.decision.accepted() {
                Some(standing) => Decision::Accept(Prediction {
                    confidence: standing.confidence.map(|_| 0.0),
                    ..standing.clone()
                }),
                None => abstain(Reason::Unsettled),
            },
        }
    }
}

impl Target {
    fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Accept(prediction) => Self::Label(prediction.index),
            Decision::Abstain(abstention) => Self::Abstain(abstention.reason),
        }
    }

    /// Whether waiting for one is waiting for the other: a reason may become another meanwhile.
    fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Abstain(_), Self::Abstain(_)) => true,
            _ => self == other,
        }
    }
}

/// Whether two decisions name the same label or the same reason.
pub(super) fn is_same(one: &Decision, other: &Decision) -> bool {
    Target::of(one) == Target::of(other)
}

/// Share of an average that is left after `age`.
fn decay(age: Duration, time_constant: Duration) -> f32 {
    if time_constant.is_zero() {
        return 0.0;
    }
    (-age.as_secs_f64() / time_constant.as_secs_f64()).exp() as f32
}

fn abstain(reason: Reason) -> Decision {
    Decision::Abstain(Abstention::because(reason))
}

fn unsettled(since: Duration) -> SteadyDecision {
    SteadyDecision {
        decision: abstain(Reason::Unsettled),
        since,
        promise: PromiseKind::None,
    }
}
