//! Where the plugin's libraries and the compiled graphs lie, and two processes that compile the same.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::{clipgate, clipgate_command, json, plugin};
use crate::cli::{PHOTO, status, stderr, stdout};
use crate::support::bundles::BundleCopy;

/// The wheel's folder `onnxruntime_qnn.libs` is left behind: Linux finds the backend and not what it is linked to.
#[test]
fn a_backend_that_cannot_be_loaded_is_told_with_the_loaders_words() {
    let Some(plugin) = plugin() else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let moved = |name: &str| {
        let (from, to) = (plugin.with_file_name(name), folder.path().join(name));
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).unwrap();
        }
        to
    };
    let alone = moved("libonnxruntime_providers_qnn.so");
    moved("libQnnHtp.so");
    let cause = "cannot open shared object file";
    let run = |arguments: &[&str]| clipgate(&alone, cache.path(), arguments);
    let tried = run(&["classify", "--provider=qnn", PHOTO]);
    assert_eq!(status(&tried), 0, "{}", stderr(&tried));
    let report = |line: &&str| line.contains("provider qnn: refused the graph: ");
    let report = stderr(&tried).lines().find(report).unwrap();
    assert!(report.contains(cause), "{report}");
    let doctor = run(&["doctor", "--format=json"]);
    assert_eq!(status(&doctor), 0, "{}", stdout(&doctor));
    assert!(stdout(&doctor).contains(cause), "{}", stdout(&doctor));
    for arguments in [
        ["classify", "--provider=qnn!", PHOTO],
        ["compile", "--target=htp-v75", "models/pocket"],
    ] {
        let required = run(&arguments);
        assert_eq!(status(&required), 2);
        let error = stderr(&required)
            .lines()
            .find(|line| line.starts_with("clipgate: "));
        assert!(error.unwrap().contains(cause), "{error:?}");
    }
}

#[test]
fn a_compiled_graph_is_found_without_a_target_unless_there_are_several() {
    let Some(plugin) = plugin() else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let copy = BundleCopy::new();
    let bundle = copy.path().to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = clipgate(&plugin, cache.path(), arguments);
        assert_eq!(status(&output), 0, "{}{}", stdout(&output), stderr(&output));
        output
    };
    let nodes = |more: &[&str]| {
        let placed = ["inspect", "--placement", "--provider=qnn!", "--format=json"];
        let output = run(&[&placed[..], more].concat());
        let nodes = json(&output)["providers"][0]["nodes"].clone();
        let told = stderr(&output).to_owned();
        (nodes.as_array().unwrap().len(), told)
    };
    run(&["compile", "--target=htp-v75", bundle]);
    assert_eq!(nodes(&[bundle]).0, 1);

    let name = "image_encoder.htp-v75.onnx";
    for (from, to) in [
        (name, "image_encoder.htp-v73.onnx"),
        (
            "image_encoder.htp-v75.onnx.json",
            "image_encoder.htp-v73.onnx.json",
        ),
    ] {
        fs::copy(copy.file(from), copy.file(to)).unwrap();
    }
    let (several, told) = nodes(&[bundle]);
    assert!(several > 100);
    assert!(
        told.contains(name) && told.contains("a target has to say"),
        "{told}"
    );
    assert_eq!(nodes(&[bundle, "--qnn-target=htp-v75"]).0, 1);

    // The embedded model's lie in the cache, and any may be named.
    let named = format!("--qnn-context={}", copy.file(name).display());
    assert_eq!(nodes(&[&named]).0, 1);
    run(&["compile", "--target=htp-v75"]);
    assert_eq!(nodes(&[]).0, 1);
    let foreign = nodes(&["--qnn-context=models/pocket/image_encoder.onnx"]);
    assert!(foreign.0 > 100);
    assert!(
        foreign.1.contains("was not compiled by clipgate"),
        "{}",
        foreign.1
    );
}

#[test]
fn doctor_tries_it() {
    let Some(plugin) = plugin() else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let output = clipgate(&plugin, cache.path(), &["doctor", "--format=json"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    let findings = report["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|found| found["check"] == "qnn")
        .unwrap();
    assert_eq!(found["level"], "ok", "{found}");
    assert!(found["values"]["nodes"].as_u64() > Some(100), "{found}");
    assert_eq!(found["values"]["package"], "2.7.0");
}

#[test]
fn two_processes_that_compile_the_same_leave_one_whole_graph() {
    let Some(plugin) = plugin() else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let compile = ["compile", "--target=htp-v75", "--format=json"];
    let start = || {
        let mut command = clipgate_command(&plugin, cache.path(), &compile);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    for process in [start(), start()] {
        let output = process.wait_with_output().unwrap();
        assert_eq!(status(&output), 0, "{}", stderr(&output));
    }
    let again = clipgate(&plugin, cache.path(), &compile);
    assert_eq!(json(&again)["compiled"], false, "{}", stderr(&again));
    let left = fs::read_dir(Path::new(cache.path()).join("clipgate/contexts")).unwrap();
    assert_eq!(left.count(), 2, "the graph and its record");
}
