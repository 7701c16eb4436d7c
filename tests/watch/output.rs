//! `-o`: the same lines in a file, whole or not at all.

use std::fs;

use serde_json::Value;

use super::{photo, watch};
use crate::cli::{status, stderr, stdout};

#[test]
fn the_file_holds_the_lines_that_standard_output_shows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("decisions.jsonl");
    fs::write(&file, "of an earlier run\n").unwrap();
    let name = file.to_str().unwrap();
    let (coffee, size) = photo("coffee.jpg");
    let arguments = [
        "-",
        "--size",
        &size,
        "--pixel-format",
        "rgb",
        "--every-frame",
        "-o",
        name,
    ];
    let film = coffee.repeat(5);
    let json = watch(&[&arguments[..], &["--format", "json"]].concat(), &film);
    assert_eq!(status(&json), 0, "{}", stderr(&json));
    assert_eq!(fs::read_to_string(&file).unwrap(), stdout(&json));
    let text = watch(&arguments, &film);
    assert!(!stdout(&text).contains('{'));
    let lines = fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 5);
    // A broken stream leaves what was told before, and says so in the file, too.
    let broken = watch(&arguments, &film[..coffee.len() + 3]);
    assert_eq!(status(&broken), 2);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_anything_is_answered() {
    let (coffee, size) = photo("coffee.jpg");
    for path in ["no/such/folder/f.jsonl", "examples"] {
        let output = watch(
            &["-", "--size", &size, "--pixel-format", "rgb", "-o", path],
            &coffee,
        );
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(path), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_input_is_replaced_and_no_output_is_taken_for_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("coffee.jpg");
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos/coffee.jpg"),
        &image,
    )
    .unwrap();
    let (name, before) = (image.to_str().unwrap(), fs::read(&image).unwrap());
    let refused = watch(&[name, "--once", "-o", name], &[]);
    assert_eq!(status(&refused), 2);
    assert!(
        stderr(&refused).contains("would be replaced"),
        "{}",
        stderr(&refused)
    );
    let script = format!(
        "exec {} watch - --size 9x9 --pixel-format gray -o {name} < {name}",
        env!("CARGO_BIN_EXE_clipgate")
    );
    let refused = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(status(&refused), 2);
    assert!(
        stderr(&refused).contains("would be replaced"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(fs::read(&image).unwrap(), before);

    let everything = format!("{}/*", folder.path().display());
    let own = folder.path().join("own.jsonl");
    let output = watch(&[&everything, "--once", "-o", own.to_str().unwrap()], &[]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(fs::read_to_string(own).unwrap().lines().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_stream_with_an_error_and_whole_lines() {
    let (coffee, size) = photo("coffee.jpg");
    let film = coffee.repeat(60);
    let full = watch(
        &[
            "-",
            "--size",
            &size,
            "--pixel-format",
            "rgb",
            "--every-frame",
            "-o",
            "/dev/full",
        ],
        &film,
    );
    assert_eq!(status(&full), 2);
    assert!(stderr(&full).contains("/dev/full"), "{}", stderr(&full));

    // A limit on the size of files stands for a disk with little room left: 8 blocks of 1,024 bytes.
    let folder = tempfile::tempdir().unwrap();
    let (input, file) = (
        folder.path().join("film.rgb"),
        folder.path().join("small.jsonl"),
    );
    fs::write(&input, &film).unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} watch - --size {size} --pixel-format rgb -o {} < {}",
        env!("CARGO_BIN_EXE_clipgate"),
        file.display(),
        input.display()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(status(&output), 2, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("small.jsonl"),
        "{}",
        stderr(&output)
    );
    let lines = fs::read_to_string(&file).unwrap();
    assert!(
        lines.len() > 4096 && lines.ends_with('\n'),
        "{}",
        lines.len()
    );
    for line in lines.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}
