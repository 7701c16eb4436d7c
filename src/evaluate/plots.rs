//! The curves behind the figures, short enough to draw.

use serde::Serialize;

use crate::ood::OodScore;

/// What a page draws of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plots {
    /// Stated against true probability, in equally wide bins of confidence.
    pub reliability: Vec<ReliabilityBin>,
    /// From the surest answer alone to all answers.
    pub risk_coverage: Vec<CurvePoint>,
    /// Of the gate's score, a set each.
    pub histograms: Vec<Histogram>,
}

/// The images whose confidence falls into one bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Where the bin begins, 0 to 1.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Images in it.
    pub n: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share of them that were answered rightly.
    pub accuracy: f64,
}

/// A point of the risk-coverage curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Share of images answered, 0 to 1.
    pub coverage: f64,
    /// Share of those answered wrongly.
    pub risk: f64,
}

/// How one score spreads over images of the labels and over another set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// The other set's name.
    pub name: String,
    /// Which score.
    pub score: OodScore,
    /// Left end of the first bin.
    pub low: f64,
    /// Right end of the last bin.
    pub high: f64,
    /// Images of the labels in each bin.
    pub id: Vec<usize>,
    /// Images of the other set in each bin.
    pub ood: Vec<usize>,
    /// Below it the gate says `out_of_distribution`.
    pub threshold: Option<f64>,
}
