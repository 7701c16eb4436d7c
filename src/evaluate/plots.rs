//! The curves behind the figures, short enough to draw.

use serde::Serialize;

use super::judge::JudgedSet;
use crate::error::Result;
use crate::gate::Gate;
use crate::metrics::{
    Binning, DEFAULT_BINS, ReliabilityBin, RiskCoveragePoint, reliability_bins, risk_coverage,
};
use crate::ood::OodScore;

/// The most points of a curve: finer than a screen shows.
const CURVE_POINTS: usize = 200;

/// Bins of a histogram.
const HISTOGRAM_BINS: usize = 32;

/// What a page draws of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plots {
    /// Stated against true probability, in equally wide bins of confidence; empty where one label leaves none.
    pub reliability: Vec<ReliabilityBin>,
    /// From the surest answers alone to all answers, at most 200 points; empty where one label leaves no confidence.
    pub risk_coverage: Vec<RiskCoveragePoint>,
    /// Of the gate's score, or of one that every bank has, a set each.
    pub histograms: Vec<Histogram>,
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

impl Plots {
    /// The curves of one model.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the model saw no image of its labels.
    pub fn of(id: &JudgedSet, ood: &[JudgedSet], gate: Option<&Gate>) -> Result<Self> {
        let (mut reliability, mut curve) = (Vec::new(), Vec::new());
        if let Some(confidences) = id.confidences() {
            let correct = id.correct();
            reliability =
                reliability_bins(&confidences, &correct, Binning::EqualWidth, DEFAULT_BINS)?;
            curve = thinned(risk_coverage(&confidences, &correct)?);
        }
        let rule = gate.map(|gate| gate.ood_rule(id.is_relative()));
        let score = match rule {
            Some(rule) => rule.score,
            None if id.is_relative() => OodScore::Msp,
            None => OodScore::MaxCosine,
        };
        let histograms = ood.iter().filter_map(|set| {
            let (inside, outside) = (id.scores(score)?, set.scores(score)?);
            let threshold = rule.map(|rule| f64::from(rule.threshold));
            Some(Histogram::of(
                set.name.clone(),
                score,
                &inside,
                &outside,
                threshold,
            ))
        });
        Ok(Self {
            reliability,
            risk_coverage: curve,
            histograms: histograms.collect(),
        })
    }
}

impl Histogram {
    fn of(
        name: String,
        score: OodScore,
        inside: &[f32],
        outside: &[f32],
        threshold: Option<f64>,
    ) -> Self {
        let values = inside.iter().chain(outside).copied().map(f64::from);
        let (low, high) = values
            .chain(threshold)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let width = (high - low) / HISTOGRAM_BINS as f64;
        let counts = |scores: &[f32]| {
            let mut counts = vec![0; HISTOGRAM_BINS];
            for score in scores {
                // Where all scores are equal there is no width, and the cast makes 0 of what is no number.
                let bin = ((f64::from(*score) - low) / width) as usize;
                counts[bin.min(HISTOGRAM_BINS - 1)] += 1;
            }
            counts
        };
        Self {
            name,
            score,
            low,
            high,
            id: counts(inside),
            ood: counts(outside),
            threshold,
        }
    }
}

/// Evenly chosen points of a long curve, its ends among them.
fn thinned(curve: Vec<RiskCoveragePoint>) -> Vec<RiskCoveragePoint> {
    if curve.len() <= CURVE_POINTS {
        return curve;
    }
    let last = curve.len() - 1;
    (0..CURVE_POINTS)
        .map(|place| curve[place * last / (CURVE_POINTS - 1)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_every_score_once() {
        let histogram = Histogram::of(
            "others".to_owned(),
            OodScore::Msp,
            &[0.5, 1.0, 0.5],
            &[0.0],
            Some(0.25),
        );
        assert_eq!((histogram.low, histogram.high), (0.0, 1.0));
        assert_eq!(histogram.id.iter().sum::<usize>(), 3);
        assert_eq!(
            (histogram.id[31], histogram.id[16], histogram.ood[0]),
            (1, 2, 1)
        );
        let flat = Histogram::of("flat".to_owned(), OodScore::Msp, &[0.5; 2], &[0.5], None);
        assert_eq!((flat.id[0], flat.ood[0]), (2, 1));
    }

    #[test]
    fn a_long_curve_keeps_its_ends() {
        let point = |accepted: usize| RiskCoveragePoint {
            threshold: 0.0,
            accepted,
            errors: 0,
            coverage: 0.0,
            risk: 0.0,
        };
        let thin = thinned((1..=1000).map(point).collect());
        assert_eq!(thin.len(), CURVE_POINTS);
        assert_eq!(
            (thin[0].accepted, thin[CURVE_POINTS - 1].accepted),
            (1, 1000)
        );
    }
}
