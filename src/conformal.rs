//! Split-conformal label sets: instead of one label, the few that hold the true one with a promised probability.
//!
//! Labelled images give each true label a nonconformity score ([`SetScore`]); a quantile of these scores
//! ([`conformal_quantile`]) is the threshold of a [`SetRule`]; the set of a new image is every label that scores at or
//! below it. For an image that is exchangeable with those, the set holds the true label with probability at least
//! `1 - miscoverage`, and at most `1 / (n + 1)` more where scores do not tie (Vovk et al. 2005; Lei et al. 2018): the
//! probability is over the labelled images and the new one together, a *marginal* promise. It says nothing of the
//! images whose set is small.
//!
//! ```
//! use clipgate::conformal::{SetRule, SetScore, conformal_quantile};
//!
//! // The true labels of nine images had these probabilities.
//! let mut scores: Vec<f32> = [0.9f32, 0.8, 0.95, 0.7, 0.6, 0.9, 0.85, 0.4, 0.99]
//!     .iter()
//!     .map(|probability| 1.0 - probability)
//!     .collect();
//! let threshold = conformal_quantile(&mut scores, 0.1)?.unwrap();
//! let rule = SetRule { score: SetScore::Lac, threshold };
//! let mut rows = Vec::new();
//! rule.labels(&[0.1, 0.45, 0.4], &mut rows);
//! assert_eq!(rows, [1, 2]);
//! # Ok::<(), clipgate::Error>(())
//! ```

mod regularized;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use regularized::{PENALTIES, fit_raps};

/// How unlike the others a label is for an image; lower is nearer. Probabilities are those of the labels, which sum
/// to at most 1 where negatives share them; equal ones are ranked by row.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "score", rename_all = "snake_case")]
pub enum SetScore {
    /// `1 - p`: least ambiguous set-valued classifiers (Sadinle, Lei and Wasserman 2019, arXiv 1609.00451). The
    /// smallest sets on average; they can be empty.
    Lac,
    /// The probability of all labels ranked above this one: adaptive prediction sets (Romano, Sesia and Candès 2020,
    /// arXiv 2006.02544), their random number set to 1, so that one image always has the same set and the best label
    /// is always in it.
    Aps,
    /// As `Aps`, and `penalty` for each rank beyond `rank`: regularised adaptive prediction sets (Angelopoulos et al.
    /// 2020, arXiv 2009.14193), which have fewer large sets.
    Raps {
        /// Added for each further rank; 0 or more.
        penalty: f32,
        /// Ranks without a penalty, counted from 1.
        rank: u32,
    },
}

/// A score with the threshold up to which labels are in the set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetRule {
    /// The score.
    #[serde(flatten)]
    pub score: SetScore,
    /// Labels that score at most this are in the set.
    pub threshold: f32,
}

impl SetScore {
    /// The score of `label`, a row of `probabilities`; `None` if there is no such row.
    pub fn of(&self, probabilities: &[f32], label: usize) -> Option<f32> {
        let own = *probabilities.get(label)?;
        let above = |(row, p): &(usize, &f32)| **p > own || (**p == own && *row < label);
        let (mut rank, mut sum) = (1, 0.0);
        if !matches!(self, Self::Lac) {
            let ranked = sorted(probabilities.iter().enumerate().filter(above));
            rank += ranked.len();
            sum = ranked.iter().map(|(_, p)| f64::from(*p)).sum();
        }
        Some(self.at(own, rank, sum))
    }

    /// The score of a label of probability `own` at `rank` (from 1), below labels of probability `sum` together.
    fn at(&self, own: f32, rank: usize, sum: f64) -> f32 {
        match self {
            Self::Lac => 1.0 - own,
            // An empty sum is -0.
            Self::Aps => sum as f32 + 0.0,
            Self::Raps {
                penalty,
                rank: free,
            } => {
                let beyond = rank.saturating_sub(*free as usize) as f64;
                (sum + f64::from(*penalty) * beyond) as f32
            }
        }
    }
}

impl SetRule {
    /// Whether threshold and parameters are numbers that a fit can give.
    pub(crate) fn is_valid(&self) -> bool {
        let penalised = match self.score {
            SetScore::Raps { penalty, .. } => penalty.is_finite() && penalty >= 0.0,
            _ => true,
        };
        penalised && self.threshold.is_finite() && self.threshold >= 0.0
    }

    /// The rows of the labels in the set of an image with these probabilities, most probable first, into `rows`.
    pub fn labels(&self, probabilities: &[f32], rows: &mut Vec<usize>) {
        rows.clear();
        rows.extend(0..probabilities.len());
        let probability = |row: usize| probabilities[row];
        rows.sort_unstable_by(|&a, &b| by_probability((a, probability(a)), (b, probability(b))));
        let mut sum = 0.0;
        // No score falls with the rank, so the set ends at the first label outside it. Written so that NaN ends it.
        let outside = rows.iter().enumerate().position(|(place, &row)| {
            let own = probability(row);
            let inside = self.score.at(own, place + 1, sum) <= self.threshold;
            sum += f64::from(own);
            !inside
        });
        rows.truncate(outside.unwrap_or(rows.len()));
    }
}

/// The `ceil((n + 1) (1 - miscoverage))`-th smallest of `n` scores, which are sorted; `None` if there are too few: then
/// only the set of all labels keeps the promise.
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `miscoverage` is not between 0 and 1, or a score is NaN.
pub fn conformal_quantile(scores: &mut [f32], miscoverage: f64) -> Result<Option<f32>> {
    if !(miscoverage > 0.0 && miscoverage < 1.0) {
        return Err(Error::caller(format!(
            "the miscoverage is {miscoverage}; it must be above 0 and below 1"
        )));
    }
    if let Some(row) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::caller(format!("the score in row {row} is NaN")));
    }
    scores.sort_unstable_by(f32::total_cmp);
    let place = place(scores.len(), miscoverage);
    Ok(scores.get(place - 1).copied())
}

/// `ceil((n + 1) (1 - miscoverage))`, at least 1. A product that misses a whole number by rounding only is that
/// number: 100 * (1 - 0.1) is 90, not 91.
fn place(n: usize, miscoverage: f64) -> usize {
    const ROUNDING: f64 = 1e-9;
    let exact = (n + 1) as f64 * (1.0 - miscoverage);
    ((exact - ROUNDING).ceil() as usize).max(1)
}

/// Rows and probabilities, most probable first, equal ones by row.
fn sorted<'a>(rows: impl Iterator<Item = (usize, &'a f32)>) -> Vec<(usize, f32)> {
    let mut sorted: Vec<(usize, f32)> = rows.map(|(row, p)| (row, *p)).collect();
    sorted.sort_unstable_by(|a, b| by_probability(*a, *b));
    sorted
}

fn by_probability(a: (usize, f32), b: (usize, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBABILITIES: [f32; 4] = [0.2, 0.5, 0.2, 0.1];

    #[test]
    fn scores_by_hand() {
        let raps = SetScore::Raps {
            penalty: 0.1,
            rank: 2,
        };
        for (score, expected) in [
            (SetScore::Lac, [0.8, 0.5, 0.8, 0.9]),
            (SetScore::Aps, [0.5, 0.0, 0.7, 0.9]),
            (raps, [0.5, 0.0, 0.8, 1.1]),
        ] {
            for (label, expected) in expected.into_iter().enumerate() {
                let found: f32 = score.of(&PROBABILITIES, label).unwrap();
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{score:?} {label}: {found}"
                );
            }
            assert_eq!(score.of(&PROBABILITIES, 4), None);
        }
    }

    #[test]
    fn a_set_holds_exactly_the_labels_that_score_at_most_the_threshold() {
        let mut rows = Vec::new();
        for score in [
            SetScore::Lac,
            SetScore::Aps,
            SetScore::Raps {
                penalty: 0.05,
                rank: 1,
            },
        ] {
            for threshold in [-0.1, 0.0, 0.5, 0.55, 0.8, 2.0] {
                SetRule { score, threshold }.labels(&PROBABILITIES, &mut rows);
                rows.sort_unstable();
                let expected: Vec<usize> = (0..4)
                    .filter(|&label| score.of(&PROBABILITIES, label).unwrap() <= threshold)
                    .collect();
                assert_eq!(rows, expected, "{score:?} {threshold}");
            }
        }
        let rule = SetRule {
            score: SetScore::Aps,
            threshold: 1.0,
        };
        rule.labels(&[f32::NAN, 0.5], &mut rows);
        assert!(rows.len() <= 1);
    }

    #[test]
    fn the_quantile_counts_the_image_to_come() {
        let scores = |n: usize| (1..=n).map(|i| i as f32).collect::<Vec<_>>();
        for (n, miscoverage, expected) in [
            (99, 0.1, Some(90.0)),
            (100, 0.1, Some(91.0)),
            (9, 0.1, Some(9.0)),
            (8, 0.1, None),
            (0, 0.5, None),
            (19, 0.05, Some(19.0)),
            (1, 0.9, Some(1.0)),
        ] {
            let found = conformal_quantile(&mut scores(n), miscoverage).unwrap();
            assert_eq!(found, expected, "{n} at {miscoverage}");
        }
        assert!(conformal_quantile(&mut [f32::NAN], 0.5).is_err());
        assert!(conformal_quantile(&mut [0.5], 1.0).is_err());
    }

    #[test]
    fn a_rule_is_written_flat() {
        let rule = SetRule {
            score: SetScore::Raps {
                penalty: 0.01,
                rank: 3,
            },
            threshold: 0.9,
        };
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(
            json,
            r#"{"score":"raps","penalty":0.01,"rank":3,"threshold":0.9}"#
        );
        assert_eq!(serde_json::from_str::<SetRule>(&json).unwrap(), rule);
    }
}
