//! Dot products of many rows at the speed of memory.

use multiversion::multiversion;

use crate::embedding::dot;

/// How far ahead of its use a row is asked for. A processor's own prefetcher stops at every page of 4 KiB, and the work
/// on a row fills its queue before it gets to the next: without this a million int8 rows take a third longer than reading
/// them, and a thousand f32 rows that the encoder has driven out of the cache a quarter longer than with it.
const AHEAD: usize = 4096;

/// A cache line of every x86-64 processor.
const LINE: usize = 64;

/// The product of each row with `image`; with AVX2 twice as fast as with what every x86-64 has. Arm's baseline has all it
/// needs.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512vnni",
    "x86_64+avx512f+avx512bw+avx512vl",
    "x86_64+avx2"
))]
pub(super) fn products(rows: &[i8], image: &[i16], into: &mut [f32]) {
    for (into, row) in into.iter_mut().zip(rows.chunks_exact(image.len())) {
        prefetch_behind(row);
        let mut sum = 0i32;
        for (a, b) in row.iter().zip(image) {
            sum += i32::from(*a) * i32::from(*b);
        }
        *into = sum as f32;
    }
}

/// [`dot`] of each row with `image`, to the bit: wider vectors hold the same sums.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn exact_products(rows: &[f32], image: &[f32], into: &mut [f32]) {
    for (into, row) in into.iter_mut().zip(rows.chunks_exact(image.len().max(1))) {
        prefetch_behind(bytemuck::cast_slice(row));
        *into = dot(row, image);
    }
}

/// Asks for what lies [`AHEAD`] of a row.
#[inline(always)]
fn prefetch_behind(row: &[i8]) {
    for line in row.chunks(LINE) {
        prefetch(line.as_ptr().wrapping_add(AHEAD));
    }
}

/// Asks for a cache line. The address may be anything, also one past the end.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn prefetch(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    #[expect(
        unsafe_code,
        reason = "the standard library's prefetch takes a raw pointer"
    )]
    // SAFETY: a prefetch is a hint. It reads nothing that the program sees and faults at no address (Intel's manual,
    // volume 2, PREFETCHh), and SSE is part of every x86-64.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(address);
    }
}

/// Stable Rust has no prefetch for other processors.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_address: *const i8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_vectors_give_the_same_bits() {
        for width in [1, 7, 8, 19, 512] {
            let values: Vec<f32> = (0..6 * width)
                .map(|at| ((at * 37 % 101) as f32 - 50.0) / 7.0)
                .collect();
            let (image, rows) = values.split_at(width);
            let mut found = [0.0; 5];
            exact_products(rows, image, &mut found);
            let expected = rows
                .chunks_exact(width)
                .map(|row| dot(row, image).to_bits());
            assert!(expected.eq(found.map(f32::to_bits)), "{width} values");
        }
    }
}
