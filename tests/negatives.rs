//! `labels build`'s negatives: the bundle's own, a file's, mined ones.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use clipgate::{Bundle, LabelBank};

use crate::cli::{PHOTO, clipgate, json_lines, status, stderr, stdout};

/// The bank that `labels build` writes for "goldfish,espresso" with further options, and its line of JSON.
fn build(folder: &Path, options: &[&str]) -> (LabelBank, serde_json::Value) {
    let file = folder.join("bank.safetensors");
    let path = file.display().to_string();
    let mut arguments = vec![
        "labels",
        "build",
        "--format",
        "json",
        "--labels",
        "goldfish,espresso",
        "-o",
        &path,
    ];
    arguments.extend(options);
    let output = clipgate(&arguments);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let bank = LabelBank::from_safetensors(Arc::new(fs::read(&file).unwrap())).unwrap();
    (bank, json_lines(&output)[0].clone())
}

fn names(bank: &LabelBank) -> Vec<String> {
    let negatives = bank.negatives().iter();
    negatives.map(|label| label.name().to_owned()).collect()
}

#[test]
fn the_bundles_own_texts_serve_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let own = Bundle::embedded().unwrap().label_bank().unwrap();
    let texts = own.labels().len() + own.negatives().len();
    let (bank, line) = build(folder.path(), &[]);
    let (same, near) = (2, (texts - 2) / 10);
    assert_eq!(bank.negatives().len(), texts - same - near);
    assert_eq!(line["negatives_from"]["from"], "bundle");
    assert_eq!(line["negatives_from"]["same_as_a_label"], same);
    assert_eq!(line["negatives_from"]["too_near"], near);
    assert!(names(&bank).iter().all(|name| name != "goldfish"));

    let (bank, line) = build(folder.path(), &["--no-negatives"]);
    assert!(bank.negatives().is_empty());
    assert_eq!(line["negatives_from"]["from"], "none");
}

#[test]
fn a_files_negatives_are_used_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("negatives.txt");
    fs::write(&list, "teapot\nmushroom\n").unwrap();
    let (bank, _) = build(folder.path(), &["--negatives", &list.display().to_string()]);
    assert_eq!(names(&bank), ["teapot", "mushroom"]);
}

#[test]
fn words_are_mined_from_a_list_and_again_from_a_bank() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("words.txt");
    let words = "teapot\nGoldfish\nteapot\nmushroom\ngiraffe\nschool bus\nlemon\n";
    fs::write(&list, words).unwrap();
    let mine = ["--mine-negatives", &list.display().to_string()];
    let (bank, line) = build(folder.path(), &[mine[0], mine[1], "--max-negatives", "3"]);
    assert_eq!(bank.negatives().len(), 3);
    let from = &line["negatives_from"];
    assert_eq!(from["repeated"], 2, "{from}");
    assert_eq!(from["unknown_to_the_text_encoder"], 1, "{from}");
    assert_eq!(from["nearer_than_those_kept"], 1, "{from}");

    // A bank's embeddings are taken as they are: no text encoder has to make them again.
    let vocabulary = folder.path().join("vocabulary.safetensors");
    fs::write(&vocabulary, bank.to_safetensors().unwrap()).unwrap();
    let mine = ["--mine-negatives", &vocabulary.display().to_string()];
    let (again, _) = build(folder.path(), &mine);
    assert_eq!(names(&again), names(&bank));
    assert_eq!(again.negative_embeds(), bank.negative_embeds());
}

#[test]
fn wordnet_gives_what_is_neither_a_label_nor_a_kind_of_it() {
    let folder = tempfile::tempdir().unwrap();
    // In WordNet's format, made up.
    let nouns = "  licence\n\
        00000010 03 n 01 food 0 000 | eaten\n\
        00000020 13 n 01 espresso 0 001 @ 00000010 n 0000 | strong\n\
        00000030 13 n 01 lemon 0 000 | sour\n\
        00000040 15 n 01 Lemon 1 001 @i 00000030 n 0000 | a town\n";
    fs::write(folder.path().join("data.noun"), nouns).unwrap();
    let adjectives = "00000010 00 a 01 yellow 0 000 | as lemons are\n";
    fs::write(folder.path().join("data.adj"), adjectives).unwrap();
    let place = folder.path().display().to_string();
    let (bank, line) = build(
        folder.path(),
        &["--mine-negatives", "wordnet", "--wordnet", &place],
    );
    assert_eq!(line["negatives_from"]["related_to_a_label"], 2);
    let found = names(&bank);
    assert!(found.contains(&"lemon".to_owned()), "{found:?}");
    assert!(!found.contains(&"food".to_owned()), "{found:?}");
}

#[test]
fn what_cannot_be_mined_from_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bank.safetensors");
    let path = file.display().to_string();
    let not_wordnet = folder.path().join("data.noun");
    fs::write(&not_wordnet, "not a synset\n").unwrap();
    fs::write(folder.path().join("data.adj"), "\n").unwrap();
    let place = folder.path().display().to_string();
    for (options, says) in [
        (
            vec!["--mine-negatives", "wordnet", "--wordnet", "/nowhere"],
            "wordnet-base",
        ),
        (
            vec!["--mine-negatives", "wordnet", "--wordnet", &place],
            "not WordNet's",
        ),
        (vec!["--mine-negatives", "no-such.txt"], "no-such.txt"),
        (
            vec!["--mine-negatives", "no-such.safetensors"],
            "no-such.safetensors",
        ),
        (
            vec!["--mine-negatives", "wordnet", "--no-negatives"],
            "cannot be used with",
        ),
        (vec!["--max-negatives", "5"], "--mine-negatives"),
    ] {
        let mut arguments = vec!["labels", "build", "--labels", "goldfish", "-o", &path];
        arguments.extend(&options);
        let output = clipgate(&arguments);
        assert_eq!(status(&output), 2, "{options:?}");
        assert!(
            stderr(&output).contains(says),
            "{options:?}: {}",
            stderr(&output)
        );
        assert!(!file.exists(), "{options:?}");
    }
}

#[test]
fn negatives_keep_a_wrong_label_from_looking_sure() {
    let confidence = |options: &[&str]| {
        let mut arguments = vec![
            "classify",
            "--format",
            "json",
            "--labels",
            "goldfish,teapot",
        ];
        arguments.extend(options);
        arguments.push(PHOTO);
        let output = clipgate(&arguments);
        json_lines(&output)[0]["top"][0]["probability"]
            .as_f64()
            .unwrap()
    };
    // The photo shows a cat.
    assert!(confidence(&[]) < 0.1 && confidence(&["--no-negatives"]) > 0.5);
    let output = clipgate(&["classify", "--labels", "goldfish", PHOTO]);
    let text = stdout(&output);
    assert!(text.contains("stood beside yours"), "{text}");
}
