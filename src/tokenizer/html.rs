//! Character references, as Python's `html.unescape` and ftfy's `unescape_html` decode them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use htmlize::ENTITIES;
use regex::{Captures, Regex};

/// What windows-1252 has at the bytes 0x80 to 0x9F; a byte it leaves unassigned stays a C1 control.
pub(super) const WINDOWS_1252_C1: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The longest decimal or hexadecimal number that can still be a scalar value, leading zeros aside.
const MAX_SCALAR: u32 = 0x10_FFFF;

/// Python 3.11's `html.unescape`: numeric references, names with and without a semicolon, and the
/// longest name that a longer word begins with (`&notit;` is `¬it;`).
///
/// Unlike HTML's own rule, control characters and noncharacters decode to nothing.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0c <&#;]{1,32};?)").ok()
    });
    replace(&REFERENCE, text, decode)
}

/// ftfy 6.3's `unescape_html`: only references that end in a semicolon, plus the upper-case spelling
/// of lower-case names (`&EACUTE;` is `É`).
pub(super) fn unescape_unambiguous(text: &str) -> Cow<'_, str> {
    static REFERENCE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"&#?[0-9A-Za-z]{1,24};").ok());
    replace(&REFERENCE, text, decode_unambiguous)
}

fn replace<'t>(
    reference: &Option<Regex>,
    text: &'t str,
    decode: fn(&str) -> String,
) -> Cow<'t, str> {
    match reference {
        Some(reference) if text.contains('&') => {
            reference.replace_all(text, |found: &Captures<'_>| decode(&found[0]))
        }
        _ => Cow::Borrowed(text),
    }
}

fn decode(reference: &str) -> String {
    if let Some(number) = reference.strip_prefix("&#") {
        return decode_number(number.trim_end_matches(';'));
    }
    if let Some(characters) = named(reference) {
        return characters.to_owned();
    }
    // As in Python, a name that is only the beginning has at least two letters.
    let ends: Vec<usize> = reference.char_indices().skip(3).map(|(at, _)| at).collect();
    let longest = ends.into_iter().rev().find_map(|end| {
        let (name, rest) = reference.split_at(end);
        Some(format!("{}{rest}", named(name)?))
    });
    longest.unwrap_or_else(|| reference.to_owned())
}

fn decode_number(number: &str) -> String {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let code = digits.chars().fold(0_u32, |code, digit| {
        code.saturating_mul(radix)
            .saturating_add(digit.to_digit(radix).unwrap_or(0))
            .min(MAX_SCALAR + 1)
    });
    match code {
        0 => "\u{fffd}".into(),
        0x80..=0x9f => WINDOWS_1252_C1[code as usize - 0x80].into(),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => String::new(),
        _ if code <= MAX_SCALAR && code & 0xfffe == 0xfffe => String::new(),
        _ => char::from_u32(code).unwrap_or('\u{fffd}').into(),
    }
}

fn decode_unambiguous(reference: &str) -> String {
    let decoded = if reference.starts_with("&#") {
        // A semicolon that stays says that only the beginning was a number.
        Some(unescape(reference).into_owned()).filter(|decoded| !decoded.contains(';'))
    } else {
        let upper_cased = || UPPER_CASED.get(reference).cloned();
        named(reference).map(str::to_owned).or_else(upper_cased)
    };
    decoded.unwrap_or_else(|| reference.to_owned())
}

/// The upper-case spellings of lower-case names that HTML does not already read in some way.
static UPPER_CASED: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let names = ENTITIES
        .keys()
        .filter_map(|name| std::str::from_utf8(name).ok())
        .filter(|name| name.ends_with(';') && *name == name.to_lowercase());
    names
        .filter_map(|name| {
            let upper = name.to_uppercase();
            (unescape(&upper) == upper).then(|| Some((upper, named(name)?.to_uppercase())))?
        })
        .collect()
});

/// The characters of a name as HTML lists it, `&` included, with or without its semicolon.
fn named(name: &str) -> Option<&'static str> {
    let characters = ENTITIES.get(name.as_bytes())?;
    std::str::from_utf8(characters).ok()
}
