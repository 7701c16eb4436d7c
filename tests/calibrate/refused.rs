//! What `clipgate calibrate` refuses, and what it leaves as it was.

use std::fs;

use serde_json::Value;

use super::{FEW, LABELS, Place, is_refused, texts, write};
use crate::cli::{clipgate, interrupted, status, stderr, stdout};

#[test]
fn images_that_calibrate_nothing_are_refused_with_what_to_do() {
    let place = Place::new(3);
    is_refused(
        &place.calibrate("photos", &[]),
        &[
            "2 images are left to fit",
            "59 others",
            "bring about 94 images or more",
        ],
    );
    let one = place.at("one");
    fs::create_dir(&one).unwrap();
    fs::rename(place.at("photos/pretzel"), one.join("pretzel")).unwrap();
    is_refused(
        &place.calibrate("one", &[]),
        &["all images are of one label"],
    );
    fs::rename(one.join("pretzel"), one.join("pretzels")).unwrap();
    is_refused(
        &place.calibrate("one", &[]),
        &[
            "folder \"pretzels\" (did you mean \"pretzel\"?)",
            "2 labels of the bank",
        ],
    );
    fs::remove_dir_all(one.join("pretzels")).unwrap();
    is_refused(&place.calibrate("one", &[]), &["one: no image"]);
    let nowhere = place.calibrate("nowhere", &[]);
    is_refused(&nowhere, &["nowhere: cannot be read"]);
    assert_eq!(stderr(&nowhere).matches("nowhere").count(), 1);
    assert!(!place.at("mine.json").exists());
}

#[test]
fn answers_that_are_all_wrong_are_refused() {
    let place = Place::new(1);
    let (values, labels) = texts(100);
    let wrong: Vec<i64> = labels.iter().map(|label| (label + 1) % 8).collect();
    write(&place.at("embeddings"), &values, 512, Some(&wrong));
    is_refused(
        &place.embedded(&[]),
        &["every answer", "is wrong: are the labels right"],
    );
}

#[test]
fn embeddings_that_cannot_be_judged_are_named() {
    let place = Place::new(1);
    let file = place.at("embeddings");
    let (values, labels) = texts(10);
    let mut broken = values.clone();
    broken[3 * 512 + 7] = f32::NAN;
    for (values, columns, labels, says) in [
        (&broken, 512, Some(&labels[..]), "row 3"),
        (
            &values,
            256,
            Some(&labels[..]),
            "rows of 256 values, the label bank's have 512",
        ),
        (
            &values,
            512,
            Some(&labels[1..]),
            "has shape [9]; one integer an image, [10]",
        ),
        (&values, 512, None, "no tensor `labels`"),
    ] {
        write(&file, values, columns, labels);
        is_refused(&place.embedded(&[]), &["embeddings", says]);
    }
}

#[test]
fn options_that_contradict_are_refused_before_the_work() {
    let place = Place::new(1);
    for (options, says) in [
        (
            &["--method", "lac", "--target-risk", "0.1"][..],
            "--target-risk means nothing to the method `lac`",
        ),
        (&["--method", "accept-rate"], "needs --accept-rate"),
        (
            &["--confidence", "95"],
            "the confidence is 95; it must be above 0 and below 1 (5 % is 0.05)",
        ),
        (&["--target-risk", "NaN"], "the target is NaN"),
        (&["--fit-fraction", "1"], "the share that fits is 1"),
    ] {
        is_refused(&place.calibrate("photos", options), &[says]);
    }
    for options in [&["--labels", "a,b"][..], &["--embeddings", "x"]] {
        let output = place.calibrate("photos", options);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains("cannot be used with"));
    }
}

#[test]
fn other_things_that_are_no_images_are_named_and_the_rest_counts() {
    let place = Place::new(20);
    let others = place.at("others");
    fs::create_dir(&others).unwrap();
    fs::write(others.join("README.md"), "# Notes\n").unwrap();
    let run = || {
        place.calibrate(
            "photos",
            &[&FEW[..], &["--ood", &place.path("others")]].concat(),
        )
    };
    is_refused(&run(), &["others: none of the 1 images can be scored"]);
    assert!(!place.at("mine.json").exists());

    fs::copy("examples/photos/gravel.jpg", others.join("gravel.jpg")).unwrap();
    let output = run();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("README.md: not an image of a known format"));
    assert!(stdout(&output).contains("promise: none"));
    let calibration: Value =
        serde_json::from_slice(&fs::read(place.at("mine.json")).unwrap()).unwrap();
    assert_eq!(calibration["fitted_on"]["others"], 1);
}

/// What was there before stays, whole, and nothing is left beside it.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_run_leaves_the_calibration_that_was_there() {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    let place = Place::new(1);
    // Far more than are embedded before the signal.
    for (label, _) in LABELS {
        let folder = place.at("photos").join(label);
        for copy in 0..5_000 {
            symlink(folder.join("0.png"), folder.join(format!("copy{copy}.png"))).unwrap();
        }
    }
    fs::write(place.at("mine.json"), "what was there").unwrap();
    let before = place.left();
    let (photos, bank, mine) = (
        place.path("photos"),
        place.path("bank"),
        place.path("mine.json"),
    );
    interrupted(
        &[
            "calibrate",
            "--images",
            &photos,
            "--bank",
            &bank,
            "-o",
            &mine,
        ],
        Duration::from_millis(700),
    );
    assert_eq!(fs::read_to_string(&mine).unwrap(), "what was there");
    assert_eq!(place.left(), before);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let place = Place::new(1);
    let (photos, bank) = (place.path("photos"), place.path("bank"));
    for (output, says) in [
        (place.path("missing/mine.json"), "its folder does not exist"),
        (place.path("photos"), "is a folder, not a file to write"),
    ] {
        let refused = clipgate(&[
            "calibrate",
            "--images",
            &photos,
            "--bank",
            &bank,
            "-o",
            &output,
        ]);
        is_refused(&refused, &[says]);
    }
}

#[test]
fn an_output_that_is_an_input_is_refused_and_stays() {
    let place = Place::new(3);
    let (photos, bank) = (place.path("photos"), place.path("bank"));
    let photo = place.path(&format!("photos/{}/0.png", LABELS[0].0));
    for target in [&bank, &photo] {
        let before = fs::read(target).unwrap();
        let common = ["calibrate", "--images", &photos, "--bank", &bank];
        let output = clipgate(&[&common[..], &FEW, &["-o", target]].concat());
        is_refused(&output, &["is an input and would be replaced"]);
        assert_eq!(fs::read(target).unwrap(), before);
        let output = clipgate(&[
            "evaluate", "--id", &photos, "--bank", &bank, "--report", target,
        ]);
        is_refused(&output, &["is an input and would be replaced"]);
        assert_eq!(fs::read(target).unwrap(), before);
    }
}
