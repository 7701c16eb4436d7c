//! `clipgate::metrics` and `clipgate::bounds` against scikit-learn, scipy, statsmodels, netcal, relplot, fd-shifts,
//! torch-uncertainty and uncertainty-calibration, on the cases of tests/data/metrics (written by
//! `python -m clipgate_export.goldens_metrics`, which also names the versions).

use std::collections::BTreeMap;

use clipgate::Result;
use clipgate::bounds::{
    binomial_at_least, binomial_at_most, binomial_lower, binomial_upper, dkw_epsilon,
};
use clipgate::metrics::{
    Binning, Resampling, accuracy, augrc, aupr, aupr_out, aurc, auroc, bootstrap, brier,
    brier_top_label, coverage_at_risk, debiased_calibration_error, e_aurc,
    expected_calibration_error, fpr_at_tpr, fpr_at_tpr_out, mcnemar, nll, paired_bootstrap,
    reliability_bins, risk_at_coverage, risk_coverage, sign_flip, smooth_ece, wilson,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::data;

/// The goldens have 11 digits, and both sides compute in f64.
const TOLERANCE: f64 = 1e-9;

/// Of the expected value, since tails are small. At a billion trials scipy's inverse is off by 2e-9 of it: mpmath gives
/// our 1.3148113762014070e-8 for 7 events, scipy 1.31481137389e-8.
const RELATIVE: f64 = 4e-9;

/// What `clipgate::bounds` says of its own accuracy, held against arithmetic of 40 digits.
const EXACT: f64 = 1e-11;

#[derive(Deserialize)]
struct Goldens<C> {
    cases: Vec<C>,
}

#[derive(Deserialize)]
struct Answers {
    kind: String,
    confidences: Vec<f32>,
    #[serde(deserialize_with = "bits")]
    correct: Vec<bool>,
    expected: Expected,
}

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

#[derive(Deserialize)]
struct Counts {
    events: usize,
    trials: usize,
    delta: f64,
    p: f64,
    expected: Expected,
}

#[derive(Deserialize)]
struct Pair {
    #[serde(deserialize_with = "bits")]
    first: Vec<bool>,
    #[serde(deserialize_with = "bits")]
    second: Vec<bool>,
    differences: Vec<f64>,
    values: Vec<f64>,
    confidence: f64,
    expected: Expected,
}

#[derive(Deserialize)]
struct Samples {
    first: Vec<f32>,
    second: Vec<f32>,
    expected: Expected,
}

/// A metric of confidences and correctness.
type OfAnswers = fn(&[f32], &[bool]) -> Result<f64>;

/// A metric of ID and OOD scores.
type OfScores<'a> = &'a dyn Fn(&[f32], &[f32]) -> Result<f64>;

/// What a package says, by PACKAGE.METRIC; null where it gives no number.
type Expected = BTreeMap<String, Value>;

fn bits<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Vec<bool>, D::Error> {
    Ok(String::deserialize(from)?
        .bytes()
        .map(|bit| bit == b'1')
        .collect())
}

fn goldens<C: DeserializeOwned>(name: &str) -> Vec<C> {
    let goldens: Goldens<C> =
        serde_json::from_slice(&data(&format!("metrics/{name}.json"))).unwrap();
    goldens.cases
}

/// Where a package was asked, and where we differ from it.
struct Comparison {
    compared: usize,
    /// Numbers of the cases that differ, with what is ours and what is theirs.
    differing: Vec<(usize, f64, f64)>,
}

impl Comparison {
    /// Holds `ours` against `key`, wherever the package gave a number.
    fn of<C>(
        cases: &[C],
        expected: impl Fn(&C) -> &Expected,
        key: &str,
        ours: impl Fn(&C) -> Result<f64>,
    ) -> Self {
        let (mut compared, mut differing) = (0, Vec::new());
        for (number, case) in cases.iter().enumerate() {
            let Some(theirs) = expected(case).get(key).and_then(Value::as_f64) else {
                continue;
            };
            compared += 1;
            let ours = ours(case).unwrap();
            let agree = (ours - theirs).abs() <= TOLERANCE;
            if !agree {
                differing.push((number, ours, theirs));
            }
        }
        Self {
            compared,
            differing,
        }
    }

    fn agrees(self, key: &str, at_least: usize) {
        assert!(
            self.compared >= at_least,
            "{key}: {} compared",
            self.compared
        );
        assert!(self.differing.is_empty(), "{key}: {:?}", self.differing);
    }

    /// Some differ, for one reason: as many as stated, each of them a case of which `reason` holds.
    fn differs(self, key: &str, count: usize, reason: impl Fn(usize) -> bool) {
        let unexplained: Vec<_> = self
            .differing
            .iter()
            .filter(|found| !reason(found.0))
            .collect();
        assert!(unexplained.is_empty(), "{key}: {unexplained:?}");
        assert_eq!(self.differing.len(), count, "{key}, of {}", self.compared);
    }
}

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

#[test]
fn bounds_are_those_of_scipy_and_statsmodels() {
    let cases: Vec<Counts> = goldens("counts");
    let mut compared = BTreeMap::new();
    for (number, case) in cases.iter().enumerate() {
        let (events, trials) = (case.events, case.trials);
        let upper = binomial_upper(events, trials, case.delta).unwrap();
        let interval = wilson(events, trials, 1.0 - case.delta).unwrap();
        let mut ours = vec![
            (
                "statsmodels.lower",
                binomial_lower(events, trials, case.delta).unwrap(),
            ),
            ("statsmodels.upper", upper),
            ("scipy.upper", upper),
            (
                "scipy.at_most",
                binomial_at_most(events, trials, case.p).unwrap(),
            ),
            (
                "scipy.at_least",
                binomial_at_least(events, trials, case.p).unwrap(),
            ),
        ];
        if !case.expected["statsmodels.dkw"].is_null() {
            ours.push(("statsmodels.dkw", dkw_epsilon(trials, case.delta).unwrap()));
        }
        if case.expected.contains_key("mpmath.at_most") {
            ours.push(("mpmath.at_most", ours[3].1));
            ours.push(("mpmath.at_least", ours[4].1));
        }
        for (key, ours) in ours {
            let theirs = case.expected[key].as_f64().unwrap();
            let tolerance = if key.starts_with("mpmath") {
                EXACT
            } else {
                RELATIVE
            };
            assert!(
                (ours - theirs).abs() <= tolerance * theirs.abs(),
                "{key}, case {number}, {events} of {trials}: {ours} {theirs}"
            );
            *compared.entry(key).or_insert(0) += 1;
        }
        let theirs: [f64; 2] =
            serde_json::from_value(case.expected["statsmodels.wilson"].clone()).unwrap();
        assert!(
            (interval.low - theirs[0]).abs() <= TOLERANCE,
            "case {number}"
        );
        assert!(
            (interval.high - theirs[1]).abs() <= TOLERANCE,
            "case {number}"
        );
    }
    assert!(cases.len() >= 200);
    assert!(compared["statsmodels.dkw"] >= 150, "{compared:?}");
    assert!(compared["mpmath.at_most"] >= 100, "{compared:?}");
}

#[test]
fn paired_tests_are_those_of_statsmodels_and_scipy() {
    let cases: Vec<Pair> = goldens("pairs");
    let check = |key: &str, ours: &dyn Fn(&Pair) -> Result<f64>| {
        Comparison::of(&cases, |case| &case.expected, key, ours).agrees(key, 200);
    };
    check("statsmodels.mcnemar", &|case| {
        mcnemar(&case.first, &case.second).map(|test| test.p_value)
    });
    // Ten differences have 1,024 sign patterns: all are counted.
    check("scipy.sign_flip", &|case| {
        sign_flip(&case.differences, 1024, 0)
    });
}

/// A statistic that ignores the rows and hands out given values: what is left is the percentiles.
#[test]
fn the_ends_of_an_interval_are_numpys_quantiles() {
    let cases: Vec<Pair> = goldens("pairs");
    for (number, case) in cases.iter().enumerate() {
        let resampling = Resampling {
            draws: case.values.len(),
            confidence: case.confidence,
            seed: 0,
        };
        let mut values = case.values.iter().copied();
        let interval = bootstrap([1], &resampling, |_| Ok(values.next().unwrap())).unwrap();
        let theirs: [f64; 2] =
            serde_json::from_value(case.expected["numpy.percentiles"].clone()).unwrap();
        assert!(
            (interval.low - theirs[0]).abs() <= TOLERANCE,
            "case {number}"
        );
        assert!(
            (interval.high - theirs[1]).abs() <= TOLERANCE,
            "case {number}"
        );
    }
}

/// Other random numbers: with 9,999 draws an end of a 95 % interval has a standard deviation of some 0.7 % of the
/// interval's width, on both sides. Four of these are 4 %.
#[test]
fn intervals_are_scipys_up_to_the_drawing() {
    let close = |key: &str, ours: clipgate::metrics::Interval, expected: &Expected| {
        let theirs: [f64; 2] = serde_json::from_value(expected[key].clone()).unwrap();
        let width = theirs[1] - theirs[0];
        for (ours, theirs) in [(ours.low, theirs[0]), (ours.high, theirs[1])] {
            assert!(
                (ours - theirs).abs() < 0.04 * width,
                "{key}: {ours} {theirs}"
            );
        }
    };
    let mean = |values: &[f32], rows: &[usize]| -> Result<f64> {
        let sum: f64 = rows.iter().map(|row| f64::from(values[*row])).sum();
        Ok(sum / rows.len() as f64)
    };
    let pick = |values: &[f32], rows: &[usize]| -> Vec<f32> {
        rows.iter().map(|row| values[*row]).collect()
    };
    let resampling = Resampling {
        draws: 9999,
        ..Resampling::seeded(5)
    };
    for Samples {
        first,
        second,
        expected,
    } in goldens("intervals")
    {
        let rows = first.len();
        let of_mean = bootstrap([rows], &resampling, |[drawn]| mean(&first, drawn)).unwrap();
        close("scipy.mean", of_mean, &expected);
        let of_difference = paired_bootstrap(
            rows,
            &resampling,
            |drawn| mean(&first, drawn),
            |drawn| mean(&second, drawn),
        )
        .unwrap();
        close("scipy.difference", of_difference, &expected);
        let fewer = Resampling {
            draws: 2000,
            ..resampling
        };
        let of_area = bootstrap([rows, second.len()], &fewer, |[inside, outside]| {
            auroc(&pick(&first, inside), &pick(&second, outside))
        })
        .unwrap();
        close("scipy.auroc", of_area, &expected);
    }
}
