//! A figure beside its values on resampled images.

use super::figures::Estimate;
use crate::error::Result;
use crate::metrics::percentile_interval;

/// A figure, and what it would have been on as many resamples of the images.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sampled {
    pub(super) value: f64,
    /// NaN where a resample left nothing to compute from.
    pub(super) draws: Vec<f64>,
}

impl Sampled {
    /// Reflects every resample's value at the figure's own, which turns the percentile interval into the basic one
    /// (Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 5.2).
    ///
    /// For figures that resampling makes larger, as calibration errors: an image that is drawn twice looks like a
    /// confirmation. The percentile interval then lies above the truth; the basic one takes the shift back.
    pub(super) fn reflected(mut self) -> Self {
        self.draws
            .iter_mut()
            .for_each(|draw| *draw = 2.0 * self.value - *draw);
        self
    }

    /// The figure with the percentile interval of its resamples, widened to hold the figure itself. `None` where it is
    /// not a number.
    pub(super) fn estimate(&self, confidence: f64) -> Result<Option<Estimate>> {
        let draws = self.finite();
        if draws.is_empty() || !self.value.is_finite() {
            return Ok(None);
        }
        let interval = percentile_interval(&draws, confidence)?;
        Ok(Some(Estimate {
            value: self.value,
            low: interval.low.min(self.value),
            high: interval.high.max(self.value),
        }))
    }

    /// This figure less another of the same resamples.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let pairs = self.draws.iter().zip(&other.draws);
        Self {
            value: self.value - other.value,
            draws: pairs.map(|(own, other)| own - other).collect(),
        }
    }

    /// Twice the smaller share of resamples on either side of zero, the figure itself counting as one more (Efron and
    /// Tibshirani 1993, section 16.4; Phipson and Smyth 2010): how often chance alone would turn its sign.
    pub(super) fn p_value(&self) -> f64 {
        let draws = self.finite();
        let share = |count: usize| (1 + count) as f64 / (1 + draws.len()) as f64;
        let below = draws.iter().filter(|draw| **draw <= 0.0).count();
        let above = draws.iter().filter(|draw| **draw >= 0.0).count();
        (2.0 * share(below.min(above))).min(1.0)
    }

    fn finite(&self) -> Vec<f64> {
        let draws = self.draws.iter().copied();
        draws.filter(|draw| draw.is_finite()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(value: f64, draws: &[f64]) -> Sampled {
        Sampled {
            value,
            draws: draws.to_vec(),
        }
    }

    #[test]
    fn an_interval_holds_its_figure_and_leaves_out_what_is_no_number() {
        let estimate = sampled(0.1, &[0.2, 0.3, f64::NAN]).estimate(0.95).unwrap();
        let estimate = estimate.unwrap();
        assert_eq!(estimate.low, 0.1);
        assert!(estimate.high > 0.29 && estimate.high < 0.3);
        assert_eq!(sampled(f64::NAN, &[0.2]).estimate(0.95).unwrap(), None);
        assert_eq!(sampled(0.2, &[f64::NAN]).estimate(0.95).unwrap(), None);
    }

    #[test]
    fn a_difference_is_taken_draw_by_draw() {
        let difference = sampled(0.5, &[0.4, 0.6]).minus(&sampled(0.2, &[0.3, 0.1]));
        assert!((difference.value - 0.3).abs() < 1e-12);
        assert!((difference.draws[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn p_is_never_zero_and_one_where_nothing_differs() {
        assert_eq!(sampled(0.1, &[0.1; 999]).p_value(), 2.0 / 1000.0);
        assert_eq!(sampled(0.0, &[0.0; 9]).p_value(), 1.0);
    }
}
