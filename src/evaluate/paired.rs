//! Two models on the same images.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::{Estimate, Metric};

/// What changes from the reference to the model under test, the same images being shown to both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// Images of the labels that both saw.
    pub n: usize,
    /// Figures without a gate.
    pub id: BTreeMap<Metric, Difference>,
    /// The area under the ROC curve of each model's own gate score, a set each.
    pub ood: Vec<PairedOod>,
    /// Share of images answered; `None` unless both have a gate.
    pub coverage: Option<Difference>,
    /// Share of answers that are wrong.
    pub selective_risk: Option<Difference>,
    /// Share of images of which both say the same: the same label, or both abstain.
    pub agreement: Option<Estimate>,
}

/// One set in the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedOod {
    /// The set's name.
    pub name: String,
    /// Difference in area under the ROC curve.
    pub auroc: Difference,
}

/// A figure of the model under test less the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// With its 95 % interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Chance of a difference this large or larger if there were none.
    pub p_value: Option<f64>,
}
