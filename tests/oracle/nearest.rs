//! The nearest labels against NumPy's in f64 (`clipgate_export.goldens_nearest`), and how much int8 changes them.

use std::path::Path;
use std::sync::Arc;

use clipgate::{Embedding, LabelBank, LabelSearch, Neighbor, Rows};
use safetensors::tensor::{SafeTensors, TensorView};

use crate::support::data;

/// A sum of 24 f32 products in another order than NumPy's, and one rounding of the result.
const TOLERANCE: f64 = 5e-7;

/// Rows in int8 are NumPy's too; the image's values are rounded to 1,023 steps. That moves a cosine by `step / sqrt(12)`
/// times the length of a row, 0.0003 for these images, four times as much at most of 440.
const INT8_TOLERANCE: f64 = 1.2e-3;

fn bank() -> LabelBank {
    LabelBank::from_safetensors(Arc::new(data("nearest.safetensors"))).unwrap()
}

fn values<T: bytemuck::Pod>(tensor: &TensorView<'_>) -> Vec<T> {
    bytemuck::pod_collect_to_vec(tensor.data())
}

#[test]
fn the_nearest_are_numpys() {
    let file = data("nearest.safetensors");
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let tensor = |name| tensors.tensor(name).unwrap();
    let images: Vec<f32> = values(&tensor("image_embeds"));
    let rows: Vec<i32> = values(&tensor("nearest"));
    let cosines: Vec<f64> = values(&tensor("cosines"));
    let int8_cosines: Vec<f64> = values(&tensor("int8_cosines"));
    let k = tensor("nearest").shape()[1];
    let mut worst = [0.0f64; 2];
    for threads in [1, 3] {
        let mut search = LabelSearch::new(threads).unwrap();
        for held in [Rows::F32, Rows::Both, Rows::Int8] {
            let bank = bank().with_rows(held).unwrap();
            let images = images.chunks_exact(bank.dimension());
            for (at, image) in images.enumerate() {
                let image = Embedding::new(image).unwrap();
                let found = search.nearest(&image, &bank, k).unwrap();
                assert_eq!(found.len(), k);
                let expected = at * k..(at + 1) * k;
                if held == Rows::Int8 {
                    let difference = difference(found, &int8_cosines[expected]);
                    worst[1] = worst[1].max(difference);
                    continue;
                }
                let difference = difference(found, &cosines[expected.clone()]);
                worst[0] = worst[0].max(difference);
                let found: Vec<i32> = found.iter().map(|near| near.index as i32).collect();
                assert_eq!(
                    found, rows[expected],
                    "image {at}, {held:?}, {threads} threads"
                );
            }
        }
    }
    println!(
        "largest differences: {:.1e}, in int8 {:.1e}",
        worst[0], worst[1]
    );
    assert!(
        worst[0] < TOLERANCE && worst[1] < INT8_TOLERANCE,
        "{worst:?}"
    );
}

fn difference(found: &[Neighbor], expected: &[f64]) -> f64 {
    found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (f64::from(found.similarity) - expected).abs())
        .fold(0.0, f64::max)
}

/// With CLIP's photos and names int8 gives the same first name for 99 % of the photos and 99 % of the first five; names
/// that are one word in two lists, at a cosine above 0.999, count as the same. Others that it swaps differ by less than
/// twice its error, which is 0.00022 on the whole and 0.003 at most.
#[test]
fn int8_finds_the_names_that_f32_finds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let read = |name: &str| std::fs::read(folder.join(name));
    let (Ok(texts), Ok(images)) = (
        read("clip-vit-b32-text.safetensors"),
        read("clip-vit-b32-images.safetensors"),
    ) else {
        println!("skipped: ../shared/data is not here");
        return;
    };
    let (texts, images) = (
        SafeTensors::deserialize(&texts).unwrap(),
        SafeTensors::deserialize(&images).unwrap(),
    );
    let mut rows: Vec<f32> = Vec::new();
    let mut names = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (name, tensor) in texts.tensors() {
        for row in values::<f32>(&tensor).chunks_exact(512) {
            if seen.insert(bytemuck::cast_slice::<f32, u8>(row).to_vec()) {
                names.push(clipgate::Label::new(&format!("{name} {}", names.len())).unwrap());
                rows.extend(row);
            }
        }
    }
    let exact = LabelBank::new(names.clone(), rows.clone(), 512).unwrap();
    let both = LabelBank::new(names.clone(), rows.clone(), 512).unwrap();
    let int8 = LabelBank::new(names, rows.clone(), 512).unwrap();
    let both = both.with_rows(Rows::Both).unwrap();
    let int8 = int8.with_rows(Rows::Int8).unwrap();
    let mut search = LabelSearch::new(1).unwrap();
    let row = |index: usize| &rows[index * 512..][..512];
    let same = |a: &Neighbor, b: &Neighbor| {
        let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        a.index == b.index || cosine(row(a.index), row(b.index)) > 0.999
    };
    // Without optimisation a comparison takes a hundred times as long.
    let every = if cfg!(debug_assertions) { 40 } else { 1 };
    let (mut photos, mut first, mut five, mut worst) = (0, 0, 0, 0.0f32);
    for (_, tensor) in images.tensors() {
        if tensor.shape().last() != Some(&512) {
            continue;
        }
        for image in values::<f32>(&tensor).chunks_exact(512).step_by(every) {
            let image = Embedding::new(image).unwrap();
            let expected = search.nearest(&image, &exact, 5).unwrap().to_vec();
            assert_eq!(search.nearest(&image, &both, 5).unwrap(), expected);
            let found = search.nearest(&image, &int8, 5).unwrap();
            photos += 1;
            first += usize::from(same(&found[0], &expected[0]));
            for near in found {
                five += usize::from(expected.iter().any(|other| same(near, other)));
            }
            for (found, expected) in found.iter().zip(&expected) {
                worst = worst.max((found.similarity - expected.similarity).abs());
            }
        }
    }
    let names = exact.labels().len();
    println!("{names} names, {photos} photos: first {first}, of five {five}, worst {worst:.5}");
    assert!(photos * every >= 2000 && first * 100 >= photos * 96 && five * 100 >= photos * 5 * 97);
    assert!(worst < 3e-3, "{worst}");
}
