//! The two inner loops of the resampler: weighted sums along rows and along columns.
//!
//! The plain loops are the definition; on x86-64 with AVX2, found at run time (and AVX-VNNI, where the CPU has it), and
//! on aarch64, the same sums are computed with vector instructions and are equal to the bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::ops::Range;

use super::axis::PRECISION_BITS;

/// Source rows that are filtered together and share the loads of the weights.
pub(super) const BLOCK_ROWS: usize = 4;

/// Bytes of a row that are summed together along columns; a row's stride is a multiple.
pub(super) const LANES: usize = 32;

/// Bytes that may be read past a row: pixels of weight 0 that fill a group, and the rest of a 16-byte load.
pub(super) const ROW_PADDING: usize = 32;

/// Weights that the vector loops take at a time; windows are filled up with zeros to a multiple.
const GROUP: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// For each output: where its window begins and its weights in fixed point.
#[derive(Debug)]
pub(super) struct Filter {
    windows: Vec<Window>,
    weights: Vec<i32>,
    #[cfg(target_arch = "x86_64")]
    split: Vec<avx2::SplitGroup>,
    #[cfg(target_arch = "aarch64")]
    split: Vec<neon::SplitGroup>,
}

#[derive(Debug)]
struct Window {
    start: usize,
    length: usize,
    /// Index of the first weight; a multiple of [`GROUP`].
    weights: usize,
}

impl Filter {
    pub(super) fn new<'a>(outputs: impl Iterator<Item = (usize, &'a Vec<i32>)>) -> Self {
        let (mut windows, mut weights) = (Vec::new(), Vec::new());
        for (start, taps) in outputs {
            windows.push(Window {
                start,
                length: taps.len(),
                weights: weights.len(),
            });
            weights.extend_from_slice(taps);
            weights.resize(weights.len().next_multiple_of(GROUP), 0);
        }
        Self {
            windows,
            #[cfg(target_arch = "x86_64")]
            split: weights
                .chunks_exact(GROUP)
                .map(avx2::SplitGroup::new)
                .collect(),
            #[cfg(target_arch = "aarch64")]
            split: weights
                .chunks_exact(GROUP)
                .map(neon::SplitGroup::new)
                .collect(),
            weights,
        }
    }

    /// The source pixels of output `at`.
    pub(super) fn window(&self, at: usize) -> Range<usize> {
        let window = &self.windows[at];
        window.start..window.start + window.length
    }

    /// Length of the longest window.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.windows.iter().map(|window| window.length);
        lengths.max().unwrap_or(0)
    }

    /// The outputs in the order of the source.
    pub(super) fn downwards(&self) -> impl Iterator<Item = usize> {
        let start = |window: Option<&Window>| window.map_or(0, |window| window.start);
        let reversed = start(self.windows.first()) > start(self.windows.last());
        let last = self.windows.len().saturating_sub(1);
        (0..self.windows.len()).map(move |at| if reversed { last - at } else { at })
    }

    fn weights(&self, window: &Window) -> &[i32] {
        &self.weights[window.weights..window.weights + window.length]
    }
}

/// Filters a block of [`BLOCK_ROWS`] packed RGB rows, `row_bytes` apart, into rows `stride` apart.
///
/// Windows begin `lead` pixels later in the block than the filter says.
pub(super) fn rows(
    block: &[u8],
    row_bytes: usize,
    lead: usize,
    filter: &Filter,
    out: &mut [u8],
    stride: usize,
) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_available() {
        return avx2::rows(block, row_bytes, lead, filter, out, stride);
    }
    #[cfg(target_arch = "aarch64")]
    neon::rows(block, row_bytes, lead, filter, out, stride);
    #[cfg(not(target_arch = "aarch64"))]
    rows_plain(block, row_bytes, lead, filter, out, stride);
}

/// Filters `source` downwards into output `at`'s row, a multiple of [`LANES`] long.
///
/// `source` begins with the output's window; its rows are `stride` apart and at least as long as `out`.
pub(super) fn column(source: &[u8], stride: usize, filter: &Filter, at: usize, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_available() {
        return avx2::column(source, stride, filter, at, out);
    }
    column_plain(source, stride, filter, at, out);
}

#[cfg(any(test, not(target_arch = "aarch64")))]
fn rows_plain(
    block: &[u8],
    row_bytes: usize,
    lead: usize,
    filter: &Filter,
    out: &mut [u8],
    stride: usize,
) {
    let rows = block.chunks_exact(row_bytes);
    for (row, out) in rows.zip(out.chunks_exact_mut(stride)) {
        for (window, to) in filter.windows.iter().zip(out.chunks_exact_mut(3)) {
            let mut sums = [HALF; 3];
            let pixels = row[(lead + window.start) * 3..].chunks_exact(3);
            for (pixel, weight) in pixels.zip(filter.weights(window)) {
                for channel in 0..3 {
                    sums[channel] += i32::from(pixel[channel]) * weight;
                }
            }
            to.copy_from_slice(&sums.map(clip));
        }
    }
}

fn column_plain(source: &[u8], stride: usize, filter: &Filter, at: usize, out: &mut [u8]) {
    let weights = filter.weights(&filter.windows[at]);
    for (lane, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut sums = [HALF; LANES];
        for (row, weight) in source.chunks(stride).zip(weights) {
            let (values, _) = row.as_chunks::<LANES>();
            for (sum, value) in sums.iter_mut().zip(&values[lane]) {
                *sum += i32::from(*value) * weight;
            }
        }
        *out = sums.map(clip);
    }
}

/// From fixed point to a pixel, rounded by the [`HALF`] that every sum begins with.
#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_and_plain_loops_agree_to_the_bit() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        for length in [1usize, 2, 3, 4, 5, 17, 68, 300] {
            let scale = (1 << PRECISION_BITS) / length as i32;
            let taps: Vec<Vec<i32>> = (0..40)
                .map(|_| {
                    (0..length)
                        .map(|_| random() as i32 % 5 * scale / 2 - scale / 4)
                        .collect()
                })
                .map(|taps: Vec<i32>| taps.iter().map(|tap| tap / 2).collect())
                .collect();
            let filter = Filter::new(taps.iter().enumerate());
            let row_bytes = (41 + length) * 3 + ROW_PADDING;
            let block: Vec<u8> = (0..row_bytes * BLOCK_ROWS)
                .map(|_| {
                    if random() % 2 == 0 {
                        255
                    } else {
                        random() as u8
                    }
                })
                .collect();
            let (stride, lead) = (128, 1);
            let (mut plain, mut vector) =
                (vec![0; stride * BLOCK_ROWS], vec![0; stride * BLOCK_ROWS]);
            rows_plain(&block, row_bytes, lead, &filter, &mut plain, stride);
            rows(&block, row_bytes, lead, &filter, &mut vector, stride);
            assert_eq!(plain, vector, "rows, {length} weights");
            #[cfg(target_arch = "x86_64")]
            if avx2::is_available() {
                vector.fill(0);
                avx2::rows_without_vnni(&block, row_bytes, lead, &filter, &mut vector, stride);
                assert_eq!(plain, vector, "rows without VNNI, {length} weights");
            }

            // The last row ends with its last lane.
            let source: Vec<u8> = (0..stride * (length - 1) + 96)
                .map(|_| random() as u8)
                .collect();
            let (mut plain, mut vector) = ([0; 96], [0; 96]);
            for at in 0..40 {
                column_plain(&source, stride, &filter, at, &mut plain);
                column(&source, stride, &filter, at, &mut vector);
                assert_eq!(plain, vector, "column {at}, {length} weights");
            }
        }
    }
}
