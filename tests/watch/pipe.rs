//! Raw frames on standard input.

use std::io::Write;

use serde_json::Value;

use super::{Running, photo, watch};
use crate::cli::{clipgate, json_lines, status, stderr, stdout};

fn raw<'a>(size: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["-", "--size", size, "--pixel-format", "rgb"], more].concat()
}

#[test]
fn every_frame_of_a_recording_is_answered_steadily_with_the_raw_answer_beside_it() {
    let (coffee, size) = photo("coffee.jpg");
    let dark = vec![3; coffee.len()];
    let mut film = coffee.repeat(20);
    film.extend(dark.repeat(25));
    let options = ["--every-frame", "--fps", "30", "--format", "json"];
    let output = watch(&raw(&size, &options), &film);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("45 frames"), "{}", stderr(&output));
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 45);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line["frame"], n);
        assert!((line["timestamp_s"].as_f64().unwrap() - n as f64 / 30.0).abs() < 1e-5);
        assert_eq!(line["source"], "-");
        assert_eq!(line["steady"]["promise"]["kind"], "none");
        assert_eq!(line["skipped"], n != 0 && n != 20, "{n}");
        assert_eq!(line["raw"].is_null(), line["skipped"] == true);
        assert_eq!(line["dropped"], 0);
    }
    let label = |n: usize| &lines[n]["steady"]["label"];
    assert_eq!(lines[0]["steady"]["reason"], "unsettled");
    assert_eq!(label(15), "espresso");
    // Still held when the lens has just been covered.
    assert_eq!(label(22), "espresso");
    assert_eq!(lines[44]["steady"]["reason"], "unusable_frame");
    assert_eq!(lines[20]["raw"]["reason"], "unusable_frame");

    let single = clipgate(&["classify", "--format", "json", "examples/photos/coffee.jpg"]);
    let (of_file, of_frame) = (&json_lines(&single)[0], &lines[0]["raw"]);
    for field in [
        "decision",
        "label",
        "confidence",
        "top",
        "scores",
        "promise",
    ] {
        assert_eq!(of_frame[field], of_file[field], "{field}");
    }
}

#[test]
fn text_says_what_changes_and_nothing_else() {
    let (coffee, size) = photo("coffee.jpg");
    let mut film = coffee.repeat(15);
    film.extend(vec![3; coffee.len() * 25]);
    let output = watch(&raw(&size, &["--every-frame", "--fps", "30"]), &film);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for (line, part) in lines.iter().zip([
        "0.00 s  not sure: nothing has been shown for long enough yet",
        "s  espresso (99 %)",
        "s  not sure: the frame shows nothing",
        "",
        "40 frames in ",
    ]) {
        assert!(line.contains(part), "{line}");
    }
    assert!(lines[4].contains("promise: none"), "{}", lines[4]);
}

#[test]
fn a_pipe_is_live_and_every_frame_is_accounted_for() {
    let (coffee, size) = photo("coffee.jpg");
    let output = watch(&raw(&size, &["--format", "json"]), &coffee.repeat(40));
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("40 frames"), "{}", stderr(&output));
    let lines = json_lines(&output);
    let last = lines.last().unwrap();
    assert_eq!(last["frame"], 39, "the newest is answered in the end");
    assert_eq!(last["dropped"].as_u64().unwrap() + lines.len() as u64, 40);
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_an_error_that_names_it() {
    let (coffee, size) = photo("coffee.jpg");
    let short = &coffee.repeat(4)[..coffee.len() * 3 + 1000];
    let output = watch(&raw(&size, &["--every-frame", "--format", "json"]), short);
    assert_eq!(status(&output), 2);
    assert_eq!(json_lines(&output).len(), 3, "what was whole is answered");
    for part in ["inside frame 3", "after 1000 of", &size] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    // What a live stream has taken is answered as well.
    let live = watch(&raw(&size, &["--format", "json"]), short);
    assert_eq!(status(&live), 2);
    assert_eq!(json_lines(&live).last().unwrap()["frame"], 2);
    assert!(stderr(&live).contains("3 frames"), "{}", stderr(&live));
}

#[test]
fn nothing_and_garbage_on_standard_input_are_no_disaster() {
    let empty = watch(&raw("64x48", &[]), &[]);
    assert_eq!(status(&empty), 0, "{}", stderr(&empty));
    assert!(stdout(&empty).contains("0 frames"), "{}", stdout(&empty));
    let garbage: Vec<u8> = (0..64 * 48 * 3 * 5).map(|i| (i * i % 253) as u8).collect();
    let whole = watch(
        &raw("64x48", &["--every-frame", "--format", "json"]),
        &garbage,
    );
    assert_eq!((status(&whole), json_lines(&whole).len()), (0, 5));
    let ragged = watch(&raw("64x48", &[]), &garbage[..garbage.len() - 7]);
    assert_eq!(status(&ragged), 2);
    let one = watch(
        &[
            "-",
            "--size",
            "1x1",
            "--pixel-format",
            "nv12",
            "--every-frame",
        ],
        &[90; 30],
    );
    assert_eq!(status(&one), 0, "{}", stderr(&one));
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_loaded() {
    for (arguments, part) in [
        (vec!["-"], "--size WxH"),
        (vec!["-", "--size", "640x480"], "--pixel-format"),
        (
            vec!["-", "--size", "0x480", "--pixel-format", "rgb"],
            "each 1 to",
        ),
        (
            vec!["-", "--size", "640", "--pixel-format", "rgb"],
            "like 640x480",
        ),
        (
            vec!["-", "--size", "4x4", "--pixel-format", "p010"],
            "none of",
        ),
        (
            vec!["-", "--size", "32768x32768", "--pixel-format", "rgba"],
            "at most",
        ),
        (raw("4x4", &["--rotate", "45"]), "--rotate"),
        (raw("4x4", &["--region", "0.5,0,0.5,1"]), "empty"),
        (raw("4x4", &["--region", "0,0,1"]), "four numbers"),
        (raw("4x4", &["--fps", "0"]), "frames a second"),
        (raw("4x4", &["--smooth", "nan"]), "seconds"),
        (raw("4x4", &["--deadline", "0"]), "above 0"),
        (
            raw("4x4", &["--deadline", "1", "--every-frame"]),
            "--deadline is for live streams",
        ),
        (raw("4x4", &["--max-gap", "0"]), "--max-gap"),
        (raw("4x4", &["--once"]), "--once"),
        (
            raw("4x4", &["--fast-decode"]),
            "--fast-decode is for image files",
        ),
        (
            raw("4x4", &["--max-megapixels", "1"]),
            "--max-megapixels is for image files",
        ),
        (
            raw("4x4", &["--smooth", "0", "--hold", "1"]),
            "--hold is for smoothed decisions",
        ),
        (
            vec!["examples/photos", "--max-gap", "1"],
            "--max-gap is for smoothed decisions",
        ),
        (
            vec!["examples/photos", "--color-matrix", "bt709"],
            "--color-matrix is for raw frames",
        ),
        (
            vec!["examples/photos", "--color-range", "limited"],
            "--color-range is for raw frames",
        ),
        (vec!["examples/photos", "--every-frame"], "image files"),
        (vec!["no/such/folder"], "no such file"),
        (vec!["no/such/*[.jpg"], "not a pattern"),
        (vec!["a.jpg", "b.jpg"], "quote it"),
        (vec!["/dev/video77"], "video77"),
    ] {
        let output = watch(&arguments, &[]);
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(
            stderr(&output).contains(part),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

/// A stream that goes on until someone ends it.
fn endless(arguments: &[&str]) -> (Running, std::thread::JoinHandle<()>) {
    let (coffee, size) = photo("coffee.jpg");
    let mut running = Running::start(&raw(&size, arguments));
    let mut stdin = running.child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || while stdin.write_all(&coffee).is_ok() {});
    (running, writer)
}

#[test]
fn a_reader_that_goes_away_is_a_normal_end() {
    for arguments in [&[][..], &["--every-frame"]] {
        let (mut running, writer) = endless(arguments);
        running.line();
        drop(std::mem::replace(
            &mut running.lines,
            // Nothing reads on.
            Running::start(&["no/such/folder"]).lines,
        ));
        let (code, said) = running.end();
        assert_eq!(code, Some(0), "{said}");
        writer.join().unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_it_with_a_summary() {
    for (signal, arguments) in [
        ("-INT", &[][..]),
        ("-TERM", &[]),
        ("-INT", &["--every-frame"]),
    ] {
        let (mut running, writer) = endless(arguments);
        running.line();
        running.signal(signal);
        for line in running.lines.by_ref() {
            let whole: Result<Value, _> = serde_json::from_str(&line.unwrap());
            assert!(whole.is_ok());
        }
        let (code, said) = running.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" answered"), "{said}");
        writer.join().unwrap();
    }
    // A sender that sends nothing.
    let mut running = Running::start(&raw("640x480", &["--every-frame"]));
    let stdin = running.child.stdin.take();
    running.wait_until_it_can_be_interrupted();
    std::thread::sleep(std::time::Duration::from_secs(3));
    running.signal("-INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    drop(stdin);
}
