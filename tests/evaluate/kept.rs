//! `evaluate --keep`: what an earlier run embedded is not embedded again, and says the same.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::inputs::{evaluate, path, photo, photos};
use crate::cli::{json_lines, status, stderr};

/// Judges the photos, keeping embeddings in the folder `kept` beside them.
fn judged(root: &TempDir, more: &[&str]) -> Value {
    let ood = format!("other={}", path(root, "ood"));
    let (id, kept) = (path(root, "id"), path(root, "kept"));
    let arguments = [
        "--id", &id, "--ood", &ood, "--keep", &kept, "--format", "json",
    ];
    let output = evaluate(&[&arguments[..], more].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let mut result = json_lines(&output).remove(0);
    result["seconds"] = Value::Null;
    result
}

fn kept_files(root: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.path().join("kept")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn rows(file: &PathBuf) -> usize {
    let bytes = fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    tensors.tensor("image_embeds").unwrap().shape()[0]
}

/// Figures that differ by what a second rounding to unit length can change.
fn nearly_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            (one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-5
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| nearly_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| nearly_equal(value, &other[key]))
        }
        _ => one == other,
    }
}

#[test]
fn a_second_run_says_the_same_from_what_was_kept() {
    let root = photos();
    let first = judged(&root, &[]);
    let [file] = kept_files(&root).try_into().unwrap();
    // Three files are one photo twice and another; one shows nothing; three more are of the other set.
    assert_eq!(rows(&file), 5);
    let before = fs::read(&file).unwrap();
    let second = judged(&root, &[]);
    assert!(nearly_equal(&first, &second), "{first}\n{second}");
    assert_eq!(fs::read(&file).unwrap(), before);

    fs::copy(photo("astronaut.jpg"), root.path().join("ood/4.jpg")).unwrap();
    judged(&root, &[]);
    assert_eq!(rows(&file), 6);
}

#[test]
fn what_was_kept_is_what_is_judged() {
    let root = photos();
    judged(&root, &[]);
    let [file] = kept_files(&root).try_into().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // The tensor is all that follows the header.
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let row = (bytes.len() - 8 - header) / 5;
    let first = bytes[8 + header..8 + header + row].to_vec();
    for copy in bytes[8 + header..].chunks_exact_mut(row) {
        copy.copy_from_slice(&first);
    }
    fs::write(&file, bytes).unwrap();
    let alike = judged(&root, &[]);
    assert_eq!(alike["ood"][0]["auroc"]["msp"], 0.5);
}

#[test]
fn another_way_to_make_pixels_is_kept_apart() {
    let root = photos();
    judged(&root, &[]);
    judged(&root, &["--fast-decode"]);
    judged(&root, &["--threads", "2"]);
    assert_eq!(kept_files(&root).len(), 3);
}

#[test]
fn a_damaged_file_is_named() {
    let root = photos();
    judged(&root, &[]);
    let [file] = kept_files(&root).try_into().unwrap();
    fs::write(&file, b"no tensors").unwrap();
    let output = evaluate(&["--id", &path(&root, "id"), "--keep", &path(&root, "kept")]);
    assert_eq!(status(&output), 2);
    let says = stderr(&output);
    assert!(
        says.contains("delete this file") && says.contains(&file.display().to_string()),
        "{says}"
    );
}

#[test]
fn a_file_in_the_folders_place_is_named() {
    let root = photos();
    fs::write(root.path().join("kept"), b"").unwrap();
    let output = evaluate(&["--id", &path(&root, "id"), "--keep", &path(&root, "kept")]);
    assert_eq!(status(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("--keep"), "{}", stderr(&output));
}
