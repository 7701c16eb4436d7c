//! Bounds, intervals and paired tests.

use std::collections::BTreeMap;

use clipgate::Result;
use clipgate::bounds::{
    binomial_at_least, binomial_at_most, binomial_lower, binomial_upper, dkw_epsilon,
};
use clipgate::metrics::{
    Interval, Resampling, auroc, bootstrap, mcnemar, paired_bootstrap, sign_flip, wilson,
};
use serde::Deserialize;

use super::{Comparison, Expected, TOLERANCE, bits, goldens};

/// Of the expected value, since tails are small. At a billion trials scipy's inverse is off by 2e-9 of it: mpmath gives
/// our 1.3148113762014070e-8 for 7 events, scipy 1.31481137389e-8.
const RELATIVE: f64 = 4e-9;

/// What `clipgate::bounds` says of its own accuracy, held against arithmetic of 40 digits.
const EXACT: f64 = 1e-11;

/// Both ends, within [`TOLERANCE`].
fn agree(ours: Interval, theirs: &serde_json::Value, number: usize) {
    let theirs: [f64; 2] = serde_json::from_value(theirs.clone()).unwrap();
    for (ours, theirs) in [ours.low, ours.high].into_iter().zip(theirs) {
        assert!((ours - theirs).abs() <= TOLERANCE, "case {number}");
    }
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
        agree(interval, &case.expected["statsmodels.wilson"], number);
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
        agree(interval, &case.expected["numpy.percentiles"], number);
    }
}

/// Other random numbers: with 9,999 draws an end of a 95 % interval has a standard deviation of some 0.7 % of the
/// interval's width, on both sides. Four of these are 4 %.
#[test]
fn intervals_are_scipys_up_to_the_drawing() {
    let close = |key: &str, ours: Interval, expected: &Expected| {
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
