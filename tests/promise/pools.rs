//! Pools of images that are taken as whole populations.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use clipgate::calibration::{Method, PreprocessingMode};
use clipgate::fit::{FitOptions, LabelledImage, fit};
use clipgate::metrics::coverage_at_risk;
use clipgate::{
    Bundle, DecodeLimits, Digest, Embedding, ExecutedGraph, ImageEncoder, Label, LabelBank,
    OodScores, Scorer, Scores, SessionOptions, decode_bytes,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

use crate::support::runtime;

/// Images, what they really show, and what scores them.
pub(super) struct Pool {
    pub(super) name: &'static str,
    pub(super) images: Vec<Image>,
    pub(super) bank: LabelBank,
    pub(super) logit_scale: f32,
    pub(super) executed: ExecutedGraph,
}

pub(super) struct Image {
    pub(super) label: usize,
    pub(super) labelled: LabelledImage,
    pub(super) scores: Scores,
    pub(super) ood: OodScores,
}

impl Pool {
    fn new(
        name: &'static str,
        bank: LabelBank,
        logit_scale: f32,
        images: impl Iterator<Item = (Embedding, usize)>,
    ) -> Self {
        let scorer = Scorer::new(logit_scale, 1.0).unwrap();
        let images = images
            .map(|(embedding, label)| {
                let mut scores = Scores::default();
                scorer.score(&embedding, &bank, &mut scores).unwrap();
                Image {
                    label,
                    labelled: LabelledImage::measure(&embedding, label, &bank, &scorer).unwrap(),
                    ood: OodScores::of(&scores, &scorer),
                    scores,
                }
            })
            .collect();
        Self {
            name,
            images,
            bank,
            logit_scale,
            executed: ExecutedGraph {
                graph: Digest::of(name.as_bytes()),
                preprocessing: PreprocessingMode::Exact,
                selftest: Digest::of(b""),
            },
        }
    }

    /// A copy of every image's scores.
    pub(super) fn scores(&self) -> Vec<Scores> {
        self.images
            .iter()
            .map(|image| image.scores.clone())
            .collect()
    }

    pub(super) fn scorer(&self) -> Scorer {
        Scorer::new(self.logit_scale, 1.0).unwrap()
    }

    /// The largest share of the population that a threshold can accept at this selective risk: no out-of-distribution
    /// cut, and the temperature of nine tenths of the population.
    pub(super) fn oracle_coverage(&self, target: f64) -> f64 {
        let labelled: Vec<_> = self
            .images
            .iter()
            .map(|image| image.labelled.clone())
            .collect();
        let options = FitOptions {
            fit_fraction: 0.9,
            ..FitOptions::new(Method::AcceptRate, 0.5)
        };
        let bound_to = self.executed.binding(&self.bank);
        let temperature = fit(&labelled, &[], &self.scorer(), bound_to, &options)
            .unwrap()
            .temperature();
        let scorer = Scorer::new(self.logit_scale, temperature).unwrap();
        let (confidences, correct): (Vec<f32>, Vec<bool>) = self
            .images
            .iter()
            .zip(self.scores())
            .map(|(image, mut scores)| {
                scorer.rescore(&mut scores);
                let best = scores.best().unwrap();
                (scores.probabilities()[best], best == image.label)
            })
            .unzip();
        coverage_at_risk(&confidences, &correct, target).unwrap()
    }

    /// 800 images of ten labels. A difficulty of its own moves each image's cosine to its label, so confidence is
    /// informative but not all-knowing; 85 % are answered rightly.
    pub(super) fn made_up() -> Self {
        const LABELS: usize = 10;
        let mut random = ChaCha8Rng::seed_from_u64(20_261_123);
        // The sum of twelve uniform numbers is near enough to a normal one.
        let mut normal = move || (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0;
        let labels = (0..LABELS).map(|row| Label::new(&format!("label {row}")).unwrap());
        let mut rows = vec![0.0; LABELS * (LABELS + 1)];
        for label in 0..LABELS {
            rows[label * (LABELS + 1) + label] = 1.0;
        }
        let bank = LabelBank::new(labels.collect(), rows, LABELS + 1).unwrap();
        let images = (0..800).map(|image| {
            let label = image % LABELS;
            let mut cosines: Vec<f32> = (0..LABELS).map(|_| 0.12 + 0.03 * normal()).collect();
            cosines[label] += 0.12 + 0.07 * normal();
            let squares: f32 = cosines.iter().map(|cosine| cosine * cosine).sum();
            cosines.push((1.0 - squares).sqrt());
            (Embedding::new(&cosines).unwrap(), label)
        });
        Self::new(
            "made up",
            bank,
            50.0,
            images.collect::<Vec<_>>().into_iter(),
        )
    }

    /// OpenAI CLIP ViT-B/32 on 500 test images of CIFAR-10.
    pub(super) fn clip_vit_b32() -> Option<Self> {
        let bytes = data("clip-vit-b32-images.safetensors")?;
        let images = Tensors::read(&bytes);
        let text = data("clip-vit-b32-text.safetensors")?;
        let texts = Tensors::read(&text);
        let names: Vec<String> = serde_json::from_str(&images.metadata["cifar10_names"]).unwrap();
        let mut rows = Vec::new();
        for name in &names {
            // The sets of names call it a car.
            let name = if name == "automobile" { "car" } else { name };
            rows.extend(texts.row_called(name));
        }
        let labels = names.iter().map(|name| Label::new(name).unwrap()).collect();
        let bank = LabelBank::new(labels, rows, 512).unwrap();
        let labels: Vec<i64> = images.values("cifar10_labels");
        let values: Vec<f32> = images.values("cifar10_image_embeds");
        let embeddings = values
            .chunks_exact(512)
            .map(|row| Embedding::new(row).unwrap());
        let labels = labels.iter().map(|label| usize::try_from(*label).unwrap());
        Some(Self::new(
            "CLIP on CIFAR-10",
            bank,
            100.0,
            embeddings.zip(labels),
        ))
    }

    /// pocket's int8 graph on Tiny ImageNet's validation images of its labels.
    pub(super) fn pocket() -> Option<Self> {
        let archive = data("tiny-imagenet-val-a.tar")?;
        let bundle = Bundle::embedded().unwrap();
        let bank = bundle.label_bank().unwrap();
        let rows: HashMap<String, usize> = (bank.labels().iter().enumerate())
            .filter_map(|(row, label)| Some((label.wnid()?.to_owned(), row)))
            .collect();
        let mut encoder =
            ImageEncoder::open(&runtime(), &bundle, SessionOptions::default()).unwrap();
        let mut images = Vec::new();
        for (path, content) in tar_files(&archive) {
            let Some(row) = path.split('/').find_map(|part| rows.get(part)) else {
                continue;
            };
            let image = decode_bytes(content, &DecodeLimits::default()).unwrap();
            images.push((
                encoder.encode(&image.frame().unwrap()).unwrap().clone(),
                *row,
            ));
        }
        let logit_scale = bundle.manifest().logit_scale;
        Some(Self::new("pocket", bank, logit_scale, images.into_iter()))
    }
}

fn data(name: &str) -> Option<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    fs::read(folder.join(name)).ok()
}

struct Tensors<'a> {
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl<'a> Tensors<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        Self {
            tensors: SafeTensors::deserialize(bytes).unwrap(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    fn values<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&self, name: &str) -> Vec<T> {
        bytemuck::pod_collect_to_vec(self.tensors.tensor(name).unwrap().data())
    }

    /// The text embedding of a name, from whichever set of names has it.
    fn row_called(&self, name: &str) -> Vec<f32> {
        for (set, json) in &self.metadata {
            let names: serde_json::Value = serde_json::from_str(json).unwrap();
            let names = names["names"].as_array().unwrap();
            let called = |other: &serde_json::Value| {
                other.as_str().unwrap().to_lowercase().replace('_', " ") == name
            };
            if let Some(row) = names.iter().position(called) {
                return self.values::<f32>(set)[row * 512..][..512].to_vec();
            }
        }
        panic!("no set of names has {name:?}");
    }
}

/// Names and contents of an archive's regular files (POSIX ustar: headers of 512 bytes, contents padded to that).
fn tar_files(archive: &[u8]) -> Vec<(String, &[u8])> {
    const BLOCK: usize = 512;
    let mut files = Vec::new();
    let mut at = 0;
    while archive.len() >= at + BLOCK && archive[at] != 0 {
        let header = &archive[at..at + BLOCK];
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(field.len());
            String::from_utf8_lossy(&field[..end]).trim().to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        if matches!(header[156], b'0' | 0) {
            files.push((text(0..100), &archive[at + BLOCK..][..size]));
        }
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
    }
    files
}
