//! The two inner loops of the resampler: weighted sums along rows and along columns.
//!
//! The plain loops are the definition; on x86-64 with AVX2, found at run time (and AVX-VNNI, where the CPU has it),
//! the same sums are computed with vector instructions and are equal to the bit.

use super::resize::PRECISION_BITS;

/// Source rows that are filtered together and share the loads of the weights.
pub(super) const BLOCK_ROWS: usize = 4;

/// Bytes of a row that are summed together along columns; a row's stride is a multiple.
pub(super) const LANES: usize = 32;

/// Bytes that may be read past a row: three weights of 0 and the rest of a 16-byte load.
pub(super) const ROW_PADDING: usize = 16;

/// Weights that the vector loop takes at a time; windows are filled up with zeros to a multiple.
const GROUP: usize = 4;

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// For each output: where its window begins and its weights in fixed point.
#[derive(Debug)]
pub(super) struct Filter {
    windows: Vec<Window>,
    weights: Vec<i32>,
    #[cfg(target_arch = "x86_64")]
    split: Vec<avx2::SplitGroup>,
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
            weights,
        }
    }

    fn weights(&self, window: &Window) -> &[i32] {
        &self.weights[window.weights..window.weights + window.length]
    }
}

/// Filters a block of [`BLOCK_ROWS`] packed RGB rows, `row_bytes` apart, into rows `stride` apart.
pub(super) fn rows(block: &[u8], row_bytes: usize, filter: &Filter, out: &mut [u8], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_available() {
        return avx2::rows(block, row_bytes, filter, out, stride);
    }
    rows_plain(block, row_bytes, filter, out, stride);
}

/// Filters `source`, rows `stride` apart with `stride` a multiple of [`LANES`], downwards.
pub(super) fn columns(source: &[u8], stride: usize, filter: &Filter, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_available() {
        return avx2::columns(source, stride, filter, out);
    }
    columns_plain(source, stride, filter, out);
}

fn rows_plain(block: &[u8], row_bytes: usize, filter: &Filter, out: &mut [u8], stride: usize) {
    for (row, out) in block
        .chunks_exact(row_bytes)
        .zip(out.chunks_exact_mut(stride))
    {
        for (window, to) in filter.windows.iter().zip(out.chunks_exact_mut(3)) {
            let mut sums = [HALF; 3];
            let pixels = row[window.start * 3..].chunks_exact(3);
            for (pixel, weight) in pixels.zip(filter.weights(window)) {
                for channel in 0..3 {
                    sums[channel] += i32::from(pixel[channel]) * weight;
                }
            }
            to.copy_from_slice(&sums.map(clip));
        }
    }
}

#[inline(always)]
fn columns_plain(source: &[u8], stride: usize, filter: &Filter, out: &mut [u8]) {
    for (window, out) in filter.windows.iter().zip(out.chunks_exact_mut(stride)) {
        let weights = filter.weights(window);
        let source = &source[window.start * stride..];
        for (lane, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut sums = [HALF; LANES];
            for (row, weight) in source.chunks_exact(stride).zip(weights) {
                let (values, _) = row.as_chunks::<LANES>();
                for (sum, value) in sums.iter_mut().zip(&values[lane]) {
                    *sum += i32::from(*value) * weight;
                }
            }
            *out = sums.map(clip);
        }
    }
}

/// From fixed point to a pixel, rounded by the [`HALF`] that every sum begins with.
#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{BLOCK_ROWS, Filter, GROUP, HALF, PRECISION_BITS};

    /// Bits of a weight's low part, so that both parts are 16-bit factors.
    const LOW_BITS: i32 = 15;

    /// Four weights as `high << LOW_BITS | low`, laid out for multiply-add of pixel pairs:
    /// weights 0 and 1 for each channel in the low half, 2 and 3 in the high half.
    ///
    /// Aligned to a cache line: a group that straddles two slows the whole loop by half.
    #[derive(Clone, Copy, Debug)]
    #[repr(C, align(64))]
    pub(super) struct SplitGroup {
        high: [i16; 16],
        low: [i16; 16],
    }

    impl SplitGroup {
        pub(super) fn new(weights: &[i32]) -> Self {
            let weight = |lane: usize| weights[lane / 8 * 2 + lane % 2];
            Self {
                high: std::array::from_fn(|lane| (weight(lane) >> LOW_BITS) as i16),
                low: std::array::from_fn(|lane| (weight(lane) & ((1 << LOW_BITS) - 1)) as i16),
            }
        }
    }

    pub(super) fn is_available() -> bool {
        is_x86_feature_detected!("avx2")
    }

    /// As `rows_plain`; [`is_available`] must hold.
    #[cfg(test)]
    pub(super) fn rows_without_vnni(
        block: &[u8],
        row_bytes: usize,
        filter: &Filter,
        out: &mut [u8],
        stride: usize,
    ) {
        #[expect(unsafe_code, reason = "the tests asked the CPU whether it has AVX2")]
        unsafe {
            rows_avx2(block, row_bytes, filter, out, stride);
        }
    }

    /// As `rows_plain`; [`is_available`] must hold.
    pub(super) fn rows(
        block: &[u8],
        row_bytes: usize,
        filter: &Filter,
        out: &mut [u8],
        stride: usize,
    ) {
        #[expect(
            unsafe_code,
            reason = "the CPU was asked: for AVX2 by the callers, for VNNI here"
        )]
        unsafe {
            match is_x86_feature_detected!("avxvnni") {
                true => rows_vnni(block, row_bytes, filter, out, stride),
                false => rows_avx2(block, row_bytes, filter, out, stride),
            }
        }
    }

    /// As `columns_plain`; [`is_available`] must hold.
    pub(super) fn columns(source: &[u8], stride: usize, filter: &Filter, out: &mut [u8]) {
        #[expect(unsafe_code, reason = "the callers asked the CPU whether it has AVX2")]
        unsafe {
            columns_avx2(source, stride, filter, out);
        }
    }

    #[target_feature(enable = "avx2")]
    fn columns_avx2(source: &[u8], stride: usize, filter: &Filter, out: &mut [u8]) {
        super::columns_plain(source, stride, filter, out);
    }

    /// Four pixels of a row at a time: each 16-byte load is spread to 16-bit pairs of one channel
    /// of neighbouring pixels; a pair is multiplied and added to the sums. Partial sums may wrap: the
    /// whole fits 32 bits, and addition modulo 2^32 does not care about the order.
    macro_rules! rows_loop {
        ($name:ident, $features:literal, $accumulate:expr) => {
            #[target_feature(enable = $features)]
            fn $name(
                block: &[u8],
                row_bytes: usize,
                filter: &Filter,
                out: &mut [u8],
                stride: usize,
            ) {
                let spread = _mm256_setr_epi8(
                    0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
                    6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
                );
                // The rounding half enters each channel once, through the low half of the register.
                let half = _mm256_setr_epi32(HALF, HALF, HALF, 0, 0, 0, 0, 0);
                for (x, window) in filter.windows.iter().enumerate() {
                    let groups = window.length.div_ceil(GROUP);
                    let first = window.weights / GROUP;
                    let weights = &filter.split[first..first + groups];
                    let bytes = groups * GROUP * 3 + 4;
                    // A plain loop: a call of `array::from_fn` is not inlined across target features.
                    let mut pixels = [&block[..0]; BLOCK_ROWS];
                    for (row, pixels) in pixels.iter_mut().enumerate() {
                        let at = row * row_bytes + window.start * 3;
                        *pixels = &block[at..at + bytes];
                    }
                    let mut high = [_mm256_setzero_si256(); BLOCK_ROWS];
                    let mut low = [half; BLOCK_ROWS];
                    for (group, weight) in weights.iter().enumerate() {
                        let high_weight: __m256i = bytemuck::must_cast(weight.high);
                        let low_weight: __m256i = bytemuck::must_cast(weight.low);
                        for row in 0..BLOCK_ROWS {
                            let Some(four) = pixels[row][group * GROUP * 3..].first_chunk::<16>()
                            else {
                                break;
                            };
                            let four = _mm256_broadcastsi128_si256(bytemuck::must_cast(*four));
                            let pairs = _mm256_shuffle_epi8(four, spread);
                            high[row] = $accumulate(high[row], pairs, high_weight);
                            low[row] = $accumulate(low[row], pairs, low_weight);
                        }
                    }
                    // Both halves of two rows at a time: [a.0 + a.1 | b.0 + b.1].
                    let join = |a, b| {
                        let lows = _mm256_permute2x128_si256::<0x20>(a, b);
                        _mm256_add_epi32(lows, _mm256_permute2x128_si256::<0x31>(a, b))
                    };
                    let pair = |a: usize, b: usize| {
                        let whole = _mm256_slli_epi32::<LOW_BITS>(join(high[a], high[b]));
                        let sum = _mm256_add_epi32(whole, join(low[a], low[b]));
                        _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(sum)
                    };
                    // Saturating packs give 0..=255; in each 128-bit half lie rows 0 and 2, or 1 and 3.
                    let packed = _mm256_packs_epi32(pair(0, 1), pair(2, 3));
                    let packed = _mm256_packus_epi16(packed, packed);
                    let packed: [[u8; 4]; 8] = bytemuck::must_cast(packed);
                    let at = x * 3;
                    for (row, pixel) in [packed[0], packed[4], packed[1], packed[5]]
                        .iter()
                        .enumerate()
                    {
                        out[row * stride + at..row * stride + at + 3].copy_from_slice(&pixel[..3]);
                    }
                }
            }
        };
    }

    rows_loop!(rows_avx2, "avx2", |sum, pairs, weight| _mm256_add_epi32(
        sum,
        _mm256_madd_epi16(pairs, weight)
    ));
    rows_loop!(rows_vnni, "avx2,avxvnni", _mm256_dpwssd_avx_epi32);
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn vector_and_plain_loops_agree_to_the_bit() {
        if !avx2::is_available() {
            return;
        }
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
            let row_bytes = (40 + length) * 3 + ROW_PADDING;
            let block: Vec<u8> = (0..row_bytes * BLOCK_ROWS)
                .map(|_| {
                    if random() % 2 == 0 {
                        255
                    } else {
                        random() as u8
                    }
                })
                .collect();
            let stride = 128;
            let (mut plain, mut vector) =
                (vec![0; stride * BLOCK_ROWS], vec![0; stride * BLOCK_ROWS]);
            rows_plain(&block, row_bytes, &filter, &mut plain, stride);
            avx2::rows(&block, row_bytes, &filter, &mut vector, stride);
            assert_eq!(plain, vector, "rows, {length} weights");
            vector.fill(0);
            avx2::rows_without_vnni(&block, row_bytes, &filter, &mut vector, stride);
            assert_eq!(plain, vector, "rows without VNNI, {length} weights");

            let source: Vec<u8> = (0..stride * (40 + length))
                .map(|_| random() as u8)
                .collect();
            let (mut plain, mut vector) = (vec![0; stride * 40], vec![0; stride * 40]);
            columns_plain(&source, stride, &filter, &mut plain);
            avx2::columns(&source, stride, &filter, &mut vector);
            assert_eq!(plain, vector, "columns, {length} weights");
        }
    }
}
