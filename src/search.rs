//! Cosines of one image with many texts: int8 rows tell which are near, f32 rows what exactly.
//!
//! A dot product of 512 values is little work, but a million rows of f32 are 2 GB to read for every frame. In int8
//! they are a quarter of that, and their products are exact integers, the same on every processor.

mod products;
mod quantized;
mod top_k;

use crate::embedding::dot;

pub(crate) use quantized::{QuantizedImage, QuantizedRows};
pub(crate) use top_k::{Candidate, TopK, top_rows};

/// From this many negatives on an int8 copy is worth its memory; smaller banks are compared in f32 alone.
pub(crate) const QUANTIZED_FROM: usize = 2048;

/// Rows whose cosines are computed before they are looked at: they stay in the nearest cache.
pub(crate) const BLOCK: usize = 256;

/// The exact cosine of a unit vector with each f32 row.
pub(crate) fn cosines(rows: &[f32], image: &[f32], cosines: &mut [f32]) {
    products::exact_products(rows, image, cosines);
    for cosine in cosines {
        *cosine = cosine.clamp(-1.0, 1.0);
    }
}

/// Puts the exact cosines in the place of those that are `nearest` or nearer.
pub(crate) fn rescore(rows: &[f32], image: &[f32], nearest: f32, cosines: &mut [f32]) {
    for (cosine, row) in cosines
        .iter_mut()
        .zip(rows.chunks_exact(image.len().max(1)))
    {
        if *cosine >= nearest {
            *cosine = dot(row, image).clamp(-1.0, 1.0);
        }
    }
}
