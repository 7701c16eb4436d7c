//! AUROC, AUPR and FPR95 of many resamples of the same scores.
//!
//! [`metrics`](crate::metrics) sorts what it is given. Here scores are sorted once, and a resample is how often each
//! image was drawn: a walk of one pass.

/// The share of the labels' images that FPR95's cut lets pass.
const TPR: f64 = 0.95;

/// Images of two sets in falling order of one score.
pub(super) struct Ranking {
    /// Rows of the first set, then those of the second, which follow it.
    order: Vec<u32>,
    /// Ends of runs of equal scores in `order`.
    ends: Vec<u32>,
    /// Images of the first set.
    inside: usize,
}

/// Figures of one resample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranked {
    pub(super) auroc: f64,
    pub(super) aupr: f64,
    pub(super) fpr95: f64,
}

impl Ranking {
    /// Sorts the scores of images of the labels and of others; they are finite and fewer than 2³² in all.
    pub(super) fn of(id: &[f32], ood: &[f32]) -> Self {
        let mut scored: Vec<(f32, u32)> = id.iter().chain(ood).copied().zip(0..).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut ends = Vec::new();
        for (place, pair) in scored.windows(2).enumerate() {
            if pair[0].0 != pair[1].0 {
                ends.push(place as u32 + 1);
            }
        }
        ends.push(scored.len() as u32);
        Self {
            order: scored.into_iter().map(|(_, row)| row).collect(),
            ends,
            inside: id.len(),
        }
    }

    /// The figures where row `i` of both sets together was drawn `drawn[i]` times; conventions as in
    /// [`metrics`](crate::metrics).
    pub(super) fn figures(&self, drawn: &[u32]) -> Ranked {
        let total = |rows: &[u32]| rows.iter().map(|n| u64::from(*n)).sum::<u64>() as f64;
        let (inside, outside) = drawn.split_at(self.inside);
        let (all_inside, all_outside) = (total(inside), total(outside));
        let (mut above, mut below) = (0u64, 0u64);
        let (mut twice_area, mut precision_area) = (0.0, 0.0);
        let mut fpr95 = None;
        let mut start = 0;
        for end in &self.ends {
            let (mut tied_inside, mut tied_outside) = (0u64, 0u64);
            for row in &self.order[start..*end as usize] {
                let row = *row as usize;
                let times = u64::from(drawn[row]);
                if row < self.inside {
                    tied_inside += times;
                } else {
                    tied_outside += times;
                }
            }
            start = *end as usize;
            twice_area += tied_outside as f64 * (2 * above + tied_inside) as f64;
            above += tied_inside;
            below += tied_outside;
            if tied_inside > 0 {
                precision_area += tied_inside as f64 * above as f64 / (above + below) as f64;
            }
            if fpr95.is_none() && above as f64 / all_inside >= TPR {
                fpr95 = Some(below as f64 / all_outside);
            }
        }
        Ranked {
            auroc: twice_area / 2.0 / (all_inside * all_outside),
            aupr: precision_area / all_inside,
            fpr95: fpr95.unwrap_or(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::metrics::{aupr, auroc, fpr_at_tpr};

    #[test]
    fn a_resample_has_the_figures_of_its_rows() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for case in 0..200 {
            // Few values, so that there are ties; sometimes one value only.
            let values = 1 + case % 9;
            let mut scores = |n: usize| -> Vec<f32> {
                (0..n)
                    .map(|_| random.random_range(0..values) as f32)
                    .collect()
            };
            let (id, ood) = (scores(1 + case % 13), scores(1 + case % 7));
            let mut drawn = vec![0u32; id.len() + ood.len()];
            let pick = |from: &[f32], rows: &[usize]| -> Vec<f32> {
                rows.iter().map(|row| from[*row]).collect()
            };
            let mut draw = |n: usize, first: usize| -> Vec<usize> {
                let rows: Vec<usize> = (0..n).map(|_| random.random_range(0..n)).collect();
                rows.iter().for_each(|row| drawn[first + row] += 1);
                rows
            };
            let inside = pick(&id, &draw(id.len(), 0));
            let outside = pick(&ood, &draw(ood.len(), id.len()));
            let ranked = Ranking::of(&id, &ood).figures(&drawn);
            for (found, expected) in [
                (ranked.auroc, auroc(&inside, &outside).unwrap()),
                (ranked.aupr, aupr(&inside, &outside).unwrap()),
                (ranked.fpr95, fpr_at_tpr(&inside, &outside, 0.95).unwrap()),
            ] {
                // Sums of at most 19 terms.
                assert!(
                    (found - expected).abs() < 1e-12,
                    "case {case}: {found} {expected}"
                );
            }
        }
    }
}
