//! What a tokenizer.json says beside its model, and what must hold before `tokenizers` reads it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::charsmap;
use crate::{Error, Result};

/// The longest piece of a unigram vocabulary, in bytes: SentencePiece's own limit is 16 characters, and each
/// byte is a level of a recursive trie.
const MAX_PIECE_BYTES: usize = 512;

/// The parts of the file that are followed here and not by `tokenizers`.
#[derive(Deserialize)]
pub(super) struct Document {
    model: ModelType,
    #[serde(default)]
    normalizer: Option<Value>,
    #[serde(default)]
    truncation: Option<Truncation>,
    #[serde(default)]
    pub(super) padding: Option<Padding>,
    #[serde(default)]
    post_processor: Option<Value>,
}

#[derive(Deserialize)]
struct ModelType {
    #[serde(rename = "type", default)]
    name: Option<String>,
}

/// Cuts and fillings begin at the end of the text, in every reference that is followed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Direction {
    Right,
    Left,
}

#[derive(Deserialize)]
struct Truncation {
    direction: Direction,
}

#[derive(Deserialize)]
pub(super) struct Padding {
    direction: Direction,
    pad_id: u32,
    pad_token: String,
}

/// `TemplateProcessing`: where the text goes among special tokens.
#[derive(Deserialize)]
struct Template {
    single: Vec<Piece>,
    special_tokens: HashMap<String, SpecialToken>,
}

#[derive(Deserialize)]
enum Piece {
    Sequence { id: String },
    SpecialToken { id: String },
}

#[derive(Deserialize)]
struct SpecialToken {
    ids: Vec<u32>,
    tokens: Vec<String>,
}

/// A unigram model's own part of the file.
#[derive(Deserialize)]
struct UnigramDocument {
    model: UnigramModel,
}

#[derive(Deserialize)]
struct UnigramModel {
    unk_id: Option<usize>,
    vocab: Vec<(String, f64)>,
}

impl Document {
    /// Reads the file and checks what `tokenizers` would trust.
    pub(super) fn read(json: &[u8]) -> Result<Self> {
        let document: Self = serde_json::from_slice(json)
            .map_err(|error| Error::bundle("no Hugging Face tokenizer").with_source(error))?;
        if let Some(normalizer) = &document.normalizer {
            check_charsmaps(normalizer)?;
        }
        let truncation = document.truncation.as_ref().map(|part| part.direction);
        let padding = document.padding.as_ref().map(|part| part.direction);
        if [truncation, padding].contains(&Some(Direction::Left)) {
            return Err(Error::bundle(
                "tokenizer cuts or fills on the left, which no known model does",
            ));
        }
        Ok(document)
    }

    /// The kind of model, as the file names it.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.name.as_deref()
    }

    /// What fills the context, checked against the vocabulary.
    pub(super) fn padding_id(&self, vocabulary: &tokenizers::Tokenizer) -> Result<i64> {
        let Some(padding) = &self.padding else {
            return Err(Error::bundle(
                "tokenizer has no `padding`: nothing says which id fills the context",
            ));
        };
        known(vocabulary, &padding.pad_token, padding.pad_id)
    }

    /// The ids before and after a text.
    pub(super) fn template(
        &self,
        vocabulary: &tokenizers::Tokenizer,
    ) -> Result<(Vec<i64>, Vec<i64>)> {
        let Some(json) = self.post_processor.as_ref().filter(|json| !json.is_null()) else {
            return Err(Error::bundle(
                "tokenizer has no `post_processor`: nothing says which token ends a text",
            ));
        };
        if json["type"] != "TemplateProcessing" {
            return Err(Error::bundle(format!(
                "tokenizer's post-processor is {}; TemplateProcessing is needed",
                json["type"]
            )));
        }
        let malformed = "tokenizer's post-processor is malformed";
        let template = Template::deserialize(json)
            .map_err(|error| Error::bundle(malformed).with_source(error))?;
        let mut frame = (Vec::new(), Vec::new());
        let mut texts = 0;
        for piece in &template.single {
            match piece {
                Piece::Sequence { id } if id == "A" => texts += 1,
                Piece::Sequence { id } => {
                    return Err(Error::bundle(format!(
                        "{malformed}: a single text has no part {id:?}"
                    )));
                }
                Piece::SpecialToken { id } => {
                    let Some(token) = template.special_tokens.get(id) else {
                        return Err(Error::bundle(format!(
                            "{malformed}: its special token {id:?} is not listed"
                        )));
                    };
                    if token.ids.len() != token.tokens.len() {
                        return Err(Error::bundle(format!(
                            "{malformed}: its special token {id:?} has {} ids and {} tokens",
                            token.ids.len(),
                            token.tokens.len()
                        )));
                    }
                    let side = if texts == 0 {
                        &mut frame.0
                    } else {
                        &mut frame.1
                    };
                    for (token, id) in token.tokens.iter().zip(&token.ids) {
                        side.push(known(vocabulary, token, *id)?);
                    }
                }
            }
        }
        if texts != 1 {
            return Err(Error::bundle(format!(
                "{malformed}: the text stands in it {texts} times"
            )));
        }
        Ok(frame)
    }
}

/// An id that the file names beside its token, if the vocabulary agrees.
fn known(vocabulary: &tokenizers::Tokenizer, token: &str, id: u32) -> Result<i64> {
    match vocabulary.token_to_id(token) {
        Some(found) if found == id => Ok(id.into()),
        Some(found) => Err(Error::bundle(format!(
            "tokenizer gives the token {token:?} the id {id}, its vocabulary {found}"
        ))),
        None => Err(Error::bundle(format!(
            "tokenizer's vocabulary has no token {token:?}"
        ))),
    }
}

/// Refuses pieces that the trie's recursion could not hold, and a model that cannot read every character.
pub(super) fn check_pieces(json: &[u8]) -> Result<()> {
    let document: UnigramDocument = serde_json::from_slice(json)
        .map_err(|error| Error::bundle("tokenizer's Unigram model").with_source(error))?;
    let UnigramModel { unk_id, vocab } = document.model;
    match unk_id {
        Some(id) if id < vocab.len() => {}
        Some(id) => {
            return Err(Error::bundle(format!(
                "tokenizer's `unk_id` is {id}, its vocabulary has {} pieces",
                vocab.len()
            )));
        }
        None => {
            return Err(Error::bundle(
                "tokenizer has no `unk_id` for characters that it does not know",
            ));
        }
    }
    match vocab
        .iter()
        .find(|(piece, _)| piece.len() > MAX_PIECE_BYTES)
    {
        None => Ok(()),
        Some((piece, _)) => Err(Error::bundle(format!(
            "tokenizer has a piece of {} bytes, more than {MAX_PIECE_BYTES}",
            piece.len()
        ))),
    }
}

/// Every character map in a normaliser, however deep in sequences.
fn check_charsmaps(normalizer: &Value) -> Result<()> {
    match normalizer {
        Value::Array(parts) => parts.iter().try_for_each(check_charsmaps),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match value {
            Value::String(text) if name == "precompiled_charsmap" => charsmap::check(text),
            value => check_charsmaps(value),
        }),
        _ => Ok(()),
    }
}
