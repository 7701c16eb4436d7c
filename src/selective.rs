//! Selective classification: at which confidence to accept, so that few accepted answers are wrong.
//!
//! Every rule here is a function from confidences and correctness of labelled images to a threshold. They differ in
//! what is promised of images to come:
//!
//! | rule | promise | source |
//! |---|---|---|
//! | [`guaranteed_selective_risk`] | with probability `1 - delta` at most `target_risk` of accepted answers are wrong | Geifman and El-Yaniv 2017, arXiv 1705.08500 |
//! | [`fixed_sequence`] | the same, with more coverage, for thresholds that were declared beforehand | Angelopoulos et al. 2021, arXiv 2110.01052 |
//! | [`conformal_risk`] | on average at most `target_risk` of all images are accepted and wrong | Angelopoulos et al. 2022, arXiv 2208.02814 |
//! | [`Answers::threshold_accepting`] | none | |
//!
//! All hold for images that are exchangeable with those that were handed in, and only if nothing that orders these
//! confidences (temperature, choice of score, out-of-distribution cut) was fitted on the same images.
//!
//! ```
//! use clipgate::selective::{Answers, fixed_sequence};
//!
//! // 100 answers, of which the five least sure ones are wrong.
//! let confidences: Vec<f32> = (0..100).map(|i| i as f32 / 100.0).collect();
//! let correct: Vec<bool> = (0..100).map(|i| i >= 5).collect();
//! let answers = Answers::new(&confidences, &correct)?;
//! let certified = fixed_sequence(&answers, &[0.4, 0.2, 0.05, 0.0], 0.05, 0.05)?.unwrap();
//! assert_eq!((certified.threshold, certified.accepted, certified.wrong), (0.05, 95, 0));
//! # Ok::<(), clipgate::Error>(())
//! ```

mod fixed_sequence;
mod guaranteed_risk;
mod risk_control;
mod shortfall;

pub use fixed_sequence::{PATH_STEPS, declare_path, fixed_sequence};
pub(crate) use guaranteed_risk::search_steps;
pub use guaranteed_risk::{Guaranteed, guaranteed_selective_risk};
pub use risk_control::conformal_risk;
pub use shortfall::{MOST_TIMES, times_as_many};

use crate::error::{Error, Result};

/// Confidences with their correctness, in an order in which every threshold's counts are at hand.
///
/// Equal confidences pass a threshold together, so nothing depends on the order of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Upwards.
    confidences: Vec<f32>,
    /// How many answers from this place on are wrong; one longer than `confidences`.
    wrong_from: Vec<usize>,
    /// The sum of `1 - confidence` of the answers from this place on; as long.
    doubt_from: Vec<f64>,
}

/// A threshold that is certified, and what was counted there on the certifying images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certified {
    /// Accept at this confidence and above.
    pub threshold: f32,
    /// Answers at or above it.
    pub accepted: usize,
    /// Those of them that are wrong.
    pub wrong: usize,
}

impl Answers {
    /// Answers with these confidences, 0 to 1, right or wrong. None at all are allowed: then nothing is certified.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the lengths differ or a confidence is NaN or outside 0 to 1.
    pub fn new(confidences: &[f32], correct: &[bool]) -> Result<Self> {
        if confidences.len() != correct.len() {
            return Err(Error::caller(format!(
                "{} confidences, but {} answers",
                confidences.len(),
                correct.len()
            )));
        }
        let outside = |confidence: &f32| !(0.0..=1.0).contains(confidence);
        if let Some(row) = confidences.iter().position(outside) {
            return Err(Error::caller(format!(
                "the confidence in row {row} is {}, not 0 to 1",
                confidences[row]
            )));
        }
        let mut order: Vec<usize> = (0..confidences.len()).collect();
        order.sort_unstable_by(|&a, &b| confidences[a].total_cmp(&confidences[b]));
        let mut wrong_from = vec![0; order.len() + 1];
        let mut doubt_from = vec![0.0; order.len() + 1];
        for (place, &row) in order.iter().enumerate().rev() {
            wrong_from[place] = wrong_from[place + 1] + usize::from(!correct[row]);
            doubt_from[place] = doubt_from[place + 1] + 1.0 - f64::from(confidences[row]);
        }
        Ok(Self {
            confidences: order.iter().map(|&row| confidences[row]).collect(),
            wrong_from,
            doubt_from,
        })
    }

    /// Number of answers.
    pub fn len(&self) -> usize {
        self.confidences.len()
    }

    /// Whether there is no answer.
    pub fn is_empty(&self) -> bool {
        self.confidences.is_empty()
    }

    /// What accepting at `threshold` and above accepts.
    pub fn at(&self, threshold: f32) -> Certified {
        let place = self.place(threshold);
        Certified {
            threshold,
            accepted: self.len() - place,
            wrong: self.wrong_from[place],
        }
    }

    /// How many of the answers at `threshold` and above the confidences themselves expect to be wrong.
    fn expected_wrong(&self, threshold: f32) -> f64 {
        self.doubt_from[self.place(threshold)]
    }

    fn place(&self, threshold: f32) -> usize {
        self.confidences
            .partition_point(|confidence| *confidence < threshold)
    }

    /// The distinct confidences, upwards: the thresholds that differ in what they accept.
    pub fn distinct(&self) -> Vec<f32> {
        let mut distinct = self.confidences.clone();
        distinct.dedup();
        distinct
    }

    /// The highest threshold that accepts at least `count` answers; 0 if there are fewer. Nothing is promised.
    pub fn threshold_accepting(&self, count: usize) -> f32 {
        match self.len().checked_sub(count) {
            Some(place) if count > 0 => self.confidences[place],
            Some(_) => above(self.confidences.last().copied().unwrap_or(0.0)),
            None => 0.0,
        }
    }
}

/// The smallest threshold that refuses `confidence` itself.
fn above(confidence: f32) -> f32 {
    confidence.next_up()
}

fn check_probability(what: &str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::caller(format!(
        "{what} is {value}; it must be above 0 and below 1"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_hold_for_ties_and_beyond_both_ends() {
        let answers = Answers::new(&[0.5, 0.9, 0.5, 0.1], &[true, true, false, false]).unwrap();
        let count = |threshold| {
            let Certified {
                accepted, wrong, ..
            } = answers.at(threshold);
            (accepted, wrong)
        };
        assert_eq!(count(0.0), (4, 2));
        assert_eq!(count(0.5), (3, 1));
        assert_eq!(count(0.6), (1, 0));
        assert_eq!(count(1.0), (0, 0));
        assert_eq!(answers.distinct(), [0.1, 0.5, 0.9]);
    }

    #[test]
    fn a_threshold_accepts_as_many_as_were_asked_for() {
        let answers = Answers::new(&[0.5, 0.9, 0.5, 0.1], &[true; 4]).unwrap();
        for (count, accepted) in [(0, 0), (1, 1), (2, 3), (3, 3), (4, 4), (9, 4)] {
            let threshold = answers.threshold_accepting(count);
            assert_eq!(answers.at(threshold).accepted, accepted, "{count}");
        }
        let none = Answers::new(&[], &[]).unwrap();
        assert_eq!(none.at(none.threshold_accepting(0)).accepted, 0);
    }

    #[test]
    fn what_is_no_confidence_is_named() {
        assert!(Answers::new(&[0.5], &[]).is_err());
        for wrong in [f32::NAN, -0.1, 1.1] {
            let error = Answers::new(&[0.5, wrong], &[true; 2]).unwrap_err();
            assert!(error.to_string().contains("row 1"), "{error}");
        }
    }
}
