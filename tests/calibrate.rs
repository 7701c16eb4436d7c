//! `clipgate calibrate`: what it fits and promises, and what takes its calibration.

mod fast_decode;
mod refused;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use clipgate::LabelBank;
use image::imageops::FilterType;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{PHOTO, clipgate, json_lines, status, stderr, stdout};

/// Photos that pocket takes for these labels, cut in many ways.
const LABELS: [(&str, &str); 2] = [("espresso", "coffee.jpg"), ("pretzel", "chelsea.jpg")];

/// No promise, so that few images do.
const FEW: [&str; 4] = ["--method", "accept-rate", "--accept-rate", "0.8"];

/// A folder to work in, with a bank of two labels and `photos/LABEL/N.png`, `each` a label.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(each: u32) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (label, photo) in LABELS {
            let photo = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("examples/photos")
                .join(photo);
            let photo = image::open(photo)
                .unwrap()
                .resize(96, 96, FilterType::Triangle);
            let folder = place.at("photos").join(label);
            fs::create_dir_all(&folder).unwrap();
            for cut in 0..each {
                let side = photo.width().min(photo.height()) - 1 - cut;
                let cut_out = photo.crop_imm(cut / 2, cut / 2, side, side);
                cut_out.save(folder.join(format!("{cut}.png"))).unwrap();
            }
        }
        let names = LABELS.map(|(label, _)| label).join(",");
        let built = clipgate(&[
            "labels",
            "build",
            "--labels",
            &names,
            "-o",
            &place.path("bank"),
        ]);
        assert_eq!(status(&built), 0, "{}", stderr(&built));
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// Calibrates on `images`, a name in this place, for its bank.
    fn calibrate(&self, images: &str, more: &[&str]) -> Output {
        let (images, bank, output) = (self.path(images), self.path("bank"), self.path("mine.json"));
        let common = [
            "calibrate",
            "--images",
            &images,
            "--bank",
            &bank,
            "-o",
            &output,
        ];
        clipgate(&[&common, more].concat())
    }

    fn embedded(&self, more: &[&str]) -> Output {
        let (file, output) = (self.path("embeddings"), self.path("mine.json"));
        let common = ["calibrate", "--embeddings", &file, "-o", &output];
        clipgate(&[&common, more].concat())
    }

    /// Every name but those that are hidden.
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Refused with exit status 2 and one line that says all of `says`.
fn is_refused(output: &Output, says: &[&str]) {
    assert_eq!(status(output), 2, "{}", stderr(output));
    let last = stderr(output).lines().last().unwrap();
    for says in says {
        assert!(last.contains(says), "{says}: {last}");
    }
    assert_eq!(stdout(output), "");
}

fn bundles_bank() -> LabelBank {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket/labels.safetensors");
    LabelBank::from_safetensors(std::sync::Arc::new(fs::read(file).unwrap())).unwrap()
}

/// Embeddings of `images`, each its label's text but for what tells it from others, of eight labels in turn.
fn texts(images: usize) -> (Vec<f32>, Vec<i64>) {
    let bank = bundles_bank();
    let rows = (0..images).map(|image| image % 8);
    let values = rows.clone().enumerate().flat_map(|(image, row)| {
        let mut values = bank.text_embeds().unwrap().row(row).to_vec();
        values[0] += image as f32 * 1e-4;
        values
    });
    (values.collect(), rows.map(|row| row as i64).collect())
}

fn write(file: &Path, values: &[f32], columns: usize, labels: Option<&[i64]>) {
    let shape = vec![values.len() / columns, columns];
    let embeds = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).unwrap();
    let mut tensors = vec![("image_embeds", embeds)];
    if let Some(labels) = labels {
        let data = bytemuck::cast_slice(labels);
        let labels = TensorView::new(Dtype::I64, vec![labels.len()], data).unwrap();
        tensors.push(("labels", labels));
    }
    let none: Option<HashMap<String, String>> = None;
    fs::write(file, safetensors::serialize(tensors, none).unwrap()).unwrap();
}

#[test]
fn a_folder_is_calibrated_and_the_other_commands_take_it() {
    let place = Place::new(30);
    let said = place.calibrate("photos", &["--target-risk", "0.3"]);
    assert_eq!(status(&said), 0, "{}", stderr(&said));
    for says in [
        "promise: at most 30 % of accepted answers are wrong, with 95 % confidence",
        "exchangeable with the labelled images",
        "nothing is promised of images that show something else",
        "smoothed over a video's frames",
    ] {
        assert!(stdout(&said).contains(says), "{}", stdout(&said));
    }
    let (bank, mine) = (place.path("bank"), place.path("mine.json"));
    let own = ["--bank", bank.as_str(), "--calibration", &mine];
    let classified = clipgate(&[&["classify", PHOTO, "--format", "json"], &own[..]].concat());
    assert_eq!(status(&classified), 0, "{}", stderr(&classified));
    let answer = &json_lines(&classified)[0];
    assert_eq!(answer["calibration"], "fitted");
    assert_eq!(answer["promise"]["kind"], "high_probability");
    let (photos, page) = (place.path("photos"), place.path("page.html"));
    let judge = [
        "evaluate",
        "--id",
        &photos,
        "--report",
        &page,
        "--resamples",
        "20",
    ];
    let judged = clipgate(&[&judge, &["--format", "json"][..], &own].concat());
    assert_eq!(status(&judged), 0, "{}", stderr(&judged));
    assert_eq!(
        json_lines(&judged)[0]["gate"]["promise"]["kind"],
        "high_probability"
    );
    assert!(fs::metadata(page).unwrap().len() > 0);

    // Another bank, or another graph: stale.
    let others = clipgate(&["classify", PHOTO, "--calibration", &mine]);
    is_refused(&others, &["fitted on other labels", "calibrate on these"]);
    let mut calibration: Value = serde_json::from_slice(&fs::read(&mine).unwrap()).unwrap();
    calibration["bound_to"]["graph_sha256"] = "0".repeat(64).into();
    fs::write(&mine, calibration.to_string()).unwrap();
    let stale = clipgate(&[&["classify", PHOTO], &own[..]].concat());
    is_refused(&stale, &["fitted on graph 0000", "fit it again"]);
}

#[test]
fn every_rule_says_what_it_promises() {
    let place = Place::new(30);
    for (rule, kind, says) in [
        (
            &["--method", "sgr", "--target-risk", "0.3"][..],
            "high_probability",
            "accepted images",
        ),
        (
            &["--method", "crc"],
            "expectation",
            "the average over many calibrations",
        ),
        (&["--method", "lac"], "marginal_coverage", "label sets"),
        (&FEW, "none", "only sets how many"),
    ] {
        let output = place.calibrate("photos", &[rule, &["--format", "json"]].concat());
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        let promise = &json_lines(&output)[0]["calibration"]["promise"];
        assert_eq!(promise["kind"], kind);
        let conditions = promise["conditions"].as_str().unwrap();
        assert!(conditions.contains(says), "{kind}: {conditions}");
    }
}

#[test]
fn a_promise_takes_59_accepted_images_without_a_mistake() {
    let place = Place::new(1);
    let file = place.at("embeddings");
    // Which images pass the cut depends on the others; whether the promise is made, on nothing but their number.
    let (mut made, mut refused) = (0, 0);
    for images in 80..92 {
        let (values, labels) = texts(images);
        write(&file, &values, 512, Some(&labels));
        let output = place.embedded(&["--id-pass", "1"]);
        let number = |text: &str, before: &str, after: &str| -> u32 {
            let (_, rest) = text.split_once(before).unwrap();
            rest.split_once(after).unwrap().0.parse().unwrap()
        };
        if status(&output) == 0 {
            let shown = number(
                stdout(&output),
                "shown by ",
                " accepted images, 0 of them wrong",
            );
            assert!(shown >= 59, "{images} images: {shown}");
            fs::remove_file(place.at("mine.json")).unwrap();
            made += 1;
        } else {
            is_refused(
                &output,
                &[
                    "at most 5 % of accepted answers wrong with 95 % confidence",
                    "takes 59 accepted answers without a mistake",
                    "more images would be needed",
                ],
            );
            let passing = number(stderr(&output), "images left to certify it ", " pass");
            assert!(passing < 59, "{images} images: {passing}");
            assert!(!place.at("mine.json").exists());
            refused += 1;
        }
    }
    assert!(made > 0 && refused > 0, "{made} made, {refused} refused");
}

#[test]
fn copies_promise_nothing() {
    let place = Place::new(1);
    let (values, labels) = texts(10);
    let times = |n| (values.repeat(n), labels.repeat(n));
    let (values, labels) = times(30);
    write(&place.at("embeddings"), &values, 512, Some(&labels));
    let output = place.embedded(&["--id-pass", "1"]);
    assert!(stderr(&output).contains("290 images are copies of others and were left out"));
    assert_eq!(status(&output), 2, "{}", stdout(&output));
}

#[test]
fn labels_without_an_image_are_no_part_of_the_promise() {
    let place = Place::new(1);
    let (values, labels) = texts(120);
    write(&place.at("embeddings"), &values, 512, Some(&labels));
    let output = place.embedded(&["--id-pass", "1"]);
    let says = "46 of the 54 labels had no image: nothing is promised";
    assert!(stdout(&output).contains(says), "{}", stdout(&output));
}
