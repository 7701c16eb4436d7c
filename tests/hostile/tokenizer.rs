//! Tokenizer files that are damaged or say too little: each a named error, never a panic, never a guess.

use clipgate::{ErrorKind, Tokenizer};
use serde_json::{Value, json};

use crate::support::data;

/// What was done to a unigram tokenizer.json, and what the error must say.
type Case = (&'static str, fn(&mut Value), &'static str);

const CASES: &[Case] = &[
    ("no model", |file| file["model"] = json!({}), "no `type`"),
    (
        "another model",
        |file| file["model"]["type"] = "WordPiece".into(),
        "WordPiece",
    ),
    (
        "a model that is not what it says",
        |file| file["model"]["type"] = "BPE".into(),
        "tokenizer",
    ),
    (
        "no vocabulary",
        |file| file["model"]["vocab"] = json!({}),
        "Unigram model",
    ),
    (
        "an empty vocabulary",
        |file| file["model"]["vocab"] = json!([]),
        "0 pieces",
    ),
    (
        "a score that is none",
        |file| file["model"]["vocab"][5][1] = Value::Null,
        "Unigram model",
    ),
    (
        "no id for the unknown",
        |file| file["model"]["unk_id"] = Value::Null,
        "unk_id",
    ),
    (
        "an id beyond the vocabulary",
        |file| file["model"]["unk_id"] = 900.into(),
        "unk_id",
    ),
    (
        "a piece as long as a book",
        |file| file["model"]["vocab"][7][0] = "a".repeat(1 << 20).into(),
        "1048576 bytes",
    ),
    (
        "no end token",
        |file| file["post_processor"] = Value::Null,
        "which token ends a text",
    ),
    (
        "another way to end a text",
        |file| {
            file["post_processor"] =
                json!({"type": "BertProcessing", "sep": ["</s>", 1], "cls": ["<pad>", 0]})
        },
        "TemplateProcessing",
    ),
    (
        "a template without the text",
        |file| {
            file["post_processor"]["single"] =
                json!([{"SpecialToken": {"id": "</s>", "type_id": 0}}])
        },
        "0 times",
    ),
    (
        "a template of a pair",
        |file| file["post_processor"]["single"][0]["Sequence"]["id"] = "B".into(),
        "\"B\"",
    ),
    (
        "an end token that is not listed",
        |file| file["post_processor"]["special_tokens"] = json!({}),
        "\"</s>\" is not listed",
    ),
    (
        "an end token of another id",
        |file| file["post_processor"]["special_tokens"]["</s>"]["ids"] = json!([7]),
        "the id 7, its vocabulary 1",
    ),
    (
        "an end token with fewer ids than tokens",
        |file| file["post_processor"]["special_tokens"]["</s>"]["ids"] = json!([]),
        "0 ids and 1 tokens",
    ),
    (
        "more end tokens than the context holds",
        |file| {
            let end = file["post_processor"]["single"][1].clone();
            let single = file["post_processor"]["single"].as_array_mut().unwrap();
            single.extend(vec![end; 64]);
        },
        "adds 65 tokens",
    ),
    (
        "no padding",
        |file| file["padding"] = Value::Null,
        "which id fills the context",
    ),
    (
        "padding with no token",
        |file| file["padding"]["pad_token"] = "[PAD]".into(),
        "[PAD]",
    ),
    (
        "padding of another id",
        |file| file["padding"]["pad_id"] = 0.into(),
        "the id 0, its vocabulary 1",
    ),
    (
        "padding on the left",
        |file| file["padding"]["direction"] = "Left".into(),
        "on the left",
    ),
    (
        "truncation on the left",
        |file| file["truncation"]["direction"] = "Left".into(),
        "on the left",
    ),
    (
        "a map that is not base 64",
        |file| set_map(file, "%%%".into()),
        "base 64",
    ),
    (
        "a map without a length",
        |file| set_map(file, base64::encode([1, 2])),
        "no length",
    ),
    (
        "a map that claims 4 GB",
        |file| set_map(file, base64::encode([0xff, 0xff, 0xff, 0xff, 0, 0])),
        "shorter than it says",
    ),
    (
        "a map without a trie",
        |file| set_map(file, base64::encode([0, 0, 0, 0])),
        "no whole blocks",
    ),
    (
        "a trie of one unit",
        |file| set_map(file, map(&[0], b"")),
        "no whole blocks",
    ),
    (
        "replacements that are no text",
        |file| set_map(file, map(&[0; 256], b"\xff")),
        "UTF-8",
    ),
    (
        "a trie that leads out of itself",
        |file| {
            let mut trie = [0; 256];
            trie[0] = 0x1234 << 10;
            set_map(file, map(&trie, b"a\0"));
        },
        "out of its trie",
    ),
    (
        "a leaf beyond the replacements",
        |file| {
            let mut trie = [0; 256];
            // The root's children lie at 1 ^ byte, the child `a` has its leaf at 2.
            trie[0] = 1 << 10;
            trie[1 ^ usize::from(b'a')] =
                (2 ^ 1 ^ u32::from(b'a')) << 10 | 1 << 8 | u32::from(b'a');
            trie[2] = 1 << 31 | 77;
            set_map(file, map(&trie, b"b\0"));
        },
        "a replacement that is not there",
    ),
];

fn file() -> Value {
    serde_json::from_slice(&data("unigram/tokenizer.json")).unwrap()
}

fn normalizer(file: &mut Value) -> &mut Value {
    &mut file["normalizer"]["normalizers"][0]["precompiled_charsmap"]
}

fn set_map(file: &mut Value, map: String) {
    *normalizer(file) = map.into();
}

fn map(trie: &[u32], replacements: &[u8]) -> String {
    let mut bytes = (trie.len() as u32 * 4).to_le_bytes().to_vec();
    bytes.extend(trie.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend(replacements);
    base64::encode(bytes)
}

#[test]
fn every_file_is_refused_for_its_own_reason() {
    let mut wrong = Vec::new();
    for (name, damage, says) in CASES {
        let mut file = file();
        damage(&mut file);
        match Tokenizer::from_json(file.to_string().as_bytes(), 64) {
            Ok(_) => wrong.push(format!("{name}: was accepted")),
            Err(error) if error.kind() != ErrorKind::Bundle || !error.report().contains(says) => {
                wrong.push(format!("{name}: {:?} {}", error.kind(), error.report()));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_map_that_the_checks_pass_is_followed() {
    let mut trie = [0; 256];
    trie[0] = 1 << 10;
    trie[1 ^ usize::from(b'a')] = (2 ^ 1 ^ u32::from(b'a')) << 10 | 1 << 8 | u32::from(b'a');
    trie[2] = 1 << 31;
    let mut changed = file();
    set_map(&mut changed, map(&trie, b"cat\0"));
    let tokenizer = Tokenizer::from_json(changed.to_string().as_bytes(), 8).unwrap();
    let plain = Tokenizer::from_json(file().to_string().as_bytes(), 8).unwrap();
    assert_eq!(tokenizer.encode("a").unwrap(), plain.encode("cat").unwrap());
}

/// Flipped bytes in the character map and in the file: an error or ids, whatever the text.
#[test]
fn a_flipped_bit_never_panics() {
    const TEXTS: &[&str] = &[
        "",
        "A photo of a caf\u{e9}",
        "\u{fb01}\u{2460}\u{ff21}e\u{301}\u{1}\u{200b}x \u{1f600}",
    ];
    let whole = file();
    let map = base64::decode(normalizer(&mut file()).as_str().unwrap()).unwrap();
    let text = whole.to_string().into_bytes();
    let mut state = 9u32;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % bound
    };
    let mut read = 0;
    for round in 0..160 {
        let damaged = if round % 2 == 0 {
            let mut map = map.clone();
            for _ in 0..1 + round % 5 {
                let at = below(map.len());
                map[at] ^= 1 << below(8);
            }
            let mut file = whole.clone();
            set_map(&mut file, base64::encode(map));
            file.to_string().into_bytes()
        } else {
            let mut text = text.clone();
            let at = below(text.len());
            text[at] ^= 1 << below(7);
            text
        };
        match Tokenizer::from_json(&damaged, 16) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Bundle, "{}", error.report()),
            Ok(tokenizer) => {
                read += 1;
                for text in TEXTS {
                    match tokenizer.encode(text) {
                        Ok(ids) => assert_eq!(ids.len(), 16),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Bundle),
                    }
                }
            }
        }
    }
    assert!(read > 20, "hardly any damage was survived: {read}");
}
