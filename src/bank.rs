//! The label bank: text embeddings, their names, and negatives, as a safetensors file holds them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ndarray::ArrayView2;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::embedding::dot;
use crate::error::{Error, Result};
use crate::label::{Label, MAX_LABELS, check_labels};
use crate::search::{QUANTIZED_FROM, QuantizedRows};

/// The widest embedding that a bank may hold.
pub const MAX_DIMENSION: usize = 1 << 14;

/// How far a row's length may be from 1: f16 rounding of 512 values stays below it.
const UNIT_TOLERANCE: f32 = 1e-3;

/// First bytes of what [`LabelBank::digest`] hashes, so that another layout can never collide with it.
const DIGEST_DOMAIN: &[u8] = b"clipgate-bank-1\n";

/// Bytes that a bank may keep: a private copy of a file, or data in the program itself.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Unit-length text embeddings `[K, D]` with K distinct names, and optionally negatives `[M, D]`: texts
/// that share probability with the labels but never win.
///
/// ```
/// use clipgate::{Label, LabelBank};
///
/// let labels = vec![Label::new("cat")?, Label::new("dog")?];
/// let bank = LabelBank::new(labels, vec![1.0, 0.0, 0.0, 1.0], 2)?;
/// assert_eq!(bank.text_embeds().dim(), (2, 2));
/// # Ok::<(), clipgate::Error>(())
/// ```
pub struct LabelBank {
    labels: Vec<Label>,
    text_embeds: Matrix,
    negatives: Vec<Label>,
    negative_embeds: Matrix,
    dimension: usize,
    digest: OnceLock<Digest>,
    quantized: OnceLock<QuantizedRows>,
}

impl LabelBank {
    /// A bank from rows in memory: `text_embeds` is `[labels.len(), dimension]`, row by row, unit length.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there is no label, a name occurs twice (case
    /// ignored), the size is wrong, or a row is not of unit length.
    pub fn new(labels: Vec<Label>, text_embeds: Vec<f32>, dimension: usize) -> Result<Self> {
        let bank = Self {
            labels,
            text_embeds: Matrix::Owned(text_embeds),
            negatives: Vec::new(),
            negative_embeds: Matrix::Owned(Vec::new()),
            dimension,
            digest: OnceLock::new(),
            quantized: OnceLock::new(),
        };
        bank.check()?;
        Ok(bank)
    }

    /// This bank with the labels of another as its negatives.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the dimensions differ.
    pub fn with_negatives(self, negatives: Self) -> Result<Self> {
        negatives
            .check_dimension(self.dimension)
            .map_err(|error| error.at("negatives"))?;
        Ok(Self {
            negatives: negatives.labels,
            negative_embeds: negatives.text_embeds,
            digest: OnceLock::new(),
            quantized: OnceLock::new(),
            ..self
        })
    }

    /// Reads the safetensors layout: `text_embeds` [K, D] f32, optional `negative_embeds` [M, D] f32,
    /// and metadata `labels` (and `negatives`), JSON lists of `{"name", "wnid"?, "prompts"?}` in row
    /// order. The embeddings are used in place where `bytes` is aligned, and copied where it is not.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) naming the tensor, label or rule that is broken.
    pub fn from_safetensors(bytes: SharedBytes) -> Result<Self> {
        let content = (*bytes).as_ref();
        let malformed =
            |error| Error::caller("not a label bank in safetensors form").with_source(error);
        let (_, header) = SafeTensors::read_metadata(content).map_err(malformed)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let tensors = SafeTensors::deserialize(content).map_err(malformed)?;

        let labels = names(&metadata, "labels")?
            .ok_or_else(|| Error::caller("the metadata names no `labels`"))?;
        let negatives = names(&metadata, "negatives")?.unwrap_or_default();
        let text = tensors
            .tensor("text_embeds")
            .map_err(|error| Error::caller("no tensor `text_embeds`").with_source(error))?;
        let dimension = columns(&text, "text_embeds", labels.len())?;
        let text_embeds = Matrix::place(&bytes, &text);
        let negative_embeds = match tensors.tensor("negative_embeds") {
            Ok(tensor) => {
                let negative_dimension = columns(&tensor, "negative_embeds", negatives.len())?;
                if negative_dimension != dimension {
                    return Err(Error::caller(format!(
                        "`negative_embeds` has {negative_dimension} columns, `text_embeds` {dimension}"
                    )));
                }
                Matrix::place(&bytes, &tensor)
            }
            Err(_) if negatives.is_empty() => Matrix::Owned(Vec::new()),
            Err(error) => {
                return Err(Error::caller(
                    "negatives are named, but there is no tensor `negative_embeds`",
                )
                .with_source(error));
            }
        };
        let bank = Self {
            labels,
            text_embeds,
            negatives,
            negative_embeds,
            dimension,
            digest: OnceLock::new(),
            quantized: OnceLock::new(),
        };
        bank.check()?;
        Ok(bank)
    }

    /// The bytes of the safetensors file that [`from_safetensors`](Self::from_safetensors) reads.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the file would break the format's limits.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let refused = |error: safetensors::SafeTensorError| {
            Error::caller("the bank cannot be written as safetensors").with_source(error)
        };
        let json = |labels: &[Label]| {
            serde_json::to_string(labels).map_err(|error| {
                Error::caller("the labels cannot be written as JSON").with_source(error)
            })
        };
        let mut metadata = HashMap::from([("labels".to_owned(), json(&self.labels)?)]);
        let mut tensors = vec![(
            "text_embeds",
            self.view(&self.text_embeds, self.labels.len())?,
        )];
        if !self.negatives.is_empty() {
            metadata.insert("negatives".to_owned(), json(&self.negatives)?);
            tensors.push((
                "negative_embeds",
                self.view(&self.negative_embeds, self.negatives.len())?,
            ));
        }
        safetensors::serialize(tensors, Some(metadata)).map_err(refused)
    }

    fn view<'a>(&self, matrix: &'a Matrix, rows: usize) -> Result<TensorView<'a>> {
        TensorView::new(
            Dtype::F32,
            vec![rows, self.dimension],
            bytemuck::cast_slice(matrix.values()),
        )
        .map_err(|error| {
            Error::caller("the bank cannot be written as safetensors").with_source(error)
        })
    }

    fn check(&self) -> Result<()> {
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
        for (matrix, labels) in [
            (&self.text_embeds, &self.labels),
            (&self.negative_embeds, &self.negatives),
        ] {
            let values = matrix.values();
            if labels.len().checked_mul(self.dimension) != Some(values.len()) {
                return Err(Error::caller(format!(
                    "{} labels of {} values do not make {} numbers",
                    labels.len(),
                    self.dimension,
                    values.len()
                )));
            }
            for (row, label) in values.chunks_exact(self.dimension).zip(labels) {
                let length = dot(row, row).sqrt();
                // A range holds no NaN.
                if !(1.0 - UNIT_TOLERANCE..=1.0 + UNIT_TOLERANCE).contains(&length) {
                    return Err(Error::caller(format!(
                        "the embedding of label {:?} has length {length}, not 1",
                        label.name()
                    )));
                }
            }
        }
        self.check_distinct()
    }

    /// Two labels with one embedding can never be told apart. A text encoder gives the same embedding to
    /// words that it does not know, so this is where they show.
    fn check_distinct(&self) -> Result<()> {
        let mut rows = HashMap::with_capacity(self.labels.len());
        for (row, label) in self
            .text_embeds
            .values()
            .chunks_exact(self.dimension)
            .zip(&self.labels)
        {
            let other: Option<&Label> = rows.insert(bytemuck::cast_slice::<f32, u8>(row), label);
            if let Some(other) = other {
                return Err(Error::caller(format!(
                    "labels {:?} and {:?} have the same embedding, so they can never be told apart: the model does \
                     not know these words, or they mean the same to it",
                    other.name(),
                    label.name()
                )));
            }
        }
        Ok(())
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

    /// Text embeddings of the labels, `[K, D]`, unit rows.
    pub fn text_embeds(&self) -> ArrayView2<'_, f32> {
        self.rows(&self.text_embeds, self.labels.len())
    }

    /// Text embeddings of the negatives, `[M, D]`, unit rows.
    pub fn negative_embeds(&self) -> ArrayView2<'_, f32> {
        self.rows(&self.negative_embeds, self.negatives.len())
    }

    /// The int8 copy of the negatives, where they are so many that it pays; made when it is first asked for.
    pub(crate) fn quantized_negatives(&self) -> Option<&QuantizedRows> {
        (self.negatives.len() >= QUANTIZED_FROM).then(|| {
            self.quantized
                .get_or_init(|| QuantizedRows::of(self.negative_embeds.values(), self.dimension))
        })
    }

    fn rows<'a>(&self, matrix: &'a Matrix, rows: usize) -> ArrayView2<'a, f32> {
        ArrayView2::from_shape((rows, self.dimension), matrix.values())
            .unwrap_or_else(|_| unreachable!("`check` compared the sizes when the bank was made"))
    }

    /// What a calibration is bound to: SHA-256 over the names and f32 bytes of labels and negatives.
    ///
    /// The hashed bytes are `clipgate-bank-1\n`; the number of labels (u64 LE); each name's length in
    /// bytes (u64 LE) and UTF-8; the embeddings (f32 LE); then the same for the negatives. Prompts and
    /// wnids do not count: they change no decision.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| {
            let mut hasher = Sha256::new();
            hasher.update(DIGEST_DOMAIN);
            for (labels, matrix) in [
                (&self.labels, &self.text_embeds),
                (&self.negatives, &self.negative_embeds),
            ] {
                hasher.update((labels.len() as u64).to_le_bytes());
                for label in labels {
                    hasher.update((label.name().len() as u64).to_le_bytes());
                    hasher.update(label.name());
                }
                hasher.update(bytemuck::cast_slice::<f32, u8>(matrix.values()));
            }
            Digest::finish(hasher)
        })
    }
}

impl fmt::Debug for LabelBank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelBank")
            .field("labels", &self.labels.len())
            .field("negatives", &self.negatives.len())
            .field("dimension", &self.dimension)
            .finish_non_exhaustive()
    }
}

/// Row-major f32 values, owned or inside shared bytes.
enum Matrix {
    Owned(Vec<f32>),
    Shared {
        bytes: SharedBytes,
        range: Range<usize>,
    },
}

impl Matrix {
    fn place(bytes: &SharedBytes, tensor: &TensorView<'_>) -> Self {
        let data = tensor.data();
        if bytemuck::try_cast_slice::<u8, f32>(data).is_err() {
            return Self::Owned(bytemuck::pod_collect_to_vec(data));
        }
        let start = data.as_ptr().addr() - (**bytes).as_ref().as_ptr().addr();
        Self::Shared {
            bytes: Arc::clone(bytes),
            range: start..start + data.len(),
        }
    }

    fn values(&self) -> &[f32] {
        match self {
            Self::Owned(values) => values,
            Self::Shared { bytes, range } => {
                bytemuck::cast_slice(&(**bytes).as_ref()[range.clone()])
            }
        }
    }
}

fn names(metadata: &HashMap<String, String>, key: &str) -> Result<Option<Vec<Label>>> {
    let Some(json) = metadata.get(key) else {
        return Ok(None);
    };
    serde_json::from_str(json).map(Some).map_err(|error| {
        Error::caller(format!("the metadata's `{key}` is not a list of labels")).with_source(error)
    })
}

/// The number of columns of an f32 tensor with one row a label.
fn columns(tensor: &TensorView<'_>, name: &str, rows: usize) -> Result<usize> {
    if tensor.dtype() != Dtype::F32 {
        return Err(Error::caller(format!(
            "tensor `{name}` is {:?}; F32 is needed",
            tensor.dtype()
        )));
    }
    match *tensor.shape() {
        [found, _] if found != rows => Err(Error::caller(format!(
            "tensor `{name}` has {found} rows for {rows} labels"
        ))),
        [found, _] if found > MAX_LABELS => Err(Error::caller(format!(
            "tensor `{name}` has {found} rows; at most {MAX_LABELS}"
        ))),
        [_, columns] => Ok(columns),
        ref shape => Err(Error::caller(format!(
            "tensor `{name}` has shape {shape:?}; two dimensions are needed"
        ))),
    }
}
