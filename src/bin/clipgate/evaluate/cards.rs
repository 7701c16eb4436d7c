//! The answers that a page shows: the worst mistakes and the best refusals.

use clipgate::evaluate::{JudgedSet, Judgement};
use clipgate::{DecodeLimits, LabelBank};

use std::path::PathBuf;

use crate::report_html::{self, Card, Cards};

/// Answers of each kind: two rows of six.
const SHOWN: usize = 12;

/// One model's judgements of a set, and the file of each where there is one.
pub(super) struct Seen<'a> {
    pub(super) set: &'a JudgedSet,
    pub(super) names: &'a [String],
    /// Whether the names are files that this very run has read.
    pub(super) are_files: bool,
}

/// One image of a set.
struct Shown<'a> {
    seen: &'a Seen<'a>,
    row: usize,
    judgement: &'a Judgement,
}

/// Answered and wrong, the surest first.
pub(super) fn mistakes(seen: &[Seen<'_>], bank: &LabelBank, limits: &DecodeLimits) -> Cards {
    pick(seen, bank, limits, Judgement::is_answered)
}

/// Refused where the answer would have been wrong, the surest first.
pub(super) fn refusals(seen: &[Seen<'_>], bank: &LabelBank, limits: &DecodeLimits) -> Cards {
    pick(seen, bank, limits, |judgement| judgement.reason().is_some())
}

fn pick(
    seen: &[Seen<'_>],
    bank: &LabelBank,
    limits: &DecodeLimits,
    wanted: fn(&Judgement) -> bool,
) -> Cards {
    let mut images: Vec<Shown<'_>> = seen
        .iter()
        .flat_map(|seen| {
            let judgements = seen.set.judgements.iter().enumerate();
            judgements.map(move |(row, judgement)| Shown {
                seen,
                row,
                judgement,
            })
        })
        .filter(|image| wanted(image.judgement) && !image.judgement.is_right())
        .collect();
    let sureness = |image: &Shown<'_>| {
        let judgement = image.judgement;
        judgement.confidence.unwrap_or(judgement.scores.max_cosine)
    };
    images.sort_by(|a, b| sureness(b).total_cmp(&sureness(a)));
    Cards {
        total: images.len(),
        shown: images
            .iter()
            .take(SHOWN)
            .map(|image| card(image, bank, limits))
            .collect(),
    }
}

fn card(image: &Shown<'_>, bank: &LabelBank, limits: &DecodeLimits) -> Card {
    let name = |row: usize| bank.labels().get(row).map_or("", |label| label.name());
    let file = image.seen.names.get(image.row).cloned().unwrap_or_default();
    // Names that come from a file of embeddings are no paths that anyone asked to be read.
    let picture = image.seen.are_files.then(|| PathBuf::from(&file));
    Card {
        // A file that has gone since it was embedded costs its picture only.
        picture: picture.and_then(|path| report_html::data_uri(&path, limits).ok()),
        file,
        said: name(image.judgement.best).to_owned(),
        confidence: image.judgement.confidence,
        truth: match image.judgement.label {
            Some(label) => format!("is {}", name(label)),
            None => format!("from {}", image.seen.set.name),
        },
        reason: image.judgement.reason(),
    }
}
