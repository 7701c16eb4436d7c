//! The out-of-distribution cut, and the plain cosine that stands in for it with other labels.

use crate::calibration::OodRule;
use crate::error::{Error, Result};
use crate::metrics::auroc;
use crate::ood::{OodScore, OodScores};
use crate::score::Scores;

/// Share of pairs of an image and another image's label that the plain cosine may accept.
const FALSE_ACCEPT_SHARE: f64 = 0.05;

/// The score that tells `images` best from images of `others` (area under the ROC curve, the first among equals), of
/// those that all of them have.
pub(super) fn choose_score(images: &[OodScores], others: &[OodScores]) -> Result<OodScore> {
    let mut best = None;
    for score in OodScore::ALL {
        let values = |set: &[OodScores]| -> Option<Vec<f32>> {
            set.iter().map(|scores| scores.value(score)).collect()
        };
        let (Some(inside), Some(outside)) = (values(images), values(others)) else {
            continue;
        };
        let area = auroc(&inside, &outside)?;
        if best.is_none_or(|(_, largest)| area > largest) {
            best = Some((score, area));
        }
    }
    best.map(|(score, _)| score)
        .ok_or_else(|| Error::policy("no out-of-distribution score is known of all images"))
}

/// The cut that lets at least a share `pass_share` of `images` pass: with their scores sorted upwards, the one at place
/// `floor((1 - pass_share) n)`, counted from 0.
pub(super) fn cut(images: &[OodScores], score: OodScore, pass_share: f64) -> Result<OodRule> {
    // A product that misses a whole number by rounding only is that number.
    const ROUNDING: f64 = 1e-9;
    let mut values = images
        .iter()
        .map(|scores| scores.value(score))
        .collect::<Option<Vec<f32>>>()
        .ok_or_else(|| {
            Error::policy(format!(
                "the out-of-distribution score `{}` needs what this label bank does not have (more labels, or \
                 negatives)",
                score.as_str()
            ))
        })?;
    values.sort_unstable_by(f32::total_cmp);
    let place = ((1.0 - pass_share) * values.len() as f64 + ROUNDING) as usize;
    let threshold = values
        .get(place)
        .copied()
        .ok_or_else(|| Error::policy("no image sets the out-of-distribution cut"))?;
    Ok(OodRule { score, threshold })
}

/// The cosine for a single label, and for banks that nothing was fitted on: the smallest that at most a share of 5 %
/// of all pairs of an image and another image's label reach.
pub(super) fn similarity_threshold<'a>(images: impl Iterator<Item = (&'a Scores, usize)>) -> f32 {
    let mut others: Vec<f32> = images
        .flat_map(|(scores, label)| {
            let rows = scores.similarities().iter().enumerate();
            rows.filter(move |(row, _)| *row != label)
                .map(|(_, cosine)| *cosine)
        })
        .collect();
    let place = (FALSE_ACCEPT_SHARE * others.len() as f64) as usize;
    if place >= others.len() {
        return 1.0;
    }
    let (_, reached, _) = others.select_nth_unstable_by(place, |a, b| b.total_cmp(a));
    reached.next_up()
}
