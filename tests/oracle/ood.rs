//! The out-of-distribution scores against SciPy and the papers' formulas in f64 (`clipgate_export.goldens_ood`).

use std::collections::BTreeMap;

use clipgate::{OodScore, OodScores, Scorer};
use serde::Deserialize;

use crate::support::{data, scores::from_cosines};

/// Of scores up to 1, and relative above: what one rounding to f32 (6e-8) and one f32 exponential leave.
const TOLERANCE: f64 = 1e-6;

/// The cosine half-way between two texts is rounded to f32 and multiplied by a logit scale of 120; twice the sigmoid
/// rises by a half of that.
const NEG_REFINE_TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Case {
    labels: Vec<f32>,
    negatives: Vec<f32>,
    logit_scale: f32,
    scores: BTreeMap<String, Option<f64>>,
}

#[test]
fn every_score_is_the_references() {
    let cases: Vec<Case> = serde_json::from_slice(&data("ood.json")).unwrap();
    assert!(cases.len() >= 200);
    let mut wrong = Vec::new();
    let mut worst = BTreeMap::new();
    for (row, case) in cases.iter().enumerate() {
        let scores = from_cosines(&case.labels, &case.negatives, case.logit_scale, 1.0);
        let scorer = Scorer::new(case.logit_scale, 1.0).unwrap();
        let ood = OodScores::of(&scores, &scorer);
        assert_eq!(case.scores.len(), OodScore::ALL.len());
        for which in OodScore::ALL {
            let name = which.as_str();
            let (here, reference) = (ood.value(which), case.scores[name]);
            let tolerance = match which {
                OodScore::NegRefine => NEG_REFINE_TOLERANCE,
                _ => TOLERANCE,
            };
            let distance = match (here, reference) {
                (None, None) => continue,
                (Some(here), Some(reference)) => {
                    (f64::from(here) - reference).abs() / reference.abs().max(1.0)
                }
                _ => f64::INFINITY,
            };
            let most = worst.entry(name).or_insert(0.0f64);
            *most = most.max(distance);
            if distance > tolerance {
                wrong.push(format!(
                    "case {row} {name}: {here:?}, reference {reference:?}"
                ));
            }
        }
    }
    println!("{} cases, largest differences {worst:?}", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_those_of_json() {
    for which in OodScore::ALL {
        let json = format!("\"{}\"", which.as_str());
        assert_eq!(serde_json::to_string(&which).unwrap(), json);
        assert_eq!(serde_json::from_str::<OodScore>(&json).unwrap(), which);
    }
}
