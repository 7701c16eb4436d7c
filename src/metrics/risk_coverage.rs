//! Selective classification: how much risk is left when only the surest answers are given.

use serde::Serialize;

use super::thresholds::{Passed, passed};
use super::{check_finite, check_same_rows, check_share};
use crate::error::{Error, Result};

/// What accepting everything at or above one threshold gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RiskCoveragePoint {
    /// The smallest accepted confidence.
    pub threshold: f32,
    /// How many images are accepted; at least 1.
    pub accepted: usize,
    /// How many of them are wrong.
    pub errors: usize,
    /// The share of all images that is accepted, above 0 to 1.
    pub coverage: f64,
    /// The share of the accepted images that is wrong, 0 to 1: the selective risk.
    pub risk: f64,
}

/// The risk-coverage curve (El-Yaniv and Wiener 2010, JMLR 11, section 2; Geifman and El-Yaniv 2017, arXiv
/// 1705.08500): one point for every distinct confidence, smallest coverage first, coverage 1 last.
///
/// Equal confidences are accepted together, since no threshold parts them. Confidences may be any finite numbers of
/// which larger means surer.
///
/// ```
/// let curve = clipgate::metrics::risk_coverage(&[0.9, 0.5, 0.5], &[true, false, true])?;
/// assert_eq!(curve.len(), 2);
/// assert_eq!((curve[1].threshold, curve[1].accepted, curve[1].errors), (0.5, 3, 1));
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows, if the lengths differ, or for a confidence that is
/// not finite.
pub fn risk_coverage(confidences: &[f32], correct: &[bool]) -> Result<Vec<RiskCoveragePoint>> {
    check_same_rows("confidences", confidences.len(), "answers", correct.len())?;
    check_finite("confidences", confidences)?;
    let rows = confidences.iter().copied().zip(correct.iter().copied());
    let point = |step: Passed| {
        let accepted = step.positives + step.negatives;
        RiskCoveragePoint {
            threshold: step.threshold,
            accepted,
            errors: step.negatives,
            coverage: accepted as f64 / correct.len() as f64,
            risk: step.negatives as f64 / accepted as f64,
        }
    };
    Ok(passed(rows.collect()).into_iter().map(point).collect())
}

/// The area under the risk-coverage curve: the mean over images of the selective risk at the image's own confidence as
/// threshold (Geifman, Uziel and El-Yaniv 2018, arXiv 1805.08206, section 2).
///
/// 0 to 1, smaller is better; it depends on accuracy as well as on the order of confidences. Tied images share one
/// threshold and so one risk. Packages that integrate the same points by trapezoids (fd-shifts, torch-uncertainty) get
/// values that differ by the order of 1/N.
///
/// ```
/// let aurc = clipgate::metrics::aurc(&[0.9, 0.5], &[true, false])?;
/// assert_eq!(aurc, 0.25);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`risk_coverage`].
pub fn aurc(confidences: &[f32], correct: &[bool]) -> Result<f64> {
    let (mut accepted, mut area) = (0, 0.0);
    for point in risk_coverage(confidences, correct)? {
        area += (point.accepted - accepted) as f64 * point.risk;
        accepted = point.accepted;
    }
    Ok(area / correct.len() as f64)
}

/// The excess of [`aurc`] over that of the best order of the same answers, all right ones before all wrong ones without
/// ties (Geifman, Uziel and El-Yaniv 2018, arXiv 1805.08206, section 3).
///
/// 0 to 1; 0 if and only if the order is the best, and ties among wrong answers spoil it. The best area is the exact sum `1/N Σ_{j=1..E} j / (N - E + j)` for
/// `E` wrong answers, so that 0 is reached; the paper goes on to approximate it by `r + (1 - r) ln(1 - r)` with
/// `r = E / N`, which fd-shifts takes.
///
/// ```
/// assert_eq!(clipgate::metrics::e_aurc(&[0.9, 0.5], &[true, false])?, 0.0);
/// assert_eq!(clipgate::metrics::e_aurc(&[0.5, 0.9], &[true, false])?, 0.5);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`risk_coverage`].
pub fn e_aurc(confidences: &[f32], correct: &[bool]) -> Result<f64> {
    let found = aurc(confidences, correct)?;
    let right = correct.iter().filter(|right| **right).count();
    let wrong = 1..=correct.len() - right;
    let best: f64 = wrong.map(|j| j as f64 / (right + j) as f64).sum();
    Ok((found - best / correct.len() as f64).max(0.0))
}

/// The area under the generalised risk-coverage curve: coverage against the share of *all* images that is accepted and
/// wrong, straight between thresholds and from (0, 0) on (Traub et al. 2024, arXiv 2407.01032, section 3).
///
/// 0 to 0.5, smaller is better: the mean, over coverages, of the probability that an image is answered wrongly. With
/// `a` for accuracy it is exactly `(1 - AUROC) a (1 - a) + (1 - a)² / 2`, AUROC being that of right against wrong
/// answers with ties counting one half (the paper's closed form).
///
/// ```
/// assert_eq!(clipgate::metrics::augrc(&[0.9, 0.5], &[true, false])?, 0.125);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`risk_coverage`].
pub fn augrc(confidences: &[f32], correct: &[bool]) -> Result<f64> {
    let (mut before, mut twice_area) = ((0, 0), 0_u128);
    for point in risk_coverage(confidences, correct)? {
        let width = (point.accepted - before.0) as u128;
        twice_area += width * (before.1 + point.errors) as u128;
        before = (point.accepted, point.errors);
    }
    let rows = correct.len() as f64;
    Ok(twice_area as f64 / 2.0 / (rows * rows))
}

/// The largest coverage at which the selective risk is at most `risk`, 0 to 1; 0 where no threshold reaches it.
///
/// The risk may be larger in between, at smaller coverages. It is an estimate on these very images and promises nothing
/// about others.
///
/// ```
/// let coverage = clipgate::metrics::coverage_at_risk(&[0.9, 0.8, 0.7], &[false, true, true], 0.4)?;
/// assert_eq!(coverage, 1.0);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`risk_coverage`], and if `risk` is not 0 to 1.
pub fn coverage_at_risk(confidences: &[f32], correct: &[bool], risk: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&risk) {
        return Err(Error::caller(format!("the risk is {risk}, not 0 to 1")));
    }
    let curve = risk_coverage(confidences, correct)?;
    let last = curve.iter().rfind(|point| point.risk <= risk);
    Ok(last.map_or(0.0, |point| point.coverage))
}

/// The selective risk, 0 to 1, at the largest threshold that accepts at least the share `coverage` of the images, which
/// is above 0 and at most 1. With ties it may accept more.
///
/// ```
/// let risk = clipgate::metrics::risk_at_coverage(&[0.9, 0.8, 0.7, 0.6], &[true, false, true, true], 0.5)?;
/// assert_eq!(risk, 0.5);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`risk_coverage`], and if `coverage` is out of range.
pub fn risk_at_coverage(confidences: &[f32], correct: &[bool], coverage: f64) -> Result<f64> {
    check_share("the coverage", coverage)?;
    let curve = risk_coverage(confidences, correct)?;
    // The last point's coverage is 1, so one is always found.
    let enough = curve.iter().find(|point| point.coverage >= coverage);
    Ok(enough.map_or(1.0, |point| point.risk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::metrics::{accuracy, auroc};

    #[test]
    fn constant_confidences_make_one_point() {
        let correct = [true, false, true, true];
        assert_eq!(risk_coverage(&[0.5; 4], &correct).unwrap().len(), 1);
        assert_eq!(aurc(&[0.5; 4], &correct).unwrap(), 0.25);
        assert_eq!(augrc(&[0.5; 4], &correct).unwrap(), 0.125);
        assert_eq!(coverage_at_risk(&[0.5; 4], &correct, 0.2).unwrap(), 0.0);
        assert_eq!(risk_at_coverage(&[0.5; 4], &correct, 0.1).unwrap(), 0.25);
    }

    #[test]
    fn all_right_and_all_wrong_are_the_ends() {
        let confidences = [0.9, 0.4, 0.4];
        for (correct, risk) in [([true; 3], 0.0), ([false; 3], 1.0)] {
            assert_eq!(aurc(&confidences, &correct).unwrap(), risk);
            assert_eq!(e_aurc(&confidences, &correct).unwrap(), 0.0);
            assert_eq!(augrc(&confidences, &correct).unwrap(), risk / 2.0);
        }
    }

    #[test]
    fn augrc_is_made_of_accuracy_and_auroc() {
        let (right, wrong) = ([0.9, 0.8, 0.8, 0.3], [0.8, 0.3, 0.2]);
        let confidences = [&right[..], &wrong[..]].concat();
        let correct = [vec![true; 4], vec![false; 3]].concat();
        let a = accuracy(&correct).unwrap();
        let expected =
            (1.0 - auroc(&right, &wrong).unwrap()) * a * (1.0 - a) + (1.0 - a).powi(2) / 2.0;
        assert!((augrc(&confidences, &correct).unwrap() - expected).abs() < 1e-15);
    }

    #[test]
    fn shares_out_of_range_are_refused() {
        for share in [-0.1, 1.1, f64::NAN] {
            for refused in [
                coverage_at_risk(&[0.5], &[true], share),
                risk_at_coverage(&[0.5], &[true], share),
            ] {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::Caller);
            }
        }
        assert!(risk_at_coverage(&[0.5], &[true], 0.0).is_err());
    }
}
