//! Times of a run, as percentiles and as the medians of its consecutive parts.

use serde::{Deserialize, Serialize};

/// Consecutive parts that a run is cut into. Frames that follow each other share what disturbs them, so a change is
/// judged by parts and not by frames.
pub(super) const PARTS: usize = 20;

/// One stage's times over a run, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Distribution {
    /// Half of the frames took at most this.
    pub(super) p50: f64,
    /// Nine of ten took at most this.
    pub(super) p90: f64,
    /// 99 of 100 took at most this.
    pub(super) p99: f64,
    /// The median of each consecutive part, [`PARTS`] or one a frame.
    pub(super) parts: Vec<f64>,
}

impl Distribution {
    /// `times` in the order of the frames; `None` if there are none.
    pub(super) fn of(times: &[f64]) -> Option<Self> {
        if times.is_empty() {
            return None;
        }
        let sorted = sorted(times);
        Some(Self {
            p50: percentile(&sorted, 50),
            p90: percentile(&sorted, 90),
            p99: percentile(&sorted, 99),
            parts: parts(times).map(median).collect(),
        })
    }
}

/// Frames a second where these times follow each other.
pub(super) fn rate(milliseconds: &[f64]) -> f64 {
    milliseconds.len() as f64 / (milliseconds.iter().sum::<f64>() / 1e3)
}

/// Cuts `times` into [`PARTS`] of as equal length as can be; into one each if there are fewer.
fn parts(times: &[f64]) -> impl Iterator<Item = &[f64]> {
    let count = PARTS.min(times.len());
    (0..count).map(move |part| &times[part * times.len() / count..(part + 1) * times.len() / count])
}

/// The lower median; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    match values {
        [] => 0.0,
        _ => percentile(&sorted(values), 50),
    }
}

fn sorted(times: &[f64]) -> Vec<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The nearest rank: the least value that `percent` of `sorted`, which holds at least one, do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = Distribution::of(&times).unwrap();
        assert_eq!((found.p50, found.p90, found.p99), (50.0, 90.0, 99.0));
        let one = Distribution::of(&[7.0]).unwrap();
        assert_eq!((one.p50, one.p90, one.p99), (7.0, 7.0, 7.0));
        assert_eq!(one.parts, [7.0]);
        assert_eq!(Distribution::of(&[]), None);
    }

    #[test]
    fn parts_keep_the_order_and_every_frame() {
        for length in [1, 19, 20, 21, 47, 1000] {
            let times: Vec<f64> = (0..length).map(f64::from).collect();
            let joined: Vec<f64> = parts(&times).flatten().copied().collect();
            assert_eq!(joined, times);
            assert_eq!(parts(&times).count(), PARTS.min(times.len()));
            assert!(parts(&times).all(|part| !part.is_empty()));
        }
    }

    #[test]
    fn the_rate_is_frames_over_their_time() {
        assert_eq!(rate(&[10.0, 30.0]), 50.0);
    }
}
