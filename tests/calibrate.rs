//! `clipgate calibrate`: what it fits and promises, what takes its calibration, and what it refuses.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

/// Embeddings of `images`, each exactly its label's text, of eight labels in turn.
fn texts(images: usize) -> (Vec<f32>, Vec<i64>) {
    let bank = bundles_bank();
    let rows = (0..images).map(|image| image % 8);
    let values = rows
        .clone()
        .flat_map(|row| bank.text_embeds().row(row).to_vec());
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
    // 25 of each fit; the others certify, and all pass the cut.
    for (images, certifies) in [(83, false), (84, true)] {
        let (values, labels) = texts(images);
        write(&file, &values, 512, Some(&labels));
        let output = place.embedded(&["--id-pass", "1"]);
        if certifies {
            assert_eq!(status(&output), 0, "{}", stderr(&output));
            assert!(stdout(&output).contains("shown by 59 accepted images, 0 of them wrong"));
            assert!(stderr(&output).contains("are copies of others"));
        } else {
            is_refused(
                &output,
                &[
                    "at most 5 % of accepted answers wrong with 95 % confidence",
                    "takes 59 accepted answers without a mistake",
                    "58 pass",
                    "more images would be needed",
                ],
            );
            assert!(!place.at("mine.json").exists());
        }
    }
}

#[test]
fn images_that_calibrate_nothing_are_refused_with_what_to_do() {
    let place = Place::new(3);
    is_refused(
        &place.calibrate("photos", &[]),
        &[
            "2 images are left to fit",
            "59 others",
            "bring about 94 images or more",
        ],
    );
    let one = place.at("one");
    fs::create_dir(&one).unwrap();
    fs::rename(place.at("photos/pretzel"), one.join("pretzel")).unwrap();
    is_refused(
        &place.calibrate("one", &[]),
        &["all images are of one label"],
    );
    fs::rename(one.join("pretzel"), one.join("pretzels")).unwrap();
    is_refused(
        &place.calibrate("one", &[]),
        &[
            "folder \"pretzels\" (did you mean \"pretzel\"?)",
            "2 labels of the bank",
        ],
    );
    fs::remove_dir_all(one.join("pretzels")).unwrap();
    is_refused(&place.calibrate("one", &[]), &["one: no image"]);
    let nowhere = place.calibrate("nowhere", &[]);
    is_refused(&nowhere, &["nowhere: cannot be read"]);
    assert_eq!(stderr(&nowhere).matches("nowhere").count(), 1);
    assert!(!place.at("mine.json").exists());
}

#[test]
fn answers_that_are_all_wrong_are_refused() {
    let place = Place::new(1);
    let (values, labels) = texts(100);
    let wrong: Vec<i64> = labels.iter().map(|label| (label + 1) % 8).collect();
    write(&place.at("embeddings"), &values, 512, Some(&wrong));
    is_refused(
        &place.embedded(&[]),
        &["every answer", "is wrong: are the labels right"],
    );
}

#[test]
fn embeddings_that_cannot_be_judged_are_named() {
    let place = Place::new(1);
    let file = place.at("embeddings");
    let (values, labels) = texts(10);
    let mut broken = values.clone();
    broken[3 * 512 + 7] = f32::NAN;
    for (values, columns, labels, says) in [
        (&broken, 512, Some(&labels[..]), "row 3"),
        (
            &values,
            256,
            Some(&labels[..]),
            "rows of 256 values, the label bank's have 512",
        ),
        (
            &values,
            512,
            Some(&labels[1..]),
            "has shape [9]; one integer an image, [10]",
        ),
        (&values, 512, None, "no tensor `labels`"),
    ] {
        write(&file, values, columns, labels);
        is_refused(&place.embedded(&[]), &["embeddings", says]);
    }
}

#[test]
fn options_that_contradict_are_refused_before_the_work() {
    let place = Place::new(1);
    for (options, says) in [
        (
            &["--method", "lac", "--target-risk", "0.1"][..],
            "--target-risk means nothing to the method `lac`",
        ),
        (&["--method", "accept-rate"], "needs --accept-rate"),
        (
            &["--confidence", "95"],
            "the confidence is 95; it must be above 0 and below 1 (5 % is 0.05)",
        ),
        (&["--target-risk", "NaN"], "the target is NaN"),
        (&["--fit-fraction", "1"], "the share that fits is 1"),
    ] {
        is_refused(&place.calibrate("photos", options), &[says]);
    }
    for options in [&["--labels", "a,b"][..], &["--embeddings", "x"]] {
        let output = place.calibrate("photos", options);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains("cannot be used with"));
    }
}

#[test]
fn other_things_that_are_no_images_are_named_and_the_rest_counts() {
    let place = Place::new(20);
    let others = place.at("others");
    fs::create_dir(&others).unwrap();
    fs::write(others.join("README.md"), "# Notes\n").unwrap();
    let run = || {
        place.calibrate(
            "photos",
            &[&FEW[..], &["--ood", &place.path("others")]].concat(),
        )
    };
    is_refused(&run(), &["others: none of the 1 images can be scored"]);
    assert!(!place.at("mine.json").exists());

    fs::copy("examples/photos/gravel.jpg", others.join("gravel.jpg")).unwrap();
    let output = run();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("README.md: not an image of a known format"));
    assert!(stdout(&output).contains("promise: none"));
    let calibration: Value =
        serde_json::from_slice(&fs::read(place.at("mine.json")).unwrap()).unwrap();
    assert_eq!(calibration["fitted_on"]["others"], 1);
}

/// What was there before stays, whole, and nothing is left beside it.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_run_leaves_the_calibration_that_was_there() {
    use std::os::unix::fs::symlink;
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    let place = Place::new(1);
    // Far more than are embedded before the signal.
    for (label, _) in LABELS {
        let folder = place.at("photos").join(label);
        for copy in 0..5_000 {
            symlink(folder.join("0.png"), folder.join(format!("copy{copy}.png"))).unwrap();
        }
    }
    fs::write(place.at("mine.json"), "what was there").unwrap();
    let before = place.left();
    let (photos, bank, mine) = (
        place.path("photos"),
        place.path("bank"),
        place.path("mine.json"),
    );
    // Under nohup, or in a shell's background, these tests are started with the signal ignored.
    let mut child = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_clipgate")])
        .args([
            "calibrate",
            "--images",
            &photos,
            "--bank",
            &bank,
            "-o",
            &mine,
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(
        child.try_wait().unwrap().is_none(),
        "ended before the signal"
    );
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert_eq!(fs::read_to_string(&mine).unwrap(), "what was there");
    assert_eq!(place.left(), before);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let place = Place::new(1);
    let (photos, bank) = (place.path("photos"), place.path("bank"));
    for (output, says) in [
        (place.path("missing/mine.json"), "its folder does not exist"),
        (place.path("photos"), "is a folder, not a file to write"),
    ] {
        let refused = clipgate(&[
            "calibrate",
            "--images",
            &photos,
            "--bank",
            &bank,
            "-o",
            &output,
        ]);
        is_refused(&refused, &[says]);
    }
}
