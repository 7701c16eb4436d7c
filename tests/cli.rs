//! The command as users meet it: output, exit status, bad input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::png::huge_png;

pub(crate) const PHOTO: &str = "examples/photos/chelsea.jpg";
pub(crate) const COVERED: &str = "examples/photos/covered_lens.jpg";

pub(crate) fn clipgate(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clipgate"));
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUST_LOG");
    command
}

/// Starts the command, interrupts it after a moment as Ctrl-C does, and waits for its end: it must have been at work, and
/// end by the signal.
#[cfg(target_os = "linux")]
pub(crate) fn interrupted(arguments: &[&str], moment: Duration) {
    use std::os::unix::process::ExitStatusExt;

    // Under nohup, or in a shell's background, these tests are started with the signal ignored.
    let mut child = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_clipgate")])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(moment);
    assert!(
        child.try_wait().unwrap().is_none(),
        "ended before the signal"
    );
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}

pub(crate) fn status(output: &Output) -> i32 {
    output
        .status
        .code()
        .unwrap_or_else(|| panic!("killed by a signal: {output:?}"))
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

pub(crate) fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn classify_answers_every_photo_and_says_why_it_abstains() {
    let output = clipgate(&["classify", "--format", "json", PHOTO, COVERED]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!(line["calibration"], "fitted");
        assert_eq!(line["promise"]["kind"], "none");
        assert!(line["timings_ms"]["preprocess"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(lines[0]["top"].as_array().unwrap().len(), 3);
    let total: f64 = lines[0]["scores"]["msp"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&total));
    assert_eq!(lines[1]["decision"], "abstain");
    assert_eq!(lines[1]["reason"], "unusable_frame");
    assert_eq!(lines[1]["scores"], Value::Null);
    assert!(lines[1]["label"].is_null() && lines[1]["confidence"].is_null());
}

#[test]
fn labels_of_ones_own_are_transferred_and_promise_nothing() {
    let output = clipgate(&[
        "classify",
        "--format",
        "json",
        "--labels",
        "cat, school bus,goldfish",
        PHOTO,
    ]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let line = &json_lines(&output)[0];
    assert_eq!(line["calibration"], "transferred");
    assert_eq!(line["promise"]["kind"], "none");
    assert_eq!(line["top"].as_array().unwrap().len(), 3);
    let text = clipgate(&["classify", "--labels", "cat,school bus", PHOTO]);
    assert!(stdout(&text).contains("transferred"), "{}", stdout(&text));
}

#[test]
fn a_single_label_without_negatives_has_no_confidence() {
    let output = clipgate(&[
        "classify",
        "--format",
        "json",
        "--labels",
        "school bus",
        "--no-negatives",
        PHOTO,
    ]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let line = &json_lines(&output)[0];
    assert!(line["confidence"].is_null());
    assert!(line["top"][0]["probability"].is_null());
    assert!(line["scores"]["msp"].is_null());
}

#[test]
fn abstaining_fails_only_where_that_was_asked_for() {
    assert_eq!(status(&clipgate(&["classify", COVERED])), 0);
    assert_eq!(
        status(&clipgate(&["classify", "--fail-on-abstain", COVERED])),
        1
    );
    assert_eq!(
        status(&clipgate(&[
            "classify",
            "--fail-on-abstain",
            COVERED,
            "no-such.jpg"
        ])),
        2
    );
}

#[test]
fn bad_images_are_named_and_the_rest_of_the_batch_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let photo = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(PHOTO)).unwrap();
    let bad: Vec<PathBuf> = vec![
        file("empty.jpg", b""),
        file("truncated.jpg", &photo[..photo.len() / 2]),
        file("corrupt.png", b"\x89PNG\r\n\x1a\nnonsense"),
        file("text.jpg", b"this is a text file"),
        file("huge.png", &huge_png()),
        folder.path().to_owned(),
        folder.path().join("missing.jpg"),
    ];
    let good = file("good.jpg", &photo);
    for format in ["text", "json"] {
        let mut run = command(&["classify", "--format", format]);
        run.args(&bad).arg(&good).args([COVERED]);
        let output = run.output().unwrap();
        assert_eq!(status(&output), 2);
        for path in &bad {
            let name = path.display().to_string();
            assert!(
                stderr(&output).contains(&name),
                "{name} is not named in {}",
                stderr(&output)
            );
        }
        assert!(stdout(&output).contains("good.jpg"));
        assert!(stdout(&output).contains("covered_lens.jpg"));
        if format == "json" {
            let lines = json_lines(&output);
            assert_eq!(lines.len(), bad.len() + 2);
            assert_eq!(
                lines
                    .iter()
                    .filter(|line| line["error"].is_object())
                    .count(),
                bad.len()
            );
        }
    }
}

#[test]
fn embed_writes_unit_vectors_for_images_and_texts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.safetensors").display().to_string();
    for (arguments, tensor) in [
        (vec!["embed", PHOTO, COVERED, "-o", &file], "image_embeds"),
        (
            vec!["embed", "--text", "a cat", "a dog", "-o", &file],
            "text_embeds",
        ),
    ] {
        let output = clipgate(&arguments);
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        let bytes = fs::read(&file).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let view = tensors.tensor(tensor).unwrap();
        assert_eq!(view.shape(), [2, 512]);
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
        for row in values.chunks_exact(512) {
            let length: f32 = row.iter().map(|value| value * value).sum();
            assert!((length - 1.0).abs() < 1e-4);
        }
    }
}

#[test]
fn a_built_bank_answers_as_the_same_labels_in_words_do() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("labels.txt");
    fs::write(&list, "cat\n\nschool bus\r\ngoldfish\n").unwrap();
    let bank = folder.path().join("bank.safetensors").display().to_string();
    let output = clipgate(&[
        "labels",
        "build",
        "--labels",
        &list.display().to_string(),
        "-o",
        &bank,
    ]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let from_bank = json_lines(&clipgate(&[
        "classify", "--format", "json", "--bank", &bank, PHOTO,
    ]));
    let in_words = json_lines(&clipgate(&[
        "classify",
        "--format",
        "json",
        "--labels",
        "cat,school bus,goldfish",
        PHOTO,
    ]));
    assert_eq!(from_bank[0]["top"], in_words[0]["top"]);
    assert_eq!(from_bank[0]["decision"], in_words[0]["decision"]);
}

#[test]
fn bad_labels_are_refused_for_their_own_reason() {
    for (labels, says) in [
        ("", "no labels"),
        (" , ,", "no labels"),
        ("cat,dog,Cat", "twice"),
        (&"x".repeat(5000), "bytes"),
    ] {
        let output = clipgate(&["classify", "--labels", labels, PHOTO]);
        assert_eq!(status(&output), 2, "{labels:.20}");
        assert!(
            stderr(&output).contains(says),
            "{labels:.20}: {}",
            stderr(&output)
        );
    }
    let output = clipgate(&[
        "labels",
        "build",
        "--labels",
        "no/such/list.txt",
        "-o",
        "/tmp/never",
    ]);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("no such file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_library_that_is_none_is_an_error_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "not a library").unwrap();
    for path in [
        text.as_path(),
        Path::new("/no/such/libonnxruntime.so"),
        folder.path(),
    ] {
        let start = Instant::now();
        let output = command(&["classify", PHOTO])
            .env("ORT_DYLIB_PATH", path)
            .output()
            .unwrap();
        assert_eq!(status(&output), 2);
        assert!(
            stderr(&output).contains(&path.display().to_string()),
            "{}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("ORT_DYLIB_PATH"),
            "{}",
            stderr(&output)
        );
        assert!(!stderr(&output).contains("panicked"));
        // A hang is what this guards against; a second is the promise, ten leave room for a loaded machine.
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_damaged_library_beside_the_command_is_told_of_where_another_is_taken() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let executable = folder.path().join("clipgate");
    fs::hard_link(env!("CARGO_BIN_EXE_clipgate"), &executable).unwrap();
    let damaged = folder.path().join("libonnxruntime.so");
    fs::write(&damaged, "damaged").unwrap();
    let output = Command::new(executable)
        .args(["classify", PHOTO])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("ORT_DYLIB_PATH")
        .output()
        .unwrap();
    let why = format!("{}: is no shared library", damaged.display());
    assert!(stderr(&output).contains(&why), "{}", stderr(&output));
    // Where no other is found, the error lists it.
    assert!(status(&output) == 2 || stderr(&output).contains("is taken instead"));
}

#[test]
fn inspect_shows_the_licence_and_verify_passes() {
    let inspect = clipgate(&["inspect"]);
    assert_eq!(status(&inspect), 0, "{}", stderr(&inspect));
    assert!(stdout(&inspect).contains("licence"));
    let verify = clipgate(&["verify", "models/pocket"]);
    assert_eq!(status(&verify), 0, "{}", stdout(&verify));
}

#[test]
fn verify_names_the_damaged_file_and_exits_with_1() {
    let bundle = crate::support::bundles::BundleCopy::new();
    bundle.damage("labels.safetensors", |bytes| bytes[100] ^= 1);
    let output = clipgate(&["verify", &bundle.path().display().to_string()]);
    assert_eq!(status(&output), 1, "{}", stdout(&output));
    assert!(
        stdout(&output).contains("FAILED  labels.safetensors"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_tokenizer_with_more_ids_than_the_text_encoder_embeds_is_refused() {
    const BEYOND: u32 = 60_000;
    let bundle = crate::support::bundles::BundleCopy::new();
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&bundle.read("tokenizer.json")).unwrap();
    tokenizer["model"]["vocab"]["another model's piece"] = BEYOND.into();
    bundle.replace("tokenizer.json", tokenizer.to_string().as_bytes());
    let output = clipgate(&["verify", &bundle.path().display().to_string()]);
    assert_eq!(status(&output), 1, "{}", stdout(&output));
    let said = stdout(&output);
    assert!(
        said.contains("FAILED  text graph and tokenizer")
            && said.contains(
                "text_encoder.onnx: the tokenizer has ids up to 60000, more than the graph embeds"
            ),
        "{said}"
    );
}

/// The pieces of "giraffe" occur in none of the names that pocket's text tower has learnt.
#[test]
fn a_label_that_the_text_encoder_does_not_know_is_refused_by_name() {
    let output = clipgate(&["classify", "--labels", "teapot,giraffe,goldfish", PHOTO]);
    assert_eq!(status(&output), 2);
    let said = stderr(&output);
    assert!(
        said.contains("label \"giraffe\": the text encoder knows none of its pieces"),
        "{said}"
    );
}

#[test]
fn label_text_stays_out_of_the_log_below_debug() {
    let output = command(&["classify", "--labels", "accordion,teapot", PHOTO])
        .env("RUST_LOG", "info")
        .output()
        .unwrap();
    assert_eq!(status(&output), 0);
    assert!(
        !stderr(&output).contains("accordion"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let photos = vec![PHOTO; 50];
    let mut run = command(&["classify", "--format", "json"]);
    let mut child = run
        .args(photos)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"));
}
