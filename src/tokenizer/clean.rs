//! open_clip's clean-up of a text before it is split into tokens.

use serde::{Deserialize, Serialize};

use super::{html, repair};

/// What happens to a text before its tokenizer sees it: open_clip's `clean` of the same name.
///
/// All begin with ftfy's repairs (mojibake, HTML entities, widths, quotes, control characters, NFC) and
/// `html.unescape` twice, and end with white space collapsed to single spaces.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextCleaning {
    /// Lower case: CLIP's byte pair encoding, unless a bundle says otherwise.
    Lower,
    /// Letters stay as they are: every other tokenizer, unless a bundle says otherwise.
    Whitespace,
    /// Underscores become spaces, the rest of ASCII's punctuation goes, lower case: SigLIP's models.
    Canonicalize,
}

impl TextCleaning {
    /// The text as the tokenizer sees it.
    pub(super) fn apply(self, text: &str) -> String {
        let repaired = repair::fix_text(text);
        let unescaped = html::unescape(&html::unescape(&repaired)).into_owned();
        match self {
            Self::Lower => single_spaced(&unescaped).to_lowercase(),
            Self::Whitespace => single_spaced(&unescaped),
            Self::Canonicalize => single_spaced(&without_punctuation(&unescaped).to_lowercase()),
        }
    }
}

fn single_spaced(text: &str) -> String {
    let words: Vec<&str> = text
        .split(is_python_space)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// `str.isspace` of Python, which `str.split` goes by: Unicode's White_Space and four separators
/// (U+001C to U+001F) that bidirectional text treats as spaces.
fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Python's `string.punctuation` is ASCII's.
fn without_punctuation(text: &str) -> String {
    text.replace('_', " ")
        .replace(|c: char| c.is_ascii_punctuation(), "")
}
