//! An embedding: a finite vector of unit length.

use crate::error::{Error, Result};

/// Norms this close to zero cannot be told from rounding, so no direction is read from them.
const SMALLEST_NORM: f64 = 1e-6;

/// A point on the unit sphere of the model's joint image and text space.
///
/// ```
/// let embedding = clipgate::Embedding::new(&[3.0, 4.0])?;
/// assert_eq!(embedding.as_slice(), [0.6, 0.8]);
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Scales a model's output to unit length.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if a value is not finite or the vector is zero.
    pub fn new(values: &[f32]) -> Result<Self> {
        let mut embedding = Self(Vec::with_capacity(values.len()));
        embedding.assign(values)?;
        Ok(embedding)
    }

    /// An embedding to [`assign`](Self::assign) to, so that frames share one allocation.
    pub(crate) fn with_dimension(dimension: usize) -> Self {
        Self(Vec::with_capacity(dimension))
    }

    pub(crate) fn assign(&mut self, values: &[f32]) -> Result<()> {
        self.0.clear();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::model(format!(
                "the embedding is not finite: value {at} of {} is {}",
                values.len(),
                values[at]
            )));
        }
        let norm = values
            .iter()
            .map(|v| f64::from(*v) * f64::from(*v))
            .sum::<f64>()
            .sqrt();
        if norm < SMALLEST_NORM {
            return Err(Error::model(format!(
                "the embedding has length {norm:e}, so it points nowhere"
            )));
        }
        self.0
            .extend(values.iter().map(|value| (f64::from(*value) / norm) as f32));
        Ok(())
    }

    /// The values, whose squares sum to 1.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Number of values.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// Cosine similarity, -1 to 1.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the dimensions differ.
    pub fn cosine(&self, other: &Self) -> Result<f32> {
        if self.dimension() != other.dimension() {
            return Err(Error::caller(format!(
                "embeddings of {} and {} values have no cosine",
                self.dimension(),
                other.dimension()
            )));
        }
        Ok(dot(&self.0, &other.0).clamp(-1.0, 1.0))
    }
}

/// Dot product in eight running sums, which the compiler turns into vector instructions: of its caller's processor.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_whose_length_overflows_f32_still_has_a_direction() {
        let embedding = Embedding::new(&[3e38, 3e38]).unwrap();
        let half = std::f32::consts::FRAC_1_SQRT_2;
        assert_eq!(embedding.as_slice(), [half, half]);
    }

    #[test]
    fn zero_and_infinity_are_refused() {
        assert!(Embedding::new(&[0.0; 4]).is_err());
        assert!(Embedding::new(&[f32::INFINITY, 0.0]).is_err());
        assert!(Embedding::new(&[]).is_err());
    }

    #[test]
    fn dot_counts_the_tail() {
        let values: Vec<f32> = (0..19u8).map(f32::from).collect();
        assert_eq!(
            dot(&values, &values),
            (0..19).map(|v| (v * v) as f32).sum::<f32>()
        );
    }
}
