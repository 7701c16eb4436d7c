//! Out-of-distribution scores: is this anything that the labels describe? Larger means more likely so.

use serde::{Deserialize, Serialize};

use crate::score::{Scorer, Scores, largest_softmax};

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

impl OodScore {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Msp => "msp",
            Self::Mcm => "mcm",
            Self::MaxCosine => "max_cosine",
        }
    }
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
    /// `max_k sigmoid(logit_scale * c_k + logit_bias)`, 0 to 1: see [`Scorer::pair_probability`]. It orders images as
    /// `max_cosine` does. `None` for models of the softmax loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigmoid: Option<f32>,
}

impl OodScores {
    /// All scores from one image's cosines, at the scorer's own logit scale and bias.
    pub fn of(scores: &Scores, scorer: &Scorer) -> Self {
        let (labels, negatives) = (scores.similarities(), scores.negative_similarities());
        let relative = |scale| {
            scores
                .is_relative()
                .then(|| largest_softmax(labels, negatives, scale))
        };
        let max_cosine = labels.iter().copied().fold(-1.0, f32::max);
        Self {
            msp: relative(scorer.logit_scale()),
            mcm: relative(MCM_TEMPERATURE.recip()),
            max_cosine,
            sigmoid: scorer.pair_probability(max_cosine),
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
