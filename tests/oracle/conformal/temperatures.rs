//! The temperature of least negative log-likelihood.

use clipgate::fit::{LabelledImage, PRIOR_ERRORS, fit_temperature};
use clipgate::{Embedding, Label, LabelBank, Scorer};

use super::Goldens;

/// Of the temperature. scipy's minimiser is left at 1e-10 of its logarithm, ours gives f32 (6e-8), and cosines are
/// rounded to f32 when an embedding with them is scaled to length 1.
const TOLERANCE: f64 = 1e-6;

/// Of the temperature. netcal's L-BFGS-B stops where a step lowers the loss by less than 2e-9 of it, which leaves a
/// temperature on a flat loss this uncertain; it also cuts probabilities below 2e-16.
const NETCAL_TOLERANCE: f64 = 5e-4;

/// Where a temperature is held at the ends of the range that is believed, 0.01 to 100.
const ENDS: std::ops::Range<f64> = 0.010_01..99.9;

struct Case {
    images: Vec<LabelledImage>,
    scorer: Scorer,
    /// How far the logit of the true label is above all others, in the image where that is least.
    margin: f64,
    scipy: [f64; 2],
    netcal: f64,
}

fn cases() -> Vec<Case> {
    let goldens = Goldens::read("temperatures");
    let &[cases, images, labels] = goldens.shape("cosines").as_slice() else {
        panic!("three axes");
    };
    let cosines: Vec<f32> = goldens.values("cosines");
    let truths: Vec<i64> = goldens.values("labels");
    let counts: Vec<i64> = goldens.values("n");
    let scales: Vec<f32> = goldens.values("logit_scale");
    let scipy: Vec<f64> = goldens.values("scipy");
    let netcal: Vec<f64> = goldens.values("netcal");
    let bank = axes(labels);
    (0..cases)
        .map(|case| {
            let scorer = Scorer::new(scales[case], 1.0).unwrap();
            let rows = cosines[case * images * labels..].chunks_exact(labels);
            let rows = rows
                .zip(&truths[case * images..])
                .take(usize::try_from(counts[case]).unwrap())
                .map(|(row, truth)| (row, usize::try_from(*truth).unwrap()));
            Case {
                margin: rows
                    .clone()
                    .map(|(row, truth)| f64::from(scales[case]) * margin(row, truth))
                    .fold(f64::INFINITY, f64::min),
                images: rows
                    .map(|(row, truth)| {
                        LabelledImage::measure(&with_cosines(row), truth, &bank, &scorer).unwrap()
                    })
                    .collect(),
                scorer,
                scipy: [scipy[2 * case], scipy[2 * case + 1]],
                netcal: netcal[case],
            }
        })
        .collect()
}

fn margin(cosines: &[f32], truth: usize) -> f64 {
    let others = cosines.iter().enumerate().filter(|(row, _)| *row != truth);
    let largest = others.map(|(_, cosine)| *cosine).fold(f32::MIN, f32::max);
    f64::from(cosines[truth]) - f64::from(largest)
}

/// Labels along axes of their own, and one axis more for the rest of an image.
fn axes(labels: usize) -> LabelBank {
    let dimension = labels + 1;
    let mut rows = vec![0.0; labels * dimension];
    for label in 0..labels {
        rows[label * dimension + label] = 1.0;
    }
    let labels = (0..labels).map(|row| Label::new(&format!("label {row}")).unwrap());
    LabelBank::new(labels.collect(), rows, dimension).unwrap()
}

fn with_cosines(cosines: &[f32]) -> Embedding {
    let squares: f64 = cosines
        .iter()
        .map(|cosine| f64::from(*cosine).powi(2))
        .sum();
    let mut values = cosines.to_vec();
    values.push((1.0 - squares).sqrt() as f32);
    Embedding::new(&values).unwrap()
}

/// The largest relative difference, which must be within `tolerance`, and of how many temperatures.
fn agree(pairs: impl Iterator<Item = (usize, f64, f64)>, tolerance: f64) -> (usize, f64) {
    let (mut compared, mut largest) = (0, 0.0f64);
    for (case, ours, theirs) in pairs {
        let difference = (ours / theirs - 1.0).abs();
        assert!(difference <= tolerance, "case {case}: {ours} {theirs}");
        largest = largest.max(difference);
        compared += 1;
    }
    (compared, largest)
}

#[test]
fn temperatures_are_scipys_and_netcals() {
    let cases = cases();
    let ours: Vec<[f64; 2]> = cases
        .iter()
        .map(|case| {
            [0.0, PRIOR_ERRORS]
                .map(|errors| fit_temperature(&case.images, &case.scorer, errors).into())
        })
        .collect();
    let rows = || cases.iter().zip(&ours).enumerate();
    let with_mistakes = rows()
        .filter(|(_, (case, _))| ENDS.contains(&case.scipy[1]))
        .map(|(row, (case, ours))| (row, ours[1], case.scipy[1]));
    let found = agree(with_mistakes, TOLERANCE);
    println!("scipy, half an imagined mistake: {found:?}");
    assert!(found.0 >= 200, "{found:?}");

    let has_minimum = |case: &Case| case.margin < 0.0 && ENDS.contains(&case.scipy[0]);
    let without = rows()
        .filter(|(_, (case, _))| has_minimum(case))
        .map(|(row, (case, ours))| (row, ours[0], case.scipy[0]));
    let found = agree(without, TOLERANCE);
    println!("scipy, no imagined mistake: {found:?}");
    assert!(found.0 >= 200, "{found:?}");

    let of_netcal = rows()
        .filter(|(_, (case, _))| has_minimum(case))
        .map(|(row, (case, ours))| (row, ours[0], case.netcal));
    let found = agree(of_netcal, NETCAL_TOLERANCE);
    println!("netcal, no imagined mistake: {found:?}");
    assert!(found.0 >= 200, "{found:?}");

    for (row, (case, ours)) in rows() {
        // Where every answer is right the loss falls for ever; scipy stops where it is 0 to the last bit, as we do.
        if case.margin > 0.0 {
            let is_flat = case.margin / ours[0] > 30.0 || ours[0] < ENDS.start;
            assert!(is_flat, "case {row}: {}", ours[0]);
        }
        for (ours, theirs) in ours.iter().zip(case.scipy) {
            assert!(
                theirs < ENDS.end || *ours > ENDS.end,
                "case {row}: {ours} {theirs}"
            );
        }
    }
}

#[test]
fn nothing_to_fit_on_leaves_the_temperature_at_1() {
    let scorer = Scorer::new(50.0, 1.0).unwrap();
    assert_eq!(fit_temperature(&[], &scorer, PRIOR_ERRORS), 1.0);
    let unusable = [LabelledImage::unusable(0)];
    assert_eq!(fit_temperature(&unusable, &scorer, 0.0), 1.0);
}
