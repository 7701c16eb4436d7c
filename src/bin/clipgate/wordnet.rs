//! WordNet's nouns and adjectives from the files of Debian's package `wordnet-base`, and which of them negatives may be.
//!
//! The format is wndb(5WN): a line a synset, "OFFSET FILE TYPE COUNT WORD ID ... POINTERS SYMBOL OFFSET ... | gloss".

use std::collections::{HashMap, HashSet};
use std::path::Path;

use clipgate::{Error, ErrorKind, Result};

use crate::report;

/// Where Debian's package puts its files.
pub(crate) const DEFAULT_FOLDER: &str = "/usr/share/wordnet";

/// The largest file of WordNet that is read: its nouns are 15 MB.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Lexicographer files left out: groups, people and quantities of nouns, and adjectives that pertain to nouns
/// (lexnames(5WN); Jiang et al. 2024, arXiv 2403.20078, the authors' "txt_exclude").
const NOUN_FILES_LEFT_OUT: [u8; 3] = [14, 18, 23];
const ADJECTIVE_FILE_LEFT_OUT: u8 = 1;

/// Shorter words are mostly abbreviations (NegRefine: Ansari et al. 2025, arXiv 2507.09795, the authors' cleaning).
const SHORTEST_WORD: usize = 3;

/// What an adjective is joined with, in turn, so that it names something that an image can show (CSP: Chen et al. 2024,
/// arXiv 2410.08611, section 3.2, whose authors draw them at random).
const SUPERCLASSES: [&str; 14] = [
    "environment",
    "space",
    "object",
    "scene",
    "place",
    "item",
    "area",
    "view",
    "thing",
    "pattern",
    "structure",
    "landscape",
    "vista",
    "creature",
];

/// Nouns by meaning, and adjectives.
pub(crate) struct WordNet {
    synsets: HashMap<u32, Synset>,
    nouns: Vec<(String, u32)>,
    meanings: HashMap<String, Vec<u32>>,
    adjectives: Vec<String>,
}

struct Synset {
    file: u8,
    parents: Vec<u32>,
    children: Vec<u32>,
    /// A city or a person, not a kind of thing.
    is_instance: bool,
}

/// Words that may be negatives of some labels.
pub(crate) struct Vocabulary {
    /// Nouns, and adjectives joined with what they describe.
    pub(crate) lists: Vec<Vec<String>>,
    /// Proper nouns, left out.
    pub(crate) proper: usize,
    /// Words that mean a label, a kind of it or what it is a kind of, left out.
    pub(crate) related: usize,
}

/// Why a word is no negative.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Proper,
    Related,
}

impl WordNet {
    /// Reads `data.noun` and `data.adj` of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let nouns = read(&folder.join("data.noun"))?;
        let adjectives = read(&folder.join("data.adj"))?;
        Self::parse(&nouns, &adjectives).map_err(|error| error.at(folder.display()))
    }

    fn parse(noun_lines: &str, adjective_lines: &str) -> Result<Self> {
        let mut wordnet = Self {
            synsets: HashMap::new(),
            nouns: Vec::new(),
            meanings: HashMap::new(),
            adjectives: Vec::new(),
        };
        for line in lines(noun_lines) {
            let entry = Entry::parse(line).ok_or_else(|| malformed("data.noun", line))?;
            for word in entry.words {
                let meanings = wordnet.meanings.entry(word.to_lowercase()).or_default();
                meanings.push(entry.offset);
                wordnet.nouns.push((word, entry.offset));
            }
            let synset = Synset {
                file: entry.file,
                parents: entry.parents,
                children: Vec::new(),
                is_instance: entry.is_instance,
            };
            wordnet.synsets.insert(entry.offset, synset);
        }
        for line in lines(adjective_lines) {
            let entry = Entry::parse(line).ok_or_else(|| malformed("data.adj", line))?;
            if entry.file != ADJECTIVE_FILE_LEFT_OUT {
                wordnet.adjectives.extend(entry.words);
            }
        }
        let children: Vec<(u32, u32)> = (wordnet.synsets.iter())
            .flat_map(|(child, synset)| synset.parents.iter().map(|parent| (*parent, *child)))
            .collect();
        for (parent, child) in children {
            if let Some(synset) = wordnet.synsets.get_mut(&parent) {
                synset.children.push(child);
            }
        }
        Ok(wordnet)
    }

    /// All words that can be negatives of these labels, in the files' order.
    pub(crate) fn vocabulary(&self, labels: &[String]) -> Vocabulary {
        let related = self.related(labels);
        let mut seen = HashSet::new();
        let mut found = Vocabulary {
            lists: vec![Vec::new(), Vec::new()],
            proper: 0,
            related: 0,
        };
        for (noun, offset) in &self.nouns {
            let left_out = (self.synsets.get(offset))
                .is_none_or(|synset| NOUN_FILES_LEFT_OUT.contains(&synset.file));
            if left_out || !is_plain(noun) || !seen.insert(noun.to_lowercase()) {
                continue;
            }
            match self.refusal(noun, &related) {
                None => found.lists[0].push(noun.clone()),
                Some(Refusal::Proper) => found.proper += 1,
                Some(Refusal::Related) => found.related += 1,
            }
        }
        let adjectives = self.adjectives.iter();
        let plain = adjectives.filter(|word| is_plain(word) && seen.insert(word.to_lowercase()));
        found.lists[1] = plain
            .zip(SUPERCLASSES.iter().cycle())
            .map(|(adjective, superclass)| format!("{adjective} {superclass}"))
            .collect();
        found
    }

    /// Why a word is no negative of labels whose [`related`](Self::related) meanings these are; `None` for words that
    /// WordNet does not know. (NegRefine: Ansari et al. 2025, arXiv 2507.09795, section 4.1, who ask a language model
    /// whether a word is a proper noun or a subcategory of a label.)
    pub(crate) fn refusal(&self, word: &str, related: &HashSet<u32>) -> Option<Refusal> {
        let meanings = self.meanings.get(&word.to_lowercase())?;
        if meanings.iter().any(|meaning| related.contains(meaning)) {
            return Some(Refusal::Related);
        }
        let is_proper =
            |meaning: &u32| (self.synsets.get(meaning)).is_some_and(|synset| synset.is_instance);
        let proper = word.starts_with(char::is_uppercase) || meanings.iter().all(is_proper);
        proper.then_some(Refusal::Proper)
    }

    /// Every meaning of the labels, with all that is a kind of it and all that it is a kind of. A label that WordNet does
    /// not know stands for its last words: "blue mug" is a mug.
    pub(crate) fn related(&self, labels: &[String]) -> HashSet<u32> {
        let meanings: Vec<u32> = labels
            .iter()
            .flat_map(|label| self.meanings_of(label))
            .copied()
            .collect();
        let mut related = self.closure(&meanings, |synset| &synset.parents);
        related.extend(self.closure(&meanings, |synset| &synset.children));
        related
    }

    fn meanings_of(&self, label: &str) -> &[u32] {
        let label = label.to_lowercase().replace('_', " ");
        let words: Vec<&str> = label.split_whitespace().collect();
        (0..words.len())
            .map(|first| words[first..].join(" "))
            .flat_map(|name| {
                let singular = name.strip_suffix('s').map(str::to_owned);
                [Some(name), singular].into_iter().flatten()
            })
            .find_map(|name| self.meanings.get(&name))
            .map_or(&[], Vec::as_slice)
    }

    fn closure(&self, from: &[u32], next: impl Fn(&Synset) -> &Vec<u32>) -> HashSet<u32> {
        let mut reached = HashSet::new();
        let mut open = from.to_vec();
        while let Some(offset) = open.pop() {
            if reached.insert(offset)
                && let Some(synset) = self.synsets.get(&offset)
            {
                open.extend(next(synset));
            }
        }
        reached
    }
}

/// What is used of a line.
struct Entry {
    offset: u32,
    file: u8,
    words: Vec<String>,
    parents: Vec<u32>,
    is_instance: bool,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(" | ").next()?.split_whitespace();
        let offset = fields.next()?.parse().ok()?;
        let file = fields.next()?.parse().ok()?;
        fields.next()?;
        let count = usize::from_str_radix(fields.next()?, 16).ok()?;
        let mut words = Vec::with_capacity(count);
        for _ in 0..count {
            // Adjectives may carry their place in brackets: "galore(ip)".
            let word = fields.next()?.split('(').next()?;
            words.push(word.replace('_', " "));
            fields.next()?;
        }
        let pointers: usize = fields.next()?.parse().ok()?;
        let (mut parents, mut is_instance) = (Vec::new(), false);
        for _ in 0..pointers {
            let (symbol, target) = (fields.next()?, fields.next()?);
            fields.nth(1)?;
            if symbol == "@" || symbol == "@i" {
                parents.push(target.parse().ok()?);
                is_instance |= symbol == "@i";
            }
        }
        Some(Self {
            offset,
            file,
            words,
            parents,
            is_instance,
        })
    }
}

/// The lines that hold synsets: the licence before them is indented.
fn lines(content: &str) -> impl Iterator<Item = &str> {
    content
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(' '))
}

fn is_plain(word: &str) -> bool {
    let letters = |c: char| c.is_alphabetic() || c == '-' || c == ' ';
    word.len() >= SHORTEST_WORD && word.chars().all(letters)
}

fn read(path: &Path) -> Result<String> {
    if !path.exists() {
        return Err(Error::new(
            ErrorKind::Caller,
            format!(
                "{}: not found. WordNet is the Debian package wordnet-base (apt-get install wordnet-base); \
                 --wordnet DIR names another folder with its data.noun and data.adj",
                report::path(path)
            ),
        ));
    }
    let bytes = clipgate::file::read_file(path, MAX_FILE_BYTES)?;
    String::from_utf8((*bytes).as_ref().to_vec()).map_err(|error| {
        Error::new(
            ErrorKind::Caller,
            format!("{}: not UTF-8 text", report::path(path)),
        )
        .with_source(error)
    })
}

fn malformed(file: &str, line: &str) -> Error {
    let start: String = line.chars().take(40).collect();
    Error::new(
        ErrorKind::Caller,
        format!("{file} is not WordNet's: no synset in the line {start:?}"),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// In WordNet's format; the words and relations are made up.
    const NOUNS: &str = "  1 a licence\n\
        00000010 03 n 01 thing 0 000 | all there is\n\
        00000020 05 n 02 animal 0 beast 0 001 @ 00000010 n 0000 | it moves\n\
        00000030 05 n 01 cat 0 001 @ 00000020 n 0000 | it purrs\n\
        00000040 05 n 02 tabby_cat 0 tabby 1 002 @ 00000030 n 0000 #m 00000020 n 0000 | striped\n\
        00000050 05 n 01 dog 0 001 @ 00000020 n 0000 | it barks\n\
        00000060 06 n 02 mug 0 B2B 0 001 @ 00000010 n 0000 | it holds\n\
        00000070 15 n 01 Paris 0 001 @i 00000010 n 0000 | a place\n\
        00000080 18 n 01 postman 0 001 @ 00000010 n 0000 | a person\n\
        00000090 05 n 01 felix 0 001 @i 00000030 n 0000 | one cat\n";
    const ADJECTIVES: &str = "00000010 00 a 02 misty 0 galore(ip) 0 000 | hazy\n00000020 01 a 01 feline 0 000 | of cats\n";

    fn words(labels: &[&str]) -> Vocabulary {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        WordNet::parse(NOUNS, ADJECTIVES)
            .unwrap()
            .vocabulary(&labels)
    }

    #[test]
    fn a_labels_kinds_and_what_it_is_a_kind_of_are_left_out() {
        let found = words(&["cat"]);
        assert_eq!(found.lists[0], ["dog", "mug"]);
        assert_eq!((found.related, found.proper), (7, 1));
        assert_eq!(found.lists[1], ["misty environment", "galore space"]);
    }

    #[test]
    fn an_unknown_label_stands_for_its_last_words() {
        assert_eq!(words(&["Blue Mugs"]).lists[0], words(&["mug"]).lists[0]);
        assert_eq!(
            words(&["mug"]).lists[0],
            ["animal", "beast", "cat", "tabby cat", "tabby", "dog"]
        );
        assert_eq!(words(&["zeppelin"]).related, 0);
    }

    #[test]
    fn what_is_not_wordnet_is_refused_by_its_line() {
        for line in [
            "not a synset",
            "00000010 03 n 05 thing 0 000",
            "00000010 03 n 01 thing 0 002 @ 00000010 n 0000",
        ] {
            let error = WordNet::parse(line, "").err().unwrap();
            assert!(error.to_string().contains("not WordNet's"), "{error}");
        }
    }
}
