//! What the gate says of a frame: an accepted label, or an abstention with its reason.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Accept or abstain. Abstaining is an answer, not an error.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The label passed every threshold.
    Accept(Prediction),
    /// No label is given.
    Abstain(Abstention),
}

/// An accepted label.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Row of the label in its bank.
    pub index: usize,
    /// The label's name.
    pub label: Arc<str>,
    /// Calibrated probability, 0 to 1. `None` where the bank has one label and no negatives: softmax
    /// would always say 1, so only the absolute similarity decided.
    pub confidence: Option<f32>,
}

/// Why no label is given.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abstention {
    /// The first rule that the frame failed.
    pub reason: Reason,
    /// For [`Reason::Ambiguous`], the labels of which one is the true one, as far as the calibration promises, most
    /// probable first; empty otherwise.
    pub set: Vec<SetLabel>,
}

/// A label in a set.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetLabel {
    /// Row of the label in its bank.
    pub index: usize,
    /// The label's name.
    pub label: Arc<str>,
}

/// The rule that a frame failed, in the order in which the gate asks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The frame shows nothing: a covered lens, a flash, a dead sensor. The model was not asked.
    UnusableFrame,
    /// Nothing that the labels describe is near enough.
    OutOfDistribution,
    /// A label is near, but its calibrated confidence is below the threshold.
    LowConfidence,
    /// More than one label is in the set that the calibration promises to hold the true one.
    Ambiguous,
    /// The frame itself passed, but the stream has drifted away from the calibration's images: see
    /// [`DriftMonitor`](crate::DriftMonitor).
    StaleCalibration,
    /// No rule of a single frame's: a stream has not shown one thing for long enough, so that its
    /// [`SteadyDecision`](crate::SteadyDecision) names none.
    Unsettled,
}

impl Abstention {
    pub(crate) fn because(reason: Reason) -> Self {
        let set = Vec::new();
        Self { reason, set }
    }
}

impl Decision {
    /// The accepted prediction, if there is one.
    pub fn accepted(&self) -> Option<&Prediction> {
        match self {
            Self::Accept(prediction) => Some(prediction),
            Self::Abstain(_) => None,
        }
    }

    /// The reason of an abstention.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Accept(_) => None,
            Self::Abstain(abstention) => Some(abstention.reason),
        }
    }
}

impl Reason {
    /// The name in JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnusableFrame => "unusable_frame",
            Self::OutOfDistribution => "out_of_distribution",
            Self::LowConfidence => "low_confidence",
            Self::Ambiguous => "ambiguous",
            Self::StaleCalibration => "stale_calibration",
            Self::Unsettled => "unsettled",
        }
    }
}

/// A sentence's end for people: "not sure: nothing like your labels".
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnusableFrame => "the frame shows nothing (dark, flat or covered)",
            Self::OutOfDistribution => "this looks like none of the labels",
            Self::LowConfidence => "a label is near, but not surely enough",
            Self::Ambiguous => "more than one label fits",
            Self::StaleCalibration => "the images have changed since the calibration, fit it again",
            Self::Unsettled => "nothing has been shown for long enough yet",
        })
    }
}
