//! What is told of one model: its figures on images of its labels, and how well its scores tell these from others.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::gated::GateFigures;
use crate::ood::OodScore;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure on the images at hand.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// A figure of a model on images of its labels, before any gate.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of images whose most probable label is theirs.
    Accuracy,
    /// Expected calibration error, equally wide bins.
    Ece,
    /// Expected calibration error, bins of equally many images.
    EceEqualMass,
    /// Expected calibration error without what chance alone adds.
    EceDebiased,
    /// Smooth calibration error.
    SmoothEce,
    /// Negative log-likelihood, nats.
    Nll,
    /// Brier score over all labels, 0 to 2.
    Brier,
    /// Area under the risk-coverage curve.
    Aurc,
    /// The same beyond what the best order of the same answers would have.
    EAurc,
    /// Area under the generalised risk-coverage curve.
    Augrc,
}

/// One model's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// On images of its labels.
    pub id: IdFigures,
    /// On images that show none of its labels, a set each.
    pub ood: Vec<OodFigures>,
    /// What its gate does; `None` without a calibration of this graph.
    pub gate: Option<GateFigures>,
}

/// Figures on images of the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct IdFigures {
    /// Images that the model saw.
    pub n: usize,
    /// What could be computed; a single label has no calibration, for example.
    pub metrics: BTreeMap<Metric, Estimate>,
}

/// How well a model's scores tell one set of other images from those of its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct OodFigures {
    /// What the user called the set.
    pub name: String,
    /// Images that the model saw.
    pub n: usize,
    /// Every score that the model has.
    pub scores: Vec<ScoreFigures>,
    /// The one that its gate asks.
    pub gate: Option<OodScore>,
}

/// One score on one set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreFigures {
    /// Which score.
    pub score: OodScore,
    /// Chance that an image of the labels scores above one of the set; ties count half.
    pub auroc: Estimate,
    /// Average precision, the labels' images being the positives.
    pub aupr: Estimate,
    /// Share of the set that passes a cut which 95 % of the labels' images pass.
    pub fpr95: Estimate,
}

impl Metric {
    /// Every metric, the most telling first.
    pub const ALL: [Self; 10] = [
        Self::Accuracy,
        Self::Ece,
        Self::EceEqualMass,
        Self::EceDebiased,
        Self::SmoothEce,
        Self::Nll,
        Self::Brier,
        Self::Aurc,
        Self::EAurc,
        Self::Augrc,
    ];

    /// The name in JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Ece => "ece",
            Self::EceEqualMass => "ece_equal_mass",
            Self::EceDebiased => "ece_debiased",
            Self::SmoothEce => "smooth_ece",
            Self::Nll => "nll",
            Self::Brier => "brier",
            Self::Aurc => "aurc",
            Self::EAurc => "e_aurc",
            Self::Augrc => "augrc",
        }
    }

    /// Whether it is a share of images or probability, which people read as a percentage.
    pub fn is_share(self) -> bool {
        !matches!(self, Self::Nll | Self::Brier)
    }

    /// Whether it compares confidence with correctness over groups of images.
    pub fn is_calibration_error(self) -> bool {
        matches!(
            self,
            Self::Ece | Self::EceEqualMass | Self::EceDebiased | Self::SmoothEce
        )
    }
}

/// A heading for people.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accuracy => "Accuracy",
            Self::Ece => "Calibration error (ECE)",
            Self::EceEqualMass => "ECE, equal mass",
            Self::EceDebiased => "ECE, debiased (L2)",
            Self::SmoothEce => "ECE, smooth",
            Self::Nll => "Negative log-likelihood",
            Self::Brier => "Brier score",
            Self::Aurc => "Risk over all coverages (AURC)",
            Self::EAurc => "AURC beyond the best order",
            Self::Augrc => "Generalised risk (AUGRC)",
        })
    }
}

impl OodFigures {
    /// The figures of one score.
    pub fn of(&self, score: OodScore) -> Option<&ScoreFigures> {
        self.scores.iter().find(|figures| figures.score == score)
    }

    /// The figures of the score that the gate asks.
    pub fn gate_score(&self) -> Option<&ScoreFigures> {
        self.of(self.gate?)
    }

    /// What this set is judged by beside another model: the score of the gate, or the first there is without one.
    pub fn leading_score(&self) -> Option<&ScoreFigures> {
        self.gate_score().or(self.scores.first())
    }
}

/// `{"n", "accuracy", ..., "intervals": {"accuracy": [low, high], ...}}`.
impl Serialize for IdFigures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire {
            n: usize,
            #[serde(flatten)]
            values: BTreeMap<Metric, f64>,
            intervals: BTreeMap<Metric, [f64; 2]>,
        }
        let pick = |estimate: &Estimate| [estimate.low, estimate.high];
        Wire {
            n: self.n,
            values: self.metrics.iter().map(|(k, e)| (*k, e.value)).collect(),
            intervals: self.metrics.iter().map(|(k, e)| (*k, pick(e))).collect(),
        }
        .serialize(serializer)
    }
}

/// `{"name", "n", "auroc": {"msp", ..., "gate"}, "aupr": {...}, "fpr95": {...}, "intervals": {"auroc": {...}, ...}}`.
impl Serialize for OodFigures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            name: &'a str,
            n: usize,
            #[serde(flatten)]
            values: BTreeMap<&'static str, BTreeMap<&'static str, f64>>,
            intervals: BTreeMap<&'static str, BTreeMap<&'static str, [f64; 2]>>,
        }
        let named = || {
            let gate = self.gate_score().map(|figures| ("gate", figures));
            let scores = self.scores.iter().map(|f| (f.score.as_str(), f));
            scores.chain(gate)
        };
        type Pick = fn(&ScoreFigures) -> Estimate;
        let figures: [(&'static str, Pick); 3] = [
            ("auroc", |f| f.auroc),
            ("aupr", |f| f.aupr),
            ("fpr95", |f| f.fpr95),
        ];
        let values = figures.map(|(name, pick)| {
            let of = named().map(|(score, f)| (score, pick(f).value));
            (name, of.collect())
        });
        let intervals = figures.map(|(name, pick)| {
            let of = named().map(|(score, f)| (score, [pick(f).low, pick(f).high]));
            (name, of.collect())
        });
        Wire {
            name: &self.name,
            n: self.n,
            values: values.into(),
            intervals: intervals.into(),
        }
        .serialize(serializer)
    }
}
