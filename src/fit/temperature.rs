//! Temperature scaling: Guo et al. 2017, arXiv 1706.04599, section 4.2.

use super::LabelledImage;
use crate::score::{Scorer, Scores, negative_weight};

/// The inverse temperatures that are believed.
const INVERSE_RANGE: (f64, f64) = (0.01, 100.0);

/// Images that are imagined beside the given ones, all alike them, whose second-best label is the true one. Without
/// them, images that are all answered rightly would make the model infinitely sure, which leaves no order among
/// confidences; with many images they change nothing. (Platt 1999 smooths the targets of two classes for the same
/// reason.) Half an image gave the least loss on other images of the pools that it was tried on.
pub const PRIOR_ERRORS: f64 = 0.5;

/// A step this small relative to the inverse temperature changes nothing in f32.
const PRECISION: f64 = 1e-10;

/// Newton's steps before giving up; each takes a bisection's place at worst.
const MOST_STEPS: usize = 100;

/// The temperature of least negative log-likelihood of `images` at the scorer's logit scale, with `prior_errors`
/// (usually [`PRIOR_ERRORS`], 0 or more) imagined mistakes beside them; from 0.01 to 100. Images that show nothing do
/// not count; without any other the temperature is 1. If all answers are right and no mistake is imagined, the loss falls
/// for ever: then it is a temperature at which the loss is 0 in f64.
///
/// The loss is convex in the inverse temperature, so Newton's method inside a shrinking bracket finds its minimum.
pub fn fit_temperature(images: &[LabelledImage], scorer: &Scorer, prior_errors: f64) -> f32 {
    let images: Vec<Logits> = images
        .iter()
        .filter_map(LabelledImage::with_label)
        .filter_map(|(scores, label)| Logits::of(scores, label, scorer.logit_scale()))
        .collect();
    if images.is_empty() {
        return 1.0;
    }
    let prior = prior_errors / (images.len() as f64 + prior_errors);
    let (mut low, mut high) = INVERSE_RANGE;
    let mut inverse: f64 = 1.0;
    for _ in 0..MOST_STEPS {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for image in &images {
            let (mean, variance) = image.moments(inverse);
            slope += mean - (1.0 - prior) * image.own - prior * image.second;
            curvature += variance;
        }
        if slope > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - slope / curvature;
        // Written so that a step without a curvature bisects.
        let inside = newton > low && newton < high;
        let next = if inside { newton } else { (low * high).sqrt() };
        let is_done = (next - inverse).abs() <= PRECISION * inverse;
        inverse = next;
        if is_done {
            break;
        }
    }
    inverse.recip() as f32
}

/// One image's logits without a temperature, less the largest.
struct Logits {
    labels: Vec<f64>,
    negatives: Vec<f64>,
    own: f64,
    second: f64,
}

impl Logits {
    fn of(scores: &Scores, label: usize, logit_scale: f32) -> Option<Self> {
        let (labels, negatives) = (scores.similarities(), scores.negative_similarities());
        let cosines = labels.iter().chain(negatives);
        let largest = cosines.copied().fold(f32::NEG_INFINITY, f32::max);
        let logit = |cosine: f32| f64::from(logit_scale) * f64::from(cosine - largest);
        let best = scores.best()?;
        let others = (0..labels.len()).filter(|row| *row != best);
        let second = others.map(|row| labels[row]).reduce(f32::max)?;
        Some(Self {
            labels: labels.iter().map(|cosine| logit(*cosine)).collect(),
            negatives: negatives.iter().map(|cosine| logit(*cosine)).collect(),
            own: logit(*labels.get(label)?),
            second: logit(second),
        })
    }

    /// Mean and variance of the logits under their softmax, negatives weighted as in it.
    fn moments(&self, inverse: f64) -> (f64, f64) {
        let (mut sum, mut first, mut square) = (0.0, 0.0, 0.0);
        let negative = negative_weight(self.labels.len(), self.negatives.len());
        let labels = self.labels.iter().map(|logit| (*logit, 1.0));
        let negatives = self.negatives.iter().map(|logit| (*logit, negative));
        for (logit, count) in labels.chain(negatives) {
            let weight = count * (inverse * logit).exp();
            sum += weight;
            first += weight * logit;
            square += weight * logit * logit;
        }
        let mean = first / sum;
        (mean, square / sum - mean * mean)
    }
}
