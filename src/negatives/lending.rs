//! Negatives that another bank lends: what a model is known to tell apart serves labels that come without negatives.

use super::{Seen, bank_of, key, texts};
use crate::bank::LabelBank;
use crate::embedding::dot;
use crate::error::Result;

/// The share of another bank's texts, the nearest to the labels, that are not lent. Chosen with pocket on held-out
/// images: labels such as "cat" and "chair" lose a bank's own "tabby cat" and "rocking chair", and 54 labels of 180
/// classes keep nine in ten of the others.
pub const NOT_LENT: f64 = 0.1;

/// What became of the texts of a bank that were asked to be another's negatives.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// Texts that serve as negatives.
    pub lent: usize,
    /// Texts that are a label there, upper and lower case being equal, or say the same as another text.
    pub same: usize,
    /// Texts that were the nearest to the labels there.
    pub too_near: usize,
}

impl LabelBank {
    /// This bank with another's labels and negatives as its negatives, for labels that have none of their own: what the
    /// model is known to tell apart. Left out are those of the same name as a label, and of the others the share
    /// [`NOT_LENT`] whose largest cosine to a label is the largest, which may well mean what a label means (NegLabel's
    /// rule, with the largest cosine as Chen et al. 2024, arXiv 2410.08611, use it).
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the dimensions differ, or one of the banks has int8 rows only.
    pub fn with_negatives_of(self, other: &Self) -> Result<(Self, Lent)> {
        other.check_dimension(self.dimension())?;
        let mut seen = Seen::labels_of(&self);
        let mut lent = Lent::default();
        let mut candidates = Vec::new();
        let own = self.exact_rows()?;
        for (label, row) in texts(other)? {
            if !seen.names.insert(key(label.name())) || !seen.insert_row(row) {
                lent.same += 1;
            } else {
                candidates.push((largest_cosine(own, row), label, row));
            }
        }
        lent.too_near = (candidates.len() as f64 * NOT_LENT).floor() as usize;
        lent.lent = candidates.len() - lent.too_near;
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let chosen = candidates[..lent.lent]
            .iter()
            .map(|(_, label, row)| ((*label).clone(), row.to_vec()));
        match bank_of(chosen, self.dimension())? {
            Some(negatives) => Ok((self.with_negatives(negatives)?, lent)),
            None => Ok((self, lent)),
        }
    }
}

fn largest_cosine(texts: &[f32], row: &[f32]) -> f32 {
    texts
        .chunks_exact(row.len().max(1))
        .map(|text| dot(text, row))
        .fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::super::angles::{bank, names};

    #[test]
    fn the_nearest_tenth_is_not_lent() {
        let spread: Vec<(String, f32)> = (0..20)
            .map(|row| (format!("text {row}"), 0.1 * row as f32))
            .collect();
        let spread: Vec<(&str, f32)> = spread
            .iter()
            .map(|(name, angle)| (name.as_str(), *angle))
            .collect();
        let lender = bank(&spread[..10])
            .with_negatives(bank(&spread[10..]))
            .unwrap();
        let labels = bank(&[("own", 0.02), ("TEXT 19", 3.0)]);
        let (bank, lent) = labels.with_negatives_of(&lender).unwrap();
        assert_eq!((lent.lent, lent.same, lent.too_near), (18, 1, 1));
        assert!(!names(bank.negatives()).contains(&"text 0"));
        assert_eq!(names(bank.labels()), ["own", "TEXT 19"]);
    }
}
