//! CLIP's byte pair encoding, split and framed as open_clip's `SimpleTokenizer` does.

use std::collections::HashMap;

use tokenizers::tokenizer::{Model as _, OffsetReferential, OffsetType, PreTokenizer as _};
use tokenizers::{ModelWrapper, PreTokenizedString, PreTokenizerWrapper};

use super::document::Document;
use crate::{Error, Result};

/// What open_clip fills with, where a file does not say.
const PADDING: i64 = 0;

/// The special tokens, as OpenAI's package and open_clip spell them, and as Hugging Face's files do.
const SPECIAL: [(&str, &str); 2] = [
    ("<start_of_text>", "<end_of_text>"),
    ("<|startoftext|>", "<|endoftext|>"),
];

/// Byte pair merges between two special tokens.
pub(super) struct ClipBpe {
    inner: tokenizers::Tokenizer,
    start: Special,
    end: Special,
    padding: i64,
}

struct Special {
    token: &'static str,
    id: i64,
}

impl ClipBpe {
    pub(super) fn new(inner: tokenizers::Tokenizer, document: &Document) -> Result<Self> {
        match inner.get_model() {
            ModelWrapper::BPE(bpe) if bpe.dropout.is_none() => {}
            ModelWrapper::BPE(_) => {
                return Err(Error::bundle("tokenizer merges at random (dropout)"));
            }
            _ => return Err(Error::bundle("tokenizer's model is not BPE")),
        }
        let special = |token: &'static str| {
            let id = i64::from(inner.token_to_id(token)?);
            Some(Special { token, id })
        };
        let Some((start, end)) = SPECIAL
            .iter()
            .find_map(|(start, end)| Some((special(start)?, special(end)?)))
        else {
            return Err(Error::bundle(
                "tokenizer has no tokens <start_of_text> and <end_of_text>: CLIP's byte pair encoding has both",
            ));
        };
        let padding = match document.padding {
            Some(_) => document.padding_id(&inner)?,
            None => PADDING,
        };
        let tokenizer = Self {
            inner,
            start,
            end,
            padding,
        };
        tokenizer.pre_tokenizer()?;
        Ok(tokenizer)
    }

    /// Every piece and special token with its id.
    pub(super) fn vocabulary(&self) -> HashMap<String, u32> {
        self.inner.get_vocab(true)
    }

    /// The ids of a cleaned text and what fills the context behind them.
    pub(super) fn encode(&self, text: &str, context_length: usize) -> Result<(Vec<i64>, i64)> {
        let failed = |error| Error::bundle("tokenizer failed on a text").with_source(error);
        let mut pieces = PreTokenizedString::from(text);
        self.pre_tokenizer()?
            .pre_tokenize(&mut pieces)
            .map_err(failed)?;
        let mut ids = vec![self.start.id];
        for (piece, _, _) in pieces.get_splits(OffsetReferential::Original, OffsetType::None) {
            if let Some(special) = [&self.start, &self.end]
                .into_iter()
                .find(|special| special.token == piece)
            {
                ids.push(special.id);
            } else {
                let tokens = self.inner.get_model().tokenize(piece).map_err(failed)?;
                ids.extend(tokens.iter().map(|token| i64::from(token.id)));
            }
            if ids.len() >= context_length {
                break;
            }
        }
        ids.truncate(context_length - 1);
        ids.push(self.end.id);
        Ok((ids, self.padding))
    }

    fn pre_tokenizer(&self) -> Result<&PreTokenizerWrapper> {
        self.inner
            .get_pre_tokenizer()
            .ok_or_else(|| Error::bundle("tokenizer has no pre-tokenizer"))
    }
}
