//! The whole path, image file to embedding and string to embedding, against open_clip itself: fp32 bundles of its
//! families and its own embeddings, as `python -m clipgate_export.goldens_families` writes them.
//!
//! They take gigabytes and lie in the folder that the environment variable `CLIPGATE_FAMILIES` names, or in
//! `build/families`. Where there is none, the test says so and passes.

use std::io::Write;
use std::path::{Path, PathBuf};

use clipgate::{
    Bundle, DecodeLimits, Embedding, ImageEncoder, SessionOptions, TextEncoder, decode_file,
};
use serde::Deserialize;

use crate::support::runtime;

/// From lossless files and from strings everything but the order of sums is the same.
const LEAST_COSINE: f64 = 0.9999;

/// As [`LEAST_COSINE`], after the mean embedding is taken off.
const LEAST_CENTRED: f64 = 0.999;

/// From JPEG files the decoders differ by up to 4 units of 255.
const LEAST_COSINE_LOSSY: f64 = 0.999;

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

/// How our embeddings lie to the references.
#[derive(Default)]
struct Agreement {
    pairs: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Agreement {
    fn add(&mut self, ours: &Embedding, reference: &[f32]) {
        let reference = Embedding::new(reference).unwrap();
        self.pairs
            .push((ours.as_slice().to_vec(), reference.as_slice().to_vec()));
    }

    fn least(&self) -> f64 {
        let zero = vec![0.0; self.pairs[0].0.len()];
        self.least_from(&zero)
    }

    /// The same without what all references have in common, of which drawn weights leave most.
    fn least_centred(&self) -> f64 {
        let count = self.pairs.len() as f64;
        let mean = |at: usize| {
            let values = self.pairs.iter().map(|(_, reference)| reference[at]);
            values.map(f64::from).sum::<f64>() / count
        };
        let means: Vec<f64> = (0..self.pairs[0].0.len()).map(mean).collect();
        self.least_from(&means)
    }

    fn least_from(&self, origin: &[f64]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            let terms = a.iter().zip(b).zip(origin);
            terms
                .map(|((a, b), o)| (f64::from(*a) - o) * (f64::from(*b) - o))
                .sum()
        };
        let cosines = self
            .pairs
            .iter()
            .map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt());
        // Written so that NaN stays.
        cosines.fold(1.0, |least: f64, cosine| {
            if least.is_nan() || least <= cosine {
                least
            } else {
                cosine
            }
        })
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} within {:.1e} of cosine 1, centred {:.1e}",
            self.pairs.len(),
            1.0 - self.least(),
            1.0 - self.least_centred()
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
        // Past the harness, which keeps to itself what a passing test prints.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED families_embed_as_open_clip_does: no bundles in {} (clipgate_export.goldens_families writes them)",
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

    let mut encoder = ImageEncoder::open(&runtime(), &bundle, SessionOptions::default()).unwrap();
    let (mut lossless, mut lossy) = (Agreement::default(), Agreement::default());
    for case in &expected.images {
        let image = decode_file(&family.join(&case.file), &DecodeLimits::default()).unwrap();
        let ours = encoder.encode(&image.frame().unwrap()).unwrap();
        let agreement = if case.lossless {
            &mut lossless
        } else {
            &mut lossy
        };
        agreement.add(ours, &case.embedding);
    }
    drop(encoder);
    let mut encoder = TextEncoder::open(&runtime(), &bundle, SessionOptions::default()).unwrap();
    let mut texts = Agreement::default();
    for case in &expected.texts {
        texts.add(&encoder.encode(&case.text).unwrap(), &case.embedding);
    }

    println!("{name}: PNG {lossless}; JPEG {lossy}; texts {texts}");
    let mut failed = Vec::new();
    for (what, agreement, least, centred) in [
        ("lossless images", &lossless, LEAST_COSINE, LEAST_CENTRED),
        ("JPEG images", &lossy, LEAST_COSINE_LOSSY, 0.0),
        ("texts", &texts, LEAST_COSINE, LEAST_CENTRED),
    ] {
        let holds = agreement.least() >= least && agreement.least_centred() >= centred;
        if !holds {
            failed.push(format!(
                "{name}: {what} {agreement}; {least} and {centred} are needed"
            ));
        }
    }
    failed
}
