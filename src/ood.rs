//! Out-of-distribution scores: is this anything that the labels describe? Larger means more likely so.

use serde::{Deserialize, Serialize};

use crate::score::{Scores, largest_softmax};

/// The temperature at which MCM compares cosines (Ming et al. 2022, section 3.1, "τ = 1").
const MCM_TEMPERATURE: f32 = 1.0;

/// Which score a calibration's threshold is on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OodScore {
    /// Maximum softmax probability at the model's own logit scale: see [`OodScores::msp`].
    Msp,
    /// Maximum concept matching: see [`OodScores::mcm`].
    Mcm,
    /// The largest cosine: see [`OodScores::max_cosine`].
    MaxCosine,
}

/// The scores of one image.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OodScores {
    /// `max_k softmax(logit_scale * c)_k`, 0 to 1 (Hendrycks and Gimpel 2017, arXiv 1610.02136).
    /// `None` where one label without negatives leaves nothing to compare.
    pub msp: Option<f32>,
    /// `max_k softmax(c / τ)_k` with τ = 1, 0 to 1 (Ming et al. 2022, arXiv 2211.13445, equation 2).
    /// `None` where one label without negatives leaves nothing to compare.
    pub mcm: Option<f32>,
    /// `max_k c_k`, -1 to 1: how close the nearest label is, whatever the others.
    pub max_cosine: f32,
}

impl OodScores {
    /// All scores from one image's cosines. `logit_scale` is the model's.
    pub fn of(scores: &Scores, logit_scale: f32) -> Self {
        let (labels, negatives) = (scores.similarities(), scores.negative_similarities());
        let relative = |scale| {
            scores
                .is_relative()
                .then(|| largest_softmax(labels, negatives, scale))
        };
        Self {
            msp: relative(logit_scale),
            mcm: relative(MCM_TEMPERATURE.recip()),
            max_cosine: labels.iter().copied().fold(-1.0, f32::max),
        }
    }

    /// The score that `which` names.
    pub fn value(&self, which: OodScore) -> Option<f32> {
        match which {
            OodScore::Msp => self.msp,
            OodScore::Mcm => self.mcm,
            OodScore::MaxCosine => Some(self.max_cosine),
        }
    }
}
