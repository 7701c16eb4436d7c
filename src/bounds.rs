//! Exact bounds: what a count of errors, or a finite sample, says about the truth, and with which certainty.
//!
//! Everything here holds for every number of observations, not only for large ones: no normal approximation.
//!
//! ```
//! use clipgate::bounds::{binomial_upper, trials_needed};
//!
//! // 100 accepted answers without a mistake: with 95 % confidence at most 2.95 % are wrong.
//! let most = binomial_upper(0, 100, 0.05)?;
//! assert!((most - 0.029_513_049_6).abs() < 1e-10);
//! // Fewer than 59 can never show that at most 5 % are.
//! assert_eq!(trials_needed(0, 0.05, 0.05)?, 59);
//! # Ok::<(), clipgate::Error>(())
//! ```
//!
//! # Accuracy
//! Tails are sums of positive terms, of which the largest comes from Loader's saddle-point form. Where they are above
//! 1e-300 (below, they may become 0) their error is below 1e-11 of them for up to a million trials and below 1e-9 for
//! up to [`MAX_TRIALS`]. Bounds are the tails' inverses by bisection down to neighbouring floats.

mod tail;

use tail::{lower_tail, upper_tail};

use crate::error::{Error, Result};

/// The most trials that a bound is computed for.
pub const MAX_TRIALS: usize = 1_000_000_000;

/// The upper end of the exact one-sided interval for a probability, after `events` in `trials` independent trials:
/// the `p` at which so few events, or fewer, have probability `delta` (Clopper and Pearson 1934, Biometrika 26,
/// 404-413). The truth lies above it in at most a share `delta` of all experiments.
///
/// 1 where every trial was an event. `delta` is above 0 and below 1.
///
/// ```
/// use clipgate::bounds::binomial_upper;
///
/// assert!((binomial_upper(5, 200, 0.05)? - 0.051_843_339_1).abs() < 1e-10);
/// assert_eq!(binomial_upper(3, 3, 0.05)?, 1.0);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there are no trials, more than [`MAX_TRIALS`], fewer than
/// events, or `delta` is not between 0 and 1.
pub fn binomial_upper(events: usize, trials: usize, delta: f64) -> Result<f64> {
    check_counts(events, trials)?;
    check_delta(delta)?;
    if events == trials {
        return Ok(1.0);
    }
    let (_, upper) = bisect(0.0, 1.0, |p| lower_tail(events, trials, p) > delta);
    Ok(upper)
}

/// The lower end of the exact one-sided interval for a probability: the `p` at which so many events, or more, have
/// probability `delta`; see [`binomial_upper`], whose mirror image it is. 0 where there was no event.
///
/// ```
/// use clipgate::bounds::{binomial_lower, binomial_upper};
///
/// let low = binomial_lower(195, 200, 0.05)?;
/// assert!((low - (1.0 - binomial_upper(5, 200, 0.05)?)).abs() < 1e-12);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`binomial_upper`].
pub fn binomial_lower(events: usize, trials: usize, delta: f64) -> Result<f64> {
    check_counts(events, trials)?;
    check_delta(delta)?;
    if events == 0 {
        return Ok(0.0);
    }
    let (lower, _) = bisect(0.0, 1.0, |p| upper_tail(events, trials, p) <= delta);
    Ok(lower)
}

/// `P(X <= events)` for `X` binomial with `trials` trials of probability `p`, 0 to 1. As the p-value of "the true
/// error rate is above `p`" it is what Learn-then-Test needs (Angelopoulos et al. 2021, arXiv 2110.01052).
///
/// ```
/// use clipgate::bounds::binomial_at_most;
///
/// assert!((binomial_at_most(1, 3, 0.5)? - 0.5).abs() < 1e-14);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for counts that [`binomial_upper`] refuses, or a `p` outside 0
/// to 1.
pub fn binomial_at_most(events: usize, trials: usize, p: f64) -> Result<f64> {
    check_counts(events, trials)?;
    check_probability(p)?;
    Ok(lower_tail(events, trials, p))
}

/// `P(X >= events)` for `X` binomial, 0 to 1; see [`binomial_at_most`].
///
/// ```
/// use clipgate::bounds::binomial_at_least;
///
/// assert!((binomial_at_least(3, 3, 0.5)? - 0.125).abs() < 1e-14);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`binomial_at_most`].
pub fn binomial_at_least(events: usize, trials: usize, p: f64) -> Result<f64> {
    check_counts(events, trials)?;
    check_probability(p)?;
    Ok(upper_tail(events, trials, p))
}

/// The fewest trials after which `events` events still show, at certainty `1 - delta`, that their probability is at
/// most `risk`: the smallest `trials` with [`binomial_upper`]`(events, trials, delta) <= risk`.
///
/// `risk` and `delta` lie between 0 and 1, exclusive.
///
/// ```
/// use clipgate::bounds::trials_needed;
///
/// assert_eq!(trials_needed(0, 0.05, 0.05)?, 59);
/// assert_eq!(trials_needed(1, 0.05, 0.05)?, 93);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `risk` or `delta` is not between 0 and 1, or more than
/// [`MAX_TRIALS`] would be needed.
pub fn trials_needed(events: usize, risk: f64, delta: f64) -> Result<usize> {
    check_delta(delta)?;
    if !(risk > 0.0 && risk < 1.0) {
        return Err(Error::caller(format!(
            "the risk is {risk}; it must be above 0 and below 1"
        )));
    }
    let shown = |trials: usize| lower_tail(events, trials, risk) <= delta;
    if events >= MAX_TRIALS || !shown(MAX_TRIALS) {
        return Err(Error::caller(format!(
            "{events} events cannot show a risk of {risk} at delta {delta} within {MAX_TRIALS} trials"
        )));
    }
    // The tail falls as trials are added, so there is one turning point to close in on.
    let (mut few, mut enough) = (events, MAX_TRIALS);
    while enough - few > 1 {
        let middle = few + (enough - few) / 2;
        if shown(middle) {
            enough = middle;
        } else {
            few = middle;
        }
    }
    Ok(enough)
}

/// The half-width `ε = sqrt(ln(2 / delta) / (2 n))` of the band around the empirical distribution of `n` independent
/// observations that holds the whole true distribution function with probability at least `1 - delta` (Dvoretzky,
/// Kiefer and Wolfowitz 1956; the factor 2 is Massart's 1990, Annals of Probability 18(3), corollary 1).
///
/// Above 0; a half-width of 1 or more says nothing. It holds for every distribution, with or without ties.
///
/// ```
/// use clipgate::bounds::dkw_epsilon;
///
/// assert!((dkw_epsilon(1000, 0.05)? - 0.042_947).abs() < 1e-6);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `n` is 0 or `delta` is not between 0 and 1.
pub fn dkw_epsilon(n: usize, delta: f64) -> Result<f64> {
    check_delta(delta)?;
    if n == 0 {
        return Err(Error::caller("there are no observations"));
    }
    Ok(((2.0 / delta).ln() / (2.0 * n as f64)).sqrt())
}

fn check_counts(events: usize, trials: usize) -> Result<()> {
    if trials == 0 || trials > MAX_TRIALS {
        return Err(Error::caller(format!(
            "{trials} trials; 1 to {MAX_TRIALS} are possible"
        )));
    }
    if events > trials {
        return Err(Error::caller(format!(
            "{events} events in {trials} trials; there cannot be more events than trials"
        )));
    }
    Ok(())
}

fn check_delta(delta: f64) -> Result<()> {
    if delta > 0.0 && delta < 1.0 {
        return Ok(());
    }
    Err(Error::caller(format!(
        "delta is {delta}; it must be above 0 and below 1"
    )))
}

fn check_probability(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) {
        return Ok(());
    }
    Err(Error::caller(format!("the probability is {p}, not 0 to 1")))
}

/// The two neighbouring floats between `below` and `above` between which `low` stops to hold.
pub(crate) fn bisect(mut below: f64, mut above: f64, low: impl Fn(f64) -> bool) -> (f64, f64) {
    loop {
        let middle = below + (above - below) / 2.0;
        if middle <= below || middle >= above {
            return (below, above);
        }
        if low(middle) {
            below = middle;
        } else {
            above = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn upper_bounds_are_the_published_ones() {
        for (events, trials, delta, bound) in [
            (0, 100, 0.05, 0.029_513_049_6),
            (5, 200, 0.05, 0.051_843_339_1),
            (10, 500, 0.05, 0.033_688_272_3),
            (40, 1000, 0.05, 0.051_753_401_4),
            (3, 50, 0.001, 0.236_302_372_1),
        ] {
            let found = binomial_upper(events, trials, delta).unwrap();
            assert!(
                (found - bound).abs() < 6e-11,
                "{events} of {trials}: {found}"
            );
        }
    }

    #[test]
    fn a_tail_and_its_complement_make_one() {
        for (k, n, p) in [
            (1, 3, 0.3),
            (40, 1000, 0.05),
            (500, 1000, 0.5),
            (999, 1000, 0.999),
        ] {
            let sum = binomial_at_most(k, n, p).unwrap() + binomial_at_least(k + 1, n, p).unwrap();
            assert!((sum - 1.0).abs() < 1e-13, "{k} of {n} at {p}: {sum}");
        }
    }

    #[test]
    fn a_certain_or_impossible_event_has_whole_tails() {
        assert_eq!(binomial_at_most(0, 5, 0.0).unwrap(), 1.0);
        assert_eq!(binomial_at_most(4, 5, 1.0).unwrap(), 0.0);
        assert_eq!(binomial_at_least(5, 5, 1.0).unwrap(), 1.0);
        assert_eq!(binomial_at_least(1, 5, 0.0).unwrap(), 0.0);
        assert_eq!(binomial_lower(0, 5, 0.05).unwrap(), 0.0);
        assert_eq!(binomial_upper(5, 5, 0.05).unwrap(), 1.0);
    }

    #[test]
    fn the_fewest_trials_are_enough_and_one_less_is_not() {
        for (events, risk, delta) in [(0, 0.05, 0.05), (7, 0.02, 0.1), (100, 0.5, 1e-6)] {
            let trials = trials_needed(events, risk, delta).unwrap();
            assert!(binomial_upper(events, trials, delta).unwrap() <= risk);
            assert!(binomial_upper(events, trials - 1, delta).unwrap() > risk);
        }
    }

    #[test]
    fn what_is_no_count_or_probability_is_refused() {
        for refused in [
            binomial_upper(0, 0, 0.05),
            binomial_upper(3, 2, 0.05),
            binomial_upper(0, MAX_TRIALS + 1, 0.05),
            binomial_upper(1, 2, 0.0),
            binomial_lower(1, 2, 1.0),
            binomial_lower(1, 2, f64::NAN),
            binomial_at_most(1, 2, 1.5),
            binomial_at_least(1, 2, f64::NAN),
            trials_needed(0, 0.0, 0.05).map(|n| n as f64),
            trials_needed(usize::MAX, 0.5, 0.05).map(|n| n as f64),
            trials_needed(0, 1e-12, 0.05).map(|n| n as f64),
            dkw_epsilon(0, 0.05),
            dkw_epsilon(10, 0.0),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Caller);
        }
    }
}
