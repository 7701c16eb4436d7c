//! The safetensors file of a label bank.

use std::collections::HashMap;
use std::fmt::Write as _;

use safetensors::tensor::{Dtype, TensorView};

use super::tensors::Tensors;
use super::{LabelBank, TextRows};
use crate::bytes::{SharedBytes, Values};
use crate::error::{Error, Result};
use crate::label::{Label, MAX_LABELS, MAX_NAME_BYTES};
use crate::search::QuantizedRows;
use crate::tensor_file::sort_metadata;

/// From this many labels on their names are written as a tensor: JSON in the file's header, of 100 MB at most, would be
/// near its limit with a million names.
const NAMES_AS_TENSOR_FROM: usize = 1 << 16;

/// The tensor of the labels' f32 rows [K, D].
const TEXT: &str = "text_embeds";

/// Those of their int8 rows [K, D], steps [K] and mean [D].
const INT8: &str = "text_embeds_q8";
const INT8_STEPS: &str = "text_embeds_q8_steps";
const INT8_MEAN: &str = "text_embeds_q8_mean";

/// The tensor of names, each ended by a line feed.
const NAMES: &str = "label_names";

/// The tensor of the negatives' rows [M, D].
const NEGATIVES: &str = "negative_embeds";

impl LabelBank {
    /// Reads the safetensors layout. Rows are used in place where `bytes` is aligned, and copied where it is not; they
    /// are read once, for the checks and the digest.
    ///
    /// | tensor | | |
    /// |---|---|---|
    /// | `text_embeds` | F32 `[K, D]` | unit rows; may be missing beside int8 rows |
    /// | `text_embeds_q8` | I8 `[K, D]` | optional: `round((v - mean) / step)` |
    /// | `text_embeds_q8_steps` | F32 `[K]` | its steps, 0 to 0.02, `max abs(v - mean) / 127` of each row |
    /// | `text_embeds_q8_mean` | F32 `[D]` | its mean, that of all rows |
    /// | `negative_embeds` | F32 `[M, D]` | optional: unit rows |
    /// | `label_names` | U8 `[bytes]` | names in UTF-8, each ended by a line feed, in place of the metadata's |
    ///
    /// The metadata's `labels` and `negatives` are JSON lists of `{"name", "wnid"?, "prompts"?}` in row order.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) naming the tensor, label or rule that is broken.
    pub fn from_safetensors(bytes: SharedBytes) -> Result<Self> {
        let content = (*bytes).as_ref();
        let malformed =
            |error| Error::caller("not a label bank in safetensors form").with_source(error);
        let tensors = Tensors::read(content).map_err(malformed)?;
        let metadata = tensors.metadata();

        let labels = labels(&metadata, &tensors)?;
        let negatives = names(&metadata, "negatives")?.unwrap_or_default();
        let exact = match tensors.tensor(TEXT) {
            Ok(tensor) => Some(matrix(&tensor, TEXT, Dtype::F32, labels.len())?),
            Err(_) if tensors.tensor(INT8).is_ok() => None,
            Err(error) => {
                return Err(Error::caller("no tensor `text_embeds`").with_source(error));
            }
        };
        let int8 = int8_tensors(&tensors, labels.len())?;
        let dimension = match (&exact, &int8) {
            (Some((columns, _)), _) => *columns,
            (None, Some(int8)) => int8.dimension,
            (None, None) => 0,
        };
        let same_width = |name: &str, columns: usize| {
            if columns == dimension {
                return Ok(());
            }
            Err(Error::caller(format!(
                "`{name}` has {columns} columns, `{TEXT}` {dimension}"
            )))
        };
        if let Some(int8) = &int8 {
            same_width(INT8, int8.dimension)?;
        }
        let negative_embeds = match tensors.tensor(NEGATIVES) {
            Ok(tensor) => {
                let (columns, data) = matrix(&tensor, NEGATIVES, Dtype::F32, negatives.len())?;
                same_width(NEGATIVES, columns)?;
                Values::place(&bytes, data)
            }
            Err(_) if negatives.is_empty() => Values::Owned(Vec::new()),
            Err(error) => {
                return Err(Error::caller(
                    "negatives are named, but there is no tensor `negative_embeds`",
                )
                .with_source(error));
            }
        };
        let text = TextRows {
            exact: exact.map(|(_, data)| Values::place(&bytes, data)),
            quantized: int8.map(|int8| int8.place(&bytes)),
        };
        Self::checked(labels, text, negatives, negative_embeds, dimension)
    }

    /// The bytes of the safetensors file that [`from_safetensors`](Self::from_safetensors) reads. From 65,536 labels on
    /// their names stand in the tensor `label_names`, without prompts and wnids.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the file would break the format's limits;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if the bank's own mapped file was changed.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let json = |labels: &[Label]| {
            serde_json::to_string(labels).map_err(|error| {
                Error::caller("the labels cannot be written as JSON").with_source(error)
            })
        };
        let (labels, dimension) = (self.labels.len(), self.dimension);
        let mut metadata = HashMap::new();
        let mut names = String::new();
        let mut tensors = Vec::new();
        if labels < NAMES_AS_TENSOR_FROM {
            metadata.insert("labels".to_owned(), json(&self.labels)?);
        } else {
            for label in &self.labels {
                let _ = writeln!(names, "{}", label.name());
            }
            tensors.push((NAMES, view(Dtype::U8, &[names.len()], names.as_bytes())?));
        }
        if let Some(exact) = &self.text.exact {
            tensors.push((
                TEXT,
                view(Dtype::F32, &[labels, dimension], exact.as_slice())?,
            ));
        }
        if let Some(int8) = &self.text.quantized {
            tensors.push((INT8, view(Dtype::I8, &[labels, dimension], int8.values())?));
            tensors.push((INT8_STEPS, view(Dtype::F32, &[labels], int8.steps())?));
            tensors.push((INT8_MEAN, view(Dtype::F32, &[dimension], int8.mean())?));
        }
        if !self.negatives.is_empty() {
            metadata.insert("negatives".to_owned(), json(&self.negatives)?);
            let shape = [self.negatives.len(), dimension];
            tensors.push((NEGATIVES, view(Dtype::F32, &shape, self.negative_rows())?));
        }
        let mut bytes = safetensors::serialize(tensors, Some(metadata)).map_err(unwritable)?;
        sort_metadata(&mut bytes)?;
        self.check_unchanged()?;
        Ok(bytes)
    }
}

fn view<'a, T: bytemuck::Pod>(
    dtype: Dtype,
    shape: &[usize],
    values: &'a [T],
) -> Result<TensorView<'a>> {
    TensorView::new(dtype, shape.to_vec(), bytemuck::cast_slice(values)).map_err(unwritable)
}

fn unwritable(error: safetensors::SafeTensorError) -> Error {
    Error::caller("the bank cannot be written as safetensors").with_source(error)
}

/// The labels, from the metadata or from the tensor of names.
fn labels(metadata: &HashMap<String, String>, tensors: &Tensors<'_>) -> Result<Vec<Label>> {
    let listed = names(metadata, "labels")?;
    let Ok(tensor) = tensors.tensor(NAMES) else {
        return listed.ok_or_else(|| Error::caller("the metadata names no `labels`"));
    };
    if listed.is_some() {
        return Err(Error::caller(
            "labels are named in the metadata and in the tensor `label_names`; one of them is needed",
        ));
    }
    if tensor.data().len() > MAX_LABELS * (MAX_NAME_BYTES + 1) {
        return Err(Error::caller(format!(
            "tensor `label_names` has {} bytes; at most {MAX_LABELS} labels of {MAX_NAME_BYTES} bytes are possible",
            tensor.data().len()
        )));
    }
    // A copy, as text that a file's writer could change would not be a `str`.
    let text = String::from_utf8(tensor.data().to_vec())
        .map_err(|error| Error::caller("tensor `label_names` is not UTF-8").with_source(error))?;
    let Some(lines) = text.strip_suffix('\n') else {
        return Err(Error::caller(
            "tensor `label_names` does not end with a line feed",
        ));
    };
    if lines.split('\n').nth(MAX_LABELS).is_some() {
        return Err(Error::caller(format!("more than {MAX_LABELS} labels")));
    }
    let named =
        |(row, name)| Label::new(name).map_err(|error| error.at(format!("label {}", row + 1)));
    lines.split('\n').enumerate().map(named).collect()
}

fn names(metadata: &HashMap<String, String>, key: &str) -> Result<Option<Vec<Label>>> {
    let Some(json) = metadata.get(key) else {
        return Ok(None);
    };
    serde_json::from_str(json).map(Some).map_err(|error| {
        Error::caller(format!("the metadata's `{key}` is not a list of labels")).with_source(error)
    })
}

/// The tensors of int8 rows, which come together.
struct Int8Tensors<'a> {
    dimension: usize,
    values: &'a [u8],
    steps: &'a [u8],
    mean: &'a [u8],
}

impl Int8Tensors<'_> {
    fn place(&self, bytes: &SharedBytes) -> QuantizedRows {
        let mean = bytemuck::pod_collect_to_vec(self.mean);
        let (values, steps) = (self.values, self.steps);
        QuantizedRows::from_parts(
            mean,
            Values::place(bytes, values),
            Values::place(bytes, steps),
        )
    }
}

fn int8_tensors<'a>(tensors: &Tensors<'a>, rows: usize) -> Result<Option<Int8Tensors<'a>>> {
    let Ok(values) = tensors.tensor(INT8) else {
        return Ok(None);
    };
    let (dimension, values) = matrix(&values, INT8, Dtype::I8, rows)?;
    let vector = |name: &str, length: usize| {
        let tensor = tensors.tensor(name).map_err(|error| {
            Error::caller(format!("`{INT8}` is there, but not `{name}`")).with_source(error)
        })?;
        if tensor.dtype() != Dtype::F32 || *tensor.shape() != [length] {
            return Err(Error::caller(format!(
                "tensor `{name}` is {:?} {:?}; F32 [{length}] is needed",
                tensor.dtype(),
                tensor.shape()
            )));
        }
        Ok(tensor.data())
    };
    Ok(Some(Int8Tensors {
        dimension,
        values,
        steps: vector(INT8_STEPS, rows)?,
        mean: vector(INT8_MEAN, dimension)?,
    }))
}

/// The number of columns of a tensor with one row a label, and its bytes.
fn matrix<'a>(
    tensor: &TensorView<'a>,
    name: &str,
    dtype: Dtype,
    rows: usize,
) -> Result<(usize, &'a [u8])> {
    if tensor.dtype() != dtype {
        return Err(Error::caller(format!(
            "tensor `{name}` is {:?}; {dtype:?} is needed",
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
        [_, columns] => Ok((columns, tensor.data())),
        ref shape => Err(Error::caller(format!(
            "tensor `{name}` has shape {shape:?}; two dimensions are needed"
        ))),
    }
}
