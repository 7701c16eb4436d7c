//! Out-of-distribution scores: is this anything that the labels describe? Larger means more likely so.
//!
//! Each is a function of one image's cosines and the model's logit scale, without memory of other frames.

mod logits;
mod outliers;
mod softmax;

use serde::{Deserialize, Serialize};

use crate::score::{Scorer, Scores};

use logits::{energy, logit_gap};
pub use outliers::{NEG_LABEL_GROUP_SIZE, NEG_LABEL_GROUPS};
use outliers::{eoe, neg_label, neg_refine};
use softmax::{Softmax, largest_probability, margin, negative_entropy};

/// Names a score, in a calibration and in JSON.
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
    /// Free energy of the labels: see [`OodScores::energy`].
    Energy,
    /// How little the labels' probabilities are spread: see [`OodScores::entropy`].
    Entropy,
    /// How far the best label is before the next text: see [`OodScores::margin`].
    Margin,
    /// The same of logits, before the next fifth of the texts: see [`OodScores::logit_gap`].
    LogitGap,
    /// The labels' share against groups of negatives: see [`OodScores::neg_label`].
    NegLabel,
    /// The best label less the likeliest outlier: see [`OodScores::eoe`].
    Eoe,
    /// NegLabel for images of a label beside something else: see [`OodScores::neg_refine`].
    NegRefine,
}

/// The scores of one image.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OodScores {
    /// `max_k softmax(logit_scale * c)_k` over labels and negatives, 0 to 1 (Hendrycks and Gimpel 2017, arXiv
    /// 1610.02136). `None` where one label without negatives leaves nothing to compare.
    pub msp: Option<f32>,
    /// `max_k softmax(c / τ)_k` over labels and negatives with τ = 1, 0 to 1 (Ming et al. 2022, arXiv 2211.13445,
    /// equation 2). `None` where one label without negatives leaves nothing to compare.
    pub mcm: Option<f32>,
    /// `max_k c_k`, -1 to 1: how close the nearest label is, whatever the others.
    pub max_cosine: f32,
    /// `ln Σ_k exp(logit_scale * c_k)` over the labels, -logit_scale to logit_scale + ln K (Liu et al. 2020, arXiv
    /// 2010.03759). `None` with one label.
    pub energy: Option<f32>,
    /// `Σ_k p_k ln p_k` of the softmax over the labels alone, -ln K to 0: less its entropy in nats (Chan et al. 2021,
    /// arXiv 2012.06575). `None` with one label.
    pub entropy: Option<f32>,
    /// `p_best - p_next`, the best label and the next text in the softmax over labels and negatives, -1 to 1 (Scheffer
    /// et al. 2001). `None` where one label without negatives leaves nothing to compare.
    pub margin: Option<f32>,
    /// The mean gap of the best label's logit to those of the nearest other texts, up to a fifth of all, from `-2 *
    /// logit_scale` to `2 * logit_scale` (LogitGap: Liang et al. 2025, arXiv 2510.20134). `None` where one label without
    /// negatives leaves nothing to compare.
    pub logit_gap: Option<f32>,
    /// The labels' share of the softmax, averaged over groups of negatives, 0 to 1: up to [`NEG_LABEL_GROUPS`] of
    /// [`NEG_LABEL_GROUP_SIZE`] at least (NegLabel: Jiang et al. 2024, arXiv 2403.20078). `None` without negatives.
    pub neg_label: Option<f32>,
    /// The best label's part of the softmax of the cosines less a quarter of the best negative's, -0.25 to 1 (EOE: Cao
    /// et al. 2024, arXiv 2406.00806). `None` without negatives.
    pub eoe: Option<f32>,
    /// `neg_label` and, twice, how well a near label and a near negative together match better than the negative
    /// alone, 0 to 3 (NegRefine: Ansari et al. 2025, arXiv 2507.09795). `None` without negatives.
    pub neg_refine: Option<f32>,
    /// `max_k sigmoid(logit_scale * c_k + logit_bias)`, 0 to 1: see [`Scorer::pair_probability`]. It orders images as
    /// `max_cosine` does. `None` for models of the softmax loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigmoid: Option<f32>,
}

impl OodScore {
    /// Every score that a threshold can be on.
    pub const ALL: [Self; 10] = [
        Self::Msp,
        Self::Mcm,
        Self::MaxCosine,
        Self::Energy,
        Self::Entropy,
        Self::Margin,
        Self::LogitGap,
        Self::NegLabel,
        Self::Eoe,
        Self::NegRefine,
    ];

    /// The name in a calibration and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Msp => "msp",
            Self::Mcm => "mcm",
            Self::MaxCosine => "max_cosine",
            Self::Energy => "energy",
            Self::Entropy => "entropy",
            Self::Margin => "margin",
            Self::LogitGap => "logit_gap",
            Self::NegLabel => "neg_label",
            Self::Eoe => "eoe",
            Self::NegRefine => "neg_refine",
        }
    }
}

impl OodScores {
    /// All scores from one image's cosines, at the scorer's own logit scale and bias.
    pub fn of(scores: &Scores, scorer: &Scorer) -> Self {
        let (labels, negatives) = (scores.similarities(), scores.negative_similarities());
        let scale = scorer.logit_scale();
        let max_cosine = labels.iter().copied().fold(-1.0, f32::max);
        let softmax = Softmax::of(labels, negatives, scale);
        let flat_softmax = Softmax::of_cosines(labels, negatives);
        let relative = |softmax| {
            scores
                .is_relative()
                .then(|| largest_probability(labels, softmax))
        };
        let neg_label = neg_label(labels, negatives, scale);
        Self {
            msp: relative(&softmax),
            mcm: relative(&flat_softmax),
            max_cosine,
            energy: energy(labels, scale),
            entropy: negative_entropy(labels, scale),
            margin: margin(labels, negatives, &softmax),
            logit_gap: logit_gap(labels, negatives, scale),
            neg_label,
            eoe: eoe(labels, negatives, &flat_softmax),
            neg_refine: neg_refine(neg_label, scores.pairs(), scale),
            sigmoid: scorer.pair_probability(max_cosine),
        }
    }

    /// The score that `which` names.
    pub fn value(&self, which: OodScore) -> Option<f32> {
        match which {
            OodScore::Msp => self.msp,
            OodScore::Mcm => self.mcm,
            OodScore::MaxCosine => Some(self.max_cosine),
            OodScore::Energy => self.energy,
            OodScore::Entropy => self.entropy,
            OodScore::Margin => self.margin,
            OodScore::LogitGap => self.logit_gap,
            OodScore::NegLabel => self.neg_label,
            OodScore::Eoe => self.eoe,
            OodScore::NegRefine => self.neg_refine,
        }
    }
}
