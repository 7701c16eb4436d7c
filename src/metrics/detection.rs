//! Telling two sets of images apart by one score: in-distribution (ID) from out-of-distribution (OOD), or right
//! answers from wrong ones.

use super::thresholds::{Passed, passed};
use super::{check_finite, check_share};
use crate::error::Result;

/// The area under the ROC curve: the probability that an ID score is larger than an OOD score, ties counting one half
/// (Hanley and McNeil 1982, Radiology 143, 29-36; the statistic of Mann and Whitney).
///
/// 0 to 1; 0.5 is chance. Which of the two is the positive class makes no difference to it. The area is exact: whole
/// numbers are summed, also where scores tie.
///
/// ```
/// assert_eq!(clipgate::metrics::auroc(&[0.9, 0.7], &[0.1, 0.7])?, 0.875);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if either set is empty or a score is not finite.
pub fn auroc(id: &[f32], ood: &[f32]) -> Result<f64> {
    let steps = both(id, ood)?;
    let (mut below, mut twice_area) = ((0, 0), 0_u128);
    for step in steps {
        let width = (step.negatives - below.1) as u128;
        twice_area += width * (below.0 + step.positives) as u128;
        below = (step.positives, step.negatives);
    }
    Ok(twice_area as f64 / 2.0 / (id.len() as f64 * ood.len() as f64))
}

/// The area under the precision-recall curve with ID as the positive class, as average precision
/// `Σ (recall_i - recall_{i-1}) precision_i` over the distinct thresholds, largest first.
///
/// Above 0, at most 1; chance is the share of ID images, so values of sets of different sizes do not compare. A
/// trapezoid under the same points, which OpenOOD's tables take, is too optimistic (Davis and Goadrich 2006, "The
/// relationship between Precision-Recall and ROC curves", section 4) and differs from this sum.
///
/// ```
/// let aupr = clipgate::metrics::aupr(&[0.9, 0.4], &[0.6])?;
/// assert!((aupr - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if either set is empty or a score is not finite.
pub fn aupr(id: &[f32], ood: &[f32]) -> Result<f64> {
    let steps = both(id, ood)?;
    let (mut recalled, mut area) = (0, 0.0);
    for step in steps {
        let precision = step.positives as f64 / (step.positives + step.negatives) as f64;
        area += (step.positives - recalled) as f64 * precision;
        recalled = step.positives;
    }
    Ok(area / id.len() as f64)
}

/// [`aupr`] with OOD as the positive class: small scores are what is looked for.
///
/// ```
/// assert_eq!(clipgate::metrics::aupr_out(&[0.9, 0.4], &[0.1])?, 1.0);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`aupr`].
pub fn aupr_out(id: &[f32], ood: &[f32]) -> Result<f64> {
    check_finite("ID scores", id)?;
    check_finite("OOD scores", ood)?;
    aupr(&negated(ood), &negated(id))
}

/// The share of OOD images that are let in by the largest threshold that lets in at least the share `tpr` of the ID
/// images: FPR95 at `tpr` 0.95, with ID as the positive class (Hendrycks and Gimpel 2017, arXiv 1610.02136; Liang et
/// al. 2018, arXiv 1706.02690, section 4.3).
///
/// 0 to 1, smaller is better; `tpr` is above 0 and at most 1. The threshold is an ID score; whatever equals it is let
/// in, of both sets, so with ties more than `tpr` may be. Some libraries take OOD as the positive class: that is
/// [`fpr_at_tpr_out`]. Others interpolate between thresholds.
///
/// ```
/// use clipgate::metrics::fpr_at_tpr;
///
/// assert_eq!(fpr_at_tpr(&[0.9, 0.8, 0.3, 0.2], &[0.5, 0.1], 0.75)?, 0.5);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if either set is empty, a score is not finite, or `tpr` is out of
/// range.
pub fn fpr_at_tpr(id: &[f32], ood: &[f32], tpr: f64) -> Result<f64> {
    let steps = both(id, ood)?;
    check_share("the true positive rate", tpr)?;
    let enough = |step: &&Passed| step.positives as f64 / id.len() as f64 >= tpr;
    let let_in = steps
        .iter()
        .find(enough)
        .map_or(ood.len(), |step| step.negatives);
    Ok(let_in as f64 / ood.len() as f64)
}

/// The other convention of FPR95, with OOD as the positive class: the share of ID images that are refused by the
/// smallest threshold that refuses at least the share `tpr` of the OOD images. Refused is here `score <= t`.
///
/// ```
/// use clipgate::metrics::fpr_at_tpr_out;
///
/// assert_eq!(fpr_at_tpr_out(&[0.9, 0.8, 0.3, 0.2], &[0.5, 0.1], 0.95)?, 0.5);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`fpr_at_tpr`].
pub fn fpr_at_tpr_out(id: &[f32], ood: &[f32], tpr: f64) -> Result<f64> {
    check_finite("ID scores", id)?;
    check_finite("OOD scores", ood)?;
    fpr_at_tpr(&negated(ood), &negated(id), tpr)
}

fn both(id: &[f32], ood: &[f32]) -> Result<Vec<Passed>> {
    check_finite("ID scores", id)?;
    check_finite("OOD scores", ood)?;
    let inside = id.iter().map(|score| (*score, true));
    let outside = ood.iter().map(|score| (*score, false));
    Ok(passed(inside.chain(outside).collect()))
}

fn negated(scores: &[f32]) -> Vec<f32> {
    scores.iter().map(|score| -score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn constant_scores_are_chance() {
        let (id, ood) = ([0.5; 3], [0.5; 2]);
        assert_eq!(auroc(&id, &ood).unwrap(), 0.5);
        assert_eq!(aupr(&id, &ood).unwrap(), 0.6);
        assert_eq!(aupr_out(&id, &ood).unwrap(), 0.4);
        assert_eq!(fpr_at_tpr(&id, &ood, 0.95).unwrap(), 1.0);
        assert_eq!(fpr_at_tpr_out(&id, &ood, 0.95).unwrap(), 1.0);
    }

    #[test]
    fn nineteen_of_twenty_are_95_percent() {
        let id: Vec<f32> = (1..=20).map(|score| score as f32).collect();
        assert_eq!(fpr_at_tpr(&id, &[1.5, 2.0, 3.0], 0.95).unwrap(), 2.0 / 3.0);
    }

    #[test]
    fn an_empty_or_broken_set_is_named() {
        type Metric = fn(&[f32], &[f32]) -> Result<f64>;
        let metrics: [Metric; 5] = [
            auroc,
            aupr,
            aupr_out,
            |id, ood| fpr_at_tpr(id, ood, 0.95),
            |id, ood| fpr_at_tpr_out(id, ood, 0.95),
        ];
        for metric in metrics {
            for (id, ood, words) in [
                (&[][..], &[0.5][..], "there are no ID scores"),
                (&[0.5], &[], "there are no OOD scores"),
                (&[0.5, f32::NAN], &[0.5], "ID scores: row 1 is NaN"),
                (&[0.5], &[f32::NEG_INFINITY], "OOD scores: row 0 is -inf"),
            ] {
                let error = metric(id, ood).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Caller);
                assert!(error.to_string().contains(words), "{error}");
            }
        }
        for tpr in [0.0, 1.1, -0.5, f64::NAN] {
            assert_eq!(
                fpr_at_tpr(&[0.5], &[0.5], tpr).unwrap_err().kind(),
                ErrorKind::Caller
            );
        }
    }
}
