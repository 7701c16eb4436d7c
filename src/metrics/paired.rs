//! Two models on the same images: is the difference between them more than chance?

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::intervals::{Interval, Resampling, bootstrap, check_draws};
use super::{check_rows, check_same_rows};
use crate::bounds::binomial_at_most;
use crate::error::{Error, Result};

/// Means whose difference is below this share of the larger are taken as equal: they differ by rounding.
const ROUNDING: f64 = 1e-12;

/// What [`mcnemar`] found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct McNemar {
    /// Images that only the first model gets right.
    pub only_first: usize,
    /// Images that only the second model gets right.
    pub only_second: usize,
    /// Two-sided, above 0 to 1.
    pub p_value: f64,
}

/// The exact test of McNemar for two accuracies on the same images (McNemar 1947, Psychometrika 12, 153-157; exact:
/// Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91): were the models equally good, each
/// image that only one of them gets right would be either's with probability one half.
///
/// `p = min(1, 2 P(X <= min(b, c)))` with `X` binomial of `b + c` trials; 1 where the models never differ. No
/// continuity correction and no mid-p.
///
/// ```
/// use clipgate::metrics::mcnemar;
///
/// let first = [true, true, true, true, true, false];
/// let test = mcnemar(&first, &[false, false, false, false, false, false])?;
/// assert_eq!((test.only_first, test.only_second, test.p_value), (5, 0, 0.0625));
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows or if the lengths differ.
pub fn mcnemar(first: &[bool], second: &[bool]) -> Result<McNemar> {
    check_same_rows(
        "answers of the first model",
        first.len(),
        "answers of the second",
        second.len(),
    )?;
    let count = |wanted: (bool, bool)| {
        let pairs = first.iter().copied().zip(second.iter().copied());
        pairs.filter(|pair| *pair == wanted).count()
    };
    let (only_first, only_second) = (count((true, false)), count((false, true)));
    let differing = only_first + only_second;
    let p_value = if differing == 0 {
        1.0
    } else {
        let tail = binomial_at_most(only_first.min(only_second), differing, 0.5)?;
        (2.0 * tail).min(1.0)
    };
    Ok(McNemar {
        only_first,
        only_second,
        p_value,
    })
}

/// The [`bootstrap`] interval of `first - second`, both computed on the same resampled images, so that what is hard for
/// both models cancels. An interval that leaves out 0 is a difference at that confidence.
///
/// ```
/// use clipgate::metrics::{Resampling, accuracy, paired_bootstrap};
///
/// let (int8, fp32) = ([true, false, true, true], [true, true, true, true]);
/// let pick = |correct: &[bool], rows: &[usize]| rows.iter().map(|row| correct[*row]).collect::<Vec<_>>();
/// let difference = paired_bootstrap(
///     int8.len(),
///     &Resampling::seeded(1),
///     |rows| accuracy(&pick(&int8, rows)),
///     |rows| accuracy(&pick(&fp32, rows)),
/// )?;
/// assert!(difference.low < 0.0 && difference.high == 0.0);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`bootstrap`].
pub fn paired_bootstrap(
    rows: usize,
    resampling: &Resampling,
    mut first: impl FnMut(&[usize]) -> Result<f64>,
    mut second: impl FnMut(&[usize]) -> Result<f64>,
) -> Result<Interval> {
    bootstrap([rows], resampling, |[drawn]| {
        Ok(first(drawn)? - second(drawn)?)
    })
}

/// The p-value of "the mean of these differences is 0", by flipping their signs (Fisher 1935, "The Design of
/// Experiments", section 21; Good 2005, "Permutation, Parametric and Bootstrap Tests of Hypotheses"): one difference an
/// image, of any figure that an image has under both models, such as the negative log-likelihood of its label.
///
/// Two-sided, above 0 to 1: the share of sign patterns whose mean lies at least as far from 0. Where all `2^n`
/// patterns are no more than `draws` they are all counted and the test is exact; otherwise `draws` patterns are drawn
/// with ChaCha8 and the given one counts as one more (Phipson and Smyth 2010), so that the p-value is never 0.
///
/// ```
/// let p = clipgate::metrics::sign_flip(&[0.2, 0.1, 0.3, 0.2, 0.1], 10_000, 1)?;
/// assert_eq!(p, 2.0 / 32.0);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows, for a difference that is not finite, or if `draws` is
/// not 1 to [`MAX_DRAWS`](super::MAX_DRAWS).
pub fn sign_flip(differences: &[f64], draws: usize, seed: u64) -> Result<f64> {
    check_rows("differences", differences.len())?;
    check_draws(draws)?;
    if let Some(row) = differences.iter().position(|d| !d.is_finite()) {
        return Err(Error::caller(format!(
            "differences: row {row} is {}, not a finite number",
            differences[row]
        )));
    }
    let sum = |flipped: &dyn Fn(usize) -> bool| -> f64 {
        let signed = differences.iter().enumerate();
        signed
            .map(|(row, d)| if flipped(row) { -d } else { *d })
            .sum()
    };
    let observed = sum(&|_| false).abs() * (1.0 - ROUNDING);
    let as_far = |flipped: &dyn Fn(usize) -> bool| sum(flipped).abs() >= observed;

    let patterns = u32::try_from(differences.len())
        .ok()
        .and_then(|rows| 1_usize.checked_shl(rows))
        .filter(|patterns| *patterns <= draws);
    if let Some(patterns) = patterns {
        let extreme = (0..patterns).filter(|pattern| as_far(&|row| pattern >> row & 1 == 1));
        return Ok(extreme.count() as f64 / patterns as f64);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut signs = vec![false; differences.len()];
    let mut extreme = 0;
    for _ in 0..draws {
        signs.fill_with(|| random.random());
        extreme += usize::from(as_far(&|row| signs[row]));
    }
    Ok((1 + extreme) as f64 / (1 + draws) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn equal_models_do_not_differ() {
        let test = mcnemar(&[true, false], &[true, false]).unwrap();
        assert_eq!(
            (test.only_first, test.only_second, test.p_value),
            (0, 0, 1.0)
        );
        assert_eq!(sign_flip(&[0.0; 4], 100, 1).unwrap(), 1.0);
    }

    #[test]
    fn drawn_patterns_approach_all_of_them() {
        let differences: Vec<f64> = (0..16).map(|row| f64::from(row % 5) - 1.5).collect();
        let exact = sign_flip(&differences, 1 << 16, 1).unwrap();
        let drawn = sign_flip(&differences, (1 << 16) - 1, 1).unwrap();
        // Four standard deviations of a share of 65,535 draws.
        assert!((exact - drawn).abs() < 0.008, "{exact} {drawn}");
    }

    #[test]
    fn a_certain_difference_is_found_among_many_images() {
        let p = sign_flip(&[0.5; 200], 999, 7).unwrap();
        assert_eq!(p, 1.0 / 1000.0);
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for refused in [
            mcnemar(&[], &[]).map(|test| test.p_value),
            mcnemar(&[true], &[]).map(|test| test.p_value),
            sign_flip(&[], 10, 1),
            sign_flip(&[1.0, f64::NAN], 10, 1),
            sign_flip(&[1.0], 0, 1),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Caller);
        }
    }
}
