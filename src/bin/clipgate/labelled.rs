//! Images with their labels, as embeddings: what `calibrate` and `evaluate` are given to judge.
//!
//! They come as image files (see [`list`]) or as embeddings made elsewhere (see [`tensors`]). Whatever cannot be
//! used is named and counted; nothing is left out without a word.

mod list;
mod tensors;

use std::path::Path;

use clipgate::calibration::PreprocessingMode;
use clipgate::{DecodeOptions, Embedding, Error, ErrorKind, Gate, ImageEncoder, LabelBank, Result};

use crate::args::Format;
use crate::exit_code::Outcome;
use crate::{inputs, report};

pub(crate) use list::ImageList;
pub(crate) use tensors::{GRAPH_SHA256, PREPROCESSING};

/// Images as embeddings, each with its label where the source tells.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// One an image, all of one dimension.
    pub(crate) image_embeds: Vec<Embedding>,
    /// The row of each image's label in the bank; empty where the source has no labels.
    pub(crate) labels: Vec<usize>,
    /// What each image is called in messages: its path, or its row.
    pub(crate) names: Vec<String>,
    /// Images that show nothing, so that the gate abstains before the model runs.
    pub(crate) unusable: Vec<Unusable>,
    /// Inputs that could not be read; each was named.
    pub(crate) failed: usize,
    /// SHA-256 of the graph that made the embeddings, where that is known.
    pub(crate) graph_sha256: Option<String>,
    /// How their pixels were made, where embeddings of a file say so.
    pub(crate) preprocessing: Option<String>,
}

/// The name that calibrations and files of embeddings give a mode.
pub(crate) fn mode_name(mode: PreprocessingMode) -> String {
    serde_json::to_value(mode)
        .ok()
        .and_then(|value| Some(value.as_str()?.to_owned()))
        .unwrap_or_default()
}

/// An image that shows nothing.
#[derive(Clone, Debug)]
pub(crate) struct Unusable {
    /// Its path.
    pub(crate) name: String,
    /// The row of its label in the bank, where the source tells.
    pub(crate) label: Option<usize>,
}

impl Embedded {
    /// Reads embeddings of labelled images: `image_embeds` [N, D] and `labels` [N], rows of `bank`.
    pub(crate) fn labelled_tensors(path: &Path, bank: &LabelBank) -> Result<Self> {
        tensors::read(path, bank.dimension(), Some(bank.labels().len()))
            .map_err(|error| error.at(path.display()))
    }

    /// Reads embeddings of images of which no label is asked: `image_embeds` [N, `dimension`].
    pub(crate) fn unlabelled_tensors(path: &Path, dimension: usize) -> Result<Self> {
        tensors::read(path, dimension, None).map_err(|error| error.at(path.display()))
    }

    /// How the reading itself ended.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.failed == 0 {
            Outcome::Answered
        } else {
            Outcome::Failed
        }
    }

    /// The images of these rows, those that show nothing being numbered after all others; what could not be read is
    /// counted as in the whole.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        let seen = self.image_embeds.len();
        let (usable, unusable): (Vec<usize>, Vec<usize>) =
            rows.iter().partition(|row| **row < seen);
        Self {
            image_embeds: usable
                .iter()
                .map(|row| self.image_embeds[*row].clone())
                .collect(),
            labels: usable
                .iter()
                .filter_map(|row| self.labels.get(*row).copied())
                .collect(),
            names: usable.iter().map(|row| self.names[*row].clone()).collect(),
            unusable: unusable
                .iter()
                .map(|row| self.unusable[row - seen].clone())
                .collect(),
            failed: self.failed,
            graph_sha256: self.graph_sha256.clone(),
            preprocessing: self.preprocessing.clone(),
        }
    }

    /// Refuses embeddings that say that their pixels were made in another way than `--fast-decode` now tells.
    pub(crate) fn check_mode(&self, mode: PreprocessingMode) -> Result<()> {
        match &self.preprocessing {
            Some(made) if *made != mode_name(mode) => Err(Error::new(
                ErrorKind::Caller,
                format!(
                    "the embeddings are of pixels made in the way `{made}`, not `{}`: give --fast-decode to both \
                     commands or to none",
                    mode_name(mode)
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Images that were read, whether they show something or not.
    pub(crate) fn len(&self) -> usize {
        self.image_embeds.len() + self.unusable.len()
    }
}

impl ImageList {
    /// Embeds every image by every encoder, with a progress bar; one result an encoder, the same images in the same
    /// order in each. Whether an image shows anything is asked of the first encoder's input.
    pub(crate) fn encode(
        &self,
        encoders: &mut [&mut ImageEncoder],
        decode: DecodeOptions,
        format: Format,
        what: &'static str,
    ) -> Vec<Embedded> {
        let mut embedded: Vec<Embedded> = encoders
            .iter()
            .map(|encoder| Embedded {
                image_embeds: Vec::with_capacity(self.paths().len()),
                labels: Vec::new(),
                names: Vec::new(),
                unusable: Vec::new(),
                failed: self.strays().len(),
                graph_sha256: Some(encoder.executed().graph.to_string()),
                preprocessing: None,
            })
            .collect();
        for (path, error) in self.strays() {
            report::failed_input("image", &path.display().to_string(), error, format);
        }
        let progress = report::progress(self.paths().len(), what);
        let mut answered = 0;
        inputs::each_image(
            self.paths(),
            decode,
            format,
            &progress,
            |place, path, frame| {
                let name = path.display().to_string();
                let label = self.label(place);
                let mut image_embeds = Vec::with_capacity(encoders.len());
                for encoder in encoders.iter_mut() {
                    let quality = encoder.prepare(frame)?;
                    if image_embeds.is_empty() && Gate::inspect(quality).is_some() {
                        break;
                    }
                    image_embeds.push(encoder.run()?.clone());
                }
                answered += 1;
                if image_embeds.is_empty() {
                    for set in &mut embedded {
                        let name = name.clone();
                        set.unusable.push(Unusable { name, label });
                    }
                    return Ok(Outcome::Answered);
                }
                for (set, embedding) in embedded.iter_mut().zip(image_embeds) {
                    set.image_embeds.push(embedding);
                    set.labels.extend(label);
                    set.names.push(name.clone());
                }
                Ok(Outcome::Answered)
            },
        );
        for set in &mut embedded {
            set.failed += self.paths().len() - answered;
        }
        embedded
    }
}
