//! `clipgate::metrics` and `clipgate::bounds` against scikit-learn, scipy, statsmodels, netcal, relplot, fd-shifts,
//! torch-uncertainty and uncertainty-calibration, on the cases of tests/data/metrics (written by
//! `python -m clipgate_export.goldens_metrics`, which also names the versions).

mod answers;
mod intervals;
mod scores;

use std::collections::BTreeMap;

use clipgate::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::data;

/// The goldens have 11 digits, and both sides compute in f64.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Goldens<C> {
    cases: Vec<C>,
}

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
