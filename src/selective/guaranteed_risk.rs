//! Selection with guaranteed risk (SGR): Geifman and El-Yaniv 2017, arXiv 1705.08500, algorithm 2.

use super::{Answers, Certified, check_probability};
use crate::bounds::binomial_upper;
use crate::error::Result;

/// A threshold certified by SGR.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guaranteed {
    /// The threshold and its counts.
    pub certified: Certified,
    /// The exact binomial bound on the share of wrong answers at this threshold, at its step's part of `delta`; at
    /// most the target.
    pub bound: f64,
}

/// The lowest threshold, of those that a binary search over the distinct confidences visits, at which with
/// probability `1 - delta` at most `target_risk` of the accepted answers are wrong; `None` if it certifies none.
///
/// A search over `n` answers takes at most `k = ceil(log2 n)` steps, and each step's bound holds at certainty
/// `1 - delta / k` (the paper's union bound): `B*` of its lemma 3.1 is the exact binomial bound of
/// [`binomial_upper`](crate::bounds::binomial_upper), on whole numbers of errors.
///
/// ```
/// use clipgate::selective::{Answers, guaranteed_selective_risk};
///
/// let confidences: Vec<f32> = (0..200).map(|i| i as f32 / 200.0).collect();
/// let answers = Answers::new(&confidences, &[true; 200])?;
/// let found = guaranteed_selective_risk(&answers, 0.05, 0.05)?.unwrap();
/// // The search never visits the very lowest.
/// assert_eq!(found.certified.accepted, 199);
/// assert!(found.bound <= 0.05);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `target_risk` or `delta` is not between 0 and 1.
pub fn guaranteed_selective_risk(
    answers: &Answers,
    target_risk: f64,
    delta: f64,
) -> Result<Option<Guaranteed>> {
    check_probability("the target risk", target_risk)?;
    check_probability("delta", delta)?;
    let thresholds = answers.distinct();
    let steps = search_steps(answers.len());
    let mut found = None;
    let (mut low, mut high) = (0, thresholds.len().saturating_sub(1));
    for _ in 0..steps {
        let middle = (low + high).div_ceil(2);
        let Some(&threshold) = thresholds.get(middle) else {
            break;
        };
        let certified = answers.at(threshold);
        let bound = binomial_upper(
            certified.wrong,
            certified.accepted,
            delta / f64::from(steps),
        )?;
        if bound <= target_risk {
            found = Some(Guaranteed { certified, bound });
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(found)
}

/// The steps of a search over `n` answers: `ceil(log2 n)`, and at least one.
pub(crate) fn search_steps(n: usize) -> u32 {
    n.max(2).next_power_of_two().ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_binary_logarithm_rounded_up() {
        for (n, expected) in [
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (1024, 10),
            (1025, 11),
        ] {
            assert_eq!(search_steps(n), expected, "{n}");
        }
    }

    #[test]
    fn too_few_or_wrong_answers_certify_nothing() {
        let answers = |n: usize, correct| {
            let confidences: Vec<f32> = (0..n).map(|i| i as f32 / n as f32).collect();
            Answers::new(&confidences, &vec![correct; n]).unwrap()
        };
        for (n, correct) in [(0, true), (58, true), (500, false)] {
            let found = guaranteed_selective_risk(&answers(n, correct), 0.05, 0.05).unwrap();
            assert_eq!(found, None, "{n} answers, {correct}");
        }
        assert!(guaranteed_selective_risk(&answers(9, true), 0.0, 0.05).is_err());
        assert!(guaranteed_selective_risk(&answers(9, true), 0.05, f64::NAN).is_err());
    }
}
