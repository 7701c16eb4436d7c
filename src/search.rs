//! Cosines of one image with many texts: an int8 copy of the rows tells which are near, the f32 rows what exactly.
//!
//! A dot product of 512 values is little work, but 10,000 rows of f32 are 20 MB to read for every frame. Their int8
//! copy is a quarter of that, and its products are exact integers, the same on every processor.

use multiversion::multiversion;

use crate::embedding::dot;

/// From this many rows on the copy is worth its memory; smaller banks are compared in f32 alone.
pub(crate) const QUANTIZED_FROM: usize = 2048;

/// Largest int8 of a row: -128 has no counterpart.
const LARGEST_IN_ROW: f32 = 127.0;

/// Largest integer of the image: with 127 and the widest embedding, 2^14 values, no sum leaves i32.
const LARGEST_IN_IMAGE: f32 = 1023.0;

/// Rows `[M, D]` in int8, each with the step between its values.
pub(crate) struct QuantizedRows {
    values: Vec<i8>,
    steps: Vec<f32>,
    dimension: usize,
}

impl QuantizedRows {
    /// Symmetric per row: `q = round(v / step)`, `step = max |v| / 127`.
    pub(crate) fn of(rows: &[f32], dimension: usize) -> Self {
        let mut values = Vec::with_capacity(rows.len());
        let mut steps = Vec::with_capacity(rows.len() / dimension.max(1));
        for row in rows.chunks_exact(dimension.max(1)) {
            let step = largest_magnitude(row) / LARGEST_IN_ROW;
            values.extend(row.iter().map(|value| (value / step).round() as i8));
            steps.push(step);
        }
        Self {
            values,
            steps,
            dimension,
        }
    }

    /// The cosine of a unit vector with each row, into `cosines`: for unit rows of D values off by about
    /// `max |v| / (127 * sqrt(12))`, 0.0005 for CLIP's texts. `quantized` is scratch.
    pub(crate) fn cosines(&self, image: &[f32], quantized: &mut Vec<i16>, cosines: &mut Vec<f32>) {
        let step = largest_magnitude(image) / LARGEST_IN_IMAGE;
        quantized.clear();
        quantized.extend(image.iter().map(|value| (value / step).round() as i16));
        cosines.resize(self.steps.len(), 0.0);
        products(&self.values, quantized, cosines);
        for (cosine, row_step) in cosines.iter_mut().zip(&self.steps) {
            *cosine = (*cosine * row_step * step).clamp(-1.0, 1.0);
        }
        debug_assert_eq!(self.dimension, image.len());
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

/// Integer dot products; with AVX2 three times as fast as with what every x86-64 has. Arm's baseline has all it needs.
#[multiversion(targets("x86_64+avx2"))]
fn products(rows: &[i8], image: &[i16], into: &mut [f32]) {
    for (into, row) in into.iter_mut().zip(rows.chunks_exact(image.len())) {
        let mut sum = 0i32;
        for (a, b) in row.iter().zip(image) {
            sum += i32::from(*a) * i32::from(*b);
        }
        *into = sum as f32;
    }
}

/// At least the smallest normal number, so that it can be divided by.
fn largest_magnitude(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(f32::MIN_POSITIVE * LARGEST_IN_IMAGE, |largest, value| {
            largest.max(value.abs())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int8_is_near_and_rescoring_is_exact() {
        let dimension = 1 << 14;
        let row: Vec<f32> = (0..dimension)
            .map(|at| ((at * 7 % 11) as f32 - 5.0) / 460.0)
            .collect();
        let length = dot(&row, &row).sqrt();
        let row: Vec<f32> = row.iter().map(|value| value / length).collect();
        let (mut quantized, mut cosines) = (Vec::new(), Vec::new());
        QuantizedRows::of(&row, dimension).cosines(&row, &mut quantized, &mut cosines);
        assert!((cosines[0] - 1.0).abs() < 0.005, "{}", cosines[0]);
        rescore(&row, &row, 0.5, &mut cosines);
        assert_eq!(cosines[0], dot(&row, &row).clamp(-1.0, 1.0));
    }

    #[test]
    fn the_widest_and_largest_products_do_not_overflow() {
        let row = vec![1.0; 1 << 14];
        let (mut quantized, mut products) = (Vec::new(), Vec::new());
        let rows = QuantizedRows::of(&row, row.len());
        rows.cosines(&row, &mut quantized, &mut products);
        assert_eq!((quantized[0], products[0]), (1023, 1.0));
    }

    #[test]
    fn a_row_of_zeros_is_divided_by_nothing() {
        let (mut quantized, mut cosines) = (Vec::new(), Vec::new());
        QuantizedRows::of(&[0.0; 4], 4).cosines(&[0.0; 4], &mut quantized, &mut cosines);
        assert_eq!(cosines, [0.0]);
    }
}
