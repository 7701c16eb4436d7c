//! Embeddings made elsewhere, from a safetensors file.

use std::path::Path;

use clipgate::{Embedding, Error, ErrorKind, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::Embedded;
use crate::report;

/// The largest file of embeddings, in bytes: a million of 1,024 values are 4 GiB.
const MAX_EMBEDDINGS_BYTES: u64 = 4 << 30;

/// How far from 1 a length may be before it is said that the row was scaled: f16 rounding stays below it.
const UNIT_TOLERANCE: f64 = 1e-3;

/// The metadata in which `clipgate embed` names the rows, and the graph that made them.
const PATHS: &str = "paths";
pub(crate) const GRAPH_SHA256: &str = "graph_sha256";
/// The metadata in which it tells how pixels were made.
pub(crate) const PREPROCESSING: &str = "preprocessing";

/// Reads `image_embeds` [N, `dimension`] f32, and `labels` [N] of any integer type below `label_count` where labels
/// are asked. Metadata may name the rows (`paths`, a JSON list) and the graph (`graph_sha256`).
pub(crate) fn read(path: &Path, dimension: usize, label_count: Option<usize>) -> Result<Embedded> {
    let bytes = clipgate::file::read_file(path, MAX_EMBEDDINGS_BYTES)?;
    let content = (*bytes).as_ref();
    let malformed = |error| refused("not a safetensors file").with_source(error);
    let (_, header) = SafeTensors::read_metadata(content).map_err(malformed)?;
    let tensors = SafeTensors::deserialize(content).map_err(malformed)?;
    let tensor = |name: &str| {
        tensors.tensor(name).map_err(|_| {
            let names = tensors.names().join(", ");
            refused(format!("no tensor `{name}`; the file has {names}"))
        })
    };
    let image_embeds = embeddings(&tensor("image_embeds")?, dimension, path)?;
    let labels = match label_count {
        Some(count) => rows(&tensor("labels")?, image_embeds.len(), count)?,
        None => Vec::new(),
    };
    let metadata = header.metadata().clone().unwrap_or_default();
    let names = metadata
        .get(PATHS)
        .and_then(|json| serde_json::from_str::<Vec<String>>(json).ok())
        .filter(|names| names.len() == image_embeds.len())
        .unwrap_or_else(|| {
            (0..image_embeds.len())
                .map(|row| format!("row {row}"))
                .collect()
        });
    Ok(Embedded {
        image_embeds,
        labels,
        names,
        unusable: Vec::new(),
        failed: 0,
        graph_sha256: metadata.get(GRAPH_SHA256).cloned(),
        preprocessing: metadata.get(PREPROCESSING).cloned(),
    })
}

fn embeddings(view: &TensorView<'_>, dimension: usize, path: &Path) -> Result<Vec<Embedding>> {
    let at = |error: Error| error.at("tensor `image_embeds`");
    let shape = view.shape();
    if view.dtype() != Dtype::F32 || shape.len() != 2 {
        return Err(at(refused(format!(
            "is {:?} {shape:?}; F32 [N, {dimension}] is needed",
            view.dtype()
        ))));
    }
    if shape[1] != dimension {
        return Err(at(refused(format!(
            "rows of {} values, the label bank's have {dimension}: another model made them",
            shape[1]
        ))));
    }
    if shape[0] == 0 {
        return Err(at(refused("no row")));
    }
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
    let mut scaled = 0usize;
    let embeddings = values
        .chunks_exact(dimension)
        .enumerate()
        .map(|(row, values)| {
            let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
            scaled += usize::from((squares.sqrt() - 1.0).abs() > UNIT_TOLERANCE);
            Embedding::new(values).map_err(|error| {
                Error::new(ErrorKind::Caller, error.to_string()).at(format!("row {row}"))
            })
        })
        .collect::<Result<Vec<_>>>()
        .map_err(at)?;
    if scaled > 0 {
        report::note(&format!(
            "{}: {scaled} of {} rows were not of unit length and were scaled to it",
            path.display(),
            embeddings.len()
        ));
    }
    Ok(embeddings)
}

/// Rows of the bank, from integers of any width.
fn rows(view: &TensorView<'_>, images: usize, count: usize) -> Result<Vec<usize>> {
    let at = |error: Error| error.at("tensor `labels`");
    if view.shape() != [images] {
        return Err(at(refused(format!(
            "has shape {:?}; one integer an image, [{images}], is needed",
            view.shape()
        ))));
    }
    let data = view.data();
    let values: Vec<i128> = match view.dtype() {
        Dtype::U8 => integers::<u8>(data),
        Dtype::I8 => integers::<i8>(data),
        Dtype::U16 => integers::<u16>(data),
        Dtype::I16 => integers::<i16>(data),
        Dtype::U32 => integers::<u32>(data),
        Dtype::I32 => integers::<i32>(data),
        Dtype::U64 => integers::<u64>(data),
        Dtype::I64 => integers::<i64>(data),
        other => return Err(at(refused(format!("is {other:?}; integers are needed")))),
    };
    values
        .iter()
        .enumerate()
        .map(|(row, &value)| {
            let label = usize::try_from(value).ok().filter(|label| *label < count);
            label.ok_or_else(|| {
                at(refused(format!(
                    "row {row} is {value}; the bank's rows are 0 to {}",
                    count - 1
                )))
            })
        })
        .collect()
}

fn integers<T: bytemuck::AnyBitPattern + bytemuck::NoUninit + Into<i128>>(
    data: &[u8],
) -> Vec<i128> {
    bytemuck::pod_collect_to_vec::<u8, T>(data)
        .into_iter()
        .map(Into::into)
        .collect()
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Caller, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(embeds: &[f32], columns: usize, labels: Option<&[i64]>) -> tempfile::NamedTempFile {
        let shape = vec![embeds.len() / columns, columns];
        let embeds = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(embeds)).unwrap();
        let mut tensors = vec![("image_embeds", embeds)];
        if let Some(labels) = labels {
            let data = bytemuck::cast_slice(labels);
            tensors.push((
                "labels",
                TensorView::new(Dtype::I64, vec![labels.len()], data).unwrap(),
            ));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), safetensors::serialize(tensors, None).unwrap()).unwrap();
        file
    }

    #[test]
    fn rows_become_unit_embeddings_with_labels() {
        let file = file(&[3.0, 4.0, 0.0, 1.0], 2, Some(&[1, 0]));
        let read = read(file.path(), 2, Some(2)).unwrap();
        assert_eq!(read.image_embeds[0].as_slice(), [0.6, 0.8]);
        assert_eq!(read.labels, [1, 0]);
        assert_eq!(read.names, ["row 0", "row 1"]);
    }

    #[test]
    fn every_broken_rule_names_its_row_or_tensor() {
        for (embeds, columns, labels, says) in [
            (vec![1.0, 0.0, f32::NAN, 1.0], 2, Some(vec![0, 1]), "row 1"),
            (vec![0.0, 0.0], 2, Some(vec![0]), "row 0"),
            (vec![1.0, 0.0, 0.0], 3, Some(vec![0]), "rows of 3 values"),
            (
                vec![1.0, 0.0],
                2,
                Some(vec![2]),
                "row 0 is 2; the bank's rows are 0 to 1",
            ),
            (vec![1.0, 0.0], 2, Some(vec![-1]), "row 0 is -1"),
            (vec![1.0, 0.0], 2, Some(vec![0, 1]), "has shape [2]"),
            (vec![1.0, 0.0], 2, None, "no tensor `labels`"),
            (vec![], 2, Some(vec![]), "no row"),
        ] {
            let file = file(&embeds, columns, labels.as_deref());
            let error = read(file.path(), 2, Some(2)).unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
        let unlabelled = file(&[1.0, 0.0], 2, None);
        assert!(read(unlabelled.path(), 2, None).unwrap().labels.is_empty());
    }
}
