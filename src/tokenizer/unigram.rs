//! SentencePiece's unigram language model (Kudo 2018, arXiv 1804.10959), as its tokenizer.json says.

use std::collections::HashMap;

use super::document::{Document, check_pieces};
use crate::{Error, Result};

/// The file's own normaliser, split and pieces, framed by the tokens that its template names.
pub(super) struct Unigram {
    inner: tokenizers::Tokenizer,
    before: Vec<i64>,
    after: Vec<i64>,
    padding: i64,
}

impl Unigram {
    /// Checks the pieces of `json` before `tokenizers` builds its trie of them.
    pub(super) fn new(json: &[u8], document: &Document, context_length: usize) -> Result<Self> {
        check_pieces(json)?;
        let mut inner = super::parse(json)?;
        let (before, after) = document.template(&inner)?;
        if before.len() + after.len() >= context_length {
            return Err(Error::bundle(format!(
                "tokenizer adds {} tokens to each text, the context length is {context_length}",
                before.len() + after.len()
            )));
        }
        let padding = document.padding_id(&inner)?;
        // Framing, truncation and padding are done here, for this context length.
        inner.with_padding(None);
        inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        inner
            .with_truncation(None)
            .map_err(|error| Error::bundle("tokenizer's truncation").with_source(error))?;
        Ok(Self {
            inner,
            before,
            after,
            padding,
        })
    }

    /// Every piece and special token with its id.
    pub(super) fn vocabulary(&self) -> HashMap<String, u32> {
        self.inner.get_vocab(true)
    }

    /// The ids of a cleaned text and what fills the context behind them.
    pub(super) fn encode(&self, text: &str, context_length: usize) -> Result<(Vec<i64>, i64)> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Error::bundle("tokenizer failed on a text").with_source(error))?;
        let room = context_length.saturating_sub(self.before.len() + self.after.len());
        let text_ids = encoding
            .get_ids()
            .iter()
            .take(room)
            .map(|&id| i64::from(id));
        let mut ids = self.before.clone();
        ids.extend(text_ids);
        ids.extend(&self.after);
        Ok((ids, self.padding))
    }
}
