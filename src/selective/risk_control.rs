//! Conformal risk control: Angelopoulos et al. 2022, arXiv 2208.02814.

use super::{Answers, above, check_probability};
use crate::error::Result;

/// The lowest threshold at which, on average over calibrations, at most `target_risk` of **all** images are accepted
/// and wrong; `None` if `images` are too few to say so even of a threshold that accepts nothing.
///
/// `answers` are those of the `images` that can be accepted at all; an image that was refused before (nothing to see,
/// out of distribution) has no loss. The loss of an image, `1{accepted and wrong}`, never grows with the threshold
/// and is at most 1, so the paper's rule is: the lowest threshold with
/// `(wrong accepted + 1) / (images + 1) <= target_risk`. A threshold that refuses the first wrong answer beyond that
/// count is written as the next float above its confidence.
///
/// ```
/// use clipgate::selective::{Answers, conformal_risk};
///
/// // Of 99 images nine are answered wrongly; at most 5 % of 100 are four and the one to come.
/// let confidences: Vec<f32> = (0..99).map(|i| i as f32 / 99.0).collect();
/// let correct: Vec<bool> = (0..99).map(|i| i % 11 != 0).collect();
/// let answers = Answers::new(&confidences, &correct)?;
/// let threshold = conformal_risk(&answers, 99, 0.05)?.unwrap();
/// assert_eq!(answers.at(threshold).wrong, 4);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `target_risk` is not between 0 and 1.
pub fn conformal_risk(answers: &Answers, images: usize, target_risk: f64) -> Result<Option<f32>> {
    check_probability("the target risk", target_risk)?;
    let within = |wrong: usize| (wrong + 1) as f64 <= target_risk * (images + 1) as f64;
    if !within(0) {
        return Ok(None);
    }
    let refused = answers
        .distinct()
        .into_iter()
        .rev()
        .find(|&threshold| !within(answers.at(threshold).wrong));
    Ok(Some(refused.map_or(0.0, above)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_images_control_nothing_and_no_error_accepts_all() {
        let right = Answers::new(&[0.1, 0.2], &[true; 2]).unwrap();
        assert_eq!(conformal_risk(&right, 18, 0.05).unwrap(), None);
        assert_eq!(conformal_risk(&right, 19, 0.05).unwrap(), Some(0.0));
        assert!(conformal_risk(&right, 19, 1.0).is_err());
    }

    #[test]
    fn equal_confidences_are_refused_together() {
        let answers = Answers::new(&[0.5, 0.5, 0.5, 0.9], &[false, false, true, true]).unwrap();
        let threshold = conformal_risk(&answers, 39, 0.05).unwrap().unwrap();
        assert!(threshold > 0.5 && threshold < 0.500_001, "{threshold}");
        assert_eq!(answers.at(threshold).accepted, 1);
    }
}
