//! `DriftMonitor` against our second implementation of its definition, in numpy, on the cases of tests/data/drift
//! (written by `python -m clipgate_export.goldens_drift`, whose tests hold it against scipy).

use clipgate::{DriftMonitor, DriftOptions, DriftReference};
use serde::Deserialize;

use crate::support::data;

/// The goldens have 12 digits; both sides compute in f64, one by recursion, one by sums of logarithms.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    false_alarm: f64,
    calibration: Vec<f32>,
    stream: Vec<Score>,
    evidence: Vec<f64>,
}

/// A score; JSON has no infinities and no NaN.
#[derive(Deserialize)]
#[serde(untagged)]
enum Score {
    Number(f32),
    Infinite(Sign),
    Nan(()),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sign {
    Low,
    High,
}

impl Score {
    fn value(&self) -> f32 {
        match self {
            Self::Number(value) => *value,
            Self::Infinite(Sign::Low) => f32::NEG_INFINITY,
            Self::Infinite(Sign::High) => f32::INFINITY,
            Self::Nan(()) => f32::NAN,
        }
    }
}

#[test]
fn evidence_is_that_of_the_definition() {
    let goldens: Goldens = serde_json::from_slice(&data("drift/evidence.json")).unwrap();
    let mut wrong = Vec::new();
    let mut alarms = 0;
    for (row, case) in goldens.cases.iter().enumerate() {
        let reference = DriftReference::from_scores(&case.calibration).unwrap();
        let options = DriftOptions::default()
            .false_alarm(case.false_alarm)
            .stride(1);
        let mut monitor = DriftMonitor::new(&reference, options).unwrap();
        assert_eq!(case.stream.len(), case.evidence.len());
        for (frame, (score, wanted)) in case.stream.iter().zip(&case.evidence).enumerate() {
            let found = monitor.observe(score.value()).evidence;
            if (found - wanted).abs() > TOLERANCE {
                wrong.push(format!("case {row}, frame {frame}: {found}, not {wanted}"));
                break;
            }
        }
        alarms += usize::from(monitor.status().is_stale());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(alarms > 10 && alarms < goldens.cases.len(), "{alarms}");
}
