//! Text to `input_ids`, the same as open_clip's tokenizers give.

mod charsmap;
mod clean;
mod clip_bpe;
mod document;
mod html;
mod repair;
mod unigram;

use std::fmt;

use crate::{Error, Result};
use clip_bpe::ClipBpe;
use document::Document;
use unigram::Unigram;

pub use clean::TextCleaning;

/// The longest text that [`Tokenizer::encode`] takes, in bytes of UTF-8: 64 KiB.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// The largest tokenizer.json that [`Tokenizer::from_json`] reads, in bytes: 32 MiB.
pub const MAX_TOKENIZER_BYTES: usize = 32 << 20;

/// The largest context length; CLIP models use 77.
pub const MAX_CONTEXT_LENGTH: usize = 4096;

/// CLIP's or SigLIP's tokenizer, with open_clip's clean-up of the text before it.
///
/// *CLIP's byte pair encoding* (`SimpleTokenizer`): the clean-up [`TextCleaning::Lower`], the split into words,
/// single digits and runs of other characters, byte pair merges, `<start_of_text>` and `<end_of_text>`, truncation,
/// padding with 0 unless the file names another id. The file's own normaliser is not applied.
///
/// *A unigram model* (SentencePiece's, as SigLIP's; `HFTokenizer`): the clean-up [`TextCleaning::Whitespace`] unless
/// [`with_cleaning`](Self::with_cleaning) says otherwise, then the file's own normaliser, split and pieces. The
/// tokens that frame a text are those of the file's `post_processor`, the id that fills the context is that of its
/// `padding`; a file that leaves either out is refused, because neither can be guessed.
///
/// What differs from the reference, and why, is listed in `tests/oracle/tokenizer.rs`.
///
/// ```
/// # fn main() -> clipgate::Result<()> {
/// # let json = include_bytes!("../models/pocket/tokenizer.json");
/// let tokenizer = clipgate::Tokenizer::from_json(json, 77)?;
/// let input_ids = tokenizer.encode("A photo of a caf&eacute;")?;
/// assert_eq!(input_ids.len(), 77);
/// assert_eq!(input_ids[..8], [49406, 320, 1125, 539, 320, 15304, 49407, 0]);
/// assert_eq!(input_ids, tokenizer.encode(" a photo of a cafÃ©")?);
/// # Ok(())
/// # }
/// ```
pub struct Tokenizer {
    model: Model,
    cleaning: TextCleaning,
    context_length: usize,
}

enum Model {
    ClipBpe(Box<ClipBpe>),
    Unigram(Box<Unigram>),
}

impl Tokenizer {
    /// Reads a Hugging Face tokenizer.json that holds CLIP's byte pair encoding or a unigram model.
    ///
    /// `context_length` is the number of ids the text encoder takes, from 2 to [`MAX_CONTEXT_LENGTH`];
    /// it overrides the lengths of the file's own truncation and padding.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) where the file is too large or no such JSON, where its model is
    /// neither BPE nor Unigram, where a part that this model needs is missing or contradicts the vocabulary (special
    /// tokens, pre-tokenizer, post-processor, padding, `unk_id`), where the encoding is random (dropout), where a
    /// normaliser's character map is malformed, and where `context_length` is out of range.
    pub fn from_json(json: &[u8], context_length: usize) -> Result<Self> {
        if !(2..=MAX_CONTEXT_LENGTH).contains(&context_length) {
            return Err(Error::bundle(format!(
                "context length {context_length} is not from 2 to {MAX_CONTEXT_LENGTH}"
            )));
        }
        if json.len() > MAX_TOKENIZER_BYTES {
            return Err(Error::bundle(format!(
                "tokenizer has {} bytes, more than {MAX_TOKENIZER_BYTES}",
                json.len()
            )));
        }
        let document = Document::read(json)?;
        let (model, cleaning) = match document.model() {
            Some("BPE") => {
                let model = ClipBpe::new(parse(json)?, &document)?;
                (Model::ClipBpe(Box::new(model)), TextCleaning::Lower)
            }
            Some("Unigram") => {
                let model = Unigram::new(json, &document, context_length)?;
                (Model::Unigram(Box::new(model)), TextCleaning::Whitespace)
            }
            Some(other) => {
                return Err(Error::bundle(format!(
                    "tokenizer's model is {other}; CLIP's BPE or a Unigram model is needed"
                )));
            }
            None => return Err(Error::bundle("tokenizer's model has no `type`")),
        };
        Ok(Self {
            model,
            cleaning,
            context_length,
        })
    }

    /// This tokenizer with another clean-up before it.
    #[must_use]
    pub fn with_cleaning(self, cleaning: TextCleaning) -> Self {
        Self { cleaning, ..self }
    }

    /// What happens to a text before it is split.
    pub fn cleaning(&self) -> TextCleaning {
        self.cleaning
    }

    /// How many ids [`encode`](Self::encode) gives.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// The highest id that a text can have.
    pub(crate) fn highest_id(&self) -> i64 {
        let ids = match &self.model {
            Model::ClipBpe(model) => model.vocabulary(),
            Model::Unigram(model) => model.vocabulary(),
        };
        ids.into_values().max().map_or(0, i64::from)
    }

    /// Exactly [`context_length`](Self::context_length) ids: the tokens that begin a text, the text's own as
    /// far as they fit, the tokens that end it, then the padding.
    ///
    /// An empty text is the framing tokens and padding. As in the reference, a literal `<start_of_text>` that
    /// stands at the start of a word is CLIP's special token itself.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) where the text has more than [`MAX_TEXT_BYTES`];
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) where the tokenizer's model fails on it. Neither
    /// message holds the text.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Error::caller(format!(
                "text has {} bytes, more than {MAX_TEXT_BYTES}",
                text.len()
            )));
        }
        let text = self.cleaning.apply(text);
        let (mut ids, padding) = match &self.model {
            Model::ClipBpe(model) => model.encode(&text, self.context_length)?,
            Model::Unigram(model) => model.encode(&text, self.context_length)?,
        };
        ids.resize(self.context_length, padding);
        Ok(ids)
    }
}

fn parse(json: &[u8]) -> Result<tokenizers::Tokenizer> {
    tokenizers::Tokenizer::from_bytes(json)
        .map_err(|error| Error::bundle("no Hugging Face tokenizer").with_source(error))
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = match self.model {
            Model::ClipBpe(_) => "ClipBpe",
            Model::Unigram(_) => "Unigram",
        };
        f.debug_struct("Tokenizer")
            .field("model", &model)
            .field("cleaning", &self.cleaning)
            .field("context_length", &self.context_length)
            .finish_non_exhaustive()
    }
}
