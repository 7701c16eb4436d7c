//! Intervals: how far a figure would move on other images of the same kind.

use std::f64::consts::SQRT_2;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::check_rows;
use crate::bounds::bisect;
use crate::error::{Error, Result};

/// The most resamples or permutations that are drawn.
pub const MAX_DRAWS: usize = 1_000_000;

/// More standard deviations than any certainty below 1 asks for in `f64`.
const FARTHEST: f64 = 40.0;

/// A two-sided interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// How often to resample, how sure to be, and which random numbers to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// How many resamples, 1 to [`MAX_DRAWS`].
    pub draws: usize,
    /// How sure the interval is to be, above 0 and below 1.
    pub confidence: f64,
    /// The same seed gives the same interval, on every machine.
    pub seed: u64,
}

impl Resampling {
    /// 1,000 draws at 95 % confidence.
    ///
    /// ```
    /// let resampling = clipgate::metrics::Resampling::seeded(7);
    /// assert_eq!((resampling.draws, resampling.confidence), (1000, 0.95));
    /// ```
    pub fn seeded(seed: u64) -> Self {
        Self {
            draws: 1000,
            confidence: 0.95,
            seed,
        }
    }
}

/// The percentile bootstrap interval of a statistic (Efron 1979, Annals of Statistics 7, 1-26; Efron and Tibshirani
/// 1993, section 13.3).
///
/// `rows` are the sizes of the samples. For each draw, row numbers of every sample are drawn uniformly with
/// replacement, each sample on its own, and handed to `statistic`; the interval's ends are the quantiles
/// `(1 ∓ confidence) / 2` of its values, linearly interpolated between order statistics (numpy's `linear`). Values of
/// two models on the same images are one sample: compute both from the same row numbers. The random numbers are
/// ChaCha8's.
///
/// A percentile interval is too narrow for few images (some 20), and for a statistic at the end of its range; for a
/// share take [`wilson`].
///
/// ```
/// use clipgate::metrics::{Resampling, auroc, bootstrap};
///
/// let (id, ood) = ([0.9, 0.8, 0.7, 0.4, 0.6], [0.1, 0.5, 0.3, 0.65]);
/// let pick = |scores: &[f32], rows: &[usize]| rows.iter().map(|row| scores[*row]).collect::<Vec<_>>();
/// let interval = bootstrap([id.len(), ood.len()], &Resampling::seeded(1), |[inside, outside]| {
///     auroc(&pick(&id, inside), &pick(&ood, outside))
/// })?;
/// assert!(interval.low < 0.9 && 0.9 < interval.high);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if a sample is empty, the resampling is out of range, or the
/// statistic is not finite on a resample; what `statistic` returns, with the draw that it failed on.
pub fn bootstrap<const SAMPLES: usize>(
    rows: [usize; SAMPLES],
    resampling: &Resampling,
    mut statistic: impl FnMut([&[usize]; SAMPLES]) -> Result<f64>,
) -> Result<Interval> {
    let mut values = Vec::with_capacity(resampling.draws.min(MAX_DRAWS));
    resample(rows, resampling, |drawn| {
        values.push(statistic(drawn)?);
        Ok(())
    })?;
    percentile_interval(&values, resampling.confidence)
}

/// The draws of [`bootstrap`], for several statistics of the same resamples: `each` is handed the row numbers of every
/// sample, once a draw, and keeps what it computes; [`percentile_interval`] makes the interval of each.
///
/// The same seed and sizes give the same rows, so figures of two models on the same images are paired draw by draw.
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if a sample is empty or the resampling is out of range; what `each`
/// returns, with the draw that it failed on.
pub fn resample<const SAMPLES: usize>(
    rows: [usize; SAMPLES],
    resampling: &Resampling,
    mut each: impl FnMut([&[usize]; SAMPLES]) -> Result<()>,
) -> Result<()> {
    for sample in rows {
        check_rows("rows to resample", sample)?;
    }
    check_draws(resampling.draws)?;
    check_confidence(resampling.confidence)?;
    let mut random = ChaCha8Rng::seed_from_u64(resampling.seed);
    let mut drawn = rows.map(|sample| vec![0; sample]);
    for draw in 0..resampling.draws {
        for sample in &mut drawn {
            let size = sample.len();
            sample.fill_with(|| random.random_range(0..size));
        }
        each(drawn.each_ref().map(Vec::as_slice))
            .map_err(|error| error.at(format!("resample {draw}")))?;
    }
    Ok(())
}

/// The interval between the quantiles `(1 ∓ confidence) / 2` of a statistic's values over resamples.
///
/// ```
/// let values: Vec<f64> = (0..=100).map(f64::from).collect();
/// let interval = clipgate::metrics::percentile_interval(&values, 0.9)?;
/// assert!((interval.low - 5.0).abs() < 1e-9 && (interval.high - 95.0).abs() < 1e-9);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there are no values, one is not finite, or `confidence` is not
/// between 0 and 1.
pub fn percentile_interval(values: &[f64], confidence: f64) -> Result<Interval> {
    check_rows("values of resamples", values.len())?;
    check_confidence(confidence)?;
    if let Some(draw) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::caller(format!(
            "the statistic of resample {draw} is {}, not a finite number",
            values[draw]
        )));
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Ok(Interval {
        low: quantile(&sorted, tail),
        high: quantile(&sorted, 1.0 - tail),
    })
}

/// Wilson's score interval for a share of `hits` in `n` independent trials (Wilson 1927, Journal of the American
/// Statistical Association 22, 209-212), two-sided at `confidence`, without continuity correction.
///
/// Within 0 to 1. Good for showing how sure a figure is, at any share and from few images on; what certifies a
/// threshold is [`binomial_upper`](crate::bounds::binomial_upper), which never errs on the short side.
///
/// ```
/// let interval = clipgate::metrics::wilson(90, 100, 0.95)?;
/// assert!((interval.low - 0.825_634).abs() < 1e-6);
/// assert!((interval.high - 0.944_770).abs() < 1e-6);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there are no trials, fewer than hits, or `confidence` is not
/// between 0 and 1.
pub fn wilson(hits: usize, n: usize, confidence: f64) -> Result<Interval> {
    check_rows("trials", n)?;
    check_confidence(confidence)?;
    if hits > n {
        return Err(Error::caller(format!("{hits} hits in {n} trials")));
    }
    let trials = n as f64;
    let share = hits as f64 / trials;
    let square = deviations(confidence).powi(2);
    let centre = share + square / (2.0 * trials);
    let half =
        (square * (share * (1.0 - share) / trials + square / (4.0 * trials * trials))).sqrt();
    let scale = 1.0 + square / trials;
    // At the ends the difference is 0 but for rounding.
    Ok(Interval {
        low: if hits == 0 {
            0.0
        } else {
            (centre - half) / scale
        },
        high: if hits == n {
            1.0
        } else {
            (centre + half) / scale
        },
    })
}

/// Within how many standard deviations a normal variable lies with probability `confidence`.
fn deviations(confidence: f64) -> f64 {
    let (_, deviations) = bisect(0.0, FARTHEST, |z| libm::erfc(z / SQRT_2) > 1.0 - confidence);
    deviations
}

/// The quantile of sorted values, linear between order statistics (Hyndman and Fan 1996, definition 7).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

pub(super) fn check_draws(draws: usize) -> Result<()> {
    if (1..=MAX_DRAWS).contains(&draws) {
        return Ok(());
    }
    Err(Error::caller(format!(
        "{draws} draws; 1 to {MAX_DRAWS} are possible"
    )))
}

fn check_confidence(confidence: f64) -> Result<()> {
    if confidence > 0.0 && confidence < 1.0 {
        return Ok(());
    }
    Err(Error::caller(format!(
        "the confidence is {confidence}; it must be above 0 and below 1"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn mean(rows: &[usize]) -> f64 {
        rows.iter().sum::<usize>() as f64 / rows.len() as f64
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let interval = |seed| {
            let resampling = Resampling::seeded(seed);
            bootstrap([50], &resampling, |[rows]| Ok(mean(rows))).unwrap()
        };
        assert_eq!(interval(3), interval(3));
        assert_ne!(interval(3), interval(4));
    }

    #[test]
    fn rows_are_drawn_uniformly_and_in_range() {
        let mut counts = [0_usize; 10];
        let resampling = Resampling::seeded(1);
        bootstrap([10], &resampling, |[rows]| {
            rows.iter().for_each(|row| counts[*row] += 1);
            Ok(0.0)
        })
        .unwrap();
        // 9 degrees of freedom: 27.9 is passed once in a thousand seeds.
        let squares = counts.iter().map(|count| (*count as f64 - 1000.0).powi(2));
        assert!(squares.sum::<f64>() / 1000.0 < 27.9, "{counts:?}");
    }

    #[test]
    fn what_cannot_be_resampled_is_refused() {
        let good = Resampling::seeded(1);
        let bad = |resampling| bootstrap([5], &resampling, |[rows]| Ok(mean(rows)));
        for refused in [
            bootstrap([5, 0], &good, |_| Ok(0.0)),
            bootstrap([5], &good, |_| Ok(f64::NAN)),
            bootstrap([5], &good, |_| Err(Error::caller("one class"))),
            bad(Resampling { draws: 0, ..good }),
            bad(Resampling {
                draws: MAX_DRAWS + 1,
                ..good
            }),
            bad(Resampling {
                confidence: 1.0,
                ..good
            }),
            wilson(0, 0, 0.95),
            wilson(2, 1, 0.95),
            wilson(1, 2, f64::NAN),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Caller);
        }
    }

    #[test]
    fn the_normal_quantile_is_the_tabled_one() {
        assert!((deviations(0.95) - 1.959_963_984_540_054).abs() < 1e-14);
        assert!((deviations(0.5) - 0.674_489_750_196_081_7).abs() < 1e-14);
    }
}
