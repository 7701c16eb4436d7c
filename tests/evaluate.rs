//! `clipgate evaluate`: what it prints, the page it writes, and what it refuses.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use clipgate::{Embedding, LabelBank};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{PHOTO, clipgate, json_lines, status, stderr, stdout};
use crate::support::bundles::BundleCopy;

/// Few, so that tests are quick; the intervals are of no interest here.
const QUICK: [&str; 2] = ["--resamples", "20"];

fn evaluate(arguments: &[&str]) -> Output {
    clipgate(&[&["evaluate"], arguments, &QUICK].concat())
}

fn photo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/photos")
        .join(name)
}

/// Photos in folders that are named after labels of pocket, and some of nothing that it knows.
fn photos() -> TempDir {
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

fn path(root: &TempDir, name: &str) -> String {
    root.path().join(name).display().to_string()
}

fn bank() -> LabelBank {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket/labels.safetensors");
    LabelBank::from_safetensors(std::sync::Arc::new(fs::read(file).unwrap())).unwrap()
}

/// The SHA-256 of pocket's image encoder.
fn graph() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket/manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let sha256 = &manifest["files"]["image_encoder.onnx"]["sha256"];
    sha256.as_str().unwrap().to_owned()
}

/// Embeddings near the labels' own, `each` a label, the last in five nearer to the next label; and some near a
/// negative.
fn embeddings(file: &Path, each: usize, graph_sha256: Option<&str>, labelled: bool) {
    let bank = bank();
    let (text, negatives) = (bank.text_embeds(), bank.negative_embeds());
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

#[test]
fn photos_are_judged_and_a_page_is_written() {
    let root = photos();
    let page = path(&root, "page.html");
    let (id, ood) = (
        path(&root, "id"),
        format!("other things={}", path(&root, "ood")),
    );
    let output = evaluate(&[
        "--id", &id, "--ood", &ood, "--report", &page, "--format", "json",
    ]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let lines = json_lines(&output);
    let [result] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!(result["id"]["n"], 3);
    for metric in ["accuracy", "ece", "nll", "brier", "aurc", "augrc"] {
        assert!(result["id"][metric].is_f64(), "{metric}");
        assert!(result["id"]["intervals"][metric][1].is_f64(), "{metric}");
    }
    let ood = &result["ood"][0];
    assert_eq!(
        (&ood["name"], &ood["n"]),
        (&"other things".into(), &3.into())
    );
    for score in ["msp", "mcm", "max_cosine", "energy", "gate"] {
        assert!(
            ood["auroc"][score].is_f64() && ood["fpr95"][score].is_f64(),
            "{score}"
        );
    }
    let gate = &result["gate"];
    assert_eq!(gate["id"]["n"], 4);
    assert_eq!(gate["id"]["abstained"]["unusable_frame"], 1);
    assert!(gate["coverage"].is_f64() && gate["accepted_ood"].is_f64());
    assert_eq!(
        (&gate["calibration"], &gate["promise"]["kind"]),
        (&"fitted".into(), &"none".into())
    );
    assert_eq!(
        (&result["reference"], &result["failed"]),
        (&Value::Null, &0.into())
    );

    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("data:image/jpeg;base64,"));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    // The page may be handed on: it tells no folders of this machine.
    assert!(!page.contains(&root.path().display().to_string()));
}

#[test]
fn people_get_tables() {
    let root = photos();
    let output = evaluate(&[
        "--id",
        &path(&root, "id"),
        "--ood",
        &format!("other={}", path(&root, "ood")),
    ]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    for words in [
        "pocket on 3 images of 54 labels",
        "With the gate",
        "Answered",
        "Accuracy",
        "shows nothing",
        "msp (the gate's)",
        "promise: none",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn labels_that_the_bank_does_not_have_are_refused_or_left_out() {
    let root = photos();
    fs::create_dir(root.path().join("id/espreso")).unwrap();
    fs::copy(photo("coffee.jpg"), root.path().join("id/espreso/1.jpg")).unwrap();
    let id = path(&root, "id");
    let refused = evaluate(&["--id", &id]);
    assert_eq!(status(&refused), 2);
    let says = stderr(&refused);
    assert!(
        says.contains("did you mean \"espresso\"?") && says.contains("--only-known"),
        "{says}"
    );
    let output = evaluate(&["--id", &id, "--only-known", "--format", "json"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("left out 1 label"),
        "{}",
        stderr(&output)
    );
    assert_eq!(json_lines(&output)[0]["id"]["n"], 3);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_are_judged() {
    let root = photos();
    fs::write(root.path().join("id/espresso/15.jpg"), b"no picture").unwrap();
    fs::write(root.path().join("ood/2.txt"), b"").unwrap();
    let page = path(&root, "page.html");
    let (id, ood) = (path(&root, "id"), format!("other={}", path(&root, "ood")));
    let output = evaluate(&[
        "--id", &id, "--ood", &ood, "--report", &page, "--format", "json",
    ]);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("15.jpg: not an image"),
        "{}",
        stderr(&output)
    );
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 3);
    assert!(lines[0]["image"].as_str().unwrap().ends_with("15.jpg"));
    let result = &lines[2];
    assert_eq!(
        (&result["failed"], &result["id"]["n"]),
        (&2.into(), &3.into())
    );
    assert!(
        fs::read_to_string(page)
            .unwrap()
            .contains("could not be read")
    );
}

#[test]
fn names_of_files_and_sets_are_text_in_the_page() {
    let root = photos();
    let hostile = "<img src=x onerror=alert(1)>";
    for folder in ["id/espresso", "ood"] {
        fs::copy(photo("rocket.jpg"), root.path().join(folder).join(hostile)).unwrap();
    }
    let page = path(&root, "page.html");
    let ood = format!("<script>alert(1)</script>={}", path(&root, "ood"));
    let output = evaluate(&["--id", &path(&root, "id"), "--ood", &ood, "--report", &page]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let page = fs::read_to_string(page).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img src=x"));
    assert!(page.contains("&lt;script&gt;") && page.contains("&lt;img src=x"));
}

#[test]
fn a_gate_is_fitted_on_a_share_and_judged_on_the_others_with_its_promise() {
    let root = tempfile::tempdir().unwrap();
    let (ours, others) = (
        root.path().join("ours.safetensors"),
        root.path().join("others.safetensors"),
    );
    embeddings(&ours, 60, None, true);
    embeddings(&others, 5, None, false);
    let run = || {
        evaluate(&[
            "--embeddings",
            &ours.display().to_string(),
            "--ood",
            &format!("negatives={}", others.display()),
            "--fit-fraction",
            "0.5",
            "--target-risk",
            "0.3",
            "--seed",
            "7",
            "--format",
            "json",
        ])
    };
    let output = run();
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let mut result = json_lines(&output).remove(0);
    assert_eq!(
        (&result["fitted_on"], &result["id"]["n"]),
        (&240.into(), &240.into())
    );
    let gate = &result["gate"];
    assert_eq!(gate["promise"]["kind"], "high_probability");
    assert!(gate["selective_risk"].as_f64().unwrap() <= 0.3);
    assert_eq!(result["ood"][0]["n"], 40);
    let mut again = json_lines(&run()).remove(0);
    for result in [&mut result, &mut again] {
        result["seconds"] = Value::Null;
    }
    assert_eq!(result, again);
}

#[test]
fn embeddings_of_an_unknown_graph_are_judged_without_the_bundles_gate() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("ours.safetensors");
    let named = file.display().to_string();
    let run = |graph: Option<&str>| {
        embeddings(&file, 5, graph, true);
        evaluate(&["--embeddings", &named, "--format", "json"])
    };
    let unknown = run(None);
    assert_eq!(status(&unknown), 0, "{}", stderr(&unknown));
    assert!(
        stderr(&unknown).contains("do not say which graph"),
        "{}",
        stderr(&unknown)
    );
    assert_eq!(json_lines(&unknown)[0]["gate"], Value::Null);
    let own = run(Some(&graph()));
    assert_eq!(json_lines(&own)[0]["gate"]["calibration"], "fitted");
    let foreign = run(Some(&"0".repeat(64)));
    assert_eq!(status(&foreign), 2);
    assert!(
        stderr(&foreign).contains("made by the graph 0000"),
        "{}",
        stderr(&foreign)
    );
}

#[test]
fn labels_in_words_are_judged_as_classify_answers_them() {
    let root = photos();
    let ood = format!("other={}", path(&root, "ood"));
    // Other labels than the bundle's: its negatives are lent and its calibration is transferred.
    let labels = ["--labels", "espresso,tabby cat,umbrella"];
    let arguments = [
        "--id",
        &path(&root, "id"),
        "--ood",
        &ood,
        "--format",
        "json",
    ];
    let output = evaluate(&[&arguments[..], &labels].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let gate = &json_lines(&output)[0]["gate"];
    assert_eq!(gate["calibration"], "transferred");
    assert_eq!(gate["promise"]["kind"], "none");

    let files = [
        "id/espresso/1.jpg",
        "id/espresso/2.jpg",
        "id/tabby cat/1.jpg",
    ];
    let others = ["ood/1.jpg", "ood/2.jpg", "ood/3.jpg"];
    let files: Vec<String> = files
        .iter()
        .chain(&others)
        .map(|f| path(&root, f))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let answers = clipgate(&[&["classify", "--format", "json"], &labels[..], &files].concat());
    let accepted: Vec<bool> = json_lines(&answers)
        .iter()
        .map(|answer| answer["decision"] == "accept")
        .collect();
    let count = |answers: &[bool]| answers.iter().filter(|accepted| **accepted).count();
    let judged = |set: &Value| {
        set["accepted_right"].as_u64().unwrap() + set["accepted_wrong"].as_u64().unwrap()
    };
    assert_eq!(accepted.len(), 6);
    assert_eq!(judged(&gate["id"]), count(&accepted[..3]) as u64);
    assert_eq!(judged(&gate["ood"][0]), count(&accepted[3..]) as u64);
    assert!(accepted.contains(&true), "an espresso is an espresso");
}

#[test]
fn a_reference_is_shown_the_same_images() {
    let (root, copy) = (photos(), BundleCopy::new());
    copy.edit_manifest(|manifest| manifest["id"] = "copy".into());
    let reference = copy.path().display().to_string();
    let (id, ood) = (path(&root, "id"), format!("other={}", path(&root, "ood")));
    let page = path(&root, "page.html");
    let arguments = ["--id", &id, "--ood", &ood, "--reference", &reference];
    let output = evaluate(&[&arguments[..], &["--report", &page, "--format", "json"]].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let result = &json_lines(&output)[0];
    assert_eq!(result["reference"]["model"]["id"], "copy");
    assert_eq!(result["reference"]["id"], result["id"]);
    let paired = &result["paired"];
    assert_eq!(
        (&paired["n"], &paired["agreement"]["value"]),
        (&3.into(), &1.0.into())
    );
    for difference in [
        &paired["id"]["nll"],
        &paired["coverage"],
        &paired["ood"][0]["auroc"],
    ] {
        assert_eq!(
            (&difference["value"], &difference["p_value"]),
            (&0.0.into(), &1.0.into())
        );
    }
    assert!(fs::read_to_string(page).unwrap().contains("Side by side"));
    let text = evaluate(&arguments);
    assert!(stdout(&text).contains("difference"), "{}", stdout(&text));
}

#[test]
fn what_cannot_be_judged_is_refused_before_the_work() {
    let root = photos();
    let (id, ood) = (path(&root, "id"), path(&root, "ood"));
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().display().to_string();
    let narrow = root.path().join("narrow.safetensors");
    let view =
        TensorView::new(Dtype::F32, vec![1, 2], bytemuck::cast_slice(&[1.0f32, 0.0])).unwrap();
    fs::write(
        &narrow,
        safetensors::serialize([("image_embeds", view)], None).unwrap(),
    )
    .unwrap();
    let narrow = narrow.display().to_string();
    let named = |name: &str| format!("{name}={ood}");
    let other_labels = BundleCopy::new();
    let mut labels = bank().to_safetensors().unwrap();
    let at = labels
        .windows(8)
        .position(|bytes| bytes == b"espresso")
        .unwrap();
    labels[at] = b'X';
    other_labels.replace("labels.safetensors", &labels);
    let other_labels = other_labels.path().display().to_string();
    let no_folder = path(&root, "no/page.html");
    for (arguments, says) in [
        (vec!["--id", &empty], "no image"),
        (
            vec!["--id", &ood],
            "in a folder that is named after a label",
        ),
        (vec!["--id", "no-such-folder"], "no-such-folder"),
        (vec!["--id", &id, "--ood", &ood], "NAME=DIR"),
        (vec!["--id", &id, "--ood", &format!("={ood}")], "NAME=DIR"),
        (
            vec!["--id", &id, "--ood", "x=no-such-folder"],
            "no such folder",
        ),
        (
            vec!["--id", &id, "--ood", &named("x"), "--ood", &named("x")],
            "names two sets",
        ),
        (
            vec!["--id", &id, "--ood", &format!("x={empty}")],
            "no image",
        ),
        (
            vec!["--id", &id, "--ood", &format!("x={narrow}")],
            "rows of 2 values",
        ),
        (vec!["--embeddings", &narrow], "rows of 2 values"),
        (
            vec!["--id", &id, "--report", &no_folder],
            "its folder does not exist",
        ),
        (vec!["--id", &id, "--report", &id], "is a folder"),
        (
            vec!["--id", &id, "--reference", &other_labels],
            "has other labels",
        ),
        (
            vec!["--id", &id, "--reference", "no-such-bundle"],
            "no-such-bundle",
        ),
        (
            vec!["--id", &id, "--fit-fraction", "1.5"],
            "above 0 and below 1",
        ),
        (
            vec!["--id", &id, "--fit-fraction", "0.5"],
            "images are left to fit",
        ),
        (
            vec!["--id", &id, "--target-risk", "0.1"],
            "needs --fit-fraction",
        ),
        (
            vec!["--id", &id, "--embeddings", &narrow],
            "cannot be used with",
        ),
        (
            vec!["--id", &id, "--calibration", "x", "--fit-fraction", "0.5"],
            "cannot be used with",
        ),
        (vec![], "--id"),
        (vec!["--id", PHOTO], "not a CSV file"),
    ] {
        let output = evaluate(&arguments);
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stdout(&output).is_empty(),
            "{arguments:?}: {}",
            stdout(&output)
        );
    }
}
