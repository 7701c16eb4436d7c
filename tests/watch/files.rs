//! Folders and patterns.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::{Running, watch};
use crate::cli::{json_lines, status, stderr, stdout};

fn photo(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    fs::read(path.join(name)).unwrap()
}

#[test]
fn a_folders_images_are_answered_in_order_and_a_broken_one_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("b.jpg"), photo("coffee.jpg")).unwrap();
    fs::write(path("a.JPG"), photo("covered_lens.jpg")).unwrap();
    fs::write(path("c.jpg"), b"no image").unwrap();
    fs::write(path("notes.txt"), b"no image either").unwrap();
    fs::write(path(".d.jpg"), b"still in the making").unwrap();
    let name = folder.path().to_str().unwrap();
    let output = watch(&[name, "--once", "--format", "json"], &[]);
    assert_eq!(status(&output), 2, "{}", stderr(&output));
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["source"], path("a.JPG").to_str().unwrap());
    // Files are pictures of their own: nothing is smoothed.
    assert_eq!(lines[0]["steady"]["reason"], "unusable_frame");
    assert_eq!(lines[1]["steady"]["label"], "espresso");
    assert_eq!(lines[1]["raw"]["label"], "espresso");
    assert_eq!(lines[2]["source"], path("c.jpg").to_str().unwrap());
    assert!(
        lines[2]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("c.jpg")
    );
    assert!(stderr(&output).contains("1 failed"), "{}", stderr(&output));

    let pattern = format!("{name}/[ab].*");
    let text = watch(&[&pattern, "--once"], &[]);
    assert_eq!(status(&text), 0, "{}", stderr(&text));
    assert!(stdout(&text).contains("b.jpg"), "{}", stdout(&text));
    assert!(
        stdout(&text).contains("espresso (99 %)"),
        "{}",
        stdout(&text)
    );
    assert!(stdout(&text).contains("2 frames"), "{}", stdout(&text));
}

#[cfg(target_os = "linux")]
#[test]
fn new_files_are_answered_once_they_are_whole_and_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("first.jpg"), photo("covered_lens.jpg")).unwrap();
    let mut running = Running::start(&[folder.path().to_str().unwrap()]);
    assert_eq!(running.line()["raw"]["reason"], "unusable_frame");

    // Written in pieces, slower than it is looked at.
    let coffee = photo("coffee.jpg");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path("slow.jpg"))
        .unwrap();
    for piece in coffee.chunks(coffee.len() / 6 + 1) {
        file.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(150));
    }
    let line = running.line();
    assert_eq!(line["source"], path("slow.jpg").to_str().unwrap());
    assert_eq!(line["raw"]["label"], "espresso", "{line}");

    fs::write(path("first.jpg"), coffee).unwrap();
    let line = running.line();
    assert_eq!(line["source"], path("first.jpg").to_str().unwrap());
    assert_eq!(line["raw"]["label"], "espresso", "{line}");
    assert_eq!(line["frame"], 2);

    fs::remove_file(path("slow.jpg")).unwrap();
    running.signal("-INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 frames"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_empty_folder_is_waited_at_and_a_folder_that_goes_away_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    let once = watch(&[name, "--once"], &[]);
    assert_eq!(status(&once), 0);
    assert!(stdout(&once).contains("0 frames"), "{}", stdout(&once));
    let running = Running::start(&[name]);
    std::thread::sleep(Duration::from_secs(2));
    fs::remove_dir(folder.path()).unwrap();
    let (code, said) = running.end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(name), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_are_taken_away_while_they_wait_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(format!("{number:02}.jpg"));
    let coffee = photo("coffee.jpg");
    for number in 0..60 {
        fs::write(path(number), &coffee).unwrap();
    }
    let name = folder.path().to_str().unwrap();
    let mut running = Running::start(&[name, "--once"]);
    running.line();
    for number in 40..60 {
        fs::remove_file(path(number)).unwrap();
    }
    let lines: Vec<String> = running.lines.by_ref().map(Result::unwrap).collect();
    assert!((39..59).contains(&lines.len()), "{}", lines.len());
    let failed = lines.iter().find(|line| line.contains("\"error\""));
    assert!(failed.is_none(), "{failed:?}");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn an_old_empty_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let empty = fs::File::create(folder.path().join("empty.jpg")).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    empty.set_modified(long_ago).unwrap();
    let output = watch(&[folder.path().to_str().unwrap(), "--once"], &[]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("is empty"), "{}", stderr(&output));
}
