use super::*;
use crate::label::Label;
use crate::ood::{OodScore, OodScores};
use crate::search::QUANTIZED_FROM;

fn bank(names: &[&str], rows: &[f32]) -> LabelBank {
    let labels = names.iter().map(|name| Label::new(name).unwrap()).collect();
    LabelBank::new(labels, rows.to_vec(), rows.len() / names.len()).unwrap()
}

#[test]
fn probabilities_are_the_softmax_of_the_scaled_cosines() {
    let bank = bank(&["a", "b"], &[1.0, 0.0, 0.0, 1.0]);
    let image = Embedding::new(&[0.8, 0.6]).unwrap();
    let mut scores = Scores::default();
    Scorer::new(10.0, 2.0)
        .unwrap()
        .score(&image, &bank, &mut scores)
        .unwrap();
    let expected = 1.0 / (1.0 + (5.0f32 * (0.6 - 0.8)).exp());
    assert!((scores.probabilities()[0] - expected).abs() < 1e-6);
    assert!((scores.probabilities().iter().sum::<f32>() - 1.0).abs() < 1e-6);
}

#[test]
fn a_scale_of_1000_does_not_overflow() {
    let mut probabilities = Vec::new();
    softmax(&[1.0, -1.0], &[], 1000.0, &mut probabilities);
    assert_eq!(probabilities, [1.0, 0.0]);
}

#[test]
fn labels_and_negatives_are_equally_likely_beforehand() {
    let share = |labels: &[f32], negatives: &[f32]| {
        let mut probabilities = Vec::new();
        softmax(labels, negatives, 10.0, &mut probabilities);
        probabilities.iter().sum::<f32>()
    };
    for negatives in [1, 7, 500] {
        assert!((share(&[0.2; 3], &vec![0.2; negatives]) - 0.5).abs() < 1e-6);
    }
    // The same texts twice are no more evidence.
    let (once, twice) = (
        share(&[0.3, 0.1], &[0.2, 0.0]),
        share(&[0.3, 0.1], &[0.2, 0.0, 0.2, 0.0]),
    );
    assert!((once - twice).abs() < 1e-6);
}

#[test]
fn top_is_sorted_and_never_longer_than_the_bank() {
    let scores = Scores {
        similarities: vec![0.1, 0.9, 0.5, 0.9],
        ..Scores::default()
    };
    let mut rows = Vec::new();
    scores.top(3, &mut rows);
    assert_eq!(rows, [1, 3, 2]);
    scores.top(9, &mut rows);
    assert_eq!(rows, [1, 3, 2, 0]);
    scores.top(0, &mut rows);
    assert!(rows.is_empty());
    assert_eq!(scores.best(), Some(1));
}

/// A cone of unit texts as CLIP's are, mean cosine 0.75, and an image of cosine 0.2 to them and 0.3 to one.
fn texts(count: usize, dimension: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut rows = Vec::with_capacity(count * dimension);
    for _ in 0..count {
        let row: Vec<f32> = (0..dimension)
            .map(|column| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let noise = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
                if column == 0 { noise + 8.0 } else { noise }
            })
            .collect();
        rows.extend(Embedding::new(&row).unwrap().as_slice());
    }
    rows
}

#[test]
fn the_int8_search_changes_no_probability_by_a_thousandth() {
    const DIMENSION: usize = 512;
    let names: Vec<String> = (0..QUANTIZED_FROM + 500)
        .map(|row| row.to_string())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let labels = bank(&names[..20], &texts(20, DIMENSION, 3));
    let rows = texts(names.len(), DIMENSION, 5);
    let whole = labels.with_negatives(bank(&names, &rows)).unwrap();
    let scorer = Scorer::new(100.0, 1.0).unwrap();
    let (mut quick, mut exact) = (Scores::default(), Scores::default());
    for seed in 0..20 {
        let mut image = texts(1, DIMENSION, 100 + seed);
        let near = &rows[seed as usize * DIMENSION..];
        for (column, value) in image.iter_mut().enumerate() {
            *value = if column == 0 { 0.1 } else { *value } + 0.2 * near[column];
        }
        let image = Embedding::new(&image).unwrap();
        scorer.score(&image, &whole, &mut quick).unwrap();
        exact.clone_from(&quick);
        rescore(
            &rows,
            image.as_slice(),
            -1.0,
            &mut exact.negative_similarities,
        );
        let (a, b) = (
            OodScores::of(&quick, &scorer),
            OodScores::of(&exact, &scorer),
        );
        for which in OodScore::ALL {
            let (a, b) = (a.value(which).unwrap(), b.value(which).unwrap());
            // LogitGap is in logits: a hundred times the cosines, of which a fifth are far ones.
            let limit = if which == OodScore::LogitGap {
                0.05
            } else {
                1e-3
            };
            assert!((a - b).abs() < limit, "{which:?}: {a} in int8, {b} in f32");
        }
    }
}

#[test]
fn the_next_frame_uses_the_buffers_of_the_last() {
    let names: Vec<String> = (0..QUANTIZED_FROM).map(|row| row.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let whole = bank(&names[..3], &texts(3, 8, 1))
        .with_negatives(bank(&names, &texts(names.len(), 8, 2)))
        .unwrap();
    let scorer = Scorer::new(100.0, 1.0).unwrap();
    let image = Embedding::new(&[1.0; 8]).unwrap();
    let mut scores = Scores::default();
    let mut places = Vec::new();
    for _ in 0..2 {
        scorer.score(&image, &whole, &mut scores).unwrap();
        places.push((
            scores.similarities.as_ptr(),
            scores.negative_similarities.as_ptr(),
            scores.probabilities.as_ptr(),
            scores.pairs.as_ptr(),
            scores.quantized_image.as_ptr(),
        ));
    }
    assert_eq!(places[0], places[1]);
}

#[test]
fn another_dimension_is_refused() {
    let bank = bank(&["a"], &[1.0, 0.0, 0.0]);
    let image = Embedding::new(&[1.0, 0.0]).unwrap();
    let error = Scorer::new(1.0, 1.0)
        .unwrap()
        .score(&image, &bank, &mut Scores::default());
    assert!(error.unwrap_err().to_string().contains("another model"));
}
