//! The loops with AVX2's vectors, and AVX-VNNI's where the CPU has them.

use std::arch::x86_64::*;

use super::{BLOCK_ROWS, Filter, GROUP, HALF, LANES, PRECISION_BITS};

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

    /// The high and the low parts of weights 0 and 1, or of 2 and 3.
    #[inline(always)]
    fn pair(&self, which: usize) -> [i32; 2] {
        [&self.high, &self.low]
            .map(|part| bytemuck::must_cast([part[which * 8], part[which * 8 + 1]]))
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
    lead: usize,
    filter: &Filter,
    out: &mut [u8],
    stride: usize,
) {
    #[expect(unsafe_code, reason = "the tests asked the CPU whether it has AVX2")]
    // SAFETY: the CPU has AVX2, which is all that the function asks for: its reads and writes are those of slices.
    unsafe {
        rows_avx2(block, row_bytes, lead, filter, out, stride);
    }
}

/// As `rows_plain`; [`is_available`] must hold.
pub(super) fn rows(
    block: &[u8],
    row_bytes: usize,
    lead: usize,
    filter: &Filter,
    out: &mut [u8],
    stride: usize,
) {
    #[expect(
        unsafe_code,
        reason = "the CPU was asked: for AVX2 by the callers, for VNNI here"
    )]
    // SAFETY: the CPU has AVX2, and VNNI where that is used, which is all that the functions ask for: their reads and
    // writes are those of slices.
    unsafe {
        match is_x86_feature_detected!("avxvnni") {
            true => rows_vnni(block, row_bytes, lead, filter, out, stride),
            false => rows_avx2(block, row_bytes, lead, filter, out, stride),
        }
    }
}

/// As `column_plain`; [`is_available`] must hold.
pub(super) fn column(source: &[u8], stride: usize, filter: &Filter, at: usize, out: &mut [u8]) {
    #[expect(unsafe_code, reason = "the callers asked the CPU whether it has AVX2")]
    // SAFETY: the CPU has AVX2, which is all that the function asks for: its reads and writes are those of slices.
    unsafe {
        column_avx2(source, stride, filter, at, out);
    }
}

/// Two rows at a time: their bytes are interleaved and widened, so that a multiply-add takes a value of each.
#[target_feature(enable = "avx2")]
fn column_avx2(source: &[u8], stride: usize, filter: &Filter, at: usize, out: &mut [u8]) {
    let window = &filter.windows[at];
    let first = window.weights / GROUP;
    let groups = &filter.split[first..first + window.length.div_ceil(GROUP)];
    let zero = _mm256_setzero_si256();
    for (lane, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut high = [zero; 4];
        let mut low = [_mm256_set1_epi32(HALF); 4];
        for pair in 0..window.length.div_ceil(2) {
            // A row after the last has a weight of 0.
            let rows = [pair * 2, (pair * 2 + 1).min(window.length - 1)];
            let values =
                rows.map(|row| source[row * stride + lane * LANES..].first_chunk::<LANES>());
            let [Some(upper), Some(lower)] = values else {
                break;
            };
            let (upper, lower) = (bytemuck::must_cast(*upper), bytemuck::must_cast(*lower));
            let [high_weight, low_weight] = groups[pair / 2].pair(pair % 2);
            let high_weight = _mm256_set1_epi32(high_weight);
            let low_weight = _mm256_set1_epi32(low_weight);
            let near = _mm256_unpacklo_epi8(upper, lower);
            let far = _mm256_unpackhi_epi8(upper, lower);
            let pairs = [
                _mm256_unpacklo_epi8(near, zero),
                _mm256_unpackhi_epi8(near, zero),
                _mm256_unpacklo_epi8(far, zero),
                _mm256_unpackhi_epi8(far, zero),
            ];
            for part in 0..4 {
                let product = _mm256_madd_epi16(pairs[part], high_weight);
                high[part] = _mm256_add_epi32(high[part], product);
                let product = _mm256_madd_epi16(pairs[part], low_weight);
                low[part] = _mm256_add_epi32(low[part], product);
            }
        }
        let mut sums = [zero; 4];
        for part in 0..4 {
            let whole = _mm256_slli_epi32::<LOW_BITS>(high[part]);
            let sum = _mm256_add_epi32(whole, low[part]);
            sums[part] = _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(sum);
        }
        // Saturating packs give 0..=255 and undo the interleaving.
        let near = _mm256_packs_epi32(sums[0], sums[1]);
        let far = _mm256_packs_epi32(sums[2], sums[3]);
        *out = bytemuck::must_cast(_mm256_packus_epi16(near, far));
    }
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
            lead: usize,
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
                    let at = row * row_bytes + (lead + window.start) * 3;
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
