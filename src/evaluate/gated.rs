//! What the gate does with the images: how many it answers, how many of those wrongly, and why it abstains.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::figures::Estimate;
use crate::calibration::PromiseKind;
use crate::decision::Reason;
use crate::gate::CalibrationFit;
use crate::ood::OodScore;

/// Figures of a gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateFigures {
    /// Share of the labels' images that are answered.
    pub coverage: Estimate,
    /// Share of the answered ones whose label is wrong; `None` if nothing was answered.
    pub selective_risk: Option<Estimate>,
    /// Share of all other images that are answered; `None` without such images.
    pub accepted_ood: Option<Estimate>,
    /// Share of all answers that are wrong, every answer to an image of another set being one.
    pub risk_with_ood: Option<Estimate>,
    /// Images of the labels by outcome.
    pub id: Outcomes,
    /// Images of each other set by outcome.
    pub ood: Vec<Outcomes>,
    /// The out-of-distribution score that is asked.
    pub score: OodScore,
    /// The least score that passes.
    pub score_threshold: f32,
    /// The least confidence that passes.
    pub confidence_threshold: f32,
    /// What divides the logits.
    pub temperature: f32,
    /// Whether all that was fitted for this label bank.
    pub calibration: CalibrationFit,
    /// What is promised of accepted answers.
    pub promise: PromiseKind,
}

/// One set's images by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// The set's name.
    pub name: String,
    /// Images, those among them that show nothing too.
    pub n: usize,
    /// Answered with their label.
    pub accepted_right: usize,
    /// Answered with another label, or answered although they show none.
    pub accepted_wrong: usize,
    /// Abstained on, in the order in which the gate asks.
    #[serde(serialize_with = "by_reason")]
    pub abstained: Vec<(Reason, usize)>,
}

impl Outcomes {
    /// Images that were answered.
    pub fn accepted(&self) -> usize {
        self.accepted_right + self.accepted_wrong
    }
}

fn by_reason<S: Serializer>(
    abstained: &[(Reason, usize)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(abstained.len()))?;
    for (reason, count) in abstained {
        map.serialize_entry(reason.as_str(), count)?;
    }
    map.end()
}
