//! Texts to embeddings, and labels in words to a bank.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::check_interface;
use crate::backend::{Backend, ElementType, InputMut};
use crate::bank::LabelBank;
use crate::bundle::Bundle;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::label::{Label, MAX_LABELS, check_labels};
use crate::negatives::{Mined, Miner};
use crate::runtime::Runtime;
use crate::session::{Session, SessionOptions};
use crate::tokenizer::Tokenizer;

/// A token that says nothing: the exclamation mark in CLIP's vocabulary, padding in most others.
const FILLER: i64 = 0;

/// The most prompt templates that a label is averaged over.
pub const MAX_TEMPLATES: usize = 1000;

/// Texts to embeddings, through a bundle's text graph.
///
/// Send but used by one thread at a time (`&mut self`).
pub struct TextEncoder {
    tokenizer: Tokenizer,
    backend: Box<dyn Backend>,
    template: String,
}

impl TextEncoder {
    /// Loads the bundle's text graph and tokenizer.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the bundle has no text encoder, or one that is
    /// not what its manifest says or does not embed all ids of the tokenizer.
    pub fn open(runtime: &Runtime, bundle: &Bundle, options: SessionOptions) -> Result<Self> {
        let entry = bundle.text_encoder()?;
        let model = bundle.model(&entry.file, options.model_memory())?;
        let load = || {
            let session = Session::load(runtime, model, &options)?;
            check_interface(
                &session,
                ("input_ids", ElementType::I64, &[1, entry.context_length]),
                ("text_embeds", &[1, bundle.manifest().embedding_dim]),
            )?;
            Ok(session)
        };
        let session = load().map_err(|error: Error| error.at(bundle.path(&entry.file)))?;
        let mut encoder = Self {
            tokenizer: bundle.tokenizer()?,
            backend: Box::new(session),
            template: entry.prompt_template.clone(),
        };
        encoder
            .check_vocabulary()
            .map_err(|error| error.at(bundle.path(&entry.file)))?;
        Ok(encoder)
    }

    /// Whether the graph has an embedding for the tokenizer's highest id, and so for each: the tokenizer of another
    /// model would fail at the first text with a piece that this one lacks.
    fn check_vocabulary(&mut self) -> Result<()> {
        let highest = self.tokenizer.highest_id();
        let length = self.tokenizer.context_length();
        match self.feed(&vec![highest; length]) {
            Ok(_) => Ok(()),
            Err(unknown) => {
                self.feed(&vec![FILLER; length])?;
                Err(Error::bundle(format!(
                    "the tokenizer has ids up to {highest}, more than the graph embeds: they are not of one model"
                ))
                .with_source(unknown))
            }
        }
    }

    /// The embedding of a text as it stands.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the text is too long to be tokenized;
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the graph's output is no embedding.
    pub fn encode(&mut self, text: &str) -> Result<Embedding> {
        let ids = self.tokenizer.encode(text)?;
        self.run(&ids)
    }

    fn run(&mut self, ids: &[i64]) -> Result<Embedding> {
        Embedding::new(self.feed(ids)?)
    }

    fn feed(&mut self, ids: &[i64]) -> Result<&[f32]> {
        match self.backend.input_mut() {
            InputMut::I64(input) if input.len() == ids.len() => input.copy_from_slice(ids),
            _ => {
                return Err(Error::bundle(
                    "`input_ids` has another size than the tokenizer's output",
                ));
            }
        }
        self.backend.run()
    }

    /// A bank of labels in words. Each label is put into every template (at `{}`; the bundle's own
    /// template where `templates` is empty), and the unit embeddings are averaged (Radford et al. 2021,
    /// arXiv 2103.00020, section 3.1.4). `progress` is told how many labels are done.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for no labels, a label twice, a label none of whose
    /// words the encoder knows, a template without `{}` or more than [`MAX_TEMPLATES`]; otherwise as
    /// [`encode`](Self::encode).
    pub fn label_bank(
        &mut self,
        names: &[impl AsRef<str>],
        templates: &[String],
        mut progress: impl FnMut(usize),
    ) -> Result<LabelBank> {
        let templates = self.templates(templates)?;
        let labels: Vec<Label> = names
            .iter()
            .enumerate()
            .map(|(row, name)| {
                Label::new(name.as_ref()).map_err(|error| error.at(format!("label {}", row + 1)))
            })
            .collect::<Result<_>>()?;
        check_labels(&labels)?;

        let mut rows = Vec::new();
        let mut dimension = 0;
        let mut described = Vec::with_capacity(labels.len());
        let mut fillers = HashMap::new();
        for (done, label) in labels.into_iter().enumerate() {
            let name = label.name().to_owned();
            let (label, mean) = self
                .prompted(label, &templates, &mut fillers)
                .and_then(|known| {
                    known.ok_or_else(|| {
                        Error::caller(
                            "the text encoder knows none of its pieces; use other words, or the bundle of a larger model",
                        )
                    })
                })
                .map_err(|error| error.at(format!("label {name:?}")))?;
            dimension = mean.dimension();
            rows.extend_from_slice(mean.as_slice());
            described.push(label);
            progress(done + 1);
        }
        LabelBank::new(described, rows, dimension)
    }

    /// A bank of the same labels with negatives from lists of words, at most `most` of them all: each list gives the
    /// same share of itself, the words farthest from the labels (NegLabel: Jiang et al. 2024, arXiv 2403.20078, section
    /// 3.1, whose lists are WordNet's nouns and adjectives). Words are prompted as labels are; those that the encoder
    /// knows no piece of are passed over. `progress` is told how many words are done.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for templates as [`label_bank`](Self::label_bank), for a word that
    /// can be no label, and for more than [`MAX_LABELS`](crate::MAX_LABELS) words or negatives.
    pub fn mine_negatives(
        &mut self,
        bank: LabelBank,
        lists: &[Vec<String>],
        templates: &[String],
        most: usize,
        mut progress: impl FnMut(usize),
    ) -> Result<(LabelBank, Mined)> {
        let words: usize = lists.iter().map(Vec::len).sum();
        if words > MAX_LABELS {
            return Err(Error::caller(format!(
                "{words} words; at most {MAX_LABELS}"
            )));
        }
        let templates = self.templates(templates)?;
        let mut fillers = HashMap::new();
        let mut miner = Miner::new(&bank, most)?;
        let mut done = 0;
        for list in lists {
            miner.begin_list(list.len(), words);
            for word in list {
                if miner.wants(word) {
                    match self.prompted(Label::new(word)?, &templates, &mut fillers)? {
                        Some((label, embedding)) => miner.offer(label, &embedding)?,
                        None => miner.pass_unknown(),
                    }
                }
                done += 1;
                progress(done);
            }
        }
        let (negatives, mined) = miner.finish()?;
        Ok(match negatives {
            Some(negatives) => (bank.with_negatives(negatives)?, mined),
            None => (bank, mined),
        })
    }

    /// The templates to use: the bundle's own where none are given.
    fn templates(&self, templates: &[String]) -> Result<Vec<String>> {
        if templates.is_empty() {
            return Ok(vec![self.template.clone()]);
        }
        if templates.len() > MAX_TEMPLATES {
            return Err(Error::caller(format!(
                "{} templates; at most {MAX_TEMPLATES}",
                templates.len()
            )));
        }
        if let Some(template) = templates.iter().find(|template| !template.contains("{}")) {
            return Err(Error::caller(format!(
                "the template {template:?} has no {{}} for the label"
            )));
        }
        Ok(templates.to_vec())
    }

    /// A label with the mean of its prompts, or `None` where the encoder knows none of its pieces.
    fn prompted(
        &mut self,
        label: Label,
        templates: &[String],
        fillers: &mut HashMap<Vec<i64>, Embedding>,
    ) -> Result<Option<(Label, Embedding)>> {
        let mut sum = Vec::new();
        let mut prompts = Vec::with_capacity(templates.len());
        for template in templates {
            let prompt = template.replace("{}", label.name());
            let ids = self.tokenizer.encode(&prompt)?;
            let embedding = self.run(&ids)?;
            if prompts.is_empty() && !self.knows(ids, &embedding, template, fillers)? {
                return Ok(None);
            }
            sum.resize(embedding.dimension(), 0.0f32);
            sum.iter_mut()
                .zip(embedding.as_slice())
                .for_each(|(sum, value)| *sum += value);
            prompts.push(prompt);
        }
        let mean = Embedding::new(&sum)?;
        // Ensembles of many templates would outgrow the file's header.
        let label = if prompts.len() == 1 {
            label.with_prompts(prompts)
        } else {
            label
        };
        Ok(Some((label, mean)))
    }

    /// Not so where the encoder reads the label as it reads as many [`FILLER`]s: to the bit, so that an encoder that has
    /// learnt anything about any of its tokens passes. A small encoder has tokens that it never saw, and a label of these
    /// would be accepted for whatever lies near the middle of all texts.
    fn knows(
        &mut self,
        mut ids: Vec<i64>,
        embedding: &Embedding,
        template: &str,
        fillers: &mut HashMap<Vec<i64>, Embedding>,
    ) -> Result<bool> {
        let bare = self.tokenizer.encode(&template.replace("{}", ""))?;
        let start = ids.iter().zip(&bare).take_while(|(a, b)| a == b).count();
        let tokens = trailing_run(&bare).saturating_sub(trailing_run(&ids));
        match ids.get_mut(start..start + tokens) {
            None | Some([]) => return Ok(true),
            Some(own) => own.fill(FILLER),
        }
        let filler = match fillers.entry(ids) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let embedding = self.run(place.key())?;
                place.insert(embedding)
            }
        };
        Ok(filler.as_slice() != embedding.as_slice())
    }
}

/// How often the last value is repeated at the end: the padding, where there is any.
fn trailing_run(ids: &[i64]) -> usize {
    ids.iter()
        .rev()
        .take_while(|id| Some(*id) == ids.last())
        .count()
}
