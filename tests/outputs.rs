//! Output files: whole or untouched, never in the place of a device, as readable as the user's other files.

use std::fs;
use std::process::Stdio;

use crate::cli::{COVERED, PHOTO, clipgate, command, json_lines, status, stderr, stdout};

#[test]
fn a_batch_of_bad_images_leaves_a_whole_output_file_of_the_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let output_file = folder.path().join("pixels.safetensors");
    let output_name = output_file.display().to_string();
    let output = clipgate(&[
        "preprocess",
        PHOTO,
        "no-such.jpg",
        COVERED,
        "-o",
        &output_name,
    ]);
    assert_eq!(status(&output), 2);
    let bytes = fs::read(&output_file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("pixel_values").unwrap().shape()[0], 2);
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["pixels.safetensors"], "temporary files were left");
}

#[test]
fn the_same_words_give_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<Vec<u8>> = ["first", "second"]
        .iter()
        .map(|name| {
            let path = folder.path().join(name).display().to_string();
            let output = clipgate(&["labels", "build", "--labels", "goldfish", "-o", &path]);
            assert_eq!(status(&output), 0, "{}", stderr(&output));
            fs::read(path).unwrap()
        })
        .collect();
    assert!(files[0] == files[1], "the bytes differ");
    // With two keys, half of all runs would have them in order by chance.
    assert!(files[0][8..].starts_with(br#"{"__metadata__":{"labels":"#));
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let output = clipgate(&["embed", PHOTO, "-o", "/no/such/folder/out.safetensors"]);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("/no/such/folder/out.safetensors"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_output_stays_as_it_was_when_every_input_failed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.safetensors");
    fs::write(&file, "kept").unwrap();
    for command in ["embed", "preprocess"] {
        let output = clipgate(&[command, "no-such.jpg", "-o", &file.display().to_string()]);
        assert_eq!(status(&output), 2);
        assert_eq!(fs::read(&file).unwrap(), b"kept");
    }
}

#[test]
fn a_folder_is_refused_before_the_work_begins() {
    let folder = tempfile::tempdir().unwrap();
    let output = clipgate(&[
        "embed",
        "no-such.jpg",
        "-o",
        &folder.path().display().to_string(),
    ]);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("is a folder"),
        "{}",
        stderr(&output)
    );
    assert!(
        !stderr(&output).contains("no-such.jpg"),
        "{}",
        stderr(&output)
    );
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_what_it_points_to_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let output = clipgate(&["embed", PHOTO, "-o", &link.display().to_string()]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read(&file).unwrap().len() > 100);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_to_and_not_replaced() {
    let output = clipgate(&["embed", PHOTO, "-o", "/dev/null"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let full = clipgate(&["embed", PHOTO, "-o", "/dev/full"]);
    assert_eq!(status(&full), 2);
    assert!(stderr(&full).contains("/dev/full"), "{}", stderr(&full));
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_is_written_and_printed() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder
        .path()
        .join(std::ffi::OsStr::from_bytes(b"o\xff.safetensors"));
    let output = command(&["embed", "--format", "json", PHOTO, "-o"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(json_lines(&output)[0]["tensor"], "image_embeds");
    assert!(file.is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_error_stops_nothing() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(&["classify", "no-such.jpg", PHOTO, COVERED])
        .stderr(Stdio::from(full))
        .output()
        .unwrap();
    assert_eq!(status(&output), 2);
    assert!(stdout(&output).contains(PHOTO) && stdout(&output).contains(COVERED));
}

#[test]
fn negatives_are_built_into_the_bank() {
    let folder = tempfile::tempdir().unwrap();
    let negatives = folder.path().join("negatives.txt");
    fs::write(&negatives, "wall\ncarpet\n").unwrap();
    let bank = folder.path().join("bank.safetensors").display().to_string();
    let arguments = [
        "labels",
        "build",
        "--labels",
        "cat",
        "--negatives",
        &negatives.display().to_string(),
        "-o",
        &bank,
    ];
    let output = clipgate(&arguments);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let line = &json_lines(&clipgate(&[
        "classify", "--format", "json", "--bank", &bank, PHOTO,
    ]))[0];
    let probability = line["top"][0]["probability"].as_f64().unwrap();
    assert!(
        probability < 1.0,
        "one label with negatives has a probability of its own: {line}"
    );
}
