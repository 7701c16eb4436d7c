//! What `evaluate` refuses, and how, what it names and leaves out, and what it leaves behind.

use std::fs;
use std::time::Duration;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use super::inputs::{bank, embeddings, evaluate, path, photo, photos};
use crate::cli::{PHOTO, interrupted, json_lines, status, stderr, stdout};
use crate::support::bundles::BundleCopy;

#[test]
fn labels_that_the_bank_does_not_have_are_refused_or_left_out() {
    let root = photos();
    fs::create_dir(root.path().join("id/espreso")).unwrap();
    fs::copy(photo("coffee.jpg"), root.path().join("id/espreso/1.jpg")).unwrap();
    let id = path(&root, "id");
    let refused = evaluate(&["--id", &id]);
    assert_eq!(status(&refused), 2);
    let says = stderr(&refused);
    assert!(
        says.contains("did you mean \"espresso\"?") && says.contains("--only-known"),
        "{says}"
    );
    let output = evaluate(&["--id", &id, "--only-known", "--format", "json"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("left out 1 label"),
        "{}",
        stderr(&output)
    );
    assert_eq!(json_lines(&output)[0]["id"]["n"], 3);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_are_judged() {
    let root = photos();
    fs::write(root.path().join("id/espresso/15.jpg"), b"no picture").unwrap();
    fs::write(root.path().join("ood/2.txt"), b"").unwrap();
    let page = path(&root, "page.html");
    let (id, ood) = (path(&root, "id"), format!("other={}", path(&root, "ood")));
    let output = evaluate(&[
        "--id", &id, "--ood", &ood, "--report", &page, "--format", "json",
    ]);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("15.jpg: not an image"),
        "{}",
        stderr(&output)
    );
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 3);
    assert!(lines[0]["image"].as_str().unwrap().ends_with("15.jpg"));
    let result = &lines[2];
    assert_eq!(
        (&result["failed"], &result["id"]["n"]),
        (&2.into(), &3.into())
    );
    assert!(
        fs::read_to_string(page)
            .unwrap()
            .contains("could not be read")
    );
}

#[test]
fn names_of_files_and_sets_are_text_in_the_page() {
    let root = photos();
    let hostile = "<img src=x onerror=alert(1)>";
    for folder in ["id/espresso", "ood"] {
        fs::copy(photo("rocket.jpg"), root.path().join(folder).join(hostile)).unwrap();
    }
    let page = path(&root, "page.html");
    let ood = format!("<script>alert(1)</script>={}", path(&root, "ood"));
    let output = evaluate(&["--id", &path(&root, "id"), "--ood", &ood, "--report", &page]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let page = fs::read_to_string(page).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img src=x"));
    assert!(page.contains("&lt;script&gt;") && page.contains("&lt;img src=x"));
}

#[test]
fn what_cannot_be_judged_is_refused_before_the_work() {
    let root = photos();
    let (id, ood) = (path(&root, "id"), path(&root, "ood"));
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().display().to_string();
    let narrow = root.path().join("narrow.safetensors");
    let view =
        TensorView::new(Dtype::F32, vec![1, 2], bytemuck::cast_slice(&[1.0f32, 0.0])).unwrap();
    fs::write(
        &narrow,
        safetensors::serialize([("image_embeds", view)], None).unwrap(),
    )
    .unwrap();
    let narrow = narrow.display().to_string();
    let named = |name: &str| format!("{name}={ood}");
    let other_labels = BundleCopy::new();
    let mut labels = bank().to_safetensors().unwrap();
    let at = labels
        .windows(8)
        .position(|bytes| bytes == b"espresso")
        .unwrap();
    labels[at] = b'X';
    other_labels.replace("labels.safetensors", &labels);
    let other_labels = other_labels.path().display().to_string();
    let no_folder = path(&root, "no/page.html");
    for (arguments, says) in [
        (vec!["--id", &empty], "no image"),
        (
            vec!["--id", &ood],
            "in a folder that is named after a label",
        ),
        (vec!["--id", "no-such-folder"], "no-such-folder"),
        (vec!["--id", &id, "--ood", &ood], "NAME=DIR"),
        (vec!["--id", &id, "--ood", &format!("={ood}")], "NAME=DIR"),
        (
            vec!["--id", &id, "--ood", "x=no-such-folder"],
            "no such folder",
        ),
        (
            vec!["--id", &id, "--ood", &named("x"), "--ood", &named("x")],
            "names two sets",
        ),
        (
            vec!["--id", &id, "--ood", &format!("x={empty}")],
            "no image",
        ),
        (
            vec!["--id", &id, "--ood", &format!("x={narrow}")],
            "rows of 2 values",
        ),
        (vec!["--embeddings", &narrow], "rows of 2 values"),
        (
            vec!["--id", &id, "--report", &no_folder],
            "its folder does not exist",
        ),
        (vec!["--id", &id, "--report", &id], "is a folder"),
        (
            vec!["--id", &id, "--reference", &other_labels],
            "has other labels",
        ),
        (
            vec!["--id", &id, "--reference", "no-such-bundle"],
            "no-such-bundle",
        ),
        (
            vec!["--id", &id, "--fit-fraction", "1.5"],
            "above 0 and below 1",
        ),
        (
            vec!["--id", &id, "--fit-fraction", "0.5"],
            "images are left to fit",
        ),
        (
            vec!["--id", &id, "--target-risk", "0.1"],
            "needs --fit-fraction",
        ),
        (
            vec!["--id", &id, "--embeddings", &narrow],
            "cannot be used with",
        ),
        (
            vec!["--id", &id, "--calibration", "x", "--fit-fraction", "0.5"],
            "cannot be used with",
        ),
        (vec![], "--id"),
        (vec!["--id", PHOTO], "not a CSV file"),
    ] {
        let output = evaluate(&arguments);
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stdout(&output).is_empty(),
            "{arguments:?}: {}",
            stdout(&output)
        );
    }
}

/// A file of embeddings of which `change` has changed the bytes of `labels` (i64) and `image_embeds` (f32).
fn changed(file: &std::path::Path, change: impl Fn(&mut [i64], &mut [f32])) -> String {
    embeddings(file, 10, None, true);
    let bytes = fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (embeds, rows) = (
        tensors.tensor("image_embeds").unwrap(),
        tensors.tensor("labels").unwrap(),
    );
    let mut values: Vec<f32> = bytemuck::pod_collect_to_vec(embeds.data());
    let mut labels: Vec<i64> = bytemuck::pod_collect_to_vec(rows.data());
    change(&mut labels, &mut values);
    let view =
        |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    let tensors = [
        (
            "image_embeds",
            view(Dtype::F32, embeds.shape(), bytemuck::cast_slice(&values)),
        ),
        (
            "labels",
            view(Dtype::I64, rows.shape(), bytemuck::cast_slice(&labels)),
        ),
    ];
    let written = safetensors::serialize(tensors, None).unwrap();
    fs::write(file, written).unwrap();
    file.display().to_string()
}

#[test]
fn embeddings_that_are_no_numbers_or_no_labels_are_named_by_row() {
    let root = tempfile::tempdir().unwrap();
    let file = |name| root.path().join(name);
    for (named, says) in [
        (
            changed(&file("1-ours.safetensors"), |_, values| {
                values[513] = f32::NAN
            }),
            "row 1",
        ),
        (
            changed(&file("2-ours.safetensors"), |labels, _| labels[3] = 54),
            "row 3 is 54; the bank's rows are 0 to 53",
        ),
    ] {
        let output = evaluate(&["--embeddings", &named]);
        assert_eq!(status(&output), 2);
        let error = stderr(&output);
        assert!(
            error.contains(says) && error.contains("ours.safetensors"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn one_class_alone_and_all_wrong_are_figures_but_fit_no_gate() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("ours.safetensors");
    for (labels, accuracy) in [(0, 1.0), (30, 0.0)] {
        let one_class = |rows: &mut [i64], values: &mut [f32]| {
            rows.fill(labels);
            let first = values[..512].to_vec();
            values
                .chunks_exact_mut(512)
                .for_each(|row| row.copy_from_slice(&first));
        };
        let named = changed(&file, one_class);
        let output = evaluate(&["--embeddings", &named, "--format", "json"]);
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        let result = &json_lines(&output)[0];
        assert_eq!(result["id"]["accuracy"], accuracy);
        assert!(result["id"]["ece"].is_f64() && result["id"]["aurc"].is_f64());
    }
    let fitted = evaluate(&[
        "--embeddings",
        &file.display().to_string(),
        "--fit-fraction",
        "0.5",
    ]);
    assert_eq!(status(&fitted), 2);
    assert!(stdout(&fitted).is_empty());
}

#[test]
fn a_calibration_of_another_graph_or_of_other_labels_is_refused() {
    let root = photos();
    let id = path(&root, "id");
    let shipped = format!(
        "{}/models/pocket/calibration.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut stale: Value = serde_json::from_slice(&fs::read(&shipped).unwrap()).unwrap();
    stale["bound_to"]["graph_sha256"] = "0".repeat(64).into();
    let file = path(&root, "stale.json");
    fs::write(&file, stale.to_string()).unwrap();
    let output = evaluate(&["--id", &id, "--calibration", &file]);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("fitted on graph 0000"),
        "{}",
        stderr(&output)
    );

    let own = [
        "--id",
        &id,
        "--labels",
        "espresso,tabby cat,umbrella",
        "--calibration",
        &shipped,
    ];
    let output = evaluate(&own);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("--transfer"),
        "{}",
        stderr(&output)
    );
    let output = evaluate(&[&own[..], &["--transfer", "--format", "json"]].concat());
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(json_lines(&output)[0]["gate"]["calibration"], "transferred");
}

#[test]
#[cfg(target_os = "linux")]
fn a_page_that_cannot_be_written_costs_no_figures() {
    let root = photos();
    let arguments = [
        "--id",
        &path(&root, "id"),
        "--report",
        "/dev/full",
        "--format",
        "json",
    ];
    let output = evaluate(&arguments);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("/dev/full: cannot be written"),
        "{}",
        stderr(&output)
    );
    assert_eq!(json_lines(&output)[0]["id"]["n"], 3);
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupted_run_leaves_an_older_page_as_it_was() {
    let root = photos();
    for copy in 0..100 {
        let link = root.path().join(format!("id/espresso/link{copy}.jpg"));
        fs::hard_link(root.path().join("id/espresso/1.jpg"), link).unwrap();
    }
    let (id, page) = (path(&root, "id"), path(&root, "page.html"));
    fs::write(&page, "older").unwrap();
    let before = fs::read_dir(root.path()).unwrap().count();
    let arguments = [
        "evaluate",
        "--id",
        &id,
        "--report",
        &page,
        "--resamples",
        "100000",
    ];
    interrupted(&arguments, Duration::from_millis(500));
    assert_eq!(fs::read_to_string(&page).unwrap(), "older");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), before);
}
