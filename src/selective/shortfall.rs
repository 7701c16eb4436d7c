//! How many more images a promise would need.

use super::{Answers, check_probability};
use crate::bounds::binomial_upper;
use crate::error::Result;

/// Factors above this are no advice.
pub const MOST_TIMES: f64 = 1000.0;

/// Each factor that is tried is this much larger than the one before.
const STEP: f64 = 1.02;

/// How many times as many images would be needed so that some threshold certifies, at certainty `1 - delta`, that at
/// most `target_risk` of accepted answers are wrong, if errors went on at the rate seen; `None` if no threshold has a
/// rate below the target, or more than [`MOST_TIMES`] as many were needed.
///
/// An estimate for a message, not a bound: the least over all thresholds, so rather too low.
///
/// ```
/// use clipgate::selective::{Answers, times_as_many};
///
/// let answers = Answers::new(&[0.9; 30], &[true; 30])?;
/// let times = times_as_many(&answers, 0.05, 0.05)?.unwrap();
/// assert!((times * 30.0 - 59.0).abs() < 1.5);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `target_risk` or `delta` is not between 0 and 1.
pub fn times_as_many(answers: &Answers, target_risk: f64, delta: f64) -> Result<Option<f64>> {
    check_probability("the target risk", target_risk)?;
    check_probability("delta", delta)?;
    let mut least: Option<f64> = None;
    for threshold in answers.distinct() {
        let counted = answers.at(threshold);
        if counted.wrong as f64 >= target_risk * counted.accepted as f64 {
            continue;
        }
        let mut times = 1.0;
        while times < least.unwrap_or(MOST_TIMES) {
            let scaled = |count: usize| (count as f64 * times).ceil() as usize;
            let (wrong, accepted) = (scaled(counted.wrong), scaled(counted.accepted));
            if binomial_upper(wrong, accepted, delta)? <= target_risk {
                least = Some(times);
                break;
            }
            times *= STEP;
        }
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_above_the_target_is_not_helped_by_more_images() {
        let correct: Vec<bool> = (0..100).map(|i| i % 10 != 0).collect();
        let answers = Answers::new(&[0.9; 100], &correct).unwrap();
        assert_eq!(times_as_many(&answers, 0.05, 0.05).unwrap(), None);
        assert!(times_as_many(&answers, 0.15, 0.05).unwrap().unwrap() > 1.0);
        assert_eq!(times_as_many(&answers, 0.5, 0.05).unwrap(), Some(1.0));
    }
}
