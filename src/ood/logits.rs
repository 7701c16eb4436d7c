//! Scores from the logits themselves: energy and LogitGap.

use super::softmax::{largest, sum_of_exponentials};

/// The share of all texts, the best label among them, that LogitGap looks at (Liang et al. 2025, section 5.1,
/// "a fixed value of N set to 20 % of the total number of classes").
const LOGIT_GAP_SHARE: f64 = 0.2;

/// `ln Σ_k exp(logit_scale * c_k)` over the labels: less the free energy at temperature 1 (Liu et al. 2020, arXiv
/// 2010.03759, equation 4), from -logit_scale to logit_scale + ln K. `None` with one label, of which it would say what
/// the cosine says. Negatives have no part in it: its counterpart with negatives is
/// [`neg_label`](super::outliers::neg_label).
pub(super) fn energy(labels: &[f32], scale: f32) -> Option<f32> {
    if labels.len() < 2 {
        return None;
    }
    let largest = largest(labels);
    let sum = sum_of_exponentials(labels, scale, largest);
    Some((f64::from(scale) * f64::from(largest) + sum.ln()) as f32)
}

/// `1 / (N - 1) Σ_{n=2}^{N} (z_1 - z_n)`, `z_1` the best label's logit and `z_2 .. z_N` the largest of all other
/// texts, labels and negatives, N the [`LOGIT_GAP_SHARE`] of them all and 2 at least (LogitGap: Liang et al. 2025, arXiv
/// 2510.20134, equation 8). From `-2 * logit_scale` (a negative is nearest) to `2 * logit_scale`. `None` where there is
/// no other text.
pub(super) fn logit_gap(labels: &[f32], negatives: &[f32], scale: f32) -> Option<f32> {
    let others = (labels.len() + negatives.len()).checked_sub(1)?;
    if others == 0 {
        return None;
    }
    let best = largest(labels);
    let wanted = (((others + 1) as f64 * LOGIT_GAP_SHARE).ceil() as usize).max(2) - 1;
    let last = nth_largest_other(labels, negatives, best, wanted);
    // Those above the last one of them, without the best label; equal ones fill the places that are left.
    let mut sum = if best > last { -f64::from(best) } else { 0.0 };
    for &cosine in labels.iter().chain(negatives).filter(|c| **c > last) {
        sum += f64::from(cosine);
    }
    let above = count_others_above(labels, negatives, best, last);
    sum += (wanted - above) as f64 * f64::from(last);
    Some((f64::from(scale) * (f64::from(best) - sum / wanted as f64)) as f32)
}

/// The `n`th largest cosine of all texts but one of cosine `best`, by bisection over the numbers of f32 between -1 and
/// 1: nothing is sorted, so nothing is allocated.
fn nth_largest_other(labels: &[f32], negatives: &[f32], best: f32, n: usize) -> f32 {
    let (mut low, mut high) = (place(-1.0), place(1.0));
    while low < high {
        let middle = low + (high - low) / 2;
        if count_others_above(labels, negatives, best, at_place(middle)) < n {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    at_place(low)
}

fn count_others_above(labels: &[f32], negatives: &[f32], best: f32, threshold: f32) -> usize {
    let count = |cosines: &[f32]| cosines.iter().filter(|c| **c > threshold).count();
    count(labels) + count(negatives) - usize::from(best > threshold)
}

/// The place of a number in the order of all f32, and back.
fn place(value: f32) -> i64 {
    let bits = value.to_bits();
    let magnitude = i64::from(bits & 0x7fff_ffff);
    if value.is_sign_negative() {
        -magnitude
    } else {
        magnitude
    }
}

fn at_place(place: i64) -> f32 {
    let value = f32::from_bits(place.unsigned_abs() as u32);
    if place < 0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_the_logarithm_of_the_sum() {
        let expected = 10.0 + (1.0 + (-5.0f64).exp()).ln();
        assert_eq!(energy(&[1.0, 0.5], 10.0), Some(expected as f32));
        assert_eq!(energy(&[1.0], 10.0), None);
    }

    #[test]
    fn the_gap_is_to_a_fifth_of_the_texts() {
        // Ten texts: N is 2, so only the runner-up counts.
        let labels = [0.5, 0.25, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
        assert_eq!(logit_gap(&labels, &[0.375, 0.0], 10.0), Some(1.25));
        // Eleven: N is 3.
        assert_eq!(logit_gap(&labels, &[0.375, 0.0, 0.0], 10.0), Some(1.875));
    }

    #[test]
    fn a_nearer_negative_makes_the_gap_negative() {
        let gap = logit_gap(&[0.1], &[0.3], 10.0).unwrap();
        assert!((gap + 2.0).abs() < 1e-6);
        assert_eq!(logit_gap(&[0.1], &[], 10.0), None);
    }

    #[test]
    fn equal_cosines_count_one_by_one() {
        assert_eq!(logit_gap(&[0.25; 40], &[], 100.0), Some(0.0));
        assert_eq!(logit_gap(&[-1.0, -1.0], &[1.0], 10.0), Some(-20.0));
        assert_eq!(logit_gap(&[0.0, -0.0], &[0.0], 10.0), Some(0.0));
    }
}
