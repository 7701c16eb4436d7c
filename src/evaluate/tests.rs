//! Whole measurements of images that are made up.

use std::f32::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::bank::LabelBank;
use crate::calibration::{Method, PreprocessingMode};
use crate::decision::Reason;
use crate::digest::Digest;
use crate::embedding::Embedding;
use crate::fit::{FitOptions, LabelledImage, fit};
use crate::gate::{ExecutedGraph, Gate};
use crate::label::Label;
use crate::metrics::{Resampling, accuracy, auroc};
use crate::ood::OodScore;
use crate::score::Scorer;

const LABELS: usize = 5;
const LOGIT_SCALE: f32 = 10.0;

fn draws() -> Resampling {
    Resampling {
        draws: 60,
        ..Resampling::seeded(3)
    }
}

/// A point on the circle.
fn at(angle: f32) -> [f32; 2] {
    [angle.cos(), angle.sin()]
}

/// Labels evenly around the circle.
fn bank() -> LabelBank {
    let labels = (0..LABELS).map(|row| Label::new(&format!("label {row}")).unwrap());
    let rows = (0..LABELS).flat_map(|row| at(TAU * row as f32 / LABELS as f32));
    LabelBank::new(labels.collect(), rows.collect(), 2).unwrap()
}

/// Images around their labels, as far away as `noise` says, and the rows of their labels.
fn images(n: usize, noise: f32, seed: u64) -> (Vec<Embedding>, Vec<usize>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut image = |row: usize| {
        let label = row % LABELS;
        let off: f32 = random.random_range(-noise..noise);
        let angle = TAU * label as f32 / LABELS as f32 + off;
        (Embedding::new(&at(angle)).unwrap(), label)
    };
    (0..n).map(&mut image).unzip()
}

fn gate(bank: &LabelBank) -> Gate {
    let executed = ExecutedGraph {
        graph: Digest::of(b"graph"),
        preprocessing: PreprocessingMode::Exact,
        selftest: Digest::of(b"selftest"),
    };
    let scorer = Scorer::new(LOGIT_SCALE, 1.0).unwrap();
    let (embeddings, labels) = images(400, 0.9, 11);
    let labelled: Vec<LabelledImage> = embeddings
        .iter()
        .zip(labels)
        .map(|(image, label)| LabelledImage::measure(image, label, bank, &scorer).unwrap())
        .collect();
    let options = FitOptions {
        score: OodScore::Msp,
        ..FitOptions::new(Method::Sgr, 0.1)
    };
    let calibration = fit(&labelled, &[], &scorer, executed.binding(bank), &options).unwrap();
    Gate::new(calibration, &executed, bank).unwrap()
}

fn judged(
    bank: &LabelBank,
    gate: Option<&Gate>,
    noise: f32,
    seed: u64,
) -> (JudgedSet, Vec<JudgedSet>) {
    let scorer = match gate {
        Some(gate) => gate.scorer(LOGIT_SCALE, None),
        None => Scorer::new(LOGIT_SCALE, 1.0),
    };
    let judge = Judge::new(bank, scorer.unwrap(), gate);
    let (inside, labels) = images(200, noise, seed);
    let id = judge.set("ours", &inside, Some(&labels), 3).unwrap();
    // Half-way between two labels nothing is sure.
    let between: Vec<Embedding> = (0..40)
        .map(|row| TAU * (row as f32 + 0.5) / LABELS as f32)
        .map(|angle| Embedding::new(&at(angle)).unwrap())
        .collect();
    let others = judge.set("between", &between, None, 0).unwrap();
    (id, vec![others])
}

#[test]
fn figures_are_those_of_the_metrics() {
    let bank = bank();
    let gate = gate(&bank);
    let (id, ood) = judged(&bank, Some(&gate), 0.9, 1);
    let measured = Measurement::of(&id, &ood, Some(&gate), &draws()).unwrap();
    let evaluation = measured.evaluation();
    assert_eq!(evaluation.id.n, 200);
    assert_eq!(evaluation.id.metrics.len(), Metric::ALL.len());
    let right = evaluation.id.metrics[&Metric::Accuracy];
    assert_eq!(right.value, accuracy(&id.correct()).unwrap());
    for (metric, estimate) in &evaluation.id.metrics {
        assert!(
            estimate.low <= estimate.value && estimate.value <= estimate.high,
            "{metric}"
        );
        assert!(
            estimate.low >= 0.0 && estimate.low < estimate.high,
            "{metric}"
        );
    }
    let msp = evaluation.ood[0].gate_score().unwrap();
    let (inside, outside) = (
        id.scores(OodScore::Msp).unwrap(),
        ood[0].scores(OodScore::Msp).unwrap(),
    );
    assert_eq!(msp.score, OodScore::Msp);
    assert!((msp.auroc.value - auroc(&inside, &outside).unwrap()).abs() < 1e-12);
    // This bank has no negatives, so scores of negatives are left out.
    assert!(evaluation.ood[0].of(OodScore::NegLabel).is_none());
    assert!(evaluation.ood[0].of(OodScore::Energy).is_some());
}

#[test]
fn every_image_has_one_outcome() {
    let bank = bank();
    let gate = gate(&bank);
    let (id, ood) = judged(&bank, Some(&gate), 0.9, 1);
    let measured = Measurement::of(&id, &ood, Some(&gate), &draws()).unwrap();
    let figures = measured.evaluation().gate.as_ref().unwrap();
    for outcomes in std::iter::once(&figures.id).chain(&figures.ood) {
        let refused: usize = outcomes.abstained.iter().map(|(_, count)| count).sum();
        assert_eq!(
            outcomes.accepted() + refused,
            outcomes.n,
            "{}",
            outcomes.name
        );
    }
    assert_eq!(figures.id.n, 203);
    assert_eq!(figures.id.abstained[0], (Reason::UnusableFrame, 3));
    assert_eq!(figures.ood[0].accepted_right, 0);
    let coverage = figures.id.accepted() as f64 / 203.0;
    assert!((figures.coverage.value - coverage).abs() < 1e-12);
    let risk = figures.selective_risk.unwrap();
    assert!(risk.value < 0.2, "{risk:?}");
    let json = serde_json::to_value(measured.evaluation()).unwrap();
    assert_eq!(json["gate"]["id"]["abstained"]["unusable_frame"], 3);
    assert_eq!(
        json["ood"][0]["auroc"]["gate"],
        json["ood"][0]["auroc"]["msp"]
    );
    assert_eq!(
        json["id"]["intervals"]["accuracy"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_model_does_not_differ_from_itself() {
    let bank = bank();
    let gate = gate(&bank);
    let (id, ood) = judged(&bank, Some(&gate), 0.9, 1);
    let measured = Measurement::of(&id, &ood, Some(&gate), &draws()).unwrap();
    let paired = Paired::of(&measured, &measured, &draws()).unwrap();
    assert_eq!(paired.agreement.value, 1.0);
    let gated = [paired.coverage, paired.selective_risk, paired.accepted_ood];
    let all = paired
        .id
        .values()
        .copied()
        .chain(gated.into_iter().flatten());
    for difference in all.chain(paired.ood.iter().map(|set| set.auroc)) {
        assert_eq!(difference.estimate.value, 0.0);
        assert_eq!(
            (difference.estimate.low, difference.estimate.high),
            (0.0, 0.0)
        );
        assert_eq!(difference.p_value, 1.0);
    }
}

#[test]
fn a_worse_model_is_found_out() {
    let bank = bank();
    let (id, ood) = judged(&bank, None, 0.65, 1);
    let (worse, worse_ood) = judged(&bank, None, 1.2, 1);
    let own = Measurement::of(&id, &ood, None, &draws()).unwrap();
    let reference = Measurement::of(&worse, &worse_ood, None, &draws()).unwrap();
    let paired = Paired::of(&own, &reference, &draws()).unwrap();
    let accuracy = paired.id[&Metric::Accuracy];
    assert!(
        accuracy.estimate.low > 0.0 && accuracy.p_value < 0.001,
        "{accuracy:?}"
    );
    assert_eq!(
        (accuracy.test, paired.id[&Metric::Nll].test),
        (Test::McNemar, Test::SignFlip)
    );
    assert!(paired.id[&Metric::Nll].estimate.high < 0.0);
    assert!(paired.coverage.is_none() && own.evaluation().gate.is_none());
    // Without a gate the first score that every bank has is compared.
    assert_eq!(paired.ood[0].score, OodScore::Msp);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let bank = bank();
    let judge = Judge::new(&bank, Scorer::new(LOGIT_SCALE, 1.0).unwrap(), None);
    let (inside, labels) = images(10, 0.5, 1);
    let says = |error: crate::Error| error.to_string();
    assert!(says(judge.set("x", &inside, Some(&labels[1..]), 0).unwrap_err()).contains("9 labels"));
    assert!(says(judge.set("x", &inside, Some(&[9; 10]), 0).unwrap_err()).contains("image 0"));
    let wide = [Embedding::new(&[1.0, 0.0, 0.0]).unwrap()];
    assert!(says(judge.set("x", &wide, None, 0).unwrap_err()).contains("another model"));
    let nothing = judge.set("nothing", &[], Some(&[]), 4).unwrap();
    let error = Measurement::of(&nothing, &[], None, &draws())
        .err()
        .unwrap();
    assert!(says(error).starts_with("nothing: "));

    let (id, ood) = judged(&bank, None, 0.9, 1);
    let mut others = id.clone();
    others.judgements.swap(0, 1);
    let own = Measurement::of(&id, &ood, None, &draws()).unwrap();
    let reference = Measurement::of(&others, &ood, None, &draws()).unwrap();
    assert!(says(Paired::of(&own, &reference, &draws()).unwrap_err()).contains("the same images"));
}

#[test]
fn one_label_has_an_accuracy_and_a_cosine_and_no_more() {
    let bank = LabelBank::new(vec![Label::new("one").unwrap()], vec![1.0, 0.0], 2).unwrap();
    let judge = Judge::new(&bank, Scorer::new(LOGIT_SCALE, 1.0).unwrap(), None);
    let inside: Vec<Embedding> = [0.1, 0.2, 0.3]
        .map(|a| Embedding::new(&at(a)).unwrap())
        .into();
    let outside: Vec<Embedding> = [1.1, 1.2].map(|a| Embedding::new(&at(a)).unwrap()).into();
    let id = judge.set("one", &inside, Some(&[0; 3]), 0).unwrap();
    let ood = [judge.set("other", &outside, None, 0).unwrap()];
    let measured = Measurement::of(&id, &ood, None, &draws()).unwrap();
    let evaluation = measured.evaluation();
    assert_eq!(
        evaluation.id.metrics.keys().collect::<Vec<_>>(),
        [&Metric::Accuracy]
    );
    let score = evaluation.ood[0].leading_score().unwrap();
    assert_eq!((score.score, score.auroc.value), (OodScore::MaxCosine, 1.0));
    let plots = Plots::of(&id, &ood, None).unwrap();
    assert!(plots.reliability.is_empty() && plots.risk_coverage.is_empty());
    assert_eq!(plots.histograms[0].score, OodScore::MaxCosine);
}
