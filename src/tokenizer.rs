//! Text to `input_ids`, the same as open_clip's tokenizer gives.

mod clean;
mod html;
mod repair;

use std::fmt;

use tokenizers::tokenizer::{Model as _, OffsetReferential, OffsetType, PreTokenizer as _};
use tokenizers::{ModelWrapper, PreTokenizedString, PreTokenizerWrapper};

use crate::{Error, Result};

/// The longest text that [`Tokenizer::encode`] takes, in bytes of UTF-8: 64 KiB.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// The largest tokenizer.json that [`Tokenizer::from_json`] reads, in bytes: 32 MiB.
pub const MAX_TOKENIZER_BYTES: usize = 32 << 20;

/// The largest context length; CLIP models use 77.
pub const MAX_CONTEXT_LENGTH: usize = 4096;

const START: &str = "<start_of_text>";
const END: &str = "<end_of_text>";
const PADDING: i64 = 0;

/// CLIP's byte pair encoding with the text cleaning of open_clip (`SimpleTokenizer`, clean `lower`).
///
/// In the reference's order: ftfy's repairs (mojibake, HTML entities, widths, quotes, control
/// characters, NFC), `html.unescape` twice, white space collapsed to single spaces, lower case, the
/// split into words, single digits and runs of other characters, byte pair merges, truncation, padding.
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
    inner: tokenizers::Tokenizer,
    context_length: usize,
    start: i64,
    end: i64,
}

impl Tokenizer {
    /// Reads a Hugging Face tokenizer.json that holds CLIP's byte pair encoding.
    ///
    /// `context_length` is the number of ids the text encoder takes, from 2 to [`MAX_CONTEXT_LENGTH`];
    /// it overrides the file's own truncation and padding. The file's normaliser is not applied:
    /// [`encode`](Self::encode) cleans and lower-cases as the reference does.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) where the file is too large or no such JSON, where
    /// its model is no BPE or a random one (dropout), where it has no pre-tokenizer, where
    /// `<start_of_text>` or `<end_of_text>` is missing, and where `context_length` is out of range.
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
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| Error::bundle("no Hugging Face tokenizer").with_source(error))?;
        match inner.get_model() {
            ModelWrapper::BPE(bpe) if bpe.dropout.is_none() => {}
            ModelWrapper::BPE(_) => {
                return Err(Error::bundle("tokenizer merges at random (dropout)"));
            }
            _ => return Err(Error::bundle("tokenizer's model is not BPE")),
        }
        let special = |token: &str| {
            inner
                .token_to_id(token)
                .map(i64::from)
                .ok_or_else(|| Error::bundle(format!("tokenizer has no token {token}")))
        };
        let (start, end) = (special(START)?, special(END)?);
        let tokenizer = Self {
            inner,
            context_length,
            start,
            end,
        };
        tokenizer.pre_tokenizer()?;
        Ok(tokenizer)
    }

    /// How many ids [`encode`](Self::encode) gives.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Exactly [`context_length`](Self::context_length) ids: `<start_of_text>`, the text's tokens as far
    /// as they fit, `<end_of_text>`, then zeros.
    ///
    /// An empty text is two ids and zeros. As in the reference, a literal `<start_of_text>` that stands
    /// at the start of a word is the special token itself.
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
        let failed = |error| Error::bundle("tokenizer failed on a text").with_source(error);
        let mut pieces = PreTokenizedString::from(clean::clean(text));
        self.pre_tokenizer()?
            .pre_tokenize(&mut pieces)
            .map_err(failed)?;
        let mut ids = vec![self.start];
        for (piece, _, _) in pieces.get_splits(OffsetReferential::Original, OffsetType::None) {
            match piece {
                START => ids.push(self.start),
                END => ids.push(self.end),
                word => {
                    let tokens = self.inner.get_model().tokenize(word).map_err(failed)?;
                    ids.extend(tokens.iter().map(|token| i64::from(token.id)));
                }
            }
            if ids.len() >= self.context_length {
                break;
            }
        }
        ids.truncate(self.context_length - 1);
        ids.push(self.end);
        ids.resize(self.context_length, PADDING);
        Ok(ids)
    }

    fn pre_tokenizer(&self) -> Result<&PreTokenizerWrapper> {
        self.inner
            .get_pre_tokenizer()
            .ok_or_else(|| Error::bundle("tokenizer has no pre-tokenizer"))
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("context_length", &self.context_length)
            .finish_non_exhaustive()
    }
}
