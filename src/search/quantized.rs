//! Rows in int8, and an image that is compared with them.

use super::products::products;
use crate::bytes::Values;
use crate::embedding::dot;

/// Largest int8 of a row: -128 has no counterpart.
const LARGEST_IN_ROW: f32 = 127.0;

/// Largest integer of the image: with 128 and the widest embedding, 2^14 values, no sum leaves i32.
const LARGEST_IN_IMAGE: f32 = 1023.0;

/// How many steps a cosine may be off before it is believed to be wrong. Rounding errors are spread evenly over a step,
/// and sums of such errors, weighted by a unit vector, have Gaussian tails of their own variance, `step² / 12` (Arbel et
/// al. 2020, arXiv 1901.09188: uniform distributions are strictly sub-Gaussian): they are off by more than t with a
/// probability below `exp(-6 t² / step²)`, 2e-14 at 2.3 steps.
const STEPS_OFF: f32 = 2.3;

/// Rows `[M, D]` less their mean, in int8, each with the step between its values. Texts of one model share a few large
/// values, which would take the steps for themselves: without the mean the steps are a seventh for CLIP ViT-B/32.
pub(crate) struct QuantizedRows {
    mean: Vec<f32>,
    values: Values<i8>,
    steps: Values<f32>,
}

/// A unit vector in integers; its buffer is used again for the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct QuantizedImage {
    values: Vec<i16>,
    step: f32,
    of_mean: f32,
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
        Self::from_parts(mean, Values::Owned(values), Values::Owned(steps))
    }

    /// Rows as a file holds them; sizes and values are the caller's to check.
    pub(crate) fn from_parts(mean: Vec<f32>, values: Values<i8>, steps: Values<f32>) -> Self {
        Self {
            mean,
            values,
            steps,
        }
    }

    pub(crate) fn is_owned(&self) -> bool {
        self.values.is_owned() && self.steps.is_owned()
    }

    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    pub(crate) fn values(&self) -> &[i8] {
        self.values.as_slice()
    }

    pub(crate) fn steps(&self) -> &[f32] {
        self.steps.as_slice()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.steps().len()
    }

    /// A row as f32, into `row`, which has the mean's length.
    pub(crate) fn dequantize(&self, index: usize, row: &mut [f32]) {
        let dimension = self.mean.len();
        let values = &self.values()[index * dimension..][..dimension];
        let step = self.steps()[index];
        for (into, (value, mean)) in row.iter_mut().zip(values.iter().zip(&self.mean)) {
            *into = mean + f32::from(*value) * step;
        }
    }

    /// The dot product of a row with a vector.
    pub(crate) fn dot(&self, index: usize, vector: &[f32]) -> f32 {
        let dimension = self.mean.len();
        let values = &self.values()[index * dimension..][..dimension];
        let sum: f32 = values
            .iter()
            .zip(vector)
            .map(|(value, other)| f32::from(*value) * other)
            .sum();
        dot(&self.mean, vector) + sum * self.steps()[index]
    }

    /// The cosine of an image with each row from `first` on, into `cosines`: off by about `step / sqrt(12)`, 0.0002 for
    /// CLIP ViT-B/32's texts and photos, 0.003 at most of six million.
    pub(crate) fn cosines(&self, image: &QuantizedImage, first: usize, cosines: &mut [f32]) {
        let values = &self.values()[first * self.mean.len()..];
        products(values, &image.values, cosines);
        for (cosine, step) in cosines.iter_mut().zip(&self.steps()[first..]) {
            *cosine = (image.of_mean + *cosine * step * image.step).clamp(-1.0, 1.0);
        }
    }

    /// How much the cosine of each row from `first` on may be off: by rounding the row and the image, whose errors are
    /// independent of each other.
    pub(crate) fn margins(
        &self,
        image: &QuantizedImage,
        first: usize,
    ) -> impl Iterator<Item = f32> + use<'_> {
        let of_image = image.step * image.step;
        let steps = self.steps()[first..].iter();
        steps.map(move |step| STEPS_OFF * (step * step + of_image).sqrt())
    }
}

impl QuantizedImage {
    pub(crate) fn assign(&mut self, image: &[f32], rows: &QuantizedRows) {
        self.step = largest_magnitude(image) / LARGEST_IN_IMAGE;
        self.values.clear();
        let values = image.iter().map(|value| (value / self.step).round() as i16);
        self.values.extend(values);
        self.of_mean = dot(&rows.mean, image);
    }

    #[cfg(test)]
    pub(crate) fn as_ptr(&self) -> *const i16 {
        self.values.as_ptr()
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
    use super::super::rescore;
    use super::*;

    /// Two rows with one large value in common.
    const ROWS: [f32; 8] = [0.9, 0.3, 0.3, 0.1, 0.9, -0.3, 0.1, -0.3];

    fn compare(rows: &QuantizedRows, image: &[f32]) -> (QuantizedImage, Vec<f32>) {
        let mut quantized = QuantizedImage::default();
        let mut cosines = vec![0.0; rows.len()];
        quantized.assign(image, rows);
        rows.cosines(&quantized, 0, &mut cosines);
        (quantized, cosines)
    }

    #[test]
    fn int8_is_near_and_rescoring_is_exact() {
        let rows = QuantizedRows::of(&ROWS, 4);
        let image = [0.5, 0.5, -0.5, 0.5];
        let (_, mut cosines) = compare(&rows, &image);
        for (cosine, exact) in cosines.iter().zip([0.5, 0.1]) {
            assert!((cosine - exact).abs() < 0.002, "{cosine}, not {exact}");
        }
        let far = cosines[1];
        rescore(&ROWS, &image, 0.3, &mut cosines);
        assert_eq!(cosines, [dot(&ROWS[..4], &image), far]);
    }

    #[test]
    fn a_block_of_rows_is_compared_as_all_are() {
        let rows = QuantizedRows::of(&ROWS, 4);
        let (image, all) = compare(&rows, &[0.5, 0.5, -0.5, 0.5]);
        let mut second = [0.0];
        rows.cosines(&image, 1, &mut second);
        assert_eq!(second, all[1..]);
    }

    #[test]
    fn a_row_is_half_a_step_off_at_most() {
        let rows = QuantizedRows::of(&ROWS, 4);
        let mut row = [0.0; 4];
        rows.dequantize(1, &mut row);
        for (value, exact) in row.iter().zip(&ROWS[4..]) {
            assert!((value - exact).abs() <= 0.5001 * rows.steps()[1]);
        }
    }

    #[test]
    fn the_widest_and_largest_products_do_not_overflow() {
        let width = 1 << 14;
        let row: Vec<f32> = (0..2 * width)
            .map(|at| if at < width { 1.0 } else { -1.0 })
            .collect();
        let rows = QuantizedRows::of(&row, width);
        let (image, cosines) = compare(&rows, &row[..width]);
        assert_eq!(
            (image.values[0], rows.values()[0], rows.values()[width]),
            (1023, 127, -127)
        );
        assert_eq!(cosines, [1.0, -1.0]);
        // A file may hold -128.
        let mut least = [0.0];
        products(&vec![-128; width], &image.values, &mut least);
        assert_eq!(least, [-128.0 * 1023.0 * width as f32]);
    }

    #[test]
    fn equal_rows_and_zeros_are_divided_by_nothing() {
        let rows = QuantizedRows::of(&[0.6, 0.8, 0.6, 0.8], 2);
        let (_, cosines) = compare(&rows, &[0.6, 0.8]);
        assert!(cosines.iter().all(|cosine| (cosine - 1.0).abs() < 1e-6));
        let (_, cosines) = compare(&QuantizedRows::of(&[0.0; 4], 4), &[0.0; 4]);
        assert_eq!(cosines, [0.0]);
    }
}
