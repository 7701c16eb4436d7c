//! `manifest.json`: what a bundle holds, parsed and checked at the door.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SelfTest;
use crate::bank::MAX_DIMENSION;
use crate::calibration::PreprocessingMode;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::ExecutedGraph;
use crate::preprocess::Preprocessing;
use crate::schema;
use crate::score::Scorer;
use crate::tokenizer::{MAX_CONTEXT_LENGTH, TextCleaning};

/// The newest bundle schema that this reader understands; it reads all older ones.
pub const BUNDLE_SCHEMA: u32 = 1;

/// The largest manifest, in bytes.
pub(super) const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// The largest file of a bundle, in bytes: ViT-L-14 in fp32 is 1.2 GB.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// What a bundle says of itself. Unknown optional fields are ignored; whatever a reader must know to
/// use the bundle rightly is listed in `requires`, and an unknown entry there is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of this file, from 1.
    pub schema: u32,
    /// Features without which the bundle would be misread.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The model's short name.
    pub id: String,
    /// Grows with every release of the model.
    pub version: u64,
    /// The towers, in words.
    pub architecture: String,
    /// Where the weights come from, in words.
    pub source: String,
    /// Under which terms the weights may be used.
    pub licence: String,
    /// How an image becomes `pixel_values`.
    pub preprocessing: Preprocessing,
    /// Values in an embedding (D).
    pub embedding_dim: usize,
    /// The factor on cosines, not its logarithm.
    pub logit_scale: f32,
    /// Present for models that were trained with the sigmoid loss (SigLIP's); see
    /// [`Scorer::with_logit_bias`](crate::Scorer::with_logit_bias).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<f32>,
    /// The towers' activation, in a word: for people, nothing depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<String>,
    /// `pixel_values` [1, 3, S, S] f32 to `image_embeds` [1, D] f32.
    pub image_encoder: FileEntry,
    /// `input_ids` [1, context] i64 to `text_embeds` [1, D] f32, for labels of the user's own.
    #[serde(default)]
    pub text_encoder: Option<TextEncoderEntry>,
    /// The default label bank; without one, every user brings labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<FileEntry>,
    /// Temperature and thresholds for the default bank; without them nothing is classified until the user brings a
    /// calibration of this graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<FileEntry>,
    /// An input and the embedding that it must give.
    pub selftest: FileEntry,
    /// How the bundle was made (versions, seed, digests, quantisation): for people, nothing depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<serde_json::Map<String, serde_json::Value>>,
    /// Size and digest of every other file.
    pub files: BTreeMap<String, FileDigest>,
}

/// A file that has a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the bundle.
    pub file: String,
}

/// The text tower and what its input needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextEncoderEntry {
    /// The graph's name in the bundle.
    pub file: String,
    /// The tokenizer's name in the bundle.
    pub tokenizer: String,
    /// Tokens in `input_ids`.
    pub context_length: usize,
    /// The clean-up before the tokenizer; without it, [`Tokenizer`](crate::Tokenizer)'s own for its kind of model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<TextCleaning>,
    /// What a label is put into, at `{}`.
    pub prompt_template: String,
}

/// What a file must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// Size in bytes.
    pub bytes: u64,
}

impl Manifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] naming the broken rule.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        schema::check(json, "bundle", BUNDLE_SCHEMA, ErrorKind::Bundle)?;
        let manifest: Self = serde_json::from_slice(json)
            .map_err(|error| Error::bundle("not a manifest of schema 1").with_source(error))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        self.preprocessing.validate().map_err(|error| {
            Error::bundle("`preprocessing` cannot be followed").with_source(error)
        })?;
        Scorer::new(self.logit_scale, 1.0)?.with_logit_bias(self.logit_bias)?;
        if self.embedding_dim == 0 || self.embedding_dim > MAX_DIMENSION {
            return Err(Error::bundle(format!(
                "`embedding_dim` is {}; 1 to {MAX_DIMENSION} is possible",
                self.embedding_dim
            )));
        }
        if let Some(text) = &self.text_encoder {
            if text.context_length < 2 || text.context_length > MAX_CONTEXT_LENGTH {
                return Err(Error::bundle(format!(
                    "`context_length` is {}; 2 to {MAX_CONTEXT_LENGTH} is possible",
                    text.context_length
                )));
            }
            if !text.prompt_template.contains("{}") {
                return Err(Error::bundle("`prompt_template` has no {} for the label"));
            }
        }
        for (name, file) in &self.files {
            let plain =
                !name.is_empty() && !name.contains(['/', '\\', ':']) && name != "." && name != "..";
            if !plain {
                return Err(Error::bundle(format!(
                    "{name:?} is no plain file name: a bundle's files lie in its own folder"
                )));
            }
            if file.bytes > MAX_FILE_BYTES {
                return Err(Error::bundle(format!(
                    "{name} would have {} bytes; at most {MAX_FILE_BYTES}",
                    file.bytes
                )));
            }
        }
        self.roles().try_for_each(|(role, name)| {
            if self.files.contains_key(name) {
                return Ok(());
            }
            Err(Error::bundle(format!(
                "`files` does not list {name}, the `{role}`"
            )))
        })
    }

    /// What a calibration of this bundle's image encoder must be bound to.
    pub(crate) fn executed_graph(&self, selftest: &SelfTest) -> Result<ExecutedGraph> {
        Ok(ExecutedGraph {
            graph: self.graph_digest()?,
            preprocessing: PreprocessingMode::Exact,
            selftest: selftest.digest,
        })
    }

    /// The digest that is stated of the image encoder's graph.
    pub(crate) fn graph_digest(&self) -> Result<Digest> {
        let listed = self.files.get(&self.image_encoder.file);
        listed
            .map(|file| file.sha256)
            .ok_or_else(|| Error::bundle("the manifest lists no image encoder"))
    }

    /// Every role and the file that fills it.
    pub fn roles(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let text = self.text_encoder.as_ref();
        [
            ("image_encoder", Some(&self.image_encoder.file)),
            ("text_encoder", text.map(|text| &text.file)),
            ("tokenizer", text.map(|text| &text.tokenizer)),
            ("labels", self.labels.as_ref().map(|entry| &entry.file)),
            (
                "calibration",
                self.calibration.as_ref().map(|entry| &entry.file),
            ),
            ("selftest", Some(&self.selftest.file)),
        ]
        .into_iter()
        .filter_map(|(role, file)| Some((role, file?.as_str())))
    }
}
