//! The loop along rows with NEON's vectors, which every aarch64 CPU has; the loop downwards is vectorised as it is.

use std::arch::aarch64::*;

use super::{BLOCK_ROWS, Filter, GROUP, HALF, clip};

/// Bits of a weight's low part, so that both parts are 16-bit factors.
const LOW_BITS: i32 = 15;

/// Eight weights as `high << LOW_BITS | low`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitGroup {
    high: [i16; GROUP],
    low: [i16; GROUP],
}

impl SplitGroup {
    pub(super) fn new(weights: &[i32]) -> Self {
        Self {
            high: std::array::from_fn(|lane| (weights[lane] >> LOW_BITS) as i16),
            low: std::array::from_fn(|lane| (weights[lane] & ((1 << LOW_BITS) - 1)) as i16),
        }
    }
}

/// Where the bytes of each channel of eight pixels lie: in bytes 0 to 15 of a row, and from byte 8 on in 16 to 31.
const CHANNELS: [[u8; GROUP]; 3] = [
    [0, 3, 6, 9, 12, 15, 26, 29],
    [1, 4, 7, 10, 13, 24, 27, 30],
    [2, 5, 8, 11, 14, 25, 28, 31],
];

/// As `rows_plain`.
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
        reason = "NEON belongs to every aarch64 target that has `std`"
    )]
    // SAFETY: the CPU has NEON, which is all that the function asks for: its reads and writes are those of slices.
    unsafe {
        rows_neon(block, row_bytes, lead, filter, out, stride);
    }
}

/// Eight pixels of a row at a time: each channel's bytes are gathered and widened, multiplied by the weights' two
/// parts and added up. Partial sums may wrap: the whole fits 32 bits.
#[target_feature(enable = "neon")]
fn rows_neon(
    block: &[u8],
    row_bytes: usize,
    lead: usize,
    filter: &Filter,
    out: &mut [u8],
    stride: usize,
) {
    let channels: [uint8x8_t; 3] = CHANNELS.map(|bytes| bytemuck::must_cast(bytes));
    for (x, window) in filter.windows.iter().enumerate() {
        let groups = window.length.div_ceil(GROUP);
        let first = window.weights / GROUP;
        let weights = &filter.split[first..first + groups];
        for row in 0..BLOCK_ROWS {
            let at = row * row_bytes + (lead + window.start) * 3;
            let (pixels, _) = block[at..at + groups * GROUP * 3].as_chunks::<{ GROUP * 3 }>();
            let mut high = [vdupq_n_s32(0); 3];
            let mut low = [vdupq_n_s32(0); 3];
            for (pixels, weights) in pixels.iter().zip(weights) {
                let (Some(front), Some(back)) =
                    (pixels.first_chunk::<16>(), pixels.last_chunk::<16>())
                else {
                    break;
                };
                let pixels = uint8x16x2_t(bytemuck::must_cast(*front), bytemuck::must_cast(*back));
                let high_weights: int16x8_t = bytemuck::must_cast(weights.high);
                let low_weights: int16x8_t = bytemuck::must_cast(weights.low);
                for channel in 0..3 {
                    let values = vmovl_u8(vqtbl2_u8(pixels, channels[channel]));
                    let values = vreinterpretq_s16_u16(values);
                    high[channel] = multiply_add(high[channel], values, high_weights);
                    low[channel] = multiply_add(low[channel], values, low_weights);
                }
            }
            let at = row * stride + x * 3;
            for (channel, to) in out[at..at + 3].iter_mut().enumerate() {
                let whole = vaddq_s32(vshlq_n_s32::<LOW_BITS>(high[channel]), low[channel]);
                *to = clip(vaddvq_s32(whole).wrapping_add(HALF));
            }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn multiply_add(sum: int32x4_t, values: int16x8_t, weights: int16x8_t) -> int32x4_t {
    let half = vmlal_s16(sum, vget_low_s16(values), vget_low_s16(weights));
    vmlal_high_s16(half, values, weights)
}
