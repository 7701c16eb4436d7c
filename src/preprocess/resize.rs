//! Pillow's resampler for 8-bit pixels, computing the square that is kept alone.
//!
//! Sampling convention: pixel `i` covers `i..i + 1`, its centre is `i + 0.5`. Output `x` of an edge
//! scaled by `scale = source / target` looks at `(x + 0.5) * scale`, at all source pixels within
//! `support * max(scale, 1)` of it, weighed by the filter's kernel and normalised to sum 1. Weights become
//! fixed point with 22 fractional bits. Each pass is rounded and clipped to 8 bits; a pass whose edge keeps
//! its length is left out. Rows are filtered first, but in pictures that lose more than twice as many rows as
//! columns the columns are, since Pillow 13 (older versions always begin with rows: a few values differ).

use std::ops::Range;

use super::color;
use super::convolve::{self, BLOCK_ROWS, Filter, LANES, ROW_PADDING};
use crate::frame::Frame;
use crate::preprocess::{Interpolation, Preprocessing, Resize};

/// Fractional bits of the fixed-point weights: 32, less 8 for the pixel and 2 for overshoot and sign.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Pixels of a row that are filtered downwards at a time where columns come first; whole lanes.
const STRIP: usize = 256;

/// Makes frames of one geometry a square by one [`Preprocessing`].
#[derive(Debug)]
pub(super) struct Resampler {
    source: (u32, u32),
    size: usize,
    columns: Axis,
    rows: Axis,
    passes: Passes,
    /// The square, `stride` bytes from row to row.
    square: Vec<u8>,
    stride: usize,
}

/// The order of the two passes, and what lies between them.
#[derive(Debug)]
enum Passes {
    /// Rows first.
    RowsFirst {
        /// [`BLOCK_ROWS`] source rows as packed RGB, each with [`ROW_PADDING`] bytes to read past its end.
        block: Vec<u8>,
        /// The source rows that the square depends on, `size` pixels wide, as far apart as the square's.
        filtered: Vec<u8>,
    },
    /// Columns first.
    ColumnsFirst {
        /// [`STRIP`] columns of the source rows that the square depends on, as packed RGB.
        strip: Vec<u8>,
        /// The same filtered downwards, `size` rows.
        filtered_strip: Vec<u8>,
        /// The source columns that the square depends on, `size` rows and up to a multiple of
        /// [`BLOCK_ROWS`], each with [`ROW_PADDING`] bytes to read past its end.
        filtered: Vec<u8>,
    },
}

impl Resampler {
    pub(super) fn new(width: u32, height: u32, spec: &Preprocessing) -> Self {
        let scaled = |edge| match spec.resize {
            Resize::ShortestEdge => scaled_edge(edge, width.min(height), spec.size),
            Resize::Squash => u64::from(spec.size),
        };
        let kernel = Kernel::of(spec.interpolation);
        let columns = Axis::new(width, scaled(width), spec.size, &kernel);
        let rows = Axis::new(height, scaled(height), spec.size, &kernel);
        let size = spec.size as usize;
        let stride = (size * 3).next_multiple_of(LANES);
        let row_bytes = columns.needed.len() * 3 + ROW_PADDING;
        let lost = |edge: u32| i64::from(edge) - scaled(edge) as i64;
        let passes = if columns_come_first(lost(width), lost(height)) {
            Passes::ColumnsFirst {
                strip: vec![0; STRIP * 3 * rows.needed.len()],
                filtered_strip: vec![0; STRIP * 3 * size],
                filtered: vec![0; row_bytes * size.next_multiple_of(BLOCK_ROWS)],
            }
        } else {
            Passes::RowsFirst {
                block: vec![0; row_bytes * BLOCK_ROWS],
                filtered: vec![0; stride * rows.needed.len().next_multiple_of(BLOCK_ROWS)],
            }
        };
        Self {
            source: (width, height),
            size,
            columns,
            rows,
            passes,
            square: vec![0; stride * size.next_multiple_of(BLOCK_ROWS)],
            stride,
        }
    }

    /// Whether `frame` has the geometry this was made for.
    pub(super) fn fits(&self, frame: &Frame<'_>) -> bool {
        self.source == (frame.width(), frame.height())
    }

    /// Computes the square of a frame that [`fits`](Self::fits).
    pub(super) fn run(&mut self, frame: &Frame<'_>) {
        let (columns, rows) = (&self.columns, &self.rows);
        match &mut self.passes {
            Passes::RowsFirst { block, filtered } => {
                let row_bytes = block.len() / BLOCK_ROWS;
                let mut ys = rows.needed.clone();
                for filtered in filtered.chunks_exact_mut(self.stride * BLOCK_ROWS) {
                    let block_rows = block.chunks_exact_mut(row_bytes);
                    for (row, y) in block_rows.zip(ys.by_ref().take(BLOCK_ROWS)) {
                        color::rgb_row(frame, y as u32, columns.needed.clone(), row);
                    }
                    columns.filter_rows(block, row_bytes, filtered, self.stride);
                }
                rows.filter_columns(filtered, self.stride, &mut self.square);
            }
            Passes::ColumnsFirst {
                strip,
                filtered_strip,
                filtered,
            } => {
                let row_bytes = columns.needed.len() * 3 + ROW_PADDING;
                for start in columns.needed.clone().step_by(STRIP) {
                    let end = columns.needed.end.min(start + STRIP);
                    let strip_rows = strip.chunks_exact_mut(STRIP * 3);
                    for (row, y) in strip_rows.zip(rows.needed.clone()) {
                        color::rgb_row(frame, y as u32, start..end, row);
                    }
                    rows.filter_columns(strip, STRIP * 3, filtered_strip);
                    let at = (start - columns.needed.start) * 3;
                    let bytes = (end - start) * 3;
                    let from = filtered_strip.chunks_exact(STRIP * 3);
                    for (to, from) in filtered.chunks_exact_mut(row_bytes).zip(from) {
                        to[at..at + bytes].copy_from_slice(&from[..bytes]);
                    }
                }
                let blocks = filtered.chunks_exact(row_bytes * BLOCK_ROWS);
                for (square, block) in self
                    .square
                    .chunks_exact_mut(self.stride * BLOCK_ROWS)
                    .zip(blocks)
                {
                    columns.filter_rows(block, row_bytes, square, self.stride);
                }
            }
        }
    }

    /// The square's rows, top down, as packed RGB.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.square
            .chunks_exact(self.stride)
            .take(self.size)
            .map(|row| &row[..self.size * 3])
    }
}

/// Whether a picture that loses so many columns and rows (negative: gains) is filtered downwards first.
fn columns_come_first(columns_lost: i64, rows_lost: i64) -> bool {
    rows_lost > 0 && rows_lost > 2 * columns_lost
}

/// One direction: which source pixels the square depends on, and how.
#[derive(Debug)]
struct Axis {
    needed: Range<usize>,
    /// Windows begin relative to `needed`; none where the edge keeps its length.
    filter: Option<Filter>,
}

impl Axis {
    /// `size` outputs, from the centre of `target`.
    fn new(source: u32, target: u64, size: u32, kernel: &Kernel) -> Self {
        let offset = crop_offset(target, size);
        if target == u64::from(source) {
            let offset = offset as usize;
            return Self {
                needed: offset..offset + size as usize,
                filter: None,
            };
        }
        let windows: Vec<_> = (offset..offset + u64::from(size))
            .map(|at| window(source, target, at, kernel))
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

    /// Filters [`BLOCK_ROWS`] packed RGB rows of the needed columns into rows `stride` apart.
    fn filter_rows(&self, block: &[u8], row_bytes: usize, out: &mut [u8], stride: usize) {
        match &self.filter {
            Some(filter) => convolve::rows(block, row_bytes, filter, out, stride),
            None => {
                let bytes = self.needed.len() * 3;
                let rows = block.chunks_exact(row_bytes);
                for (to, from) in out.chunks_exact_mut(stride).zip(rows) {
                    to[..bytes].copy_from_slice(&from[..bytes]);
                }
            }
        }
    }

    /// Filters the needed rows, `stride` apart, downwards.
    fn filter_columns(&self, rows: &[u8], stride: usize, out: &mut [u8]) {
        match &self.filter {
            Some(filter) => convolve::columns(rows, stride, filter, out),
            None => {
                let bytes = (self.needed.len() * stride).min(out.len());
                out[..bytes].copy_from_slice(&rows[..bytes]);
            }
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
        assert_eq!(scaled_edge(1920, 1080, 64), 113);
        assert_eq!(scaled_edge(1080, 1080, 64), 64);
        assert_eq!(scaled_edge(32_768, 1, 1024), 33_554_432);
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
