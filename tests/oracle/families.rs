//! The whole path, image file to embedding and string to embedding, against open_clip itself: fp32 bundles of its
//! families and its own embeddings, as `python -m clipgate_export.goldens_families` writes them.
//!
//! They take gigabytes and lie in the folder that the environment variable `CLIPGATE_FAMILIES` names, or in
//! `build/families`. Where there is none, the test says so and passes.

use std::path::{Path, PathBuf};

use clipgate::{
    Bundle, DecodeLimits, Embedding, ImageEncoder, SessionOptions, TextEncoder, decode_file,
};
use serde::Deserialize;

use crate::support::runtime;

/// From lossless files and from strings everything but the order of sums is the same.
const LEAST_COSINE: f32 = 0.9999;

/// From JPEG files the decoders differ by up to 4 units of 255.
const LEAST_COSINE_LOSSY: f32 = 0.999;

#[derive(Deserialize)]
struct Expected {
    images: Vec<ImageCase>,
    texts: Vec<TextCase>,
}

#[derive(Deserialize)]
struct ImageCase {
    /// Relative to the family's folder.
    file: PathBuf,
    lossless: bool,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct TextCase {
    text: String,
    embedding: Vec<f32>,
}

/// Cosines of embeddings with their own references, and how near the reference of another input lies.
#[derive(Default)]
struct Agreement {
    count: usize,
    least: Option<f32>,
    nearest_other: Option<f32>,
    mistaken: Vec<String>,
}

impl Agreement {
    fn add(&mut self, name: &str, ours: &Embedding, own: usize, references: &[Embedding]) {
        let cosines: Vec<f32> = references
            .iter()
            .map(|reference| ours.cosine(reference).unwrap())
            .collect();
        self.count += 1;
        self.least = Some(
            self.least
                .map_or(cosines[own], |least| least.min(cosines[own])),
        );
        for (row, cosine) in cosines.iter().enumerate() {
            let is_another = references[row].cosine(&references[own]).unwrap() < 0.999_999;
            if is_another {
                self.nearest_other =
                    Some(self.nearest_other.map_or(*cosine, |most| most.max(*cosine)));
                if *cosine >= cosines[own] {
                    self.mistaken.push(name.to_owned());
                }
            }
        }
    }

    fn least(&self) -> f32 {
        self.least.unwrap_or(f32::NAN)
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} least {:.7} (nearest other {:.4})",
            self.count,
            self.least(),
            self.nearest_other.unwrap_or(f32::NAN)
        )
    }
}

#[test]
fn families_embed_as_open_clip_does() {
    let folder = std::env::var_os("CLIPGATE_FAMILIES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("build/families"),
        PathBuf::from,
    );
    let families = families(&folder);
    if families.is_empty() {
        eprintln!(
            "SKIPPED: no families in {} (clipgate_export.goldens_families writes them)",
            folder.display()
        );
        return;
    }
    let failed: Vec<String> = families.iter().flat_map(|family| misses(family)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn families(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut families: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("expected.json").is_file())
        .collect();
    families.sort();
    families
}

/// What does not hold for one family.
fn misses(family: &Path) -> Vec<String> {
    let name = family.file_name().unwrap().to_string_lossy().into_owned();
    let json = std::fs::read(family.join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&json).unwrap();
    let bundle = Bundle::open(family.join("bundle")).unwrap();

    let references: Vec<Embedding> = expected
        .images
        .iter()
        .map(|case| Embedding::new(&case.embedding).unwrap())
        .collect();
    let mut encoder = ImageEncoder::open(&runtime(), &bundle, SessionOptions::default()).unwrap();
    let (mut lossless, mut lossy) = (Agreement::default(), Agreement::default());
    for (row, case) in expected.images.iter().enumerate() {
        let image = decode_file(&family.join(&case.file), &DecodeLimits::default()).unwrap();
        let ours = encoder.encode(&image.frame().unwrap()).unwrap();
        let agreement = if case.lossless {
            &mut lossless
        } else {
            &mut lossy
        };
        // A photo and its PNG are each other's nearest, so each is told from those of its own kind.
        let others: Vec<Embedding> = references
            .iter()
            .zip(&expected.images)
            .enumerate()
            .filter(|(other, (_, of))| {
                *other == row || of.file.file_stem() != case.file.file_stem()
            })
            .map(|(_, (reference, _))| reference.clone())
            .collect();
        let own = others
            .iter()
            .position(|other| *other == references[row])
            .unwrap();
        agreement.add(&case.file.display().to_string(), ours, own, &others);
    }
    drop(encoder);

    let references: Vec<Embedding> = expected
        .texts
        .iter()
        .map(|case| Embedding::new(&case.embedding).unwrap())
        .collect();
    let mut encoder = TextEncoder::open(&runtime(), &bundle, SessionOptions::default()).unwrap();
    let mut texts = Agreement::default();
    for (row, case) in expected.texts.iter().enumerate() {
        let ours = encoder.encode(&case.text).unwrap();
        texts.add(&case.text, &ours, row, &references);
    }

    println!("{name}: PNG {lossless}; JPEG {lossy}; texts {texts}");
    let mut failed = Vec::new();
    for (what, agreement, least) in [
        ("lossless images", &lossless, LEAST_COSINE),
        ("JPEG images", &lossy, LEAST_COSINE_LOSSY),
        ("texts", &texts, LEAST_COSINE),
    ] {
        // Written so that NaN fails.
        if !(agreement.least() >= least) {
            failed.push(format!("{name}: {what} {agreement}, {least} is needed"));
        }
        if what != "JPEG images" && !agreement.mistaken.is_empty() {
            failed.push(format!(
                "{name}: {what} nearer to another: {:?}",
                agreement.mistaken
            ));
        }
    }
    failed
}
