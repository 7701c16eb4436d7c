//! Metrics: how right a classifier is, how well its confidence tells that, and what a gate over it gains.
//!
//! Free functions over slices with one entry an image: confidences and scores are `f32`, correctness is `bool`,
//! results are `f64`. Everything is computed in `f64`.
//!
//! ```
//! use clipgate::metrics::{accuracy, aurc, auroc};
//!
//! let confidences = [0.9, 0.8, 0.6, 0.3];
//! let correct = [true, true, false, true];
//! assert_eq!(accuracy(&correct)?, 0.75);
//! // Risks 0, 0, 1/3 and 1/4 at coverages 1/4, 1/2, 3/4 and 1.
//! assert!((aurc(&confidences, &correct)? - (1.0 / 3.0 + 0.25) / 4.0).abs() < 1e-12);
//! // In-distribution scores first: larger should be more in-distribution.
//! assert_eq!(auroc(&[0.9, 0.7], &[0.1, 0.7])?, 0.875);
//! # Ok::<(), clipgate::Error>(())
//! ```
//!
//! # Conventions
//!
//! | question | answer here |
//! |---|---|
//! | positive class of AUROC, AUPR, FPR95 | in-distribution; the functions that end in `_out` swap the classes |
//! | direction of a score | larger is more in-distribution, or surer |
//! | equal scores | pass a threshold together, so no result depends on the order of images |
//! | threshold `t` | accepts `score >= t` |
//! | edges of bins | a confidence on an edge belongs to the bin below it: (low, high], and 0 to the first |
//! | negatives | the labels' probabilities may sum to less than 1; what is left is one more outcome, never true |
//!
//! # Errors
//! No rows, lengths that differ, a NaN or infinity, a confidence outside 0 to 1, or a class that a metric needs and
//! that is empty is an error of [`ErrorKind::Caller`](crate::ErrorKind::Caller) that names it.

mod detection;
mod intervals;
mod paired;
mod proper;
mod reliability;
mod risk_coverage;
mod smooth;
mod thresholds;

pub use detection::{aupr, aupr_out, auroc, fpr_at_tpr, fpr_at_tpr_out};
pub use intervals::{
    Interval, MAX_DRAWS, Resampling, bootstrap, percentile_interval, resample, wilson,
};
pub use paired::{McNemar, mcnemar, paired_bootstrap, sign_flip};
pub use proper::{MIN_PROBABILITY, SUM_TOLERANCE, brier, brier_top_label, nll};
pub use reliability::{
    Binning, DEFAULT_BINS, MAX_BINS, ReliabilityBin, debiased_calibration_error,
    expected_calibration_error, reliability_bins,
};
pub use risk_coverage::{
    RiskCoveragePoint, augrc, aurc, coverage_at_risk, e_aurc, risk_at_coverage, risk_coverage,
};
pub use smooth::smooth_ece;

use crate::error::{Error, Result};

/// The share of answers that are right, 0 to 1.
///
/// ```
/// assert_eq!(clipgate::metrics::accuracy(&[true, true, false, true])?, 0.75);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows.
pub fn accuracy(correct: &[bool]) -> Result<f64> {
    check_rows("answers", correct.len())?;
    let right = correct.iter().filter(|right| **right).count();
    Ok(right as f64 / correct.len() as f64)
}

fn check_rows(what: &str, rows: usize) -> Result<()> {
    if rows > 0 {
        return Ok(());
    }
    Err(Error::caller(format!("there are no {what}")))
}

fn check_same_rows(what: &str, rows: usize, other: &str, others: usize) -> Result<()> {
    check_rows(what, rows)?;
    if rows == others {
        return Ok(());
    }
    Err(Error::caller(format!(
        "{rows} {what}, but {others} {other}"
    )))
}

fn check_finite(what: &str, scores: &[f32]) -> Result<()> {
    check_rows(what, scores.len())?;
    match scores.iter().position(|score| !score.is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::caller(format!(
            "{what}: row {row} is {}, not a finite number",
            scores[row]
        ))),
    }
}

fn check_probabilities(what: &str, probabilities: &[f32]) -> Result<()> {
    check_rows(what, probabilities.len())?;
    let outside = |probability: &f32| !(0.0..=1.0).contains(probability);
    match probabilities.iter().position(outside) {
        None => Ok(()),
        Some(row) => Err(Error::caller(format!(
            "{what}: row {row} is {}, not 0 to 1",
            probabilities[row]
        ))),
    }
}

/// A share of images that is asked for: some of them, or all.
fn check_share(what: &str, share: f64) -> Result<()> {
    if share > 0.0 && share <= 1.0 {
        return Ok(());
    }
    Err(Error::caller(format!(
        "{what} is {share}; it must be above 0 and at most 1"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Result};

    /// What every function of confidences and correctness refuses, and how it names it.
    #[test]
    fn what_is_no_row_of_confidences_is_named() {
        type Metric = fn(&[f32], &[bool]) -> Result<f64>;
        let calibration: [(&str, Metric); 5] = [
            ("ece", |c, r| {
                expected_calibration_error(c, r, Binning::EqualWidth, 15)
            }),
            ("ece by mass", |c, r| {
                expected_calibration_error(c, r, Binning::EqualMass, 15)
            }),
            ("debiased", |c, r| {
                debiased_calibration_error(c, r, Binning::EqualMass, 15)
            }),
            ("smooth", smooth_ece),
            ("brier", brier_top_label),
        ];
        let selective: [(&str, Metric); 5] = [
            ("aurc", aurc),
            ("e-aurc", e_aurc),
            ("augrc", augrc),
            ("coverage at risk", |c, r| coverage_at_risk(c, r, 0.1)),
            ("risk at coverage", |c, r| risk_at_coverage(c, r, 0.5)),
        ];
        let refused = |name: &str, metric: Metric, c: &[f32], r: &[bool], words: &str| {
            let error = metric(c, r).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Caller, "{name}");
            assert!(error.to_string().contains(words), "{name}: {error}");
        };
        for (name, metric) in calibration.into_iter().chain(selective) {
            refused(name, metric, &[], &[], "there are no confidences");
            refused(
                name,
                metric,
                &[0.5, 0.5],
                &[true],
                "2 confidences, but 1 answers",
            );
            refused(
                name,
                metric,
                &[0.5, f32::NAN],
                &[true, true],
                "row 1 is NaN",
            );
        }
        for (name, metric) in calibration {
            refused(name, metric, &[1.5], &[true], "row 0 is 1.5, not 0 to 1");
            refused(name, metric, &[-0.1], &[true], "row 0 is -0.1, not 0 to 1");
        }
        for (name, metric) in selective {
            refused(name, metric, &[f32::INFINITY], &[true], "row 0 is inf");
        }
    }

    #[test]
    fn accuracy_of_nothing_is_an_error() {
        assert_eq!(accuracy(&[]).unwrap_err().kind(), ErrorKind::Caller);
        assert_eq!(accuracy(&[false]).unwrap(), 0.0);
    }
}
