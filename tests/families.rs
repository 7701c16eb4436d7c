//! Bundles of other families than the embedded one, of tiny graphs: SigLIP's kind (squashed images, a unigram
//! tokenizer, a logit bias), MobileCLIP's (bilinear, other mean), and bundles without labels and calibration.

use clipgate::{
    Bundle, Classifier, Digest, Embedding, ErrorKind, Label, LabelBank, Resize, Scorer, Scores,
    SessionOptions, TextCleaning, TextEncoder,
};
use serde_json::Value;

use crate::cli::{PHOTO, clipgate, json_lines, status, stderr, stdout};
use crate::support::bundles::BundleCopy;
use crate::support::{data, runtime};

const LOGIT_BIAS: f64 = -10.0;
const SIZE: usize = 4;
const DIMENSION: usize = 8;

/// Ids of different lengths, so that their directions differ.
const LABELS: &str = "cat,photo of a school bus";

/// SigLIP's transform and tokenizer before graphs of one operator, without labels and calibration: images are
/// multiplied by a fixed matrix, texts are their eight ids.
fn siglip() -> BundleCopy {
    let bundle = BundleCopy::new();
    bundle.replace("image_encoder.onnx", &data("session/tiny.onnx"));
    bundle.replace("text_encoder.onnx", &data("session/tokens.onnx"));
    bundle.replace("tokenizer.json", &data("unigram/tokenizer.json"));
    bundle.remove("labels", "labels.safetensors");
    bundle.remove("calibration", "calibration.json");
    bundle.edit_manifest(|manifest| {
        manifest["preprocessing"] = serde_json::json!({
            "size": SIZE, "resize": "squash", "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        });
        manifest["embedding_dim"] = DIMENSION.into();
        manifest["text_encoder"]["context_length"] = DIMENSION.into();
        manifest["text_encoder"]["clean"] = "canonicalize".into();
        manifest["text_encoder"]["prompt_template"] = "{}".into();
        manifest["logit_scale"] = 20.into();
        manifest["logit_bias"] = LOGIT_BIAS.into();
        manifest["activation"] = "gelu".into();
        manifest["recipe"] = serde_json::json!({"seed": 7});
    });
    bundle.edit_selftest(|tensors| {
        let pixels: Vec<f32> = (0..3 * SIZE * SIZE).map(|at| at as f32 / 64.0).collect();
        let embedding = Embedding::new(&embed(&pixels)).unwrap();
        tensors.insert("pixel_values".into(), (vec![1, 3, SIZE, SIZE], pixels));
        tensors.insert(
            "image_embeds".into(),
            (vec![1, DIMENSION], embedding.as_slice().to_vec()),
        );
    });
    bundle
}

/// What tiny.onnx computes (`clipgate_export.goldens_session`).
fn embed(pixels: &[f32]) -> Vec<f32> {
    let weight = |row: usize, column: usize| ((row * 7 + column * 5) % 13) as f32 - 6.0;
    let products = |column| {
        let product = |(row, value): (usize, &f32)| value * weight(row, column) / 64.0;
        pixels.iter().enumerate().map(product).sum()
    };
    (0..DIMENSION).map(products).collect()
}

/// [`calibration`] in a folder of its own, and the file's path.
fn calibration_file(bundle: &BundleCopy) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calibration.json");
    std::fs::write(&file, calibration(bundle)).unwrap();
    let path = file.display().to_string();
    (folder, path)
}

/// A calibration of this bundle's graph, fitted on labels of its own.
fn calibration(bundle: &BundleCopy) -> Vec<u8> {
    let pocket = Bundle::embedded()
        .unwrap()
        .read("calibration.json")
        .unwrap();
    let mut calibration: Value = serde_json::from_slice((*pocket).as_ref()).unwrap();
    let executed = Bundle::open(bundle.path())
        .unwrap()
        .executed_graph()
        .unwrap();
    calibration["bound_to"]["graph_sha256"] = executed.graph.to_string().into();
    calibration["bound_to"]["selftest_sha256"] = executed.selftest.to_string().into();
    calibration["bound_to"]["bank_sha256"] = Digest::of(b"another").to_string().into();
    calibration.to_string().into_bytes()
}

#[test]
fn a_bundle_without_labels_and_calibration_does_all_but_classify() {
    let bundle = siglip();
    let path = bundle.path().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors").display().to_string();
    let answered: [&[&str]; 7] = [
        &["embed", PHOTO, "--bundle", &path, "-o", &out],
        &["embed", "--text", "a cat", "--bundle", &path, "-o", &out],
        &["preprocess", PHOTO, "--bundle", &path, "-o", &out],
        &[
            "labels", "build", "--labels", LABELS, "--bundle", &path, "-o", &out,
        ],
        &["inspect", &path],
        &["inspect", "--format", "json", &path],
        &["verify", &path],
    ];
    for arguments in answered {
        let output = clipgate(arguments);
        assert_eq!(status(&output), 0, "{arguments:?}: {}", stderr(&output));
    }
    let inspect = clipgate(&["inspect", &path]);
    for says in [
        "squashed, bicubic",
        "logit bias -10 (sigmoid loss)",
        "activation    gelu",
        "recipe        {\"seed\":7}",
        "labels        none",
        "calibration   none",
    ] {
        assert!(
            stdout(&inspect).contains(says),
            "{says}: {}",
            stdout(&inspect)
        );
    }
}

#[test]
fn what_classify_lacks_is_named_with_what_to_do() {
    let bundle = siglip();
    let path = bundle.path().display().to_string();
    let (_folder, calibration) = calibration_file(&bundle);
    let cases: [(&[&str], &[&str]); 3] = [
        (&[], &["no calibration", "--calibration", "labelled images"]),
        (&["--labels", LABELS], &["no calibration", "--calibration"]),
        (
            &["--calibration", &calibration],
            &["no labels", "--labels", "--bank"],
        ),
    ];
    for (more, says) in cases {
        let mut arguments = vec!["classify", PHOTO, "--bundle", &path];
        arguments.extend(more);
        let output = clipgate(&arguments);
        assert_eq!(status(&output), 2, "{more:?}: {}", stdout(&output));
        for word in says.iter().chain([&path.as_str()]) {
            assert!(
                stderr(&output).contains(word),
                "{more:?}: {word}: {}",
                stderr(&output)
            );
        }
    }
    let bundle = Bundle::open(bundle.path()).unwrap();
    assert_eq!(bundle.label_bank().unwrap_err().kind(), ErrorKind::Caller);
    assert_eq!(bundle.calibration().unwrap_err().kind(), ErrorKind::Policy);
    let error = Classifier::new(&runtime(), &bundle).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Caller, "{error}");
}

#[test]
fn a_model_of_the_sigmoid_loss_says_its_own_probability_too() {
    let bundle = siglip();
    let path = bundle.path().display().to_string();
    let (_folder, calibration) = calibration_file(&bundle);
    let output = clipgate(&[
        "classify",
        "--format",
        "json",
        "--bundle",
        &path,
        "--calibration",
        &calibration,
        "--transfer",
        "--labels",
        LABELS,
        PHOTO,
    ]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let line = &json_lines(&output)[0];
    assert_eq!(line["calibration"], "transferred");
    let scale = f64::from(Bundle::open(bundle.path()).unwrap().manifest().logit_scale);
    let logit = scale * line["scores"]["max_cosine"].as_f64().unwrap() + LOGIT_BIAS;
    let sigmoid = line["scores"]["sigmoid"].as_f64().unwrap();
    assert!(
        (sigmoid - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-4,
        "{line}"
    );

    let softmax = &json_lines(&clipgate(&["classify", "--format", "json", PHOTO]))[0];
    assert!(softmax["scores"].get("sigmoid").is_none(), "{softmax}");
}

#[test]
fn a_logit_bias_changes_no_probability_between_labels() {
    let labels = ["cat", "dog"].map(|name| Label::new(name).unwrap());
    let bank = LabelBank::new(labels.into(), vec![1.0, 0.0, 0.6, 0.8], 2).unwrap();
    let image = Embedding::new(&[0.8, 0.6]).unwrap();
    let score = |bias| {
        let mut scores = Scores::default();
        let scorer = Scorer::new(20.0, 1.0)
            .unwrap()
            .with_logit_bias(bias)
            .unwrap();
        scorer.score(&image, &bank, &mut scores).unwrap();
        scores
    };
    assert_eq!(score(Some(-12.5)), score(None));
}

#[test]
fn texts_are_cleaned_as_the_manifest_says() {
    let bundle = siglip();
    let opened = Bundle::open(bundle.path()).unwrap();
    let tokenizer = opened.tokenizer().unwrap();
    assert_eq!(tokenizer.cleaning(), TextCleaning::Canonicalize);
    let messy = "A_photo, of a CAT!";
    let ids = tokenizer.encode("a photo of a cat").unwrap();
    assert_eq!(tokenizer.encode(messy).unwrap(), ids);
    let mut encoder = TextEncoder::open(&runtime(), &opened, SessionOptions::default()).unwrap();
    let of_ids: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
    let cosine = encoder
        .encode(messy)
        .unwrap()
        .cosine(&Embedding::new(&of_ids).unwrap());
    assert!(cosine.unwrap() > 0.999_999);

    bundle.edit_manifest(|manifest| {
        manifest["text_encoder"]
            .as_object_mut()
            .unwrap()
            .remove("clean");
    });
    let tokenizer = Bundle::open(bundle.path()).unwrap().tokenizer().unwrap();
    assert_eq!(tokenizer.cleaning(), TextCleaning::Whitespace);
    assert_ne!(tokenizer.encode(messy).unwrap(), ids);
}

#[test]
fn a_calibration_for_labels_outside_the_bundle_is_checked_against_the_graph() {
    let bundle = siglip();
    std::fs::write(bundle.file("calibration.json"), calibration(&bundle)).unwrap();
    bundle.edit_manifest(|manifest| {
        manifest["calibration"] = serde_json::json!({"file": "calibration.json"});
    });
    bundle.replace("calibration.json", &bundle.read("calibration.json"));
    let path = bundle.path().display().to_string();
    let output = clipgate(&["verify", &path]);
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    assert!(stdout(&output).contains("labels outside the bundle"));
    let output = clipgate(&["classify", PHOTO, "--bundle", &path, "--labels", LABELS]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));

    bundle.edit_calibration(|calibration| {
        calibration["bound_to"]["graph_sha256"] = "1".repeat(64).into();
    });
    let output = clipgate(&["verify", &path]);
    assert_eq!(status(&output), 1);
    assert!(
        stdout(&output).contains("FAILED  calibration"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn mobileclips_transform_is_followed() {
    let bundle = BundleCopy::new();
    bundle.edit_manifest(|manifest| {
        manifest["preprocessing"]["interpolation"] = "bilinear".into();
        manifest["preprocessing"]["mean"] = vec![0.0; 3].into();
        manifest["preprocessing"]["std"] = vec![1.0; 3].into();
    });
    let path = bundle.path().display().to_string();
    let inspect = clipgate(&["inspect", &path]);
    assert!(stdout(&inspect).contains("shortest edge, centre crop, bilinear"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let output = clipgate(&[
        "preprocess",
        PHOTO,
        "--bundle",
        &path,
        "-o",
        &out.display().to_string(),
    ]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let bytes = std::fs::read(out).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values: Vec<f32> =
        bytemuck::pod_collect_to_vec(tensors.tensor("pixel_values").unwrap().data());
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
}

#[test]
fn a_manifest_of_old_is_read_as_before() {
    let manifest = Bundle::embedded().unwrap().manifest().clone();
    assert_eq!(manifest.preprocessing.resize, Resize::ShortestEdge);
    assert!(manifest.logit_bias.is_none() && manifest.recipe.is_none());
    assert!(manifest.labels.is_some() && manifest.calibration.is_some());
}
