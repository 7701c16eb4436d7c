//! What is computed from ID and OOD scores, and from rows of probabilities.

use clipgate::Result;
use clipgate::metrics::{aupr, aupr_out, auroc, brier, fpr_at_tpr, fpr_at_tpr_out, nll};
use serde::Deserialize;

use super::{Comparison, Expected, goldens};

#[derive(Deserialize)]
struct Scores {
    id: Vec<f32>,
    ood: Vec<f32>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Probabilities {
    kind: String,
    probabilities: Vec<f32>,
    truths: Vec<usize>,
    expected: Expected,
}

/// A metric of ID and OOD scores.
type OfScores<'a> = &'a dyn Fn(&[f32], &[f32]) -> Result<f64>;

#[test]
fn scores_are_told_apart_as_by_scikit_learn_and_torch_uncertainty() {
    let cases: Vec<Scores> = goldens("scores");
    let compare = |key: &str, ours: OfScores<'_>| {
        Comparison::of(
            &cases,
            |case| &case.expected,
            key,
            |case| ours(&case.id, &case.ood),
        )
    };
    let check = |key: &str, ours: OfScores<'_>| {
        compare(key, ours).agrees(key, 200);
    };
    check("scikit-learn.auroc", &auroc);
    check("scikit-learn.aupr", &aupr);
    check("scikit-learn.aupr_out", &aupr_out);
    for tpr in [0.95, 0.8] {
        let inside = |id: &[f32], ood: &[f32]| fpr_at_tpr(id, ood, tpr);
        check(&format!("scikit-learn.fpr.{tpr}"), &inside);
        check(&format!("torch-uncertainty.fpr.{tpr}"), &inside);
        let outside = |id: &[f32], ood: &[f32]| fpr_at_tpr_out(id, ood, tpr);
        check(&format!("torch-uncertainty.fpr_out.{tpr}"), &outside);
    }
    // Straight lines between the points of the precision-recall curve give another area, unless all ID scores are
    // the larger ones.
    let key = "scikit-learn.aupr.trapezoids";
    compare(key, &aupr).differs(key, 219, |number| {
        auroc(&cases[number].id, &cases[number].ood).unwrap() < 1.0
    });
}

#[test]
fn probabilities_are_judged_as_by_scikit_learn() {
    let cases: Vec<Probabilities> = goldens("probabilities");
    Comparison::of(
        &cases,
        |case| &case.expected,
        "scikit-learn.brier",
        |case| brier(&case.probabilities, &case.truths),
    )
    .agrees("scikit-learn.brier", 200);
    let found = Comparison::of(
        &cases,
        |case| &case.expected,
        "scikit-learn.nll",
        |case| {
            let labels = case.probabilities.len() / case.truths.len();
            let rows = case.probabilities.chunks_exact(labels).zip(&case.truths);
            nll(&rows.map(|(row, truth)| row[*truth]).collect::<Vec<_>>())
        },
    );
    // scikit-learn raises a probability of 0 to the rounding of f64, 36 nats; we raise it to the smallest normal f32.
    found.differs("scikit-learn.nll", 2, |number| {
        cases[number].kind == "certain and wrong"
    });
}
