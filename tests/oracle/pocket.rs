//! The embedded model on the example photos, against the same path through Pillow, ONNX Runtime's Python package and
//! SciPy (`clipgate_export.goldens_pocket`).

use std::collections::BTreeMap;
use std::path::Path;

use clipgate::{Bundle, Classifier, DecodeLimits, Reason, decode_file};
use serde::Deserialize;

use crate::support::{data, runtime};

/// Cosines move with the JPEG decoder (a few units of 255) and with the int8 kernels of the CPU: 0.002 was seen on
/// the machine that made the goldens, and Arm differs by up to 0.01.
const COSINE_TOLERANCE: f32 = 0.02;

/// From the same cosines the formulas agree to f32 rounding of a logit below 200.
const PROBABILITY_TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Goldens {
    graph_sha256: String,
    photos: BTreeMap<String, Golden>,
}

#[derive(Deserialize)]
struct Golden {
    label: String,
    similarities: Vec<f32>,
    negative_similarities: Vec<f32>,
    max_cosine: f32,
    confidence: f64,
    msp: f64,
    mcm: f64,
}

#[test]
fn photos_have_the_references_cosines() {
    let goldens: Goldens = serde_json::from_slice(&data("pocket.json")).unwrap();
    let bundle = Bundle::embedded().unwrap();
    let executed = bundle.executed_graph().unwrap().graph.to_string();
    assert_eq!(
        goldens.graph_sha256, executed,
        "run clipgate_export.goldens_pocket again"
    );

    let labels = bundle.label_bank().unwrap().labels().len();
    let mut classifier = Classifier::options()
        .top_k(labels)
        .open(&runtime(), &bundle)
        .unwrap();
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    let (mut worst, mut compared) = (0.0f32, 0);
    for (name, golden) in &goldens.photos {
        let image = decode_file(&photos.join(name), &DecodeLimits::default()).unwrap();
        let answer = classifier.classify(&image.frame().unwrap()).unwrap();
        if answer.decision.reason() == Some(Reason::UnusableFrame) {
            continue;
        }
        compared += 1;
        for candidate in &answer.top {
            worst = worst.max((candidate.similarity - golden.similarities[candidate.index]).abs());
        }
        if golden.max_cosine - golden.similarities[answer.top[0].index] > COSINE_TOLERANCE {
            panic!(
                "{name}: {} here, {} in the reference",
                answer.top[0].label, golden.label
            );
        }
    }
    println!("{compared} photos, cosines differ by at most {worst:.6}");
    assert!(
        compared >= 5 && worst <= COSINE_TOLERANCE,
        "cosines differ by {worst}"
    );
}

#[test]
fn the_references_cosines_give_the_references_scores() {
    let goldens: Goldens = serde_json::from_slice(&data("pocket.json")).unwrap();
    let bundle = Bundle::embedded().unwrap();
    let scale = f64::from(bundle.manifest().logit_scale);
    let temperature = bundle.calibration().unwrap().temperature();
    for (name, golden) in &goldens.photos {
        let scores = crate::support::scores::from_cosines(
            &golden.similarities,
            &golden.negative_similarities,
            scale as f32,
            temperature,
        );
        let scorer = clipgate::Scorer::new(scale as f32, temperature).unwrap();
        let ood = clipgate::OodScores::of(&scores, &scorer);
        let best = scores.best().unwrap();
        for (what, here, reference) in [
            (
                "confidence",
                f64::from(scores.probabilities()[best]),
                golden.confidence,
            ),
            ("msp", f64::from(ood.msp.unwrap()), golden.msp),
            ("mcm", f64::from(ood.mcm.unwrap()), golden.mcm),
        ] {
            assert!(
                (here - reference).abs() < PROBABILITY_TOLERANCE,
                "{name} {what}: {here} {reference}"
            );
        }
    }
}
