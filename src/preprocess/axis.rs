//! One direction of the resampler: which source pixels the square depends on, and with which weights.

use std::ops::Range;

use super::convolve::Filter;
use super::{Interpolation, Resize};

/// Fractional bits of the fixed-point weights: 32, less 8 for the pixel and 2 for overshoot and sign.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The outputs of one direction, in the upright picture's order.
#[derive(Debug)]
pub(super) struct Axis {
    /// The source pixels that any output looks at.
    pub(super) needed: Range<usize>,
    /// Windows begin relative to `needed`.
    pub(super) filter: Filter,
}

/// First source pixel of a window, and the weights from there on.
type Taps = (usize, Vec<i32>);

impl Axis {
    /// `size` outputs, from the centre of `target`; `reversed` for a source that runs against them.
    pub(super) fn new(
        source: u32,
        target: u64,
        size: u32,
        interpolation: Interpolation,
        reversed: bool,
    ) -> Self {
        let kernel = Kernel::of(interpolation);
        let offset = crop_offset(target, size);
        let mut windows: Vec<Taps> = (offset..offset + u64::from(size))
            .map(|at| match target == u64::from(source) {
                // Pillow leaves the pass out.
                true => (at as usize, vec![1 << PRECISION_BITS]),
                false => window(source, target, at, &kernel),
            })
            .collect();
        if reversed {
            // The upright picture's weights to the bit, not those of a turned picture.
            for (start, taps) in &mut windows {
                *start = source as usize - *start - taps.len();
                taps.reverse();
            }
        }
        let ends = windows.iter().map(|(start, taps)| start + taps.len());
        let first = windows.iter().map(|(start, _)| *start).min().unwrap_or(0);
        let needed = first..ends.max().unwrap_or(0);
        let filter = Filter::new(windows.iter().map(|(start, taps)| (start - first, taps)));
        Self { needed, filter }
    }
}

/// The length of `edge` in a picture of `short` at its shorter edge, once that is `size`.
pub(super) fn scaled_edge(edge: u32, short: u32, size: u32, resize: Resize) -> u64 {
    match resize {
        // Truncated, as torchvision's `Resize` does.
        Resize::ShortestEdge => u64::from(size) * u64::from(edge) / u64::from(short),
        Resize::Squash => u64::from(size),
    }
}

/// Where the centre crop begins: torchvision rounds half to even.
fn crop_offset(target: u64, size: u32) -> u64 {
    let margin = target - u64::from(size);
    let half = margin / 2;
    half + ((margin % 2) & (half % 2))
}

/// The first source pixel that output `at` of `target` looks at, and the weights from there on.
fn window(source: u32, target: u64, at: u64, kernel: &Kernel) -> (usize, Vec<i32>) {
    let scale = f64::from(source) / target as f64;
    let widening = scale.max(1.0);
    let support = kernel.support * widening;
    let center = (at as f64 + 0.5) * scale;
    let start = (center - support + 0.5).max(0.0) as usize;
    let end = ((center + support + 0.5) as usize).min(source as usize);
    let inverse = 1.0 / widening;
    let weights: Vec<f64> = (start..end)
        .map(|i| (kernel.weight)((i as f64 - center + 0.5) * inverse))
        .collect();
    let sum: f64 = weights.iter().sum();
    let one = f64::from(1 << PRECISION_BITS);
    let taps = weights
        .iter()
        .map(|weight| (weight / sum * one).round() as i32)
        .collect();
    (start, taps)
}

/// A filter's weight at a distance from an output's centre, and the distance beyond which it is 0.
#[derive(Debug)]
struct Kernel {
    support: f64,
    weight: fn(f64) -> f64,
}

impl Kernel {
    fn of(interpolation: Interpolation) -> Self {
        let (support, weight): (f64, fn(f64) -> f64) = match interpolation {
            Interpolation::Bicubic => (2.0, cubic),
            Interpolation::Bilinear => (1.0, triangle),
        };
        Self { support, weight }
    }
}

/// Linear interpolation between two pixels.
fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Keys' cubic convolution kernel with a = -0.5 ("Cubic convolution interpolation", 1981, eq. 4).
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNELS: [Interpolation; 2] = [Interpolation::Bicubic, Interpolation::Bilinear];

    #[test]
    fn the_crop_begins_where_python_rounds_half_to_even() {
        let offsets = [64u64, 65, 66, 67, 69, 71].map(|target| crop_offset(target, 64));
        assert_eq!(offsets, [0, 0, 1, 2, 2, 4]);
    }

    #[test]
    fn the_long_edge_is_truncated() {
        assert_eq!(scaled_edge(1920, 1080, 64, Resize::ShortestEdge), 113);
        assert_eq!(scaled_edge(1080, 1080, 64, Resize::ShortestEdge), 64);
        assert_eq!(
            scaled_edge(32_768, 1, 1024, Resize::ShortestEdge),
            33_554_432
        );
    }

    #[test]
    fn weights_sum_to_one_and_lie_within_the_source() {
        for kernel in KERNELS.map(Kernel::of) {
            for (source, target) in [
                (1u32, 64u64),
                (2, 64),
                (63, 64),
                (65, 64),
                (1080, 64),
                (32_768, 3),
            ] {
                for at in 0..target {
                    let (start, taps) = window(source, target, at, &kernel);
                    let sum: i64 = taps.iter().map(|&tap| i64::from(tap)).sum();
                    assert!((sum - (1 << PRECISION_BITS)).abs() <= taps.len() as i64);
                    assert!(!taps.is_empty() && start + taps.len() <= source as usize);
                }
            }
        }
    }

    #[test]
    fn accumulated_overshoot_fits_32_bits() {
        for kernel in KERNELS.map(Kernel::of) {
            for source in 1..400 {
                for at in 0..64 {
                    let (_, taps) = window(source, 64, at, &kernel);
                    let positive: i64 = taps.iter().map(|&tap| i64::from(tap.max(0)) * 255).sum();
                    assert!(positive + (1 << (PRECISION_BITS - 1)) <= i64::from(i32::MAX));
                }
            }
        }
    }
}
