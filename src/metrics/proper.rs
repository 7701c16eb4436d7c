//! Proper scores: they are best, on average, for the true probabilities and for no others.

use super::{check_probabilities, check_rows, check_same_rows};
use crate::error::{Error, Result};

/// A true class's probability below this counts as this much: one image whose probability underflowed costs 87.3
/// nats, not infinitely many.
pub const MIN_PROBABILITY: f64 = f32::MIN_POSITIVE as f64;

/// How far above 1 an image's probabilities may sum by rounding.
pub const SUM_TOLERANCE: f64 = 1e-3;

/// The mean negative log-likelihood of the true labels, in nats: `-1/N Σ ln p_i`, where `p_i` is the probability that
/// image `i`'s true label got (Guo et al. 2017, arXiv 1706.04599, equation 6, there
/// as a sum).
///
/// 0 or more. Where negatives share in the softmax `p_i` is taken as it stands, so their share costs what it should.
/// A probability below [`MIN_PROBABILITY`] counts as that.
///
/// ```
/// let nll = clipgate::metrics::nll(&[1.0, 0.5])?;
/// assert!((nll - 0.5 * 2.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows or for a probability that is not 0 to 1.
pub fn nll(true_probabilities: &[f32]) -> Result<f64> {
    check_probabilities("probabilities of true labels", true_probabilities)?;
    let cost = |p: &f32| -f64::from(*p).max(MIN_PROBABILITY).ln();
    // A certain answer costs 0, not -0.
    Ok(true_probabilities.iter().map(cost).sum::<f64>().abs() / true_probabilities.len() as f64)
}

/// The Brier score over all labels: the mean over images of `Σ_k (p_k - y_k)²`, `y` being 1 at the true label and 0
/// elsewhere (Brier 1950, Monthly Weather Review 78, 1-3: the sum over classes, without a factor of one half).
///
/// `probabilities` are the rows [N, K] one after the other, `truths` the N rows of the true labels, each below K; K is
/// the quotient of their lengths. 0 to 2. An image's probabilities may sum to less than 1, the rest being the
/// negatives' share: it is one more outcome that is never true and adds its square. For two labels the score is twice
/// the binary one.
///
/// ```
/// use clipgate::metrics::brier;
///
/// assert!((brier(&[0.75, 0.25], &[0])? - 0.125).abs() < 1e-12);
/// // A quarter is the negatives'.
/// assert!((brier(&[0.5, 0.25], &[0])? - (0.25 + 0.0625 + 0.0625)).abs() < 1e-12);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows, if the lengths are no whole rows, a truth is no
/// label, a probability is not 0 to 1, or an image's sum is above 1 by more than [`SUM_TOLERANCE`].
pub fn brier(probabilities: &[f32], truths: &[usize]) -> Result<f64> {
    check_rows("true labels", truths.len())?;
    check_probabilities("probabilities", probabilities)?;
    let labels = probabilities.len() / truths.len();
    if labels * truths.len() != probabilities.len() {
        return Err(Error::caller(format!(
            "{} probabilities are no whole rows for {} true labels",
            probabilities.len(),
            truths.len()
        )));
    }
    let mut sum = 0.0;
    for (image, (row, truth)) in probabilities.chunks_exact(labels).zip(truths).enumerate() {
        sum += squared_distance(row, *truth).map_err(|error| error.at(format!("image {image}")))?;
    }
    Ok(sum / truths.len() as f64)
}

/// The Brier score of the top label alone: the mean of `(confidence - correct)²`.
///
/// 0 to 1. It judges one number an image, as the gate does; [`brier`] judges the whole row.
///
/// ```
/// let brier = clipgate::metrics::brier_top_label(&[0.75, 0.5], &[true, false])?;
/// assert!((brier - (0.0625 + 0.25) / 2.0).abs() < 1e-12);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows, if the lengths differ, or for a confidence that is
/// not 0 to 1.
pub fn brier_top_label(confidences: &[f32], correct: &[bool]) -> Result<f64> {
    check_same_rows("confidences", confidences.len(), "answers", correct.len())?;
    check_probabilities("confidences", confidences)?;
    let square = |(p, right): (&f32, &bool)| (f64::from(*p) - f64::from(*right)).powi(2);
    Ok(confidences.iter().zip(correct).map(square).sum::<f64>() / correct.len() as f64)
}

fn squared_distance(row: &[f32], truth: usize) -> Result<f64> {
    if truth >= row.len() {
        return Err(Error::caller(format!(
            "the true label is row {truth} of {}",
            row.len()
        )));
    }
    let total: f64 = row.iter().map(|p| f64::from(*p)).sum();
    if total > 1.0 + SUM_TOLERANCE {
        return Err(Error::caller(format!(
            "the probabilities sum to {total}, more than 1"
        )));
    }
    let rest = (1.0 - total).max(0.0);
    let labels = row.iter().enumerate();
    let squares = labels.map(|(label, p)| (f64::from(*p) - f64::from(label == truth)).powi(2));
    Ok(squares.sum::<f64>() + rest * rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_impossible_truth_costs_much_but_not_infinitely_much() {
        assert!((nll(&[0.0]).unwrap() - 87.336_544_75).abs() < 1e-6);
        assert_eq!(nll(&[1.0]).unwrap().to_string(), "0");
    }

    #[test]
    fn what_is_no_row_of_probabilities_is_named() {
        for (probabilities, truths, words) in [
            (&[][..], &[0][..], "there are no probabilities"),
            (&[0.5], &[], "there are no true labels"),
            (
                &[0.5; 3],
                &[0, 0],
                "3 probabilities are no whole rows for 2",
            ),
            (
                &[0.5; 2],
                &[0, 0, 0],
                "2 probabilities are no whole rows for 3",
            ),
            (&[0.5, 0.5], &[2], "image 0: the true label is row 2 of 2"),
            (&[0.5, f32::NAN], &[0], "row 1 is NaN"),
            (
                &[0.5, 0.5, 0.75, 0.75],
                &[0, 1],
                "image 1: the probabilities sum to 1.5",
            ),
        ] {
            let error = brier(probabilities, truths).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Caller);
            assert!(error.to_string().contains(words), "{error}");
        }
        for probabilities in [&[][..], &[1.5], &[f32::NAN]] {
            assert_eq!(nll(probabilities).unwrap_err().kind(), ErrorKind::Caller);
        }
    }
}
