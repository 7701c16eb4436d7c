//! `clipgate evaluate`: what it prints and the page it writes.

mod inputs;
mod kept;
mod refused;

use std::fs;

use serde_json::Value;

use crate::cli::{clipgate, json_lines, status, stderr, stdout};
use crate::support::bundles::BundleCopy;

use inputs::{embeddings, evaluate, graph, path, photos};

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
        "neg_label (the gate's)",
        "promise: none",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
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

    // A twin without a calibration differs by its graph alone, not by its temperature.
    copy.remove("calibration", "calibration.json");
    let ungated = evaluate(&[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(status(&ungated), 0, "{}", stderr(&ungated));
    let twin = &json_lines(&ungated)[0];
    assert_eq!(twin["reference"]["gate"], Value::Null);
    assert_eq!(twin["reference"]["id"], result["id"]);
    let text = evaluate(&arguments);
    assert!(stdout(&text).contains("difference"), "{}", stdout(&text));
}
