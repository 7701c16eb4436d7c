//! What holds of every bank: distinct names, unit rows that differ, int8 rows that are the f32 rows' rounding.

use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use super::{Block, LabelBank, MAX_DIMENSION, TextRows};
use crate::bytes::Values;
use crate::distinct::{hash_of_row, repeated};
use crate::embedding::dot;
use crate::error::{Error, Result};
use crate::label::{Label, check_labels};
use crate::search::QuantizedRows;

/// How far a row's length may be from 1: f16 rounding of 512 values stays below it.
const UNIT_TOLERANCE: f32 = 1e-3;

/// The same of an int8 row: CLIP ViT-B/32's are off by 0.001 at most, and a fiftieth changes every cosine of the row by
/// that share.
const INT8_UNIT_TOLERANCE: f32 = 0.02;

/// How far an int8 value may be from its f32 value, in steps: rounding leaves a half, and f32 a little.
const ROUNDING: f32 = 0.51;

impl LabelBank {
    /// The bank, if all rules hold; rows are read once, for the rules and the digest together.
    pub(super) fn checked(
        labels: Vec<Label>,
        text: TextRows,
        negatives: Vec<Label>,
        negative_embeds: Values<f32>,
        dimension: usize,
    ) -> Result<Self> {
        let bank = Self {
            labels,
            text,
            negatives,
            negative_embeds,
            dimension,
            digest: OnceLock::new(),
            quantized_negatives: OnceLock::new(),
            sources: Vec::new(),
        };
        bank.check_sizes()?;
        let mut scratch = vec![0.0; dimension];
        let mut hashes = Vec::with_capacity(bank.labels.len());
        let digest = bank.pass(|first, block| match block {
            Block::Labels(rows) => {
                for (row, values) in (first..).zip(rows.chunks_exact(dimension)) {
                    check_length(values, UNIT_TOLERANCE, &bank.labels[row])?;
                    hashes.push(hash_of_row(bytemuck::cast_slice(values)));
                    if let Some(quantized) = &bank.text.quantized {
                        quantized.dequantize(row, &mut scratch);
                        bank.check_rounding(quantized, row, values, &scratch)?;
                    }
                }
                Ok(())
            }
            Block::Int8(rows) => {
                for (row, values) in (first..).zip(rows.chunks_exact(dimension)) {
                    hashes.push(hash_of_row(bytemuck::cast_slice(values)));
                    if let Some(quantized) = &bank.text.quantized {
                        quantized.dequantize(row, &mut scratch);
                        check_length(&scratch, INT8_UNIT_TOLERANCE, &bank.labels[row])?;
                    }
                }
                Ok(())
            }
            Block::Negatives(rows) => {
                (first..)
                    .zip(rows.chunks_exact(dimension))
                    .try_for_each(|(row, values)| {
                        check_length(values, UNIT_TOLERANCE, &bank.negatives[row])
                    })
            }
        })?;
        bank.check_distinct(hashes)?;
        bank.digest.get_or_init(|| digest);
        Ok(bank)
    }

    fn check_sizes(&self) -> Result<()> {
        check_labels(&self.labels)?;
        if !self.negatives.is_empty() {
            check_labels(&self.negatives).map_err(|error| error.at("negatives"))?;
        }
        if self.dimension == 0 || self.dimension > MAX_DIMENSION {
            return Err(Error::caller(format!(
                "embeddings of {} values; 1 to {MAX_DIMENSION} are possible",
                self.dimension
            )));
        }
        let sized = |labels: &[Label], values: usize| {
            if labels.len().checked_mul(self.dimension) == Some(values) {
                return Ok(());
            }
            Err(Error::caller(format!(
                "{} labels of {} values do not make {values} numbers",
                labels.len(),
                self.dimension
            )))
        };
        if let Some(exact) = &self.text.exact {
            sized(&self.labels, exact.as_slice().len())?;
        }
        if let Some(quantized) = &self.text.quantized {
            sized(&self.labels, quantized.values().len())?;
            self.check_steps(quantized)?;
        }
        sized(&self.negatives, self.negative_rows().len())
    }

    fn check_steps(&self, quantized: &QuantizedRows) -> Result<()> {
        if quantized.steps().len() != self.labels.len() || quantized.mean().len() != self.dimension
        {
            return Err(Error::caller(format!(
                "int8 rows with {} steps and a mean of {} values, for {} labels of {} values",
                quantized.steps().len(),
                quantized.mean().len(),
                self.labels.len(),
                self.dimension
            )));
        }
        // Ranges hold no NaN. Unit rows less their mean have no value above 2.
        if let Some(mean) = quantized.mean().iter().find(|m| !(-1.0..=1.0).contains(*m)) {
            return Err(Error::caller(format!(
                "the int8 rows' mean holds {mean}; -1 to 1 is possible"
            )));
        }
        let mut steps = quantized.steps().iter().zip(&self.labels);
        match steps.find(|(step, _)| !(0.0..=0.02).contains(*step)) {
            Some((step, label)) => Err(Error::caller(format!(
                "the int8 row of label {:?} has the step {step}; 0 to 0.02 is possible",
                label.name()
            ))),
            None => Ok(()),
        }
    }

    fn check_rounding(
        &self,
        quantized: &QuantizedRows,
        row: usize,
        exact: &[f32],
        rounded: &[f32],
    ) -> Result<()> {
        let allowed = ROUNDING * quantized.steps()[row] + f32::EPSILON;
        let near = exact
            .iter()
            .zip(rounded)
            .all(|(exact, rounded)| (exact - rounded).abs() <= allowed);
        if near {
            return Ok(());
        }
        Err(Error::caller(format!(
            "the int8 row of label {:?} is not the rounding of its f32 row",
            self.labels[row].name()
        )))
    }

    /// Two labels with one embedding can never be told apart. A text encoder gives the same embedding to
    /// words that it does not know, so this is where they show.
    fn check_distinct(&self, hashes: Vec<u64>) -> Result<()> {
        match repeated(hashes.into_iter(), |row| self.row_digest(row)) {
            None => Ok(()),
            Some((first, second)) => Err(Error::caller(format!(
                "labels {:?} and {:?} have the same embedding, so they can never be told apart: the model does \
                 not know these words, or they mean the same to it",
                self.labels[first].name(),
                self.labels[second].name()
            ))),
        }
    }

    /// Stands for a row, which may lie in a file that is being written to: rows themselves could compare first one way,
    /// then another.
    fn row_digest(&self, row: usize) -> [u8; 32] {
        let range = row * self.dimension..(row + 1) * self.dimension;
        let mut hasher = Sha256::new();
        match (&self.text.exact, &self.text.quantized) {
            (Some(exact), _) => {
                hasher.update(bytemuck::cast_slice::<f32, u8>(&exact.as_slice()[range]));
            }
            (None, Some(quantized)) => {
                hasher.update(bytemuck::cast_slice::<i8, u8>(&quantized.values()[range]));
                hasher.update(quantized.steps()[row].to_le_bytes());
            }
            (None, None) => {}
        }
        hasher.finalize().into()
    }
}

fn check_length(row: &[f32], tolerance: f32, label: &Label) -> Result<()> {
    let length = dot(row, row).sqrt();
    // A range holds no NaN.
    if (1.0 - tolerance..=1.0 + tolerance).contains(&length) {
        return Ok(());
    }
    Err(Error::caller(format!(
        "the embedding of label {:?} has length {length}, not 1",
        label.name()
    )))
}
