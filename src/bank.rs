//! The label bank: text embeddings, their names, and negatives, as a safetensors file holds them.

mod check;
mod layout;
mod tensors;

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;
use sha2::{Digest as _, Sha256};

use crate::bytes::{Source, Values};
use crate::digest::Digest;
use crate::embedding::dot;
use crate::error::{Error, Result};
use crate::label::Label;
use crate::search::{QUANTIZED_FROM, QuantizedRows};

/// The widest embedding that a bank may hold.
pub const MAX_DIMENSION: usize = 1 << 14;

/// First bytes of what [`LabelBank::digest`] hashes, so that another layout can never collide with it.
const DIGEST_DOMAIN: &[u8] = b"clipgate-bank-1\n";

/// The same for a bank of int8 rows alone.
const INT8_DIGEST_DOMAIN: &[u8] = b"clipgate-bank-int8-1\n";

/// Bytes of rows that are hashed and checked at once: they stay in the second cache.
const BLOCK_BYTES: usize = 1 << 16;

/// How a bank holds the embeddings of its labels; negatives are f32 always.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Four bytes a value: exact.
    F32,
    /// One byte a value and a step a row: a quarter of the memory, cosines off by 0.0002 or so for CLIP ViT-B/32's texts.
    Int8,
    /// Both: int8 rows are read for every frame, f32 rows only for the nearest labels, which are exact. In a mapped file
    /// the f32 rows hardly take memory.
    Both,
}

/// Unit-length text embeddings `[K, D]` with K distinct names, and optionally negatives `[M, D]`: texts
/// that share probability with the labels but never win.
///
/// ```
/// use clipgate::{Label, LabelBank, Rows};
///
/// let labels = vec![Label::new("cat")?, Label::new("dog")?];
/// let bank = LabelBank::new(labels, vec![1.0, 0.0, 0.0, 1.0], 2)?;
/// assert_eq!(bank.text_embeds().unwrap().dim(), (2, 2));
/// let small = bank.with_rows(Rows::Int8)?;
/// assert!(small.text_embeds().is_none());
/// # Ok::<(), clipgate::Error>(())
/// ```
pub struct LabelBank {
    labels: Vec<Label>,
    text: TextRows,
    negatives: Vec<Label>,
    negative_embeds: Values<f32>,
    dimension: usize,
    digest: OnceLock<Digest>,
    quantized_negatives: OnceLock<QuantizedRows>,
    /// Files that are mapped, of labels and negatives.
    sources: Vec<Arc<dyn Source>>,
}

/// The labels' rows; never neither.
struct TextRows {
    exact: Option<Values<f32>>,
    quantized: Option<QuantizedRows>,
}

/// Rows that follow each other, for whoever goes through a bank once.
enum Block<'a> {
    Labels(&'a [f32]),
    Int8(&'a [i8]),
    Negatives(&'a [f32]),
}

impl LabelBank {
    /// A bank from rows in memory: `text_embeds` is `[labels.len(), dimension]`, row by row, unit length.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there is no label, a name occurs twice (case
    /// ignored), the size is wrong, or a row is not of unit length.
    pub fn new(labels: Vec<Label>, text_embeds: Vec<f32>, dimension: usize) -> Result<Self> {
        let text = TextRows {
            exact: Some(Values::Owned(text_embeds)),
            quantized: None,
        };
        Self::checked(
            labels,
            text,
            Vec::new(),
            Values::Owned(Vec::new()),
            dimension,
        )
    }

    /// This bank with the labels of another as its negatives.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the dimensions differ, or the other has int8 rows only;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if a mapped file was changed.
    pub fn with_negatives(self, negatives: Self) -> Result<Self> {
        negatives
            .check_dimension(self.dimension)
            .map_err(|error| error.at("negatives"))?;
        let Some(negative_embeds) = negatives.text.exact else {
            return Err(int8_only().at("negatives"));
        };
        let bank = Self {
            negatives: negatives.labels,
            negative_embeds,
            digest: OnceLock::new(),
            quantized_negatives: OnceLock::new(),
            sources: [self.sources, negatives.sources].concat(),
            ..self
        };
        // Computed here, where it can be said that a mapped file changed meanwhile.
        bank.digest();
        bank.check_unchanged()?;
        Ok(bank)
    }

    /// This bank with its labels' rows held as `rows` says: int8 rows are made where they are missing, `q = round((v -
    /// mean) / step)` with the rows' mean and `step = max |v - mean| / 127` a row.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if f32 rows are asked for and the bank has none, or if a row's
    /// values differ so much in size that int8 would change its length by 2 %.
    pub fn with_rows(self, rows: Rows) -> Result<Self> {
        let TextRows { exact, quantized } = self.text;
        let text = match (rows, exact) {
            (Rows::F32 | Rows::Both, None) => return Err(int8_only()),
            (Rows::F32, exact) => TextRows {
                exact,
                quantized: None,
            },
            (Rows::Int8 | Rows::Both, exact) => {
                let made = exact
                    .as_ref()
                    .map(|exact| QuantizedRows::of(exact.as_slice(), self.dimension));
                TextRows {
                    exact: exact.filter(|_| rows == Rows::Both),
                    quantized: quantized.or(made),
                }
            }
        };
        let bank = Self::checked(
            self.labels,
            text,
            self.negatives,
            self.negative_embeds,
            self.dimension,
        )?;
        let mut bank = bank.kept_in(self.sources)?;
        if bank.is_owned() {
            bank.sources.clear();
        }
        Ok(bank)
    }

    /// Whether no row lies in a file.
    fn is_owned(&self) -> bool {
        self.text.exact.as_ref().is_none_or(Values::is_owned)
            && (self.text.quantized.as_ref()).is_none_or(QuantizedRows::is_owned)
            && self.negative_embeds.is_owned()
    }

    /// How the labels' rows are held.
    pub fn rows(&self) -> Rows {
        match (&self.text.exact, &self.text.quantized) {
            (Some(_), None) => Rows::F32,
            (None, _) => Rows::Int8,
            (Some(_), Some(_)) => Rows::Both,
        }
    }

    /// The labels in row order; at least one.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The negatives in row order; often none.
    pub fn negatives(&self) -> &[Label] {
        &self.negatives
    }

    /// Values in each embedding (D).
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Refuses a bank that was built for another model than one of embeddings of `model` values.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller).
    pub fn check_dimension(&self, model: usize) -> Result<()> {
        if self.dimension == model {
            return Ok(());
        }
        Err(Error::caller(format!(
            "the label bank has embeddings of {} values, the model's have {model}: it was built for another model",
            self.dimension
        )))
    }

    /// This bank, whose bytes come from where they may change.
    ///
    /// # Errors
    /// As [`check_unchanged`](Self::check_unchanged).
    pub(crate) fn kept_in(self, sources: Vec<Arc<dyn Source>>) -> Result<Self> {
        let bank = Self { sources, ..self };
        bank.check_unchanged()?;
        Ok(bank)
    }

    /// Whether all that was read from the bank so far is what was checked when it was opened.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if a mapped file was changed: what came of it is not to be used.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.sources
            .iter()
            .try_for_each(|source| source.check_unchanged())
    }

    /// Text embeddings of the labels, `[K, D]`, unit rows; `None` where the bank holds int8 rows only.
    pub fn text_embeds(&self) -> Option<ArrayView2<'_, f32>> {
        Some(self.view(self.exact_labels()?, self.labels.len()))
    }

    /// Text embeddings of the negatives, `[M, D]`, unit rows.
    pub fn negative_embeds(&self) -> ArrayView2<'_, f32> {
        self.view(self.negative_rows(), self.negatives.len())
    }

    /// The labels' f32 rows, where the bank has them.
    pub(crate) fn exact_labels(&self) -> Option<&[f32]> {
        self.text.exact.as_ref().map(Values::as_slice)
    }

    /// The same, for what cannot be done without.
    pub(crate) fn exact_rows(&self) -> Result<&[f32]> {
        self.exact_labels().ok_or_else(int8_only)
    }

    /// The labels' int8 rows, where the bank has them.
    pub(crate) fn quantized_labels(&self) -> Option<&QuantizedRows> {
        self.text.quantized.as_ref()
    }

    pub(crate) fn negative_rows(&self) -> &[f32] {
        self.negative_embeds.as_slice()
    }

    /// The int8 copy of the negatives, where they are so many that it pays; made when it is first asked for.
    pub(crate) fn quantized_negatives(&self) -> Option<&QuantizedRows> {
        (self.negatives.len() >= QUANTIZED_FROM).then(|| {
            self.quantized_negatives
                .get_or_init(|| QuantizedRows::of(self.negative_rows(), self.dimension))
        })
    }

    /// The dot product of a label's row, as exact as the bank has it, with a vector.
    pub(crate) fn label_dot(&self, row: usize, vector: &[f32]) -> f32 {
        let start = row * self.dimension;
        match (self.exact_labels(), &self.text.quantized) {
            (Some(exact), _) => dot(&exact[start..start + self.dimension], vector),
            (None, Some(quantized)) => quantized.dot(row, vector),
            (None, None) => f32::NAN,
        }
    }

    fn view<'a>(&self, values: &'a [f32], rows: usize) -> ArrayView2<'a, f32> {
        ArrayView2::from_shape((rows, self.dimension), values)
            .unwrap_or_else(|_| unreachable!("the sizes were compared when the bank was made"))
    }

    /// What a calibration is bound to: SHA-256 over names and values of labels and negatives.
    ///
    /// The hashed bytes are `clipgate-bank-1\n`; the number of labels (u64 LE); each name's length in
    /// bytes (u64 LE) and UTF-8; the embeddings (f32 LE); then the same for the negatives. Prompts and
    /// wnids do not count: they change no decision. Nor do int8 rows beside f32 rows, of which they are the rounding. Of
    /// a bank of int8 rows alone the first bytes are `clipgate-bank-int8-1\n`, and in the place of the labels' embeddings
    /// stand the mean (f32 LE), the steps (f32 LE) and the rows (i8).
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| {
            let Ok(digest) = self.pass(|_, _| Ok::<(), Infallible>(()));
            digest
        })
    }

    /// Goes through all rows once, block by block with the first row's place, and hashes them on the way.
    fn pass<E>(
        &self,
        mut visit: impl FnMut(usize, Block<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Digest, E> {
        let mut hasher = Sha256::new();
        match (self.exact_labels(), &self.text.quantized) {
            (None, Some(rows)) => {
                hasher.update(INT8_DIGEST_DOMAIN);
                hash_names(&mut hasher, &self.labels);
                hasher.update(bytemuck::cast_slice::<f32, u8>(rows.mean()));
                hasher.update(bytemuck::cast_slice::<f32, u8>(rows.steps()));
                for (first, values) in blocks(rows.values(), self.dimension) {
                    visit(first, Block::Int8(values))?;
                    hasher.update(bytemuck::cast_slice::<i8, u8>(values));
                }
            }
            (exact, _) => {
                hasher.update(DIGEST_DOMAIN);
                hash_names(&mut hasher, &self.labels);
                for (first, rows) in blocks(exact.unwrap_or_default(), self.dimension) {
                    visit(first, Block::Labels(rows))?;
                    hasher.update(bytemuck::cast_slice::<f32, u8>(rows));
                }
            }
        }
        hash_names(&mut hasher, &self.negatives);
        for (first, rows) in blocks(self.negative_rows(), self.dimension) {
            visit(first, Block::Negatives(rows))?;
            hasher.update(bytemuck::cast_slice::<f32, u8>(rows));
        }
        Ok(Digest::finish(hasher))
    }
}

/// Some rows at a time, with the place of the first.
fn blocks<T>(rows: &[T], dimension: usize) -> impl Iterator<Item = (usize, &[T])> {
    let height = (BLOCK_BYTES / (size_of::<T>() * dimension)).max(1);
    let blocks = rows.chunks(height * dimension).enumerate();
    blocks.map(move |(block, rows)| (block * height, rows))
}

fn hash_names(hasher: &mut Sha256, labels: &[Label]) {
    hasher.update((labels.len() as u64).to_le_bytes());
    for label in labels {
        hasher.update((label.name().len() as u64).to_le_bytes());
        hasher.update(label.name());
    }
}

fn int8_only() -> Error {
    Error::caller(
        "the bank holds int8 rows only, and this needs f32 rows: take the bank that it was made from",
    )
}

impl fmt::Debug for LabelBank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelBank")
            .field("labels", &self.labels.len())
            .field("rows", &self.rows())
            .field("negatives", &self.negatives.len())
            .field("dimension", &self.dimension)
            .finish_non_exhaustive()
    }
}
