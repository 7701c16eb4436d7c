//! NegLabel's rule: the words of a vocabulary that are farthest from the labels.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::{Seen, bank_of, key, texts};
use crate::bank::LabelBank;
use crate::embedding::{Embedding, dot};
use crate::error::{Error, Result};
use crate::label::{Label, MAX_LABELS};

/// A word's nearness to the labels is this quantile of its cosines with them, so that one label among many does not
/// decide (NegLabel: Jiang et al. 2024, arXiv 2403.20078, section 3.1; the authors' configuration, "pencentile=0.95").
const NEARNESS_QUANTILE: f32 = 0.95;

/// A word of this cosine to any label says the same (CSP: Chen et al. 2024, arXiv 2410.08611, the authors' code,
/// "maximum > 0.95").
pub const TOO_NEAR: f32 = 0.95;

/// What became of the words that a [`Miner`] was offered.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mined {
    /// Words kept as negatives.
    pub kept: usize,
    /// Words that are a label, or came a second time, upper and lower case being equal, or have the same embedding as an
    /// earlier word.
    pub repeated: usize,
    /// Words that the text encoder knows none of the pieces of.
    pub unknown: usize,
    /// Words of cosine [`TOO_NEAR`] or more to a label.
    pub too_near: usize,
    /// Words nearer to the labels than those kept.
    pub nearer: usize,
}

/// Keeps the words of a stream that are farthest from all labels, at most so many, by NegLabel's rule. Its memory grows
/// with what is kept, not with what is offered.
///
/// ```
/// use clipgate::{Embedding, Label, LabelBank, Miner};
///
/// let labels = LabelBank::new(vec![Label::new("cat")?], vec![1.0, 0.0], 2)?;
/// let mut miner = Miner::new(&labels, 1)?;
/// for (name, embedding) in [("dog", [0.8, 0.6]), ("mug", [0.0, 1.0]), ("kitten", [0.96, 0.28])] {
///     if miner.wants(name) {
///         miner.offer(Label::new(name)?, &Embedding::new(&embedding)?)?;
///     }
/// }
/// let (negatives, mined) = miner.finish()?;
/// assert_eq!(negatives.unwrap().labels()[0].name(), "mug");
/// assert_eq!((mined.kept, mined.too_near, mined.nearer), (1, 1, 1));
/// # Ok::<(), clipgate::Error>(())
/// ```
pub struct Miner<'a> {
    labels: &'a [f32],
    dimension: usize,
    most: usize,
    most_of_list: usize,
    farthest: Vec<Candidate>,
    kept: BinaryHeap<Candidate>,
    seen: Seen,
    cosines: Vec<f32>,
    mined: Mined,
}

/// A word and its nearness; ordered by nearness, then by place in the vocabulary.
struct Candidate {
    nearness: f32,
    place: usize,
    label: Label,
    row: Vec<f32>,
}

impl<'a> Miner<'a> {
    /// A miner that keeps `most` negatives for these labels.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `most` is more than [`MAX_LABELS`], or
    /// the bank has int8 rows only.
    pub fn new(labels: &'a LabelBank, most: usize) -> Result<Self> {
        if most > MAX_LABELS {
            return Err(Error::caller(format!(
                "{most} negatives; at most {MAX_LABELS}"
            )));
        }
        Ok(Self {
            labels: labels.exact_rows()?,
            dimension: labels.dimension(),
            most,
            most_of_list: most,
            farthest: Vec::new(),
            kept: BinaryHeap::new(),
            seen: Seen::labels_of(labels),
            cosines: Vec::with_capacity(labels.labels().len()),
            mined: Mined::default(),
        })
    }

    /// Begins another list of `words` words of `all`: it may give that share of all negatives.
    pub(crate) fn begin_list(&mut self, words: usize, all: usize) {
        self.end_list();
        let share = words as f64 / all.max(1) as f64;
        self.most_of_list = (self.most as f64 * share).round() as usize;
    }

    fn end_list(&mut self) {
        self.farthest.extend(std::mem::take(&mut self.kept));
    }

    /// Whether a word is worth its embedding: not if it is a label, or came before.
    pub fn wants(&mut self, name: &str) -> bool {
        let new = self.seen.names.insert(key(name));
        self.mined.repeated += usize::from(!new);
        new
    }

    /// Counts a word that has no embedding.
    pub(crate) fn pass_unknown(&mut self) {
        self.mined.unknown += 1;
    }

    /// Keeps the word if it is far enough from the labels.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the embedding has another dimension than the labels'.
    pub fn offer(&mut self, label: Label, embedding: &Embedding) -> Result<()> {
        self.offer_row(label, embedding.as_slice())
    }

    fn offer_row(&mut self, label: Label, row: &[f32]) -> Result<()> {
        if row.len() != self.dimension {
            return Err(Error::caller(format!(
                "a word's embedding has {} values, the labels' have {}: it is of another model",
                row.len(),
                self.dimension
            )));
        }
        if !self.seen.insert_row(row) {
            self.mined.repeated += 1;
            return Ok(());
        }
        self.cosines.clear();
        let rows = self.labels.chunks_exact(self.dimension);
        self.cosines.extend(rows.map(|text| dot(text, row)));
        self.cosines.sort_unstable_by(f32::total_cmp);
        if self
            .cosines
            .last()
            .is_some_and(|largest| *largest >= TOO_NEAR)
        {
            self.mined.too_near += 1;
            return Ok(());
        }
        let candidate = Candidate {
            nearness: quantile(&self.cosines, NEARNESS_QUANTILE),
            place: self.seen.rows.len(),
            label,
            row: row.to_vec(),
        };
        self.kept.push(candidate);
        if self.kept.len() > self.most_of_list {
            self.kept.pop();
            self.mined.nearer += 1;
        }
        Ok(())
    }

    /// Offers every label and negative of another bank whose name `admits` admits; the embeddings are used as they are.
    ///
    /// # Errors
    /// As [`offer`](Self::offer), and [`ErrorKind::Caller`](crate::ErrorKind::Caller) if it has int8 rows only.
    pub fn offer_bank(
        &mut self,
        vocabulary: &LabelBank,
        mut admits: impl FnMut(&str) -> bool,
    ) -> Result<()> {
        for (label, row) in texts(vocabulary)? {
            if admits(label.name()) && self.wants(label.name()) {
                self.offer_row(label.clone(), row)?;
            }
        }
        Ok(())
    }

    /// The negatives, farthest first, if there are any, and what became of the other words.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an embedding is not of unit length.
    pub fn finish(mut self) -> Result<(Option<LabelBank>, Mined)> {
        self.end_list();
        self.farthest.sort();
        self.mined.nearer += self.farthest.len().saturating_sub(self.most);
        self.farthest.truncate(self.most);
        self.mined.kept = self.farthest.len();
        let dimension = self.dimension;
        let bank = bank_of(
            self.farthest.into_iter().map(|kept| (kept.label, kept.row)),
            dimension,
        )?;
        Ok((bank, self.mined))
    }
}

/// The quantile of sorted values, linear between two of them as `numpy.quantile` and `torch.quantile` are.
fn quantile(sorted: &[f32], share: f32) -> f32 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f32::NEG_INFINITY;
    };
    let place = share * last as f32;
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (place - below as f32) * (sorted[above] - sorted[below])
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_nearness = self.nearness.total_cmp(&other.nearness);
        by_nearness.then(self.place.cmp(&other.place))
    }
}

#[cfg(test)]
mod tests {
    use super::super::angles::{bank, names};
    use super::*;

    #[test]
    fn the_farthest_words_are_kept_in_order() {
        let labels = bank(&[("cat", 0.0), ("dog", 0.1)]);
        let words = bank(&[
            ("mug", 1.5),
            ("Cat", 1.0),
            ("tree", 1.2),
            ("kitten", 0.2),
            ("car", 1.4),
        ]);
        let mut miner = Miner::new(&labels, 2).unwrap();
        miner.offer_bank(&words, |_| true).unwrap();
        miner.offer_bank(&words, |_| true).unwrap();
        let (negatives, mined) = miner.finish().unwrap();
        assert_eq!(names(negatives.unwrap().labels()), ["mug", "car"]);
        assert_eq!(
            (mined.kept, mined.repeated, mined.too_near, mined.nearer),
            (2, 6, 1, 1)
        );
    }

    #[test]
    fn of_equally_far_words_the_first_stays() {
        let labels = bank(&[("cat", 0.0)]);
        let mut miner = Miner::new(&labels, 1).unwrap();
        miner
            .offer_bank(&bank(&[("b", 1.0), ("a", -1.0)]), |_| true)
            .unwrap();
        assert_eq!(names(miner.finish().unwrap().0.unwrap().labels()), ["b"]);
    }

    #[test]
    fn nothing_kept_is_no_bank() {
        let labels = bank(&[("cat", 0.0)]);
        let mut miner = Miner::new(&labels, 0).unwrap();
        miner.offer_bank(&bank(&[("mug", 1.0)]), |_| true).unwrap();
        let (negatives, mined) = miner.finish().unwrap();
        assert!(negatives.is_none());
        assert_eq!(mined.nearer, 1);
        assert!(Miner::new(&labels, MAX_LABELS + 1).is_err());
    }

    #[test]
    fn another_models_words_are_refused() {
        let labels = bank(&[("cat", 0.0)]);
        let other =
            LabelBank::new(vec![Label::new("mug").unwrap()], vec![1.0, 0.0, 0.0], 3).unwrap();
        let mut miner = Miner::new(&labels, 1).unwrap();
        assert!(
            miner
                .offer_bank(&other, |_| true)
                .unwrap_err()
                .to_string()
                .contains("another model")
        );
        assert!(labels.with_negatives_of(&other).is_err());
    }

    #[test]
    fn quantiles_are_numpys() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        // numpy.quantile([1, 2, 4, 8], [0, 0.25, 0.5, 0.95, 1])
        for (share, expected) in [
            (0.0, 1.0),
            (0.25, 1.75),
            (0.5, 3.0),
            (0.95, 7.4),
            (1.0, 8.0),
        ] {
            assert!((quantile(&sorted, share) - expected).abs() < 1e-5);
        }
        assert_eq!(quantile(&[3.0], NEARNESS_QUANTILE), 3.0);
    }
}
