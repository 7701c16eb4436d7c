//! `Tokenizer` against open_clip's `SimpleTokenizer`, on the strings of tests/data/tokenizer.json
//! (written by `python -m clipgate_export.goldens_tokenizer`), and against its `HFTokenizer` on those of
//! tests/data/unigram (`clipgate_export.goldens_unigram`).

use std::collections::BTreeSet;

use clipgate::{ErrorKind, MAX_TEXT_BYTES, TextCleaning, Tokenizer};

const TOKENIZER: &[u8] = include_bytes!("../../models/pocket/tokenizer.json");
const START: i64 = 49406;
const END: i64 = 49407;

/// A kind of case and numbers within it.
type Numbered = (&'static str, &'static [usize]);

/// Every case whose ids differ from the reference's: the reason, then the cases.
const DIFFERING: &[(&str, &[Numbered])] = &[
    (
        "plsfix 0.1.8 does not try windows-1257, which ftfy 6.3 does: the Baltic misreading stays",
        &[(
            "mojibake sloppy-windows-1257",
            &[
                0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
                25, 26, 27, 28, 29, 30, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46,
                47, 48, 49, 50, 51, 52,
            ],
        )],
    ),
    (
        "plsfix 0.1.8 judges what looks like mojibake by the rules of an older ftfy: an accented letter \
         before opening punctuation and a letter is not bad there, so the misreading stays",
        &[
            ("mojibake sloppy-windows-1252", &[15]),
            ("mojibake sloppy-windows-1250", &[15]),
            ("mojibake sloppy-windows-1254", &[15]),
            ("mojibake with losses", &[15]),
        ],
    ),
    (
        "by the same older rules the signs ¶ and § are bad, so plsfix repairs what ftfy 6.3 leaves",
        &[
            ("mojibake sloppy-windows-1251", &[1, 6, 8]),
            ("mojibake sloppy-windows-1253", &[6, 8]),
        ],
    ),
    (
        "plsfix 0.1.8 loses bytes that the code page leaves unassigned, where ftfy keeps them",
        &[("mojibake sloppy-windows-1253", &[22, 37, 38])],
    ),
    (
        "plsfix 0.1.8 goes on to C1 controls in the same round in which it repaired a part of the text, \
         or finds other bounds of that part",
        &[
            ("mojibake inside other text", &[12, 13]),
            ("mojibake capitalised", &[34]),
            ("random Latin-1", &[10]),
        ],
    ),
    (
        "the reference's regex 2026.11.15 knows letters newer than Unicode 16, which regex-syntax 0.8 is at",
        &[
            ("assigned letters in a row", &[14]),
            ("random scalars", &[11, 17, 40, 43, 47]),
        ],
    ),
];

/// SigLIP's kind of tokenizer, self-trained.
const UNIGRAM: &[u8] = include_bytes!("../data/unigram/tokenizer.json");

/// Its `</s>`, which ends a text and fills the context.
const UNIGRAM_END: i64 = 1;

/// As [`DIFFERING`], for the unigram model; the clean-up is the same code.
const UNIGRAM_DIFFERING: &[(&str, &[Numbered])] = &[(
    "plsfix 0.1.8 goes on to C1 controls in the same round in which it repaired a part of the text",
    &[("random Latin-1", &[10])],
)];

/// As [`UNIGRAM_DIFFERING`], where the file's own normaliser does the clean-up.
const IN_FILE_DIFFERING: &[(&str, &[Numbered])] = &[
    UNIGRAM_DIFFERING[0],
    (
        "tokenizers' Lowercase knows no final sigma",
        &[("phrase", &[21, 22, 23])],
    ),
];

#[derive(serde::Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    /// The kind and a number within it.
    name: String,
    text: String,
    #[serde(default)]
    clean: Option<TextCleaning>,
    context_length: usize,
    /// Up to the last `<end_of_text>`; the padding is left out.
    ids: Vec<i64>,
}

#[test]
fn ids_equal_the_reference() {
    let goldens: Goldens =
        serde_json::from_slice(include_bytes!("../data/tokenizer.json")).unwrap();
    assert!(goldens.cases.len() >= 1000);
    let tokenizers = [77, 16].map(tokenizer);
    compare(&goldens, &tokenizers, 0, DIFFERING);
}

#[test]
fn ids_of_a_unigram_model_equal_the_reference() {
    let goldens: Goldens =
        serde_json::from_slice(include_bytes!("../data/unigram/ids.json")).unwrap();
    assert!(goldens.cases.len() >= 1000);
    let tokenizers = [
        unigram(64),
        unigram(64).with_cleaning(TextCleaning::Canonicalize),
        unigram(12).with_cleaning(TextCleaning::Canonicalize),
    ];
    compare(&goldens, &tokenizers, UNIGRAM_END, UNIGRAM_DIFFERING);
}

/// Bundles may carry SigLIP's clean-up in the file's normaliser, where it is done character by character.
#[test]
fn a_clean_up_in_the_file_differs_in_the_final_sigma_alone() {
    let mut goldens: Goldens =
        serde_json::from_slice(include_bytes!("../data/unigram/ids.json")).unwrap();
    goldens
        .cases
        .retain(|case| case.clean == Some(TextCleaning::Canonicalize) && case.context_length == 64);
    let mut file: serde_json::Value = serde_json::from_slice(UNIGRAM).unwrap();
    let own = file["normalizer"].take();
    let replace = |pattern: serde_json::Value, content: &str| serde_json::json!({"type": "Replace", "pattern": pattern, "content": content});
    let clean_up = serde_json::json!({"type": "Sequence", "normalizers": [
        replace(serde_json::json!({"String": "_"}), " "),
        replace(serde_json::json!({"Regex": r"[!-/:-@\[-`{-~]"}), ""),
        {"type": "Lowercase"},
        replace(serde_json::json!({"Regex": r"[\s\x1c-\x1f]+"}), " "),
        {"type": "Strip", "strip_left": true, "strip_right": true},
    ]});
    file["normalizer"] = serde_json::json!({"type": "Sequence", "normalizers": [clean_up, own]});
    for case in &mut goldens.cases {
        case.clean = None;
    }
    let tokenizers = [read(file.to_string().as_bytes(), 64)];
    compare(&goldens, &tokenizers, UNIGRAM_END, IN_FILE_DIFFERING);
}

/// Every case whose ids differ must be listed, and every listed case must differ.
fn compare(
    goldens: &Goldens,
    tokenizers: &[Tokenizer],
    padding: i64,
    known: &[(&str, &[Numbered])],
) {
    let listed: BTreeSet<String> = known
        .iter()
        .flat_map(|(_, kinds)| kinds.iter())
        .flat_map(|(kind, numbers)| numbers.iter().map(move |number| format!("{kind} {number}")))
        .collect();
    let mut differing = BTreeSet::new();
    for case in &goldens.cases {
        let fits = |tokenizer: &&Tokenizer| {
            tokenizer.context_length() == case.context_length
                && case.clean.is_none_or(|clean| clean == tokenizer.cleaning())
        };
        let tokenizer = tokenizers.iter().find(fits).unwrap();
        let mut expected = case.ids.clone();
        expected.resize(case.context_length, padding);
        if tokenizer.encode(&case.text).unwrap() != expected {
            differing.insert(case.name.clone());
        }
    }
    println!(
        "{} cases, {} differ, all listed",
        goldens.cases.len(),
        differing.len()
    );
    let new: Vec<_> = differing.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&differing).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "differ but are not listed: {new:?}; listed but do not differ: {gone:?}"
    );
}

#[test]
fn any_text_gives_a_whole_context() {
    const FRAGMENTS: &[&str] = &[
        "&",
        "#",
        "&#",
        "&#x",
        ";",
        "amp",
        "lt;",
        "&amp;",
        "&eacute;",
        "<",
        "Ã©",
        "â€™",
        "Ã",
        "Â",
        " ",
        "\n",
        "\u{1a}",
        "\u{fffd}",
        "\u{ed}\u{a0}\u{bd}\u{ed}\u{b8}\u{80}",
        "\u{c0}\u{80}",
        "ð\u{9f}\u{98}",
        "'s",
        "é",
        "日",
        "\u{1b}[3",
        "m",
        "<start_of_text>",
        "<end_of_text>",
        "e\u{301}",
        "ﾊﾞ",
        "ſ",
        "İ",
    ];
    let tokenizer = tokenizer(16);
    let mut random = SplitMix(7);
    for round in 0..20_000 {
        let length = random.below(14) as usize;
        let text: String = (0..length)
            .map(|_| match (round % 4, random.below(4)) {
                (0, _) => random.scalar(0x11_0000).to_string(),
                (1, _) => random.scalar(0x180).to_string(),
                (2, 0) => random.scalar(0x80).to_string(),
                _ => FRAGMENTS[random.below(FRAGMENTS.len() as u32) as usize].to_owned(),
            })
            .collect();
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!((ids.len(), ids[0]), (16, START), "{text:?}");
        assert!(ids[1..].contains(&END), "{text:?}");
    }
}

#[test]
fn the_longest_texts_are_taken_and_longer_ones_refused() {
    let tokenizer = tokenizer(77);
    for unit in [
        "a",
        "Ã©",
        "Ã ",
        "â€",
        "Â",
        "ð\u{9f}\u{98}\u{80}",
        "&amp;",
        "&",
        "\u{85}",
        "日",
        "\n",
        "\0",
        "'s",
    ] {
        let text = unit.repeat(MAX_TEXT_BYTES / unit.len());
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!((ids.len(), ids[0]), (77, START), "{unit:?}");
        assert!(ids[1..].contains(&END), "{unit:?}");
    }
    let error = tokenizer
        .encode(&"a".repeat(MAX_TEXT_BYTES + 1))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Caller);
}

#[test]
fn what_is_no_clip_tokenizer_is_refused() {
    let without = |needle: &str| String::from_utf8_lossy(TOKENIZER).replace(needle, "<other>");
    for json in [
        b"".to_vec(),
        b"{}".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe".to_vec(),
        TOKENIZER[..TOKENIZER.len() / 2].to_vec(),
        without("<start_of_text>").into_bytes(),
        without("<end_of_text>").into_bytes(),
        without("\"dropout\":null")
            .replace("<other>", "\"dropout\":0.5")
            .into_bytes(),
        without("\"type\":\"BPE\"")
            .replace("<other>", "\"type\":\"WordLevel\"")
            .into_bytes(),
    ] {
        let error = Tokenizer::from_json(&json, 77).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Bundle, "{error}");
    }
    for context_length in [0, 1, usize::MAX] {
        let error = Tokenizer::from_json(TOKENIZER, context_length).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Bundle);
    }
}

fn tokenizer(context_length: usize) -> Tokenizer {
    read(TOKENIZER, context_length)
}

fn unigram(context_length: usize) -> Tokenizer {
    read(UNIGRAM, context_length)
}

#[expect(clippy::panic, reason = "clippy allows it in #[test] functions only")]
fn read(json: &[u8], context_length: usize) -> Tokenizer {
    match Tokenizer::from_json(json, context_length) {
        Ok(tokenizer) => tokenizer,
        Err(error) => panic!("{}", error.report()),
    }
}

/// Steele, Lea and Flood's SplitMix64: the same texts on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(bound)) as u32
    }

    fn scalar(&mut self, bound: u32) -> char {
        loop {
            if let Some(scalar) = char::from_u32(self.below(bound)) {
                return scalar;
            }
        }
    }
}
