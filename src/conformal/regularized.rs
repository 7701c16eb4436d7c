//! The two parameters of RAPS, from images that set no threshold: Angelopoulos et al. 2020, arXiv 2009.14193,
//! appendix E.

use super::{SetRule, SetScore, conformal_quantile};
use crate::error::Result;

/// The penalties that are tried: those of the authors' code.
pub const PENALTIES: [f32; 5] = [0.001, 0.01, 0.1, 0.2, 0.5];

/// RAPS with the rank that holds the true label in a share `1 - miscoverage` of these images, and the penalty of the
/// smallest sets on average. Rows of `probabilities` belong to `labels`.
///
/// # Errors
/// As [`conformal_quantile`].
pub fn fit_raps(
    probabilities: &[Vec<f32>],
    labels: &[usize],
    miscoverage: f64,
) -> Result<SetScore> {
    let rank = free_rank(probabilities, labels, miscoverage)?;
    let mut best = (SetScore::Raps { penalty: 0.0, rank }, usize::MAX);
    let mut rows = Vec::new();
    for penalty in PENALTIES {
        let score = SetScore::Raps { penalty, rank };
        let of_true_label = probabilities.iter().zip(labels);
        let mut scores: Vec<f32> = of_true_label
            .filter_map(|(probabilities, &label)| score.of(probabilities, label))
            .collect();
        let Some(threshold) = conformal_quantile(&mut scores, miscoverage)? else {
            continue;
        };
        let rule = SetRule { score, threshold };
        let sizes = probabilities.iter().map(|probabilities| {
            rule.labels(probabilities, &mut rows);
            rows.len()
        });
        let total: usize = sizes.sum();
        if total < best.1 {
            best = (score, total);
        }
    }
    Ok(best.0)
}

/// The rank, from 1, that so many true labels do not exceed; the number of labels if there are too few images.
fn free_rank(probabilities: &[Vec<f32>], labels: &[usize], miscoverage: f64) -> Result<u32> {
    let rank = |(probabilities, &label): (&Vec<f32>, &usize)| {
        let own = probabilities.get(label)?;
        let above = |(row, p): &(usize, &f32)| *p > own || (*p == own && *row < label);
        Some(probabilities.iter().enumerate().filter(above).count() as f32 + 1.0)
    };
    let mut ranks: Vec<f32> = probabilities.iter().zip(labels).filter_map(rank).collect();
    let all = probabilities.first().map_or(1, Vec::len) as f32;
    Ok(conformal_quantile(&mut ranks, miscoverage)?.unwrap_or(all) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_covers_the_share_and_small_sets_win() {
        // The true label is second in a fifth of the images.
        let probabilities: Vec<Vec<f32>> = (0..100)
            .map(|image| match image % 5 {
                0 => vec![0.3, 0.5, 0.1, 0.1],
                _ => vec![0.7, 0.1, 0.1, 0.1],
            })
            .collect();
        let score = fit_raps(&probabilities, &[0; 100], 0.1).unwrap();
        assert!(matches!(score, SetScore::Raps { rank: 2, .. }), "{score:?}");
        let none = fit_raps(&[], &[], 0.1).unwrap();
        assert_eq!(
            none,
            SetScore::Raps {
                penalty: 0.0,
                rank: 1
            }
        );
    }
}
