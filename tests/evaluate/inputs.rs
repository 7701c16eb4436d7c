//! Images and embeddings that the tests of `evaluate` judge.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use clipgate::{Embedding, LabelBank};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::clipgate;

/// Few, so that tests are quick; the intervals are of no interest here.
pub(super) const QUICK: [&str; 2] = ["--resamples", "20"];

pub(super) fn evaluate(arguments: &[&str]) -> Output {
    clipgate(&[&["evaluate"], arguments, &QUICK].concat())
}

pub(super) fn photo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/photos")
        .join(name)
}

/// Photos in folders that are named after labels of pocket, and some of nothing that it knows.
pub(super) fn photos() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (copy, from) in [
        ("id/espresso/1.jpg", "coffee.jpg"),
        ("id/espresso/2.jpg", "coffee.jpg"),
        ("id/tabby cat/1.jpg", "chelsea.jpg"),
        ("id/umbrella/dark.jpg", "covered_lens.jpg"),
        ("ood/1.jpg", "gravel.jpg"),
        ("ood/2.jpg", "hubble.jpg"),
        ("ood/3.jpg", "rocket.jpg"),
    ] {
        let copy = root.path().join(copy);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(photo(from), copy).unwrap();
    }
    root
}

pub(super) fn path(root: &TempDir, name: &str) -> String {
    root.path().join(name).display().to_string()
}

pub(super) fn bank() -> LabelBank {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket/labels.safetensors");
    LabelBank::from_safetensors(Arc::new(fs::read(file).unwrap())).unwrap()
}

/// The SHA-256 of pocket's image encoder.
pub(super) fn graph() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket/manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let sha256 = &manifest["files"]["image_encoder.onnx"]["sha256"];
    sha256.as_str().unwrap().to_owned()
}

/// Embeddings near the labels' own, `each` a label, the last in five nearer to the next label; and some near a
/// negative.
pub(super) fn embeddings(file: &Path, each: usize, graph_sha256: Option<&str>, labelled: bool) {
    let bank = bank();
    let (text, negatives) = (bank.text_embeds().unwrap(), bank.negative_embeds());
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for label in 0..8 {
        for image in 0..each {
            let own = if labelled {
                text.row(label)
            } else {
                negatives.row(label)
            };
            let next = text.row(label + 1);
            let share = if image % 5 == 4 {
                0.7
            } else {
                0.1 * (image % 5) as f32
            };
            let mixed: Vec<f32> = own
                .iter()
                .zip(next)
                .map(|(a, b)| a * (1.0 - share) + b * share)
                .collect();
            values.extend_from_slice(Embedding::new(&mixed).unwrap().as_slice());
            labels.push(label as i64);
        }
    }
    let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).unwrap();
    let rows = labels.len();
    let mut tensors = vec![(
        "image_embeds",
        view(
            Dtype::F32,
            vec![rows, bank.dimension()],
            bytemuck::cast_slice(&values),
        ),
    )];
    if labelled {
        tensors.push((
            "labels",
            view(Dtype::I64, vec![rows], bytemuck::cast_slice(&labels)),
        ));
    }
    let metadata =
        graph_sha256.map(|graph| HashMap::from([("graph_sha256".to_owned(), graph.to_owned())]));
    fs::write(file, safetensors::serialize(tensors, metadata).unwrap()).unwrap();
}
