//! `clipgate bench`: what it measures, keeps, compares and refuses.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::cli::{COVERED, PHOTO, clipgate, status, stderr, stdout};

/// As few frames as make a run of twenty parts, and no starts.
const SHORT: [&str; 5] = ["bench", "--iterations", "25", "--starts", "0"];
const FRAME: [&str; 4] = ["--size", "320x240", "--pixel-format", "nv21"];

fn bench(more: &[&str]) -> Output {
    clipgate(&[&SHORT, more].concat())
}

fn run(more: &[&str]) -> Value {
    let output = bench(&[&["--format", "json"], more].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).unwrap()
}

fn refused(arguments: &[&str], because: &str) {
    let output = clipgate(arguments);
    assert_eq!(status(&output), 2, "{}", stdout(&output));
    assert!(stderr(&output).contains(because), "{}", stderr(&output));
    assert_eq!(
        stderr(&output).matches("clipgate: ").count(),
        1,
        "{}",
        stderr(&output)
    );
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_run_says_what_was_measured_where_and_how_long_each_stage_took() {
    let run = run(&FRAME);
    assert_eq!(run["schema"], 1);
    assert_eq!(run["bundle"]["id"], "pocket");
    assert_eq!(run["bundle"]["graph_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        run["input"],
        json!({"kind": "frames", "pixel_format": "nv21", "width": 320, "height": 240})
    );
    assert_eq!((&run["threads"], &run["labels"]), (&json!(1), &json!(54)));
    assert_eq!(run["pace"]["frames"], 25);
    assert!(run["start"].is_null());
    assert!(run["pace"]["last_quarter"].as_f64().unwrap() > 0.0);
    assert!(run["machine"]["cores"].as_u64().unwrap() > 0);

    let stages = &run["stages_ms"];
    assert!(stages["decode"].is_null());
    for stage in ["preprocess", "encode", "decide", "total"] {
        let at = |name: &str| stages[stage][name].as_f64().unwrap();
        assert!(
            0.0 < at("p50") && at("p50") <= at("p90") && at("p90") <= at("p99"),
            "{stage}"
        );
        assert_eq!(
            stages[stage]["parts"].as_array().unwrap().len(),
            20,
            "{stage}"
        );
    }
    let p50 = |stage: &str| stages[stage]["p50"].as_f64().unwrap();
    assert!(p50("total") >= p50("encode"));
}

#[test]
fn a_start_is_a_process_of_its_own_whose_parts_add_up() {
    let two = ["bench", "--iterations", "1", "--starts", "2"];
    let output = clipgate(&[&two[..], &FRAME, &["--format", "json"]].concat());
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let start = &run["start"];
    assert_eq!(start["starts"], 2);
    let total = start["to_first_decision_ms"]["p50"].as_f64().unwrap();
    for name in [
        "process",
        "library",
        "bundle",
        "session",
        "self_test",
        "frame",
    ] {
        let part = start["parts_ms"][name].as_f64().unwrap();
        assert!(part > 0.0, "{name}: {part} of {total}");
    }
    assert!(start["first_ms"].as_f64().unwrap() > 0.0);
    #[cfg(target_os = "linux")]
    assert!(start["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn an_image_file_is_decoded_each_time() {
    let run = run(&["--image", PHOTO]);
    assert_eq!(run["input"]["kind"], "image");
    assert!(run["input"]["width"].as_u64().unwrap() > 0);
    let p50 = |stage: &str| run["stages_ms"][stage]["p50"].as_f64().unwrap();
    assert!(p50("decode") > 0.0 && p50("total") >= p50("decode"));
}

#[test]
fn people_get_a_table() {
    let output = bench(&FRAME);
    let table = stdout(&output);
    for said in [
        "pocket",
        "320x240 nv21",
        "p50",
        "preprocess",
        "encode",
        "decide",
        "frames",
        "memory",
    ] {
        assert!(table.contains(said), "{said} is missing:\n{table}");
    }
    assert!(
        table.lines().all(|line| line.chars().count() <= 120),
        "{table}"
    );
}

#[test]
fn a_later_run_is_set_beside_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = folder.path().join("earlier.json");
    let output = bench(&[&FRAME[..], &["-o", text(&earlier)]].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));

    // A hundred times as slow then, beyond any noise.
    let slower = |value: &Value| json!(value.as_f64().unwrap() * 100.0);
    let mut slow: Value = serde_json::from_slice(&fs::read(&earlier).unwrap()).unwrap();
    let total = slow["stages_ms"]["total"].as_object_mut().unwrap();
    for value in total.values_mut() {
        match value {
            Value::Array(parts) => parts.iter_mut().for_each(|part| *part = slower(part)),
            single => *single = slower(single),
        }
    }
    slow["machine"]["cpu"] = json!("Raspberry Pi 3");
    slow["onnxruntime"] = json!("1.28.0");
    fs::write(&earlier, slow.to_string()).unwrap();
    let compared = run(&[&FRAME[..], &["--compare", text(&earlier)]].concat());
    let changes = compared["compared"].as_array().unwrap();
    let total = changes
        .iter()
        .find(|change| change["what"] == "total")
        .unwrap();
    assert_eq!(total["verdict"], "faster");
    assert!(total["ratio"].as_f64().unwrap() < 1.0);
    assert!(total["interval"]["high"].as_f64().unwrap() < 1.0);
    let notes = compared["compared_notes"].as_array().unwrap();
    let notes: Vec<&str> = notes.iter().map(|note| note.as_str().unwrap()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0].starts_with("processor: Raspberry Pi 3 then, "),
        "{notes:?}"
    );
    assert!(
        notes[1].starts_with("ONNX Runtime: 1.28.0 then, "),
        "{notes:?}"
    );

    let output = bench(&[&FRAME[..], &["--compare", text(&earlier)]].concat());
    assert!(
        stdout(&output).contains("compared with"),
        "{}",
        stdout(&output)
    );
    for said in [
        "faster",
        "note: processor: Raspberry Pi 3 then, ",
        "note: ONNX Runtime: 1.28.0 then, ",
    ] {
        assert!(stdout(&output).contains(said), "{}", stdout(&output));
    }
}

#[test]
fn runs_of_another_input_are_compared_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = folder.path().join("earlier.json");
    bench(&[&FRAME[..], &["-o", text(&earlier)]].concat());
    let other = [
        "--size",
        "160x120",
        "--pixel-format",
        "nv21",
        "--compare",
        text(&earlier),
    ];
    refused(
        &[&SHORT[..], &other].concat(),
        "input: 320x240 nv21 then, 160x120 nv21 now",
    );
    run(&[&other[..], &["--across"]].concat());
    let threads = [&FRAME[..], &["--threads", "2", "--compare", text(&earlier)]].concat();
    refused(&[&SHORT[..], &threads].concat(), "threads: 1 then, 2 now");
}

#[test]
fn what_is_no_earlier_run_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("earlier.json");
    for (content, because) in [
        ("not json", "not JSON"),
        ("{}", "has no schema"),
        (r#"{"schema": 99}"#, "schema 99"),
        (r#"{"schema": 1}"#, "not the JSON of `clipgate bench`"),
    ] {
        fs::write(&file, content).unwrap();
        refused(&["bench", "--compare", text(&file)], because);
        refused(&["bench", "--compare", text(&file)], "earlier.json");
    }
    refused(&["bench", "--compare", "/no/such.json"], "/no/such.json");
    fs::write(&file, "{}").unwrap();
    refused(
        &["bench", "--compare", text(&file), "-o", text(&file)],
        "is an input",
    );
}

#[test]
fn what_cannot_be_measured_is_said_once_and_at_once() {
    refused(&["bench", "--image", "/no/such.jpg"], "/no/such.jpg");
    refused(&["bench", "--image", "Cargo.toml"], "not an image");
    refused(&["bench", "--image", COVERED], "shows nothing");
    refused(&["bench", "--bundle", "/no/such"], "/no/such");
    refused(&["bench", "--bank", "Cargo.toml"], "Cargo.toml");
    refused(
        &["bench", "--fast-decode"],
        "--fast-decode is for image files: name one with --image",
    );
    for (arguments, because) in [
        (["--iterations", "0"], "1..=1000000"),
        (["--seconds", "0"], "1..=86400"),
        (["--size", "640"], "like 640x480"),
        (["--size", "0x480"], "like 640x480"),
        (["--size", "40000x40000"], "each 1 to 32768"),
        (["--pixel-format", "nv99"], "nv99"),
    ] {
        let output = clipgate(&[&["bench"], &arguments[..]].concat());
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(because), "{}", stderr(&output));
    }
}
