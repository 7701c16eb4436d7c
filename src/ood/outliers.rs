//! Scores that need negatives: NegLabel, EOE and NegRefine's.

use super::softmax::{Softmax, largest, sum_of_exponentials};
use crate::score::Pair;

/// The most groups that the negatives are divided into (Jiang et al. 2024, the authors' configuration for 10,000
/// negatives: "ngroup=100").
pub const NEG_LABEL_GROUPS: usize = 100;

/// The fewest negatives of a group. The authors' hold 100; smaller groups are worse for pocket: with 1,984 negatives more
/// its development images are told apart with an AUROC of 0.721 in groups of 100, and of 0.723 in groups of 1,000.
pub const NEG_LABEL_GROUP_SIZE: usize = 1000;

/// How much the likeliest negative counts (Cao et al. 2024, section 4.1, "β = 0.25").
const EOE_PENALTY: f32 = 0.25;

/// How much a match of a label and a negative together counts (Ansari et al. 2025, the authors' code,
/// "neg_label_score + 2 * multi_matching_score").
const MULTI_MATCHING_WEIGHT: f32 = 2.0;

/// `1 / G Σ_g Σ_k e(c_k) / (Σ_k e(c_k) + Σ_{j in g} e(n_j))` with `e(c) = exp(logit_scale * c)`, 0 to 1: the labels'
/// share of the softmax, averaged over groups of negatives (NegLabel: Jiang et al. 2024, arXiv 2403.20078, equation 4
/// and section 3.2). `None` without negatives.
///
/// Group g holds the negatives g, g + G, g + 2 G, ... of the bank: banks come sorted by how far the negatives are from
/// the labels, so that every group gets the same mixture. (The authors shuffle once with a fixed seed, and leave the
/// remainder of the division out; here every negative counts.)
pub(super) fn neg_label(labels: &[f32], negatives: &[f32], scale: f32) -> Option<f32> {
    if negatives.is_empty() {
        return None;
    }
    // Relative to the best label, so that the labels' sum is 1 at least; a group's may be infinite, and its share 0.
    let best = largest(labels);
    let inside = sum_of_exponentials(labels, scale, best);
    let groups = (negatives.len() / NEG_LABEL_GROUP_SIZE).clamp(1, NEG_LABEL_GROUPS);
    let mut outside = [0.0f64; NEG_LABEL_GROUPS];
    for one_of_each in negatives.chunks(groups) {
        for (sum, cosine) in outside.iter_mut().zip(one_of_each) {
            *sum += f64::from((scale * (cosine - best)).exp());
        }
    }
    let shares = outside[..groups].iter().map(|sum| inside / (inside + sum));
    Some((shares.sum::<f64>() / groups as f64) as f32)
}

/// `max_k p_k - β max_j q_j`, p the labels' and q the negatives' part of the softmax of all cosines, -β to 1 (EOE: Cao
/// et al. 2024, arXiv 2406.00806, equation 3): the negatives are outliers that were thought up for these labels.
/// `None` without negatives.
pub(super) fn eoe(labels: &[f32], negatives: &[f32], softmax: &Softmax) -> Option<f32> {
    if negatives.is_empty() {
        return None;
    }
    let inside = softmax.probability(largest(labels));
    Some(inside - EOE_PENALTY * softmax.probability(largest(negatives)))
}

/// NegLabel's score and, twice, the largest `e(b) / (e(b) + e(n))` over pairs of a near label and a near negative, n
/// the negative's cosine and b that of both together, 0 to 3 (NegRefine: Ansari et al. 2025, arXiv 2507.09795): an
/// image of a label *and* a negative is not refused for the negative. `None` without negatives.
///
/// The authors embed the words "LABEL and NEGATIVE" for every frame; the direction half-way between the two texts
/// stands for them here, so that no text tower has to run.
pub(super) fn neg_refine(neg_label: Option<f32>, pairs: &[Pair], scale: f32) -> Option<f32> {
    let match_of = |pair: &Pair| (1.0 + (scale * (pair.negative - pair.both)).exp()).recip();
    let best = pairs.iter().map(match_of).reduce(f32::max)?;
    Some(neg_label? + MULTI_MATCHING_WEIGHT * best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_banks_have_one_group() {
        let score = neg_label(&[0.5], &[0.5, -1.0], 1000.0).unwrap();
        assert_eq!(score, 0.5);
        let score = neg_label(&[0.5], &[0.5; 3], 1000.0).unwrap();
        assert_eq!(score, 0.25);
    }

    #[test]
    fn groups_are_averaged() {
        // Two groups, and one negative more: both near ones are in the first.
        let mut negatives = vec![-1.0; 2 * NEG_LABEL_GROUP_SIZE + 1];
        (negatives[0], negatives[2 * NEG_LABEL_GROUP_SIZE]) = (0.5, 0.5);
        let score = neg_label(&[0.5], &negatives, 1000.0).unwrap();
        assert!((score - (1.0 + 1.0 / 3.0) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn far_labels_and_near_negatives_do_not_overflow() {
        assert_eq!(neg_label(&[-1.0, -1.0], &[1.0], 1000.0), Some(0.0));
        assert_eq!(neg_label(&[1.0], &[-1.0], 1000.0), Some(1.0));
        let near = Pair {
            both: 1.0,
            negative: -1.0,
        };
        let far = Pair {
            both: -1.0,
            negative: 1.0,
        };
        assert_eq!(neg_refine(Some(1.0), &[far, near], 1000.0), Some(3.0));
        assert_eq!(neg_refine(Some(0.0), &[far], 1000.0), Some(0.0));
    }

    #[test]
    fn without_negatives_there_is_no_score() {
        let softmax = Softmax::of_cosines(&[0.5, 0.2], &[]);
        assert_eq!(neg_label(&[0.5, 0.2], &[], 100.0), None);
        assert_eq!(eoe(&[0.5, 0.2], &[], &softmax), None);
        assert_eq!(neg_refine(None, &[], 100.0), None);
    }

    #[test]
    fn the_likeliest_negative_is_subtracted() {
        let (labels, negatives) = ([0.0], [0.0, 0.0]);
        let softmax = Softmax::of_cosines(&labels, &negatives);
        let score = eoe(&labels, &negatives, &softmax).unwrap();
        assert!((score - 0.25).abs() < 1e-6);
    }
}
