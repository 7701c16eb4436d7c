//! Pillow's resampler for 8-bit pixels, computing the square that is kept alone.
//!
//! Sampling convention: pixel `i` covers `i..i + 1`, its centre is `i + 0.5`. Output `x` of an edge
//! scaled by `scale = source / target` looks at `(x + 0.5) * scale`, at all source pixels within
//! `support * max(scale, 1)` of it, weighed by the filter's kernel and normalised to sum 1. Weights become
//! fixed point with 22 fractional bits. Each pass is rounded and clipped to 8 bits; a pass whose edge keeps
//! its length changes nothing. Rows are filtered first, but in pictures that lose more than twice as many rows as
//! columns the columns are, since Pillow 13 (older versions always begin with rows: a few values differ).
//!
//! A turned frame is filtered as it lies: the weights are the upright picture's, laid along whichever of the frame's
//! edges they belong to, forwards or backwards, the passes follow in the upright picture's order, and the square is
//! turned when it is read. So the result is that of turning the picture first, to the bit.
//!
//! Either pass order walks down the frame once. What filters downwards looks at few rows at a time, so rows are
//! converted and, where they come first, filtered along into a small [`Ring`] that stays in the cache.

use std::ops::Range;

use super::Preprocessing;
use super::axis::{Axis, scaled_edge};
use super::color::{Converter, Target};
use super::convolve::{self, BLOCK_ROWS, LANES, ROW_PADDING};
use super::normalize::Square;
use super::ring::Ring;
use crate::error::Result;
use crate::frame::{Frame, Orientation, View};

/// Columns that are filtered downwards at a time where that comes first, so that a ring of them fits the first cache.
const STRIP: usize = 256;

/// Makes views of one shape a square by one [`Preprocessing`].
#[derive(Debug)]
pub(super) struct Resampler {
    shape: Shape,
    size: usize,
    /// Along the frame's rows.
    columns: Axis,
    /// Along the frame's columns.
    rows: Axis,
    passes: Passes,
    converter: Converter,
    ring: Ring,
    /// Bytes from row to row before they are filtered along.
    row_bytes: usize,
    /// The square as the frame lies, `stride` bytes from row to row.
    square: Vec<u8>,
    stride: usize,
}

/// What filters and buffers depend on; where a view lies in its frame does not matter.
#[derive(Debug, PartialEq)]
struct Shape {
    columns: usize,
    rows: usize,
    orientation: Orientation,
}

/// The order of the two passes, and what lies between them beside the ring.
#[derive(Debug)]
enum Passes {
    /// Along rows first.
    RowsFirst {
        /// [`BLOCK_ROWS`] source rows as packed RGB, each with [`ROW_PADDING`] bytes to read past its end.
        block: Vec<u8>,
    },
    /// Downwards first.
    ColumnsFirst {
        /// The source columns that the square depends on, `size` rows and up to a multiple of
        /// [`BLOCK_ROWS`], each with [`ROW_PADDING`] bytes to read past its end.
        filtered: Vec<u8>,
    },
}

impl Resampler {
    pub(super) fn new(view: &View, spec: &Preprocessing) -> Self {
        let (width, height) = view.upright_size();
        let short = width.min(height);
        let scaled = |edge| scaled_edge(edge, short, spec.size, spec.resize);
        let lost = |edge: u32| i64::from(edge) - scaled(edge) as i64;
        let axis = |edge: u32, reversed| {
            Axis::new(edge, scaled(edge), spec.size, spec.interpolation, reversed)
        };
        let swapped = view.orientation.swaps_edges();
        let reversed = view.orientation.reversed();
        let (columns, rows) = match swapped {
            false => (axis(width, reversed.columns), axis(height, reversed.rows)),
            true => (axis(height, reversed.columns), axis(width, reversed.rows)),
        };
        let size = spec.size as usize;
        let stride = (size * 3).next_multiple_of(LANES);
        // One column more, where the first one needed is odd and its chroma begins before it.
        let pixels = columns.needed.len() + 1;
        let row_bytes = (pixels * 3).next_multiple_of(LANES) + ROW_PADDING;
        let upright_columns_first = columns_come_first(lost(width), lost(height));
        let (passes, ring_stride) = if upright_columns_first != swapped {
            let filtered = vec![0; row_bytes * size.next_multiple_of(BLOCK_ROWS)];
            (Passes::ColumnsFirst { filtered }, STRIP * 3)
        } else {
            let block = vec![0; row_bytes * BLOCK_ROWS];
            (Passes::RowsFirst { block }, stride)
        };
        Self {
            shape: Shape::of(view),
            size,
            passes,
            converter: Converter::new(pixels),
            ring: Ring::new(rows.filter.longest(), ring_stride),
            columns,
            rows,
            row_bytes,
            square: vec![0; stride * size.next_multiple_of(BLOCK_ROWS)],
            stride,
        }
    }

    /// Whether `view` has the shape this was made for.
    pub(super) fn fits(&self, view: &View) -> bool {
        self.shape == Shape::of(view)
    }

    /// Computes the square of what a frame shows in a view that [`fits`](Self::fits).
    pub(super) fn run(&mut self, frame: &Frame<'_>, view: &View) -> Result<Square<'_>> {
        let (first_column, column_lead) = even(view.columns.start + self.columns.needed.start);
        let (first_row, row_lead) = even(view.rows.start + self.rows.needed.start);
        let pixels = column_lead + self.columns.needed.len();
        let last_row = first_row + row_lead + self.rows.needed.len();
        let rows_below = |rows: Range<usize>| {
            (first_row + rows.start).min(last_row)..(first_row + rows.end).min(last_row)
        };
        let (row_bytes, stride) = (self.row_bytes, self.stride);
        let (converter, columns) = (&mut self.converter, &self.columns.filter);
        let square = &mut self.square;
        match &mut self.passes {
            Passes::RowsFirst { block } => self.ring.walk(
                &self.rows.filter,
                row_lead,
                |rows, slots| {
                    let starts = rows.step_by(BLOCK_ROWS);
                    for (row, slots) in starts.zip(slots.chunks_exact_mut(stride * BLOCK_ROWS)) {
                        let target = Target {
                            rows: rows_below(row..row + BLOCK_ROWS),
                            columns: first_column..first_column + pixels,
                            rgb: block,
                            stride: row_bytes,
                        };
                        converter.run(frame, target)?;
                        convolve::rows(block, row_bytes, column_lead, columns, slots, stride);
                    }
                    Ok(())
                },
                |at, rows| {
                    let out = &mut square[at * stride..(at + 1) * stride];
                    convolve::column(rows, stride, &self.rows.filter, at, out);
                },
            )?,
            Passes::ColumnsFirst { filtered } => {
                for start in (0..pixels).step_by(STRIP) {
                    let end = pixels.min(start + STRIP);
                    let bytes = ((end - start) * 3).next_multiple_of(LANES);
                    self.ring.walk(
                        &self.rows.filter,
                        row_lead,
                        |rows, slots| {
                            let target = Target {
                                rows: rows_below(rows),
                                columns: first_column + start..first_column + end,
                                rgb: slots,
                                stride: STRIP * 3,
                            };
                            converter.run(frame, target)
                        },
                        |at, rows| {
                            let out = &mut filtered[at * row_bytes + start * 3..][..bytes];
                            convolve::column(rows, STRIP * 3, &self.rows.filter, at, out);
                        },
                    )?;
                }
                let blocks = filtered.chunks_exact(row_bytes * BLOCK_ROWS);
                let squares = square.chunks_exact_mut(stride * BLOCK_ROWS);
                for (block, square) in blocks.zip(squares) {
                    convolve::rows(block, row_bytes, column_lead, columns, square, stride);
                }
            }
        }
        Ok(Square {
            rgb: &self.square,
            size: self.size,
            stride: self.stride,
            swapped: self.shape.orientation.swaps_edges(),
        })
    }
}

impl Shape {
    fn of(view: &View) -> Self {
        Self {
            columns: view.columns.len(),
            rows: view.rows.len(),
            orientation: view.orientation,
        }
    }
}

/// The even number up to `at`, and how far it is from there.
fn even(at: usize) -> (usize, usize) {
    (at - at % 2, at % 2)
}

/// Whether a picture that loses so many columns and rows (negative: gains) is filtered downwards first.
fn columns_come_first(columns_lost: i64, rows_lost: i64) -> bool {
    rows_lost > 0 && rows_lost > 2 * columns_lost
}
