//! Pillow's resampler for 8-bit pixels, computing the centre crop alone.
//!
//! Sampling convention: pixel `i` covers `i..i + 1`, its centre is `i + 0.5`. Output `x` of an edge
//! scaled by `scale = source / target` looks at `(x + 0.5) * scale`, at all source pixels within
//! `2 * max(scale, 1)` of it, weighed by Keys' cubic and normalised to sum 1. Weights become fixed
//! point with 22 fractional bits. Rows are filtered first, rounded and clipped to 8 bits, then
//! columns; a pass whose edge keeps its length is left out.

use std::ops::Range;

use super::color;
use super::convolve::{self, BLOCK_ROWS, Filter, LANES, ROW_PADDING};
use crate::frame::Frame;

/// Fractional bits of the fixed-point weights: 32, less 8 for the pixel and 2 for overshoot and sign.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Resizes the shortest edge of frames of one geometry to `size` and crops the centre square.
#[derive(Debug)]
pub(super) struct Resampler {
    source: (u32, u32),
    size: usize,
    columns: Axis,
    rows: Axis,
    /// [`BLOCK_ROWS`] source rows as packed RGB, each with [`ROW_PADDING`] bytes to read past its end.
    block: Vec<u8>,
    /// The source rows that the crop depends on, `size` pixels wide, `stride` bytes apart.
    filtered: Vec<u8>,
    /// The crop, `stride` bytes from row to row.
    crop: Vec<u8>,
    stride: usize,
}

impl Resampler {
    pub(super) fn new(width: u32, height: u32, size: u32) -> Self {
        let short = width.min(height);
        let columns = Axis::new(width, scaled_edge(width, short, size), size);
        let rows = Axis::new(height, scaled_edge(height, short, size), size);
        let size = size as usize;
        let stride = (size * 3).next_multiple_of(LANES);
        let row_bytes = columns.needed.len() * 3 + ROW_PADDING;
        Self {
            source: (width, height),
            size,
            block: vec![0; row_bytes * BLOCK_ROWS],
            filtered: vec![0; stride * rows.needed.len().next_multiple_of(BLOCK_ROWS)],
            crop: vec![0; stride * size],
            columns,
            rows,
            stride,
        }
    }

    /// Whether `frame` has the geometry this was made for.
    pub(super) fn fits(&self, frame: &Frame<'_>) -> bool {
        self.source == (frame.width(), frame.height())
    }

    /// Computes the crop of a frame that [`fits`](Self::fits).
    pub(super) fn run(&mut self, frame: &Frame<'_>) {
        self.filter_rows(frame);
        match &self.rows.filter {
            Some(filter) => {
                convolve::columns(&self.filtered, self.stride, filter, &mut self.crop);
            }
            None => {
                let bytes = self.crop.len();
                self.crop.copy_from_slice(&self.filtered[..bytes]);
            }
        }
    }

    /// The crop's rows, top down, as packed RGB.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.crop
            .chunks_exact(self.stride)
            .map(|row| &row[..self.size * 3])
    }

    fn filter_rows(&mut self, frame: &Frame<'_>) {
        let row_bytes = self.block.len() / BLOCK_ROWS;
        let needed = &self.columns.needed;
        let mut ys = self.rows.needed.clone();
        for filtered in self.filtered.chunks_exact_mut(self.stride * BLOCK_ROWS) {
            let rows = self.block.chunks_exact_mut(row_bytes);
            for (row, y) in rows.zip(ys.by_ref().take(BLOCK_ROWS)) {
                color::rgb_row(frame, y as u32, needed.clone(), row);
            }
            match &self.columns.filter {
                Some(filter) => {
                    convolve::rows(&self.block, row_bytes, filter, filtered, self.stride)
                }
                None => {
                    let rows = self.block.chunks_exact(row_bytes);
                    for (to, from) in filtered.chunks_exact_mut(self.stride).zip(rows) {
                        to[..self.size * 3].copy_from_slice(&from[..self.size * 3]);
                    }
                }
            }
        }
    }
}

/// One direction: which source pixels the crop depends on, and how.
#[derive(Debug)]
struct Axis {
    needed: Range<usize>,
    /// Windows begin relative to `needed`; none where the edge keeps its length.
    filter: Option<Filter>,
}

impl Axis {
    fn new(source: u32, target: u64, size: u32) -> Self {
        let offset = crop_offset(target, size);
        if target == u64::from(source) {
            let offset = offset as usize;
            return Self {
                needed: offset..offset + size as usize,
                filter: None,
            };
        }
        let windows: Vec<_> = (offset..offset + u64::from(size))
            .map(|at| window(source, target, at))
            .collect();
        let first = windows.iter().map(|(start, _)| *start).min().unwrap_or(0);
        let last = windows
            .iter()
            .map(|(start, taps)| start + taps.len())
            .max()
            .unwrap_or(0);
        Self {
            needed: first..last,
            filter: Some(Filter::new(
                windows.iter().map(|(start, taps)| (start - first, taps)),
            )),
        }
    }
}

/// The length of `edge` once `short` is `size`: truncated, as torchvision's `Resize` does.
fn scaled_edge(edge: u32, short: u32, size: u32) -> u64 {
    u64::from(size) * u64::from(edge) / u64::from(short)
}

/// Where the centre crop begins: torchvision rounds half to even.
fn crop_offset(target: u64, size: u32) -> u64 {
    let margin = target - u64::from(size);
    let half = margin / 2;
    half + ((margin % 2) & (half % 2))
}

/// The first source pixel that output `at` of `target` looks at, and the weights from there on.
fn window(source: u32, target: u64, at: u64) -> (usize, Vec<i32>) {
    const CUBIC_SUPPORT: f64 = 2.0;
    let scale = f64::from(source) / target as f64;
    let widening = scale.max(1.0);
    let support = CUBIC_SUPPORT * widening;
    let center = (at as f64 + 0.5) * scale;
    let start = (center - support + 0.5).max(0.0) as usize;
    let end = ((center + support + 0.5) as usize).min(source as usize);
    let inverse = 1.0 / widening;
    let weights: Vec<f64> = (start..end)
        .map(|i| cubic((i as f64 - center + 0.5) * inverse))
        .collect();
    let sum: f64 = weights.iter().sum();
    let one = f64::from(1 << PRECISION_BITS);
    let taps = weights
        .iter()
        .map(|weight| (weight / sum * one).round() as i32)
        .collect();
    (start, taps)
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

    #[test]
    fn the_crop_begins_where_python_rounds_half_to_even() {
        let offsets = [64u64, 65, 66, 67, 69, 71].map(|target| crop_offset(target, 64));
        assert_eq!(offsets, [0, 0, 1, 2, 2, 4]);
    }

    #[test]
    fn the_long_edge_is_truncated() {
        assert_eq!(scaled_edge(1920, 1080, 64), 113);
        assert_eq!(scaled_edge(1080, 1080, 64), 64);
        assert_eq!(scaled_edge(32_768, 1, 1024), 33_554_432);
    }

    #[test]
    fn weights_sum_to_one_and_lie_within_the_source() {
        for (source, target) in [
            (1u32, 64u64),
            (2, 64),
            (63, 64),
            (65, 64),
            (1080, 64),
            (32_768, 3),
        ] {
            for at in 0..target {
                let (start, taps) = window(source, target, at);
                let sum: i64 = taps.iter().map(|&tap| i64::from(tap)).sum();
                assert!((sum - (1 << PRECISION_BITS)).abs() <= taps.len() as i64);
                assert!(!taps.is_empty() && start + taps.len() <= source as usize);
            }
        }
    }

    #[test]
    fn accumulated_overshoot_fits_32_bits() {
        for source in 1..400 {
            for at in 0..64 {
                let (_, taps) = window(source, 64, at);
                let positive: i64 = taps.iter().map(|&tap| i64::from(tap.max(0)) * 255).sum();
                assert!(positive + (1 << (PRECISION_BITS - 1)) <= i64::from(i32::MAX));
            }
        }
    }
}
