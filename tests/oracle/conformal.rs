//! `clipgate::conformal`, `clipgate::selective` and `clipgate::fit::fit_temperature` against torchcp, MAPIE, scipy,
//! netcal and the authors of SGR, on the cases of tests/data/conformal (written by
//! `python -m clipgate_export.goldens_conformal`, which also names the versions).

mod temperatures;
mod thresholds;

use clipgate::conformal::{SetRule, SetScore, conformal_quantile};
use safetensors::SafeTensors;

use crate::support::data;

/// Both sides see the same f32 probabilities; ours rounds a score to f32 (6e-8 of at most 1.4), and MAPIE is given
/// rows that are scaled to a sum of exactly 1.
const TOLERANCE: f64 = 3e-7;

/// The parameters that torchcp was given.
const RAPS: SetScore = SetScore::Raps {
    penalty: 0.1,
    rank: 2,
};

/// Named tensors [C, ...] of C cases.
struct Goldens {
    bytes: Vec<u8>,
}

impl Goldens {
    fn read(name: &str) -> Self {
        Self {
            bytes: data(&format!("conformal/{name}.safetensors")),
        }
    }

    /// The values of a tensor, and how many belong to one case.
    fn values<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&self, name: &str) -> Vec<T> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data())
    }

    /// The length of each axis of a tensor.
    fn shape(&self, name: &str) -> Vec<usize> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        tensors.tensor(name).unwrap().shape().to_vec()
    }
}

/// What a package makes of a score in every case, and where we differ.
struct Compared {
    cases: usize,
    sets: usize,
    /// Cases in which the package gives no finite quantile and we give one, or the other way round.
    refusals: Vec<(usize, Option<f32>)>,
}

/// Asks for the same quantiles and sets. Where both have a quantile, both must agree.
fn compare(goldens: &Goldens, score: SetScore, key: &str) -> Compared {
    let &[cases, images, labels] = goldens.shape("probabilities").as_slice() else {
        panic!("three axes");
    };
    let probabilities: Vec<f32> = goldens.values("probabilities");
    let truths: Vec<i64> = goldens.values("labels");
    let new: Vec<f32> = goldens.values("new");
    let counts: Vec<i64> = goldens.values("n");
    let miscoverages: Vec<f64> = goldens.values("miscoverage");
    let quantiles: Vec<f64> = goldens.values(&format!("{key}.quantile"));
    let sets: Vec<u8> = goldens.values(&format!("{key}.sets"));
    let mut compared = Compared {
        cases: 0,
        sets: 0,
        refusals: Vec::new(),
    };
    for case in 0..cases {
        let rows = probabilities[case * images * labels..].chunks_exact(labels);
        let mut scores: Vec<f32> = rows
            .zip(&truths[case * images..])
            .take(usize::try_from(counts[case]).unwrap())
            .map(|(row, truth)| score.of(row, usize::try_from(*truth).unwrap()).unwrap())
            .collect();
        let ours = conformal_quantile(&mut scores, miscoverages[case]).unwrap();
        let theirs = quantiles[case];
        let (Some(threshold), true) = (ours, theirs.is_finite()) else {
            if ours.is_some() || theirs.is_finite() {
                compared.refusals.push((case, ours));
            }
            continue;
        };
        compared.cases += 1;
        assert!(
            (f64::from(threshold) - theirs).abs() <= TOLERANCE,
            "{key}, case {case}: {threshold} {theirs}"
        );
        let rule = SetRule { score, threshold };
        let per_case = new.len() / cases;
        let new = new[case * per_case..][..per_case].chunks_exact(labels);
        let sets = sets[case * per_case..].chunks_exact(labels);
        for (row, theirs) in new.zip(sets) {
            let mut ours = Vec::new();
            rule.labels(row, &mut ours);
            ours.sort_unstable();
            let theirs: Vec<usize> = (0..labels).filter(|label| theirs[*label] == 1).collect();
            assert_eq!(ours, theirs, "{key}, case {case}: {row:?} at {threshold}");
            compared.sets += 1;
        }
    }
    compared
}

#[test]
fn quantiles_and_sets_are_those_of_torchcp() {
    let goldens = Goldens::read("sets");
    for (score, key) in [
        (SetScore::Lac, "lac.torchcp"),
        (SetScore::Aps, "aps.torchcp"),
        (RAPS, "raps.torchcp"),
    ] {
        let found = compare(&goldens, score, key);
        println!("{key}: {} quantiles, {} sets", found.cases, found.sets);
        assert!(found.cases >= 200, "{key}: {}", found.cases);
        // It says that a quantile is infinite exactly where we give none.
        assert_eq!(found.refusals, [], "{key}");
    }
}

#[test]
fn quantiles_and_sets_are_those_of_mapie() {
    let goldens = Goldens::read("sets");
    let counts: Vec<i64> = goldens.values("n");
    let miscoverages: Vec<f64> = goldens.values("miscoverage");
    for (score, key) in [(SetScore::Lac, "lac.mapie"), (SetScore::Aps, "aps.mapie")] {
        let found = compare(&goldens, score, key);
        println!("{key}: {} quantiles, {} sets", found.cases, found.sets);
        assert!(found.cases >= 200, "{key}: {}", found.cases);
        // It asks for n >= 1 / miscoverage; with one image fewer the largest score is still a valid quantile.
        for (case, ours) in found.refusals {
            let least = 1.0 / miscoverages[case] - 1.0;
            let n = counts[case] as f64;
            assert!(
                ours.is_some() && (n - least).abs() < 1e-6,
                "{key}, case {case}: {n} images, {ours:?}"
            );
        }
    }
}
