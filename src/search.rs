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

/// Rows `[M, D]` less their mean, in int8, each with the step between its values. Texts of one model share a few large
/// values, which would take the steps for themselves: without the mean the steps are a seventh for CLIP ViT-B/32.
pub(crate) struct QuantizedRows {
    mean: Vec<f32>,
    values: Vec<i8>,
    steps: Vec<f32>,
}

impl QuantizedRows {
    /// Symmetric per row: `q = round((v - mean) / step)`, `step = max |v - mean| / 127`.
    pub(crate) fn of(rows: &[f32], dimension: usize) -> Self {
        let rows = rows.chunks_exact(dimension.max(1));
        let mut sums = vec![0.0f64; dimension];
        for row in rows.clone() {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        let count = rows.len().max(1) as f64;
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
        let mut values = Vec::with_capacity(rows.len() * dimension);
        let mut steps = Vec::with_capacity(rows.len());
        let mut centred = vec![0.0; dimension];
        for row in rows {
            for (centred, (value, mean)) in centred.iter_mut().zip(row.iter().zip(&mean)) {
                *centred = value - mean;
            }
            let step = largest_magnitude(&centred) / LARGEST_IN_ROW;
            values.extend(centred.iter().map(|value| (value / step).round() as i8));
            steps.push(step);
        }
        Self {
            mean,
            values,
            steps,
        }
    }

    /// The cosine of a unit vector with each row, into `cosines`: off by about `step / sqrt(12)`, 0.0002 for CLIP
    /// ViT-B/32's texts. `quantized` is scratch.
    pub(crate) fn cosines(&self, image: &[f32], quantized: &mut Vec<i16>, cosines: &mut Vec<f32>) {
        let step = largest_magnitude(image) / LARGEST_IN_IMAGE;
        quantized.clear();
        quantized.extend(image.iter().map(|value| (value / step).round() as i16));
        cosines.resize(self.steps.len(), 0.0);
        products(&self.values, quantized, cosines);
        let of_mean = dot(&self.mean, image);
        for (cosine, row_step) in cosines.iter_mut().zip(&self.steps) {
            *cosine = (of_mean + *cosine * row_step * step).clamp(-1.0, 1.0);
        }
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

    /// Two rows with one large value in common.
    const ROWS: [f32; 8] = [0.9, 0.3, 0.3, 0.1, 0.9, -0.3, 0.1, -0.3];

    #[test]
    fn int8_is_near_and_rescoring_is_exact() {
        let (mut quantized, mut cosines) = (Vec::new(), Vec::new());
        let rows = QuantizedRows::of(&ROWS, 4);
        let image = [0.5, 0.5, -0.5, 0.5];
        rows.cosines(&image, &mut quantized, &mut cosines);
        for (cosine, exact) in cosines.iter().zip([0.5, 0.1]) {
            assert!((cosine - exact).abs() < 0.002, "{cosine}, not {exact}");
        }
        let far = cosines[1];
        rescore(&ROWS, &image, 0.3, &mut cosines);
        assert_eq!(cosines, [dot(&ROWS[..4], &image), far]);
    }

    #[test]
    fn the_widest_and_largest_products_do_not_overflow() {
        let width = 1 << 14;
        let row: Vec<f32> = (0..2 * width)
            .map(|at| if at < width { 1.0 } else { -1.0 })
            .collect();
        let (mut quantized, mut cosines) = (Vec::new(), Vec::new());
        let rows = QuantizedRows::of(&row, width);
        rows.cosines(&row[..width], &mut quantized, &mut cosines);
        assert_eq!(
            (quantized[0], rows.values[0], rows.values[width]),
            (1023, 127, -127)
        );
        assert_eq!(cosines, [1.0, -1.0]);
    }

    #[test]
    fn equal_rows_and_zeros_are_divided_by_nothing() {
        let (mut quantized, mut cosines) = (Vec::new(), Vec::new());
        QuantizedRows::of(&[0.6, 0.8, 0.6, 0.8], 2).cosines(
            &[0.6, 0.8],
            &mut quantized,
            &mut cosines,
        );
        assert!(cosines.iter().all(|cosine| (cosine - 1.0).abs() < 1e-6));
        QuantizedRows::of(&[0.0; 4], 4).cosines(&[0.0; 4], &mut quantized, &mut cosines);
        assert_eq!(cosines, [0.0]);
    }
}
