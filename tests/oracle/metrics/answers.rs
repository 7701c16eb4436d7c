//! What is computed from confidences and correctness: calibration and risk-coverage.

use clipgate::Result;
use clipgate::metrics::{
    Binning, accuracy, augrc, aurc, brier_top_label, coverage_at_risk, debiased_calibration_error,
    e_aurc, expected_calibration_error, reliability_bins, risk_at_coverage, risk_coverage,
    smooth_ece,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Comparison, Expected, TOLERANCE, bits, goldens};

#[derive(Deserialize)]
struct Answers {
    kind: String,
    confidences: Vec<f32>,
    #[serde(deserialize_with = "bits")]
    correct: Vec<bool>,
    expected: Expected,
}

/// A metric of confidences and correctness.
type OfAnswers = fn(&[f32], &[bool]) -> Result<f64>;

fn answers() -> Vec<Answers> {
    goldens("answers")
}

fn on_answers(
    cases: &[Answers],
    key: &str,
    ours: impl Fn(&[f32], &[bool]) -> Result<f64>,
) -> Comparison {
    Comparison::of(
        cases,
        |case| &case.expected,
        key,
        |case| ours(&case.confidences, &case.correct),
    )
}

#[test]
fn answers_are_judged_as_the_packages_do() {
    let cases = answers();
    let check = |key: &str, at_least, ours: OfAnswers| {
        on_answers(&cases, key, ours).agrees(key, at_least);
    };
    check("scikit-learn.accuracy", 200, |_, correct| accuracy(correct));
    check("scikit-learn.brier_top_label", 200, brier_top_label);
    check("relplot.smooth", 200, smooth_ece);
    check("fd-shifts.aurc", 200, aurc);
    check("fd-shifts.e_aurc", 200, e_aurc);
    check("fd-shifts.augrc", 200, augrc);
    check("scikit-learn.augrc", 150, augrc);
    // Cases without ties alone: with ties its values follow the order of the images.
    check("torch-uncertainty.aurc", 100, aurc);
    check("torch-uncertainty.augrc", 100, augrc);
}

#[test]
fn binned_errors_are_those_of_uncertainty_calibration() {
    let cases = answers();
    for (name, binning) in [("width", Binning::EqualWidth), ("mass", Binning::EqualMass)] {
        for bins in [15, 10, 4] {
            let key = format!("uncertainty-calibration.{name}.{bins}");
            on_answers(&cases, &key, |confidences, correct| {
                expected_calibration_error(confidences, correct, binning, bins)
            })
            .agrees(&key, 200);
            let key = format!("uncertainty-calibration.debiased.{name}.{bins}");
            on_answers(&cases, &key, |confidences, correct| {
                debiased_calibration_error(confidences, correct, binning, bins)
            })
            .agrees(&key, 200);
        }
    }
}

#[test]
fn netcal_differs_on_edges_and_by_its_quantiles() {
    let cases = answers();
    // It puts a confidence on an edge into the bin above.
    for (bins, count) in [(15, 0), (10, 37), (4, 61)] {
        let key = format!("netcal.width.{bins}");
        let found = on_answers(&cases, &key, |confidences, correct| {
            expected_calibration_error(confidences, correct, Binning::EqualWidth, bins)
        });
        found.differs(&key, count, |number| {
            let inner = |confidence: &&f32| (f64::from(**confidence) * bins as f64).fract() == 0.0;
            cases[number]
                .confidences
                .iter()
                .any(|confidence| inner(&confidence))
        });
    }
    // Its bins of equal mass end at interpolated quantiles, which part the images otherwise unless a bin holds all
    // or one of them.
    for (bins, count) in [(15, 69), (10, 98), (4, 129)] {
        let key = format!("netcal.mass.{bins}");
        let found = on_answers(&cases, &key, |confidences, correct| {
            expected_calibration_error(confidences, correct, Binning::EqualMass, bins)
        });
        found.differs(&key, count, |number| cases[number].confidences.len() > 1);
    }
}

#[test]
fn trapezoids_and_the_approximate_best_differ() {
    let cases = answers();
    let right_and_wrong = |number: usize| {
        let correct = &cases[number].correct;
        correct.contains(&true) && correct.contains(&false)
    };
    // fd-shifts joins the curve's points by straight lines and carries the first risk on to coverage 0.
    let key = "fd-shifts.aurc.trapezoids";
    on_answers(&cases, key, aurc).differs(key, 202, right_and_wrong);
    // For the best area it takes the limit of many images.
    let key = "fd-shifts.e_aurc.approximate";
    on_answers(&cases, key, e_aurc).differs(key, 213, right_and_wrong);
}

#[test]
fn the_curve_has_the_points_of_fd_shifts() {
    let mut compared = 0;
    for (number, case) in answers().iter().enumerate() {
        let Some(theirs) = case.expected.get("fd-shifts.curve") else {
            continue;
        };
        compared += 1;
        // Theirs begins at coverage 1.
        let mut theirs: Vec<[f64; 3]> = serde_json::from_value(theirs.clone()).unwrap();
        theirs.reverse();
        let ours = risk_coverage(&case.confidences, &case.correct).unwrap();
        assert_eq!(ours.len(), theirs.len(), "case {number}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            let ours = [f64::from(ours.threshold), ours.coverage, ours.risk];
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                assert!(
                    (ours - theirs).abs() <= TOLERANCE,
                    "case {number}: {ours} {theirs}"
                );
            }
        }
    }
    assert!(compared >= 90, "{compared}");
}

#[test]
fn the_diagram_has_the_points_of_scikit_learn() {
    let mut compared = 0;
    for (number, case) in answers().iter().enumerate() {
        let Some(theirs) = case.expected.get("scikit-learn.diagram") else {
            continue;
        };
        compared += 1;
        let theirs: Vec<[f64; 2]> = serde_json::from_value(theirs.clone()).unwrap();
        let ours =
            reliability_bins(&case.confidences, &case.correct, Binning::EqualWidth, 10).unwrap();
        assert_eq!(ours.len(), theirs.len(), "case {number}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            for (ours, theirs) in [ours.accuracy, ours.confidence].into_iter().zip(theirs) {
                assert!(
                    (ours - theirs).abs() <= TOLERANCE,
                    "case {number}: {ours} {theirs}"
                );
            }
        }
    }
    assert!(compared >= 90, "{compared}");
}

#[test]
fn operating_points_are_those_of_torch_uncertainty() {
    let cases = answers();
    for risk in [0.05, 0.1, 0.3] {
        let key = format!("torch-uncertainty.coverage_at_risk.{risk}");
        on_answers(&cases, &key, |confidences, correct| {
            coverage_at_risk(confidences, correct, risk)
        })
        .agrees(&key, 50);
        // Where no threshold reaches the risk it gives no number, and we say that nothing can be accepted.
        let null = cases
            .iter()
            .filter(|case| case.expected.get(&key) == Some(&Value::Null));
        for case in null {
            let ours = coverage_at_risk(&case.confidences, &case.correct, risk).unwrap();
            assert_eq!(ours, 0.0);
        }
    }
    for coverage in ["0.5", "0.8", "1.0"] {
        let key = format!("torch-uncertainty.risk_at_coverage.{coverage}");
        on_answers(&cases, &key, |confidences, correct| {
            risk_at_coverage(confidences, correct, coverage.parse().unwrap())
        })
        .agrees(&key, 100);
    }
}

#[test]
fn no_metric_depends_on_the_order_of_images() {
    let metrics: [OfAnswers; 7] = [
        aurc,
        e_aurc,
        augrc,
        |c, r| coverage_at_risk(c, r, 0.1),
        |c, r| risk_at_coverage(c, r, 0.5),
        |c, r| expected_calibration_error(c, r, Binning::EqualMass, 15),
        |c, r| debiased_calibration_error(c, r, Binning::EqualMass, 15),
    ];
    for case in answers().iter().filter(|case| case.kind == "tenths") {
        let reversed = |n| (0..n).rev();
        let rows = reversed(case.correct.len());
        let confidences: Vec<f32> = rows.clone().map(|row| case.confidences[row]).collect();
        let correct: Vec<bool> = rows.map(|row| case.correct[row]).collect();
        for metric in metrics {
            let forth = metric(&case.confidences, &case.correct).unwrap();
            let back = metric(&confidences, &correct).unwrap();
            assert!((forth - back).abs() < 1e-12);
        }
    }
}
