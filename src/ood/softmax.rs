//! Scores from softmax probabilities: MSP, MCM, margin and entropy.

/// The temperature at which MCM compares cosines (Ming et al. 2022, section 3.1, "τ = 1").
const MCM_TEMPERATURE: f32 = 1.0;

/// Softmax of `scale * cosine` over labels and negatives together, as far as a few probabilities need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Softmax {
    scale: f32,
    largest: f32,
    /// `Σ exp(scale * (c - largest))`.
    sum: f64,
}

impl Softmax {
    pub(super) fn of(labels: &[f32], negatives: &[f32], scale: f32) -> Self {
        let largest = largest(labels).max(largest(negatives));
        let sum = sum_of_exponentials(labels, scale, largest)
            + sum_of_exponentials(negatives, scale, largest);
        Self {
            scale,
            largest,
            sum,
        }
    }

    /// At MCM's temperature.
    pub(super) fn of_cosines(labels: &[f32], negatives: &[f32]) -> Self {
        Self::of(labels, negatives, MCM_TEMPERATURE.recip())
    }

    /// What a text of this cosine gets, 0 to 1.
    pub(super) fn probability(&self, cosine: f32) -> f32 {
        (f64::from((self.scale * (cosine - self.largest)).exp()) / self.sum) as f32
    }
}

/// `max_k p_k` over the labels, 0 to 1: MSP where `softmax` is taken at the model's logit scale (Hendrycks and Gimpel
/// 2017, arXiv 1610.02136, section 2), MCM where it is taken of the cosines themselves (Ming et al. 2022, arXiv
/// 2211.13445, equation 2).
pub(super) fn largest_probability(labels: &[f32], softmax: &Softmax) -> f32 {
    softmax.probability(largest(labels))
}

/// `p_best - p_next`, -1 to 1: how much more probable the best label is than the next text, label or negative, the
/// margin of active learning (Scheffer et al. 2001; "best versus second best", Joshi et al. 2009). Below 0 where a
/// negative is nearer than every label. `None` where there is no other text.
pub(super) fn margin(labels: &[f32], negatives: &[f32], softmax: &Softmax) -> Option<f32> {
    let (mut best, mut next) = (f32::NEG_INFINITY, largest(negatives));
    for &cosine in labels {
        if cosine > best {
            next = next.max(best);
            best = cosine;
        } else {
            next = next.max(cosine);
        }
    }
    next.is_finite()
        .then(|| softmax.probability(best) - softmax.probability(next))
}

/// `Σ_k p_k ln p_k`, the softmax taken over the labels alone: less their entropy in nats, -ln K to 0 (Shannon 1948; as
/// a score of unknown images Chan et al. 2021, arXiv 2012.06575, equation 4). `None` with one label, whose entropy is
/// always 0. Negatives have no part in it: an image that surely shows one of them would have the least entropy of all.
pub(super) fn negative_entropy(labels: &[f32], scale: f32) -> Option<f32> {
    if labels.len() < 2 {
        return None;
    }
    // With e = exp(z - max z) and S = Σ e: Σ p ln p = Σ e (z - max z) / S - ln S.
    let largest = largest(labels);
    let (mut sum, mut weighted) = (0.0f64, 0.0f64);
    for &cosine in labels {
        let logit = scale * (cosine - largest);
        let exponential = f64::from(logit.exp());
        sum += exponential;
        weighted += exponential * f64::from(logit);
    }
    Some((weighted / sum - sum.ln()) as f32)
}

pub(super) fn largest(cosines: &[f32]) -> f32 {
    cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// `Σ exp(scale * (c - largest))`: the differences are taken first, because they are nearly exact in f32 where the
/// logits themselves, up to 1000, are not.
pub(super) fn sum_of_exponentials(cosines: &[f32], scale: f32, largest: f32) -> f64 {
    cosines
        .iter()
        .map(|cosine| f64::from((scale * (cosine - largest)).exp()))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negatives_share_the_probability() {
        let alone = Softmax::of(&[0.5, 0.5], &[], 10.0);
        let shared = Softmax::of(&[0.5, 0.5], &[0.5, 0.5], 10.0);
        assert_eq!(largest_probability(&[0.5, 0.5], &alone), 0.5);
        assert_eq!(largest_probability(&[0.5, 0.5], &shared), 0.25);
    }

    #[test]
    fn a_scale_of_1000_does_not_overflow() {
        let softmax = Softmax::of(&[-1.0, -1.0], &[1.0], 1000.0);
        assert_eq!(largest_probability(&[-1.0, -1.0], &softmax), 0.0);
        assert_eq!(margin(&[-1.0, -1.0], &[1.0], &softmax), Some(-1.0));
        assert_eq!(negative_entropy(&[1.0, -1.0], 1000.0), Some(0.0));
    }

    #[test]
    fn the_margin_counts_equal_labels_as_equal() {
        let softmax = Softmax::of(&[0.2, 0.2], &[], 100.0);
        assert_eq!(margin(&[0.2, 0.2], &[], &softmax), Some(0.0));
        assert_eq!(margin(&[0.2], &[], &softmax), None);
    }

    #[test]
    fn equal_labels_have_the_largest_entropy() {
        let entropy = negative_entropy(&[0.3; 8], 100.0).unwrap();
        assert!((entropy + 8.0f32.ln()).abs() < 1e-6);
    }
}
