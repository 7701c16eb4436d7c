//! The answers that a page shows: the worst mistakes and the best refusals.

use std::path::Path;

use clipgate::evaluate::{JudgedSet, Judgement};
use clipgate::{DecodeLimits, LabelBank};

use crate::report_html::{self, Card, Cards};

/// Answers of each kind: two rows of six.
const SHOWN: usize = 12;

/// One model's judgements of a set, and the file of each where there is one.
pub(super) struct Seen<'a> {
    pub(super) set: &'a JudgedSet,
    pub(super) names: &'a [String],
    /// Where the images lie; `None` if the names are no files that this very run has read.
    pub(super) folder: Option<&'a Path>,
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
    let path = image.seen.names.get(image.row).map_or("", String::as_str);
    let file = image
        .seen
        .folder
        .and_then(|folder| Path::new(path).strip_prefix(folder).ok());
    Card {
        // A name from a file of embeddings is no path that anyone asked to be read; a file that has gone since it was
        // embedded costs its picture only.
        picture: image
            .seen
            .folder
            .and_then(|_| report_html::data_uri(Path::new(path), limits).ok()),
        file: file.map_or_else(|| path.to_owned(), |file| file.display().to_string()),
        said: name(image.judgement.best).to_owned(),
        confidence: image.judgement.confidence,
        truth: match image.judgement.label {
            Some(label) => format!("is {}", name(label)),
            None => format!("from {}", image.seen.set.name),
        },
        reason: image.judgement.reason(),
    }
}
