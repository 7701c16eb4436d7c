//! Label banks whose mapped file changes while they are in use.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clipgate::{
    Embedding, Error, ErrorKind, Label, LabelBank, LabelSearch, Result, Rows, Scorer, Scores,
};
use tempfile::TempDir;

/// So many labels of two values that rows lie on many pages.
const LABELS: usize = 10_000;

fn mapped() -> (TempDir, PathBuf, LabelBank) {
    let labels = (0..LABELS)
        .map(|row| Label::new(&format!("label {row}")).unwrap())
        .collect();
    let rows = (0..LABELS).flat_map(|row| {
        let angle = row as f32 * 1e-4;
        [angle.cos(), angle.sin()]
    });
    let bank = LabelBank::new(labels, rows.collect(), 2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.safetensors");
    fs::write(&path, bank.to_safetensors().unwrap()).unwrap();
    let mapped = LabelBank::open_mapped(&path).unwrap();
    (folder, path, mapped)
}

/// What a bank answers, asked in each of the ways.
fn ask(bank: &LabelBank) -> [Result<()>; 3] {
    let image = Embedding::new(&[0.9, 0.5]).unwrap();
    [
        Scorer::new(10.0, 1.0)
            .unwrap()
            .score(&image, bank, &mut Scores::default()),
        LabelSearch::new(1)
            .unwrap()
            .nearest(&image, bank, 5)
            .map(|_| ()),
        bank.to_safetensors().map(|_| ()),
    ]
}

fn writable(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

fn names(error: &Error, path: &Path) -> bool {
    error.kind() == ErrorKind::Machine
        && error.to_string().contains(&path.display().to_string())
        && error.to_string().contains("truncated, replaced")
}

#[test]
fn a_truncated_bank_is_an_error_whoever_asks() {
    let (_folder, path, bank) = mapped();
    assert!(ask(&bank).iter().all(Result::is_ok));
    writable(&path).set_len(4096).unwrap();
    for answer in ask(&bank) {
        assert!(names(&answer.unwrap_err(), &path));
    }
}

#[test]
fn a_bank_that_is_written_to_is_an_error_whoever_asks() {
    let (_folder, path, bank) = mapped();
    let mut file = writable(&path);
    file.seek(SeekFrom::End(-8)).unwrap();
    file.write_all(&0.5f32.to_le_bytes()).unwrap();
    for answer in ask(&bank) {
        assert!(names(&answer.unwrap_err(), &path));
    }
}

#[test]
fn negatives_are_watched_too() {
    let (_folder, path, negatives) = mapped();
    let label = vec![Label::new("alone").unwrap()];
    let bank = LabelBank::new(label, vec![0.0, 1.0], 2)
        .unwrap()
        .with_negatives(negatives)
        .unwrap();
    assert!(ask(&bank)[0].is_ok());
    writable(&path).set_len(4096).unwrap();
    assert!(names(ask(&bank)[0].as_ref().unwrap_err(), &path));
}

#[test]
fn a_bank_replaced_by_a_rename_goes_on() {
    let (folder, path, bank) = mapped();
    let next = folder.path().join("next");
    fs::write(&next, "another version").unwrap();
    fs::rename(&next, &path).unwrap();
    assert!(ask(&bank).iter().all(Result::is_ok));
}

#[test]
fn negatives_that_changed_before_they_are_hashed_are_refused() {
    let (_folder, path, negatives) = mapped();
    let label = vec![Label::new("alone").unwrap()];
    let bank = LabelBank::new(label, vec![0.0, 1.0], 2).unwrap();
    writable(&path).set_len(4096).unwrap();
    assert!(names(&bank.with_negatives(negatives).unwrap_err(), &path));
}

#[test]
fn rows_that_were_copied_need_the_file_no_more() {
    let labels = ["a", "b"].map(|name| Label::new(name).unwrap());
    let bank = LabelBank::new(labels.into(), vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.safetensors");
    fs::write(&path, bank.to_safetensors().unwrap()).unwrap();
    let mapped = LabelBank::open_mapped(&path).unwrap();
    let small = mapped.with_rows(Rows::Int8).unwrap();
    writable(&path).set_len(0).unwrap();
    assert!(ask(&small).iter().all(Result::is_ok));
}
