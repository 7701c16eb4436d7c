//! `clipgate doctor` on this machine: what works, and libraries and models that do not. What a machine's files lead to is
//! tested beside the code, on machines that are made up.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::cli::{clipgate, command, json_lines, status, stderr, stdout};
use crate::support::bundles::BundleCopy;
use crate::support::libraries::{compile, file};
use crate::support::{is_emulated, runtime};

/// Runs doctor with this library and no other.
fn with_library(path: &Path) -> Output {
    command(&["doctor", "--format", "json"])
        .env("ORT_DYLIB_PATH", path)
        .output()
        .unwrap()
}

/// The one finding about something.
fn finding(output: &Output, check: &str) -> Value {
    let report = &json_lines(output)[0];
    let findings = report["findings"].as_array().unwrap();
    let mut found = findings.iter().filter(|found| found["check"] == check);
    let one = found
        .next()
        .unwrap_or_else(|| panic!("{check} is missing: {report}"));
    assert!(found.next().is_none(), "{check} is there twice: {report}");
    one.clone()
}

/// Doctor says that something keeps clipgate from working, in these words, and what to do.
#[track_caller]
fn assert_problem(output: &Output, check: &str, words: &str) {
    assert_eq!(status(output), 1, "{}{}", stdout(output), stderr(output));
    let found = finding(output, check);
    assert_eq!(found["level"], "problem", "{found}");
    let what = found["what"].as_str().unwrap();
    assert!(what.contains(words), "{words:?} is missing: {what}");
    assert!(found["to_do"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(!stderr(output).contains("panicked"), "{}", stderr(output));
}

#[test]
fn a_machine_that_has_everything_is_told_so_in_both_formats() {
    let output = clipgate(&["doctor", "--format", "json"]);
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    assert_eq!(stdout(&output).lines().count(), 1);
    let report = &json_lines(&output)[0];
    assert_eq!(
        (&report["schema"], &report["problems"]),
        (&1.into(), &0.into())
    );
    for check in [
        "board",
        "kernel",
        "glibc",
        "processor",
        "cache",
        "onnxruntime",
        "bundle",
    ] {
        let found = finding(&output, check);
        assert_ne!(found["level"], "problem", "{found}");
    }
    let providers = finding(&output, "providers");
    let names = providers["values"]["names"].as_array().unwrap();
    assert!(
        names.contains(&"CPUExecutionProvider".into()),
        "{providers}"
    );
    let library = &finding(&output, "onnxruntime")["values"];
    assert_eq!(library["version"], runtime().version());
    assert!(finding(&output, "model")["values"]["frame_ms"].as_f64() > Some(0.0));

    let text = clipgate(&["doctor"]);
    assert_eq!(status(&text), 0);
    for said in [
        "clipgate ",
        "processor",
        "onnxruntime   ok",
        "clipgate works here",
    ] {
        assert!(stdout(&text).contains(said), "{}", stdout(&text));
    }
}

#[test]
fn a_missing_library_is_told_with_where_it_was_looked_for() {
    let missing = Path::new("/no/such/libonnxruntime.so");
    let output = with_library(missing);
    assert_problem(
        &output,
        "onnxruntime",
        "not there: /no/such/libonnxruntime.so",
    );
    let found = finding(&output, "onnxruntime");
    assert_eq!(found["values"]["searched"][0], "/no/such/libonnxruntime.so");
    assert_eq!(finding(&output, "bundle")["level"], "ok");
    let report = json_lines(&output)[0].to_string();
    assert!(!report.contains("\"check\":\"model\""), "{report}");

    let text = command(&["doctor"])
        .env("ORT_DYLIB_PATH", missing)
        .output()
        .unwrap();
    assert_eq!(status(&text), 1);
    for said in [
        "PROBLEM",
        "to do:",
        "ORT_DYLIB_PATH",
        "does not work here: 1 problem",
    ] {
        assert!(stdout(&text).contains(said), "{}", stdout(&text));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn libraries_that_cannot_be_used_are_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(runtime().path()).unwrap();
    let short = file(&folder, "short.so", &whole[..whole.len() / 2]);
    assert_problem(&with_library(&short), "onnxruntime", "is cut short");
    let mut foreign = whole;
    foreign[18] ^= 0x40;
    let foreign = file(&folder, "foreign.so", &foreign);
    assert_problem(&with_library(&foreign), "onnxruntime", "this process is");
    let text = file(&folder, "text.so", &[b'x'; 4096]);
    assert_problem(&with_library(&text), "onnxruntime", "not ELF");

    let old = "static const char *version(void) { return \"1.24.0\"; }\n\
               static const void *base[] = { 0, version };\n\
               static const void *api(void) { return 0; }\n\
               __attribute__((constructor)) static void fill(void) { base[0] = api; }\n\
               const void *OrtGetApiBase(void) { return base; }\n";
    if let Some(old) = compile(&folder, "old", old) {
        assert_problem(
            &with_library(&old),
            "onnxruntime",
            "this one ends the process on some new Arm chips",
        );
    }
}

/// What 1.23 to 1.24.0 do on some chips.
#[test]
#[cfg(target_os = "linux")]
fn a_library_that_ends_the_process_does_not_end_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let crash = "#include <signal.h>\n\
                 __attribute__((constructor)) static void crash(void) { raise(SIGILL); }\n";
    if let Some(library) = compile(&folder, "crash", crash) {
        let output = with_library(&library);
        assert_problem(
            &output,
            "onnxruntime",
            "ended while loading ONNX Runtime: signal: 4",
        );
        let found = finding(&output, "onnxruntime");
        assert!(
            found["to_do"].as_str().unwrap().contains("1.24.0"),
            "{found}"
        );
    }
}

#[test]
fn a_bundle_is_tried_and_a_damaged_one_told() {
    let doctor = |bundle: &BundleCopy| {
        let path = bundle.path().display().to_string();
        clipgate(&["doctor", "--format", "json", "--bundle", &path])
    };
    let bundle = BundleCopy::new();
    assert_eq!(status(&doctor(&bundle)), 0);
    bundle.damage("image_encoder.onnx", |bytes| bytes[5000] ^= 1);
    assert_problem(&doctor(&bundle), "model", "image_encoder.onnx");

    let wrong = BundleCopy::new();
    wrong.edit_manifest(|manifest| manifest["schema"] = 99.into());
    let output = doctor(&wrong);
    assert_problem(&output, "bundle", "schema");
    assert_eq!(finding(&output, "onnxruntime")["level"], "ok");
    let missing = clipgate(&["doctor", "--format", "json", "--bundle", "/no/such"]);
    assert_problem(&missing, "bundle", "/no/such");
}

#[test]
fn a_bundle_without_labels_is_tried_by_its_encoder() {
    let bundle = BundleCopy::new();
    bundle.remove("calibration", "calibration.json");
    let path = bundle.path().display().to_string();
    let output = clipgate(&["doctor", "--format", "json", "--bundle", &path]);
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    assert_eq!(finding(&output, "model")["level"], "ok");
}

#[test]
#[cfg(target_os = "linux")]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let output = command(&["doctor", "--format", "json"])
        .env("ORT_DYLIB_PATH", runtime().path())
        .env("XDG_CACHE_HOME", "/dev/null")
        .output()
        .unwrap();
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    let found = finding(&output, "cache");
    assert_eq!(found["level"], "warning", "{found}");
    assert!(found["to_do"].as_str().unwrap().contains("XDG_CACHE_HOME"));
}

/// Writing to files fails as on a full disk: the limit of their size is 0.
#[test]
#[cfg(target_os = "linux")]
fn a_cache_on_a_full_disk_is_a_warning() {
    if is_emulated() {
        eprintln!("SKIPPED a full disk: what qemu starts is not told to ignore SIGXFSZ");
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"])
        .args([env!("CARGO_BIN_EXE_clipgate"), "doctor", "--format=json"])
        .env("ORT_DYLIB_PATH", runtime().path())
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .unwrap();
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    let found = finding(&output, "cache");
    assert_eq!(found["level"], "warning", "{found}");
    assert!(found["to_do"].as_str().unwrap().contains("make room"));
}

#[test]
fn a_plugin_that_was_named_is_tried_and_a_bad_one_told() {
    let doctor = |library: &Path| {
        let output = command(&["doctor", "--format=json"])
            .env("ORT_DYLIB_PATH", runtime().path())
            .env("CLIPGATE_QNN_LIBRARY", library)
            .output()
            .unwrap();
        assert_eq!(status(&output), 0, "{}", stdout(&output));
        assert_eq!(finding(&output, "model")["level"], "ok");
        let found = finding(&output, "qnn");
        assert_eq!(found["level"], "warning", "{found}");
        let what = found["what"].as_str().unwrap();
        assert!(!what.contains("required"), "{what}");
        format!("{what}; to do: {}", found["to_do"].as_str().unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    let name_it = "CLIPGATE_QNN_LIBRARY name libonnxruntime_providers_qnn.so";
    for (plugin, why) in [
        (file(&folder, "text.so", b"hello"), "text.so: is no shared"),
        (folder.path().join("none.so"), "none.so: is not there"),
    ] {
        let told = doctor(&plugin);
        assert!(told.contains(why) && told.contains(name_it), "{told}");
        let name = plugin.display().to_string();
        assert_eq!(told.matches(&name).count(), 1, "{told}");
    }
    let whole = "keep the package onnxruntime-qnn whole";
    let library = std::fs::read(runtime().path()).unwrap();
    let another = doctor(&file(&folder, "another.so", &library));
    let called_so = doctor(&file(&folder, "libonnxruntime_providers_qnn.so", &library));
    for told in [&another, &called_so] {
        assert!(told.contains("libQnnHtp.so is not there"), "{told}");
        assert!(told.contains(whole), "{told}");
    }
    assert!(another.contains(name_it), "{another}");
    assert!(!called_so.contains(name_it), "{called_so}");
    file(&folder, "libQnnHtp.so", b"backend");
    let crash = "#include <stdlib.h>\n\
                 __attribute__((constructor)) static void crash(void) { abort(); }\n";
    if let Some(crash) = compile(&folder, "crash", crash) {
        let told = doctor(&crash);
        assert!(told.contains("ended in it: signal: 6"), "{told}");
    }
}

#[test]
fn what_says_something_of_a_plugin_where_none_is_named_is_told() {
    let output = command(&["doctor", "--format=json", "--qnn-target=htp-v75"])
        .env_remove("CLIPGATE_QNN_LIBRARY")
        .output()
        .unwrap();
    let found = finding(&output, "qnn");
    assert_eq!(found["level"], "warning", "{found}");
    assert!(found["what"].as_str().unwrap().contains("--qnn-target"));
    assert!(found["to_do"].as_str().unwrap().contains("--qnn-library"));
}
