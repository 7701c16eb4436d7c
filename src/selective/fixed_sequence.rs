//! Learn-then-Test by fixed-sequence testing: Angelopoulos et al. 2021, arXiv 2110.01052.

use super::{Answers, Certified, check_probability};
use crate::bounds::binomial_at_most;
use crate::error::Result;

/// Shares of the answers at which [`declare_path`] lays its thresholds: every fiftieth. Finer paths stop earlier by
/// chance, coarser ones miss the best threshold by more.
pub const PATH_STEPS: usize = 50;

/// The last of `thresholds`, tested one after the other, up to which each certifies that at most `target_risk` of the
/// accepted answers are wrong; `None` if the first does not.
///
/// The null hypothesis of a threshold is that more than `target_risk` are wrong; given how many it accepts, errors
/// are binomial, so `P(Bin(accepted, target_risk) <= wrong)` is a valid p-value. Testing in a fixed order and
/// stopping at the first p-value above `delta` keeps the probability of any wrong rejection below `delta` without a
/// correction for their number: the first true null hypothesis of the sequence is rejected with probability `delta` at
/// most. The order, and the thresholds, must not depend on these answers: [`declare_path`] takes them from others.
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `target_risk` or `delta` is not between 0 and 1.
pub fn fixed_sequence(
    answers: &Answers,
    thresholds: &[f32],
    target_risk: f64,
    delta: f64,
) -> Result<Option<Certified>> {
    check_probability("the target risk", target_risk)?;
    check_probability("delta", delta)?;
    let mut certified = None;
    for &threshold in thresholds {
        let counted = answers.at(threshold);
        if counted.accepted == 0
            || binomial_at_most(counted.wrong, counted.accepted, target_risk)? > delta
        {
            break;
        }
        certified = Some(counted);
    }
    Ok(certified)
}

/// Thresholds to test on `certifying` other answers, in this order: downwards from the one that is likeliest to be
/// certified there, to 0, which accepts everything.
///
/// A path that began at the highest threshold would begin where too few are accepted to certify anything. So it begins
/// where the power is largest: `P(Bin(a, r) <= e)`, with `a` the answers that the threshold will accept (one standard
/// deviation fewer than expected), `e` the most errors among them at which it is still certified, and `r` its share of
/// wrong answers here, half an error added. This is the paper's split fixed-sequence testing: one split learns the
/// path, the other walks it.
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `target_risk` or `delta` is not between 0 and 1.
pub fn declare_path(
    development: &Answers,
    certifying: usize,
    target_risk: f64,
    delta: f64,
) -> Result<Vec<f32>> {
    check_probability("the target risk", target_risk)?;
    check_probability("delta", delta)?;
    let n = development.len();
    let mut path: Vec<f32> = (1..=PATH_STEPS)
        .map(|step| development.threshold_accepting((step * n).div_ceil(PATH_STEPS).max(1)))
        .collect();
    path.push(0.0);
    path.dedup();
    let mut start = (0, 0.0);
    for (place, &threshold) in path.iter().enumerate() {
        let power = power(development.at(threshold), n, certifying, target_risk, delta)?;
        if power > start.1 {
            start = (place, power);
        }
    }
    Ok(path.split_off(start.0))
}

/// The probability that a threshold will be certified, as [`declare_path`] estimates it.
fn power(
    counted: Certified,
    n: usize,
    certifying: usize,
    target_risk: f64,
    delta: f64,
) -> Result<f64> {
    let share = counted.accepted as f64 / n.max(1) as f64;
    let expected = certifying as f64 * share;
    let accepted = (expected - (expected * (1.0 - share)).sqrt()).max(0.0) as usize;
    let Some(errors) = most_errors(accepted, target_risk, delta)? else {
        return Ok(0.0);
    };
    let risk = (counted.wrong as f64 + 0.5) / (counted.accepted as f64 + 1.0);
    binomial_at_most(errors, accepted, risk)
}

/// The most errors among `accepted` answers with which a risk of at most `target_risk` is certified.
fn most_errors(accepted: usize, target_risk: f64, delta: f64) -> Result<Option<usize>> {
    let certifies = |errors: usize| -> Result<bool> {
        Ok(binomial_at_most(errors, accepted, target_risk)? <= delta)
    };
    if accepted == 0 || !certifies(0)? {
        return Ok(None);
    }
    let (mut most, mut too_many) = (0, accepted);
    while too_many - most > 1 {
        let middle = most + (too_many - most) / 2;
        if certifies(middle)? {
            most = middle;
        } else {
            too_many = middle;
        }
    }
    Ok(Some(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::binomial_upper;

    fn answers(n: usize, correct: impl Fn(usize) -> bool) -> Answers {
        let confidences: Vec<f32> = (0..n).map(|i| i as f32 / n as f32).collect();
        Answers::new(&confidences, &(0..n).map(correct).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_walk_stops_at_the_first_threshold_that_fails() {
        // Wrong in the middle only: the lowest threshold would pass again, but is never reached.
        let answers = answers(1000, |i| !(600..660).contains(&i));
        let path = [0.8, 0.7, 0.55, 0.0];
        let found = fixed_sequence(&answers, &path, 0.08, 0.05)
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.threshold, found.accepted, found.wrong),
            (0.7, 300, 0)
        );
        assert!(
            fixed_sequence(&answers, &path[2..], 0.08, 0.05)
                .unwrap()
                .is_none()
        );
        assert!(
            fixed_sequence(&answers, &path[3..], 0.08, 0.05)
                .unwrap()
                .is_some()
        );
        assert_eq!(fixed_sequence(&answers, &[], 0.08, 0.05).unwrap(), None);
    }

    #[test]
    fn fifty_nine_flawless_answers_are_the_fewest_for_five_percent() {
        for (n, certified) in [(58, false), (59, true)] {
            let found = fixed_sequence(&answers(n, |_| true), &[0.0], 0.05, 0.05).unwrap();
            assert_eq!(found.is_some(), certified, "{n}");
        }
    }

    #[test]
    fn the_most_errors_are_certified_and_one_more_is_not() {
        for (accepted, risk) in [(59, 0.05), (300, 0.05), (1000, 0.2), (5000, 0.01)] {
            let errors = most_errors(accepted, risk, 0.05).unwrap().unwrap();
            assert!(binomial_upper(errors, accepted, 0.05).unwrap() <= risk);
            assert!(binomial_upper(errors + 1, accepted, 0.05).unwrap() > risk);
        }
        assert_eq!(most_errors(58, 0.05, 0.05).unwrap(), None);
    }

    #[test]
    fn a_path_leads_down_from_a_start_with_power() {
        // The less sure half is wrong every third time.
        let development = answers(200, |i| i >= 100 || i % 3 > 0);
        let path = declare_path(&development, 400, 0.05, 0.05).unwrap();
        assert!(path.is_sorted_by(|a, b| a > b));
        assert_eq!(path.last(), Some(&0.0));
        assert!((0.45..0.75).contains(&path[0]), "{}", path[0]);
        assert_eq!(
            declare_path(&answers(0, |_| true), 0, 0.05, 0.05).unwrap(),
            [0.0]
        );
    }
}
