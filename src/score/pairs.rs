//! Near labels with near negatives, for NegRefine's score.

use super::Scores;
use crate::bank::LabelBank;

/// Labels and negatives that are paired with each other: "k_pos" and "k_neg" of NegRefine's authors' code.
const PAIRED: usize = 5;

/// A label and a negative, both near the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    /// Cosine of the image with the direction half-way between the two texts.
    pub(crate) both: f32,
    /// Cosine of the image with the negative.
    pub(crate) negative: f32,
}

/// Every near label with every near negative; none without negatives. A unit vector half-way between unit vectors a and b is
/// `(a + b) / |a + b|`, and `|a + b|² = 2 + 2 a·b`.
pub(super) fn pair(bank: &LabelBank, scores: &mut Scores) {
    scores.pairs.clear();
    let negatives = bank.negative_rows();
    for label in nearest(&scores.similarities).into_iter().flatten() {
        for negative in nearest(&scores.negative_similarities).into_iter().flatten() {
            let text = &negatives[negative * bank.dimension()..][..bank.dimension()];
            let sum = scores.similarities[label] + scores.negative_similarities[negative];
            let length = (2.0 + 2.0 * bank.label_dot(label, text))
                .max(f32::EPSILON)
                .sqrt();
            scores.pairs.push(Pair {
                both: (sum / length).clamp(-1.0, 1.0),
                negative: scores.negative_similarities[negative],
            });
        }
    }
}

/// Rows of the largest cosines, best first.
fn nearest(cosines: &[f32]) -> [Option<usize>; PAIRED] {
    let mut rows = [None; PAIRED];
    let cosine_of = |row: Option<usize>| row.map_or(f32::NEG_INFINITY, |row| cosines[row]);
    for (row, &cosine) in cosines.iter().enumerate() {
        if cosine > cosine_of(rows[PAIRED - 1]) {
            rows[PAIRED - 1] = Some(row);
            for place in (1..PAIRED).rev() {
                if cosine_of(rows[place]) > cosine_of(rows[place - 1]) {
                    rows.swap(place, place - 1);
                }
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_in_order_and_the_first_of_equals_first() {
        let found = nearest(&[0.1, 0.5, 0.3, 0.5, 0.2, 0.4, 0.0]);
        assert_eq!(found, [Some(1), Some(3), Some(5), Some(2), Some(4)]);
        assert_eq!(nearest(&[0.1]), [Some(0), None, None, None, None]);
    }
}
