//! Streams of scores that did not drift, with frames that are independent or alike, and one on the edge of drift.
//!
//! Scores are normal. A monitor sees only how they are ordered beside the calibration's, so that every other continuous
//! distribution gives the same alarms.

use std::f64::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a frame's score depends on the one before; each has the same distribution.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Frames {
    /// Not at all.
    Independent,
    /// Correlated by this much, 0 to 1: an autoregressive process of order 1.
    Correlated(f64),
    /// Equal to it, this many frames long.
    Repeated(usize),
}

/// An endless stream.
pub(crate) struct Stream {
    frames: Frames,
    random: ChaCha8Rng,
    last: f64,
    seen: usize,
}

impl Stream {
    pub(crate) fn new(frames: Frames, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let last = normal(&mut random);
        Self {
            frames,
            random,
            last,
            seen: 0,
        }
    }
}

impl Iterator for Stream {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        self.last = match self.frames {
            Frames::Independent => normal(&mut self.random),
            Frames::Correlated(share) => {
                share * self.last + (1.0 - share * share).sqrt() * normal(&mut self.random)
            }
            Frames::Repeated(times) if !self.seen.is_multiple_of(times) => self.last,
            Frames::Repeated(_) => normal(&mut self.random),
        };
        self.seen += 1;
        Some(self.last as f32)
    }
}

/// Independent scores from the lowest distribution that a band of half-width `radius` around a calibration's holds:
/// `min(F_n + radius, 1)`, with its jump at the left end put below all scores.
pub(crate) struct Edge {
    sorted: Vec<f32>,
    radius: f64,
    random: ChaCha8Rng,
}

impl Edge {
    pub(crate) fn new(calibration: &[f32], radius: f64, seed: u64) -> Self {
        let mut sorted = calibration.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        Self {
            sorted,
            radius,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }
}

impl Iterator for Edge {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        let above = self.random.random::<f64>() - self.radius;
        if above < 0.0 {
            return Some(f32::NEG_INFINITY);
        }
        let rank = (above * self.sorted.len() as f64) as usize;
        self.sorted.get(rank).copied()
    }
}

/// A draw from the standard normal distribution (Box and Muller 1958).
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (TAU * random.random::<f64>()).cos()
}
