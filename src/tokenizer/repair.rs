//! ftfy's `fix_text` with its default settings: repairs text that was decoded or escaped wrongly.
//!
//! Mojibake is found and undone by `plsfix`; all other steps are here, since plsfix decodes HTML
//! entities also where ftfy leaves them and keeps one character where a narrow form stands for two.

use std::borrow::Cow;
use std::sync::LazyLock;

use plsfix::TextFixerConfig;
use regex::Regex;
use unicode_normalization::UnicodeNormalization as _;

use super::html::{self, WINDOWS_1252_C1};

/// Text that still changes after so many rounds is taken as it is; ftfy would go on.
const MAX_ROUNDS: usize = 16;

/// Controls that no rule of the repair looks at and that the repair removes, so one that the text lacks
/// can stand in for `&` while plsfix reads it.
const STAND_INS: &[char] = &[
    '\u{1}', '\u{2}', '\u{3}', '\u{4}', '\u{5}', '\u{6}', '\u{7}', '\u{8}', '\u{e}', '\u{f}',
    '\u{10}', '\u{11}', '\u{12}', '\u{13}', '\u{14}', '\u{15}', '\u{16}', '\u{17}', '\u{18}',
];

/// Repairs each line by itself. From the first line that holds a `<` on, the text counts as real HTML
/// and its entities stay.
pub(super) fn fix_text(text: &str) -> String {
    let mut unescape = true;
    text.split_inclusive('\n')
        .map(|line| {
            unescape &= !line.contains('<');
            fix_line(line, unescape)
        })
        .collect()
}

fn fix_line(line: &str, unescape: bool) -> String {
    let mut text = line.to_owned();
    for _ in 0..MAX_ROUNDS {
        let unescaped = match unescape {
            true => html::unescape_unambiguous(&text),
            false => Cow::Borrowed(text.as_str()),
        };
        let decoded = fix_mojibake(&unescaped);
        let plain: String = decoded.chars().flat_map(Plain::of).collect();
        let unbroken = fix_line_breaks(&plain);
        let unescaped = remove_terminal_escapes(&unbroken);
        let fixed: String = unescaped
            .chars()
            .filter(|c| !is_stray_control(*c))
            .nfc()
            .collect();
        if fixed == text {
            break;
        }
        text = fixed;
    }
    text
}

/// Undoes mojibake; text that is all ASCII holds none.
fn fix_mojibake(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let Some(stand_in) = STAND_INS.iter().find(|control| !text.contains(**control)) else {
        return Cow::Borrowed(text);
    };
    let stand_in = stand_in.to_string();
    let only_mojibake = TextFixerConfig {
        unescape_html: Some(false),
        remove_terminal_escapes: false,
        fix_latin_ligatures: false,
        fix_character_width: false,
        uncurl_quotes: false,
        fix_line_breaks: false,
        remove_control_chars: false,
        normalization: None,
        ..TextFixerConfig::default()
    };
    let masked = text.replace('&', &stand_in);
    let fixed = plsfix::fix_and_explain(&masked, false, Some(&only_mojibake)).text;
    Cow::Owned(fixed.replace(&stand_in, "&"))
}

/// What one character becomes: C1 controls as windows-1252, ligatures and digraphs of Latin letters
/// taken apart, wide and narrow forms as usual ones, quotation marks straight.
enum Plain {
    One(char),
    Text(std::str::Chars<'static>),
    Width(unicode_normalization::Recompositions<std::iter::Once<char>>),
}

impl Plain {
    fn of(character: char) -> Self {
        let character = match character {
            '\u{80}'..='\u{9f}' => WINDOWS_1252_C1[character as usize - 0x80],
            other => other,
        };
        let letters = match character {
            'Ĳ' => "IJ",
            'ĳ' => "ij",
            // The apostrophe that ŉ begins with is straightened like any other.
            'ŉ' => "'n",
            'Ǳ' => "DZ",
            'ǲ' => "Dz",
            'ǳ' => "dz",
            'Ǆ' => "DŽ",
            'ǅ' => "Dž",
            'ǆ' => "dž",
            'Ǉ' => "LJ",
            'ǈ' => "Lj",
            'ǉ' => "lj",
            'Ǌ' => "NJ",
            'ǋ' => "Nj",
            'ǌ' => "nj",
            'ﬀ' => "ff",
            'ﬁ' => "fi",
            'ﬂ' => "fl",
            'ﬃ' => "ffi",
            'ﬄ' => "ffl",
            'ﬅ' => "ſt",
            'ﬆ' => "st",
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => "'",
            '\u{201c}'..='\u{201f}' => "\"",
            '\u{3000}' | '\u{ff01}'..='\u{ffef}' => {
                return Self::Width(std::iter::once(character).nfkc());
            }
            _ => return Self::One(character),
        };
        Self::Text(letters.chars())
    }
}

impl IntoIterator for Plain {
    type Item = char;
    type IntoIter = Box<dyn Iterator<Item = char>>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Self::One(character) => Box::new(std::iter::once(character)),
            Self::Text(letters) => Box::new(letters),
            Self::Width(characters) => Box::new(characters),
        }
    }
}

fn fix_line_breaks(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n")
}

/// Removes the colour and cursor sequences of terminals.
fn remove_terminal_escapes(text: &str) -> Cow<'_, str> {
    static ESCAPE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\x1b\[(?:\d|;)*[a-zA-Z]").ok());
    match &*ESCAPE {
        Some(escape) => escape.replace_all(text, ""),
        None => Cow::Borrowed(text),
    }
}

/// Controls without an effect on text: most of ASCII's, Arabic's deprecated ones, the marks of
/// interlinear annotation, the object replacement character and the byte order mark.
fn is_stray_control(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}'
            | '\u{b}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}'
    )
}
