//! open_clip's `_clean_lower`: repair, unescape twice, single spaces, lower case.

use super::{html, repair};

/// The text as the byte pair encoding sees it.
pub(super) fn clean(text: &str) -> String {
    let repaired = repair::fix_text(text);
    let unescaped = html::unescape(&html::unescape(&repaired)).into_owned();
    let words: Vec<&str> = unescaped
        .split(is_python_space)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").to_lowercase()
}

/// `str.isspace` of Python, which `str.split` goes by: Unicode's White_Space and four separators
/// (U+001C to U+001F) that bidirectional text treats as spaces.
fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}
