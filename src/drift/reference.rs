//! What a calibration remembers of its scores, so that a stream can be compared with them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The fewest scores that a reference is made of.
pub const MIN_REFERENCE_SCORES: usize = 20;

/// The most quantiles that a reference keeps.
pub const MAX_REFERENCE_QUANTILES: usize = 32;

/// The scores of a calibration's images, reduced to at most [`MAX_REFERENCE_QUANTILES`] of them.
///
/// Each quantile is one of the scores, kept with the exact number of scores that are no larger. The empirical
/// distribution is therefore known without error wherever a [`DriftMonitor`](super::DriftMonitor) asks for it, and
/// reducing it costs power between two quantiles but no validity.
///
/// ```
/// use clipgate::DriftReference;
///
/// let scores: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
/// let reference = DriftReference::from_scores(&scores)?;
/// assert_eq!(reference.n(), 1000);
/// assert_eq!(reference.quantiles().next(), Some((0.0, 1)));
/// assert_eq!(reference.quantiles().last(), Some((0.999, 1000)));
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct DriftReference {
    n: usize,
    scores: Vec<f32>,
    at_most: Vec<usize>,
}

/// A reference as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    n: usize,
    scores: Vec<f32>,
    at_most: Vec<usize>,
}

impl DriftReference {
    /// A reference of the scores of at least [`MIN_REFERENCE_SCORES`] images, in any order.
    ///
    /// The images have to be what the stream will show as long as all is well, frames without any label included, and
    /// independent of each other. They need no labels.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there are too few scores or one is not finite.
    pub fn from_scores(scores: &[f32]) -> Result<Self> {
        if scores.len() < MIN_REFERENCE_SCORES {
            return Err(Error::caller(format!(
                "{} scores are too few to notice drift: at least {MIN_REFERENCE_SCORES}",
                scores.len()
            )));
        }
        if let Some(row) = scores.iter().position(|score| !score.is_finite()) {
            return Err(Error::caller(format!(
                "score {row} is {}, not finite",
                scores[row]
            )));
        }
        let mut sorted = scores.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let last = sorted.len() - 1;
        let kept = MAX_REFERENCE_QUANTILES.min(sorted.len());
        let mut reference = Self {
            n: sorted.len(),
            scores: Vec::with_capacity(kept),
            at_most: Vec::with_capacity(kept),
        };
        for i in 0..kept {
            let score = sorted[i * last / (kept - 1)];
            let at_most = sorted.partition_point(|other| *other <= score);
            if reference.at_most.last() != Some(&at_most) {
                reference.scores.push(score);
                reference.at_most.push(at_most);
            }
        }
        Ok(reference)
    }

    /// Of how many scores this is the distribution.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Scores, ascending, each with the number of scores that are no larger. The last is the largest with
    /// [`n`](Self::n).
    pub fn quantiles(&self) -> impl Iterator<Item = (f32, usize)> {
        self.scores
            .iter()
            .copied()
            .zip(self.at_most.iter().copied())
    }
}

impl TryFrom<Unchecked> for DriftReference {
    type Error = String;

    fn try_from(read: Unchecked) -> Result<Self, String> {
        let Unchecked { n, scores, at_most } = read;
        if n < MIN_REFERENCE_SCORES {
            return Err(format!(
                "the drift reference's `n` is {n}; at least {MIN_REFERENCE_SCORES}"
            ));
        }
        if scores.is_empty() || scores.len() > MAX_REFERENCE_QUANTILES {
            return Err(format!(
                "the drift reference has {} `scores`; 1 to {MAX_REFERENCE_QUANTILES}",
                scores.len()
            ));
        }
        if scores.len() != at_most.len() {
            return Err(format!(
                "the drift reference has {} `scores` but {} `at_most`",
                scores.len(),
                at_most.len()
            ));
        }
        let ascends =
            scores.iter().all(|score| score.is_finite()) && scores.is_sorted_by(|a, b| a < b);
        if !ascends {
            return Err("the drift reference's `scores` are not finite and ascending".to_owned());
        }
        let counts =
            at_most[0] > 0 && at_most.is_sorted_by(|a, b| a < b) && at_most.last() == Some(&n);
        if !counts {
            return Err(
                "the drift reference's `at_most` do not ascend from 1 or more to `n`".to_owned(),
            );
        }
        Ok(Self { n, scores, at_most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_all_scores() {
        let scores: Vec<f32> = (0..997).map(|i| ((i * 31) % 97) as f32).collect();
        let reference = DriftReference::from_scores(&scores).unwrap();
        assert!(reference.scores.len() <= MAX_REFERENCE_QUANTILES);
        for (score, at_most) in reference.quantiles() {
            let counted = scores.iter().filter(|other| **other <= score).count();
            assert_eq!(counted, at_most, "{score}");
        }
        assert_eq!(reference.quantiles().last(), Some((96.0, 997)));
    }

    #[test]
    fn equal_scores_are_one_quantile() {
        let reference = DriftReference::from_scores(&[0.5; 40]).unwrap();
        assert_eq!(reference.quantiles().collect::<Vec<_>>(), [(0.5, 40)]);
    }

    #[test]
    fn too_few_and_not_finite_are_refused() {
        assert!(DriftReference::from_scores(&[0.5; MIN_REFERENCE_SCORES - 1]).is_err());
        let mut scores = [0.5; MIN_REFERENCE_SCORES];
        scores[7] = f32::NAN;
        let error = DriftReference::from_scores(&scores).unwrap_err();
        assert!(error.to_string().contains("score 7"), "{error}");
    }

    #[test]
    fn json_reads_back_and_every_rule_is_held() {
        let scores: Vec<f32> = (0..100).map(|i| i as f32 * 0.01).collect();
        let reference = DriftReference::from_scores(&scores).unwrap();
        let json = serde_json::to_string(&reference).unwrap();
        assert_eq!(
            serde_json::from_str::<DriftReference>(&json).unwrap(),
            reference
        );
        for (json, rule) in [
            (r#"{"n":19,"scores":[0.1],"at_most":[19]}"#, "`n` is 19"),
            (r#"{"n":20,"scores":[],"at_most":[]}"#, "0 `scores`"),
            (
                r#"{"n":20,"scores":[0.1,0.2],"at_most":[20]}"#,
                "2 `scores` but 1",
            ),
            (
                r#"{"n":20,"scores":[0.2,0.1],"at_most":[1,20]}"#,
                "ascending",
            ),
            (r#"{"n":20,"scores":[0.1,1e39],"at_most":[1,20]}"#, "finite"),
            (
                r#"{"n":20,"scores":[0.1,0.2],"at_most":[0,20]}"#,
                "`at_most`",
            ),
            (
                r#"{"n":20,"scores":[0.1,0.2],"at_most":[20,20]}"#,
                "`at_most`",
            ),
            (
                r#"{"n":20,"scores":[0.1,0.2],"at_most":[1,19]}"#,
                "`at_most`",
            ),
            (
                r#"{"n":20,"scores":[0.1],"at_most":[20],"x":1}"#,
                "unknown field",
            ),
        ] {
            let error = serde_json::from_str::<DriftReference>(json).unwrap_err();
            assert!(error.to_string().contains(rule), "{json}: {error}");
        }
    }
}
