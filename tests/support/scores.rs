//! Scores with cosines of our choice.

use clipgate::{Embedding, Label, LabelBank, Scorer, Scores};

/// Scores of an image with these cosines to labels and negatives: the image is the first axis, and each text lies in
/// a plane of that axis and one of its own.
pub(crate) fn from_cosines(
    cosines: &[f32],
    negatives: &[f32],
    logit_scale: f32,
    temperature: f32,
) -> Scores {
    let dimension = cosines.len().max(negatives.len()) + 1;
    let bank_of = |cosines: &[f32]| {
        let mut rows = vec![0.0; cosines.len() * dimension];
        for (row, cosine) in cosines.iter().enumerate() {
            rows[row * dimension] = *cosine;
            rows[row * dimension + 1 + row] = (1.0 - cosine * cosine).sqrt();
        }
        let labels = (0..cosines.len())
            .map(|row| Label::new(&format!("label {row}")).unwrap())
            .collect();
        LabelBank::new(labels, rows, dimension).unwrap()
    };
    let mut bank = bank_of(cosines);
    if !negatives.is_empty() {
        bank = bank.with_negatives(bank_of(negatives)).unwrap();
    }
    let mut axis = vec![0.0; dimension];
    axis[0] = 1.0;
    let mut scores = Scores::default();
    Scorer::new(logit_scale, temperature)
        .unwrap()
        .score(&Embedding::new(&axis).unwrap(), &bank, &mut scores)
        .unwrap();
    scores
}
