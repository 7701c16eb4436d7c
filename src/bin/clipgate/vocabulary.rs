//! Where a bank's negatives come from, and what is told of them.

use std::path::Path;

use clipgate::{LabelBank, Lent, Mined, Miner, Result, TextEncoder};
use serde::Serialize;

use crate::args::BuildArgs;
use crate::wordnet::{self, Refusal, WordNet};
use crate::{inputs, report};

/// The negatives that a bank got.
#[derive(Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub(crate) enum Source {
    /// None were wanted, or none were to be had.
    None,
    /// As the user wrote them.
    File,
    /// The bundle's own labels and negatives.
    Bundle {
        same_as_a_label: usize,
        too_near: usize,
    },
    /// Mined from a vocabulary.
    Vocabulary {
        vocabulary: String,
        proper_nouns: usize,
        related_to_a_label: usize,
        repeated: usize,
        unknown_to_the_text_encoder: usize,
        too_near: usize,
        nearer_than_those_kept: usize,
    },
}

/// Gives a bank the negatives that the arguments ask for; `lender` is the bundle's own bank, if it has one.
pub(crate) fn add_negatives(
    bank: LabelBank,
    args: &BuildArgs,
    templates: &[String],
    encoder: &mut TextEncoder,
    lender: Option<&LabelBank>,
) -> Result<(LabelBank, Source)> {
    if let Some(file) = &args.negatives {
        let names = inputs::lines(file)?;
        let progress = report::progress(names.len(), "embedding negatives");
        let negatives = encoder
            .label_bank(&names, templates, |done| progress.set_position(done as u64))
            .map_err(|error| error.at("negatives"));
        progress.finish_and_clear();
        return Ok((bank.with_negatives(negatives?)?, Source::File));
    }
    if let Some(vocabulary) = &args.mine_negatives {
        return mine(bank, vocabulary, args, templates, encoder);
    }
    match lender {
        Some(lender) if !args.no_negatives => {
            let (bank, lent) = bank.with_negatives_of(lender)?;
            Ok((bank, Source::lent(lent)))
        }
        _ => Ok((bank, Source::None)),
    }
}

fn mine(
    bank: LabelBank,
    vocabulary: &str,
    args: &BuildArgs,
    templates: &[String],
    encoder: &mut TextEncoder,
) -> Result<(LabelBank, Source)> {
    let most = args.max_negatives as usize;
    let path = Path::new(vocabulary);
    let labels: Vec<String> = bank
        .labels()
        .iter()
        .map(|label| label.name().to_owned())
        .collect();
    let wordnet = |folder: &Path| {
        log::info!("reading WordNet in {}", folder.display());
        WordNet::open(folder)
    };
    let folder = args.wordnet.as_deref();
    if vocabulary == "wordnet" {
        let found =
            wordnet(folder.unwrap_or(Path::new(wordnet::DEFAULT_FOLDER)))?.vocabulary(&labels);
        let left_out = (found.proper, found.related);
        return mine_words(
            bank,
            vocabulary,
            (&found.lists, left_out),
            templates,
            encoder,
            most,
        );
    }
    let filter = match folder {
        Some(folder) => {
            let wordnet = wordnet(folder)?;
            let related = wordnet.related(&labels);
            Some((wordnet, related))
        }
        None => None,
    };
    let refusal = |word: &str| {
        let (wordnet, related) = filter.as_ref()?;
        wordnet.refusal(word, related)
    };
    if path
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
        let words = inputs::bank(path)?;
        words
            .check_dimension(bank.dimension())
            .map_err(|error| error.at(path.display()))?;
        let mut left_out = LeftOut::default();
        let mut miner = Miner::new(&bank, most)?;
        miner.offer_bank(&words, |word| left_out.passes(refusal(word)))?;
        let (negatives, mined) = miner.finish()?;
        let source = Source::mined(vocabulary, (left_out.proper, left_out.related), mined);
        return Ok(match negatives {
            Some(negatives) => (bank.with_negatives(negatives)?, source),
            None => (bank, source),
        });
    }
    let mut left_out = LeftOut::default();
    let mut words = inputs::lines(path)?;
    words.retain(|word| left_out.passes(refusal(word)));
    let left_out = (left_out.proper, left_out.related);
    mine_words(
        bank,
        vocabulary,
        (&[words], left_out),
        templates,
        encoder,
        most,
    )
}

#[derive(Default)]
struct LeftOut {
    proper: usize,
    related: usize,
}

impl LeftOut {
    fn passes(&mut self, refusal: Option<Refusal>) -> bool {
        match refusal {
            None => return true,
            Some(Refusal::Proper) => self.proper += 1,
            Some(Refusal::Related) => self.related += 1,
        }
        false
    }
}

fn mine_words(
    bank: LabelBank,
    vocabulary: &str,
    (lists, left_out): (&[Vec<String>], (usize, usize)),
    templates: &[String],
    encoder: &mut TextEncoder,
    most: usize,
) -> Result<(LabelBank, Source)> {
    let progress = report::progress(lists.iter().map(Vec::len).sum(), "embedding the vocabulary");
    let mined = encoder.mine_negatives(bank, lists, templates, most, |done| {
        progress.set_position(done as u64);
    });
    progress.finish_and_clear();
    let (bank, mined) = mined.map_err(|error| error.at(vocabulary))?;
    Ok((bank, Source::mined(vocabulary, left_out, mined)))
}

impl Source {
    fn lent(lent: Lent) -> Self {
        Self::Bundle {
            same_as_a_label: lent.same,
            too_near: lent.too_near,
        }
    }

    fn mined(vocabulary: &str, (proper, related): (usize, usize), mined: Mined) -> Self {
        Self::Vocabulary {
            vocabulary: vocabulary.to_owned(),
            proper_nouns: proper,
            related_to_a_label: related,
            repeated: mined.repeated,
            unknown_to_the_text_encoder: mined.unknown,
            too_near: mined.too_near,
            nearer_than_those_kept: mined.nearer,
        }
    }

    /// For people, after how many there are; nothing where there is nothing to tell.
    pub(crate) fn words(&self) -> Option<String> {
        match self {
            Self::None | Self::File => None,
            Self::Bundle {
                same_as_a_label,
                too_near,
            } => Some(format!(
                "negatives: the bundle's own texts, but {same_as_a_label} that are a label here and {too_near} too near \
                 to one"
            )),
            Self::Vocabulary {
                vocabulary,
                proper_nouns,
                related_to_a_label,
                repeated,
                unknown_to_the_text_encoder,
                too_near,
                nearer_than_those_kept,
            } => Some(format!(
                "negatives: the words of {vocabulary} that are farthest from the labels; left out were {proper_nouns} \
                 proper nouns, {related_to_a_label} related to a label, {repeated} repeated, \
                 {unknown_to_the_text_encoder} unknown to the text encoder, {too_near} that say what a label says, \
                 {nearer_than_those_kept} nearer than those kept"
            )),
        }
    }
}
