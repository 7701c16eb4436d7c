//! Negatives: texts that none of the labels mean. A vocabulary's, chosen by a [`Miner`], or another bank's.

#[cfg(test)]
mod angles;
mod lending;
mod mining;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::bank::LabelBank;
use crate::error::Result;
use crate::label::Label;

pub use lending::{Lent, NOT_LENT};
pub use mining::{Mined, Miner, TOO_NEAR};

/// What was there before: names as [`key`]s, and embeddings as hashes, because there may be many.
struct Seen {
    names: HashSet<String>,
    rows: HashSet<u64>,
}

impl Seen {
    fn labels_of(bank: &LabelBank) -> Self {
        Self {
            names: bank
                .labels()
                .iter()
                .map(|label| key(label.name()))
                .collect(),
            rows: HashSet::new(),
        }
    }

    /// Whether no other text had this embedding.
    fn insert_row(&mut self, row: &[f32]) -> bool {
        let mut hasher = DefaultHasher::new();
        bytemuck::cast_slice::<f32, u8>(row).hash(&mut hasher);
        self.rows.insert(hasher.finish())
    }
}

/// Labels and negatives with their rows.
fn texts(bank: &LabelBank) -> Result<impl Iterator<Item = (&Label, &[f32])>> {
    let labels = bank.exact_rows()?.chunks_exact(bank.dimension());
    let negatives = bank.negative_rows().chunks_exact(bank.dimension());
    Ok(bank
        .labels()
        .iter()
        .zip(labels)
        .chain(bank.negatives().iter().zip(negatives)))
}

fn bank_of(
    texts: impl Iterator<Item = (Label, Vec<f32>)>,
    dimension: usize,
) -> Result<Option<LabelBank>> {
    let (mut labels, mut rows) = (Vec::new(), Vec::new());
    for (label, row) in texts {
        labels.push(label);
        rows.extend(row);
    }
    if labels.is_empty() {
        return Ok(None);
    }
    LabelBank::new(labels, rows, dimension).map(Some)
}

/// Names that differ in case, white space or WordNet's underscores are one word.
fn key(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|c: char| c.is_whitespace() || c == '_')
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_words() {
        assert_eq!(key(" School_bus "), key("school  BUS"));
        assert_ne!(key("school bus"), key("schoolbus"));
    }
}
