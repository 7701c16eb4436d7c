//! The out-of-distribution cut, and the plain cosine that stands in for it with other labels.

use crate::calibration::OodRule;
use crate::error::{Error, Result};
use crate::metrics::{Interval, Resampling, auroc, bootstrap};
use crate::ood::{OodScore, OodScores};
use crate::score::Scores;

/// Share of pairs of an image and another image's label that the plain cosine may accept.
const FALSE_ACCEPT_SHARE: f64 = 0.05;

/// Resamples of the difference between two scores' areas.
const DRAWS: usize = 2000;

/// The difference of areas that is worth another score.
const WORTHWHILE: f64 = 0.01;

/// How sure a difference has to be: 95 % for all other scores together (Bonferroni).
const CONFIDENCE: f64 = 1.0 - 0.05 / (OodScore::ALL.len() - 1) as f64;

/// `usual`, unless another score tells `images` from images of `others` better beyond chance; of these the one with the
/// largest area under the ROC curve. The usual score is MSP where not all images have it.
///
/// A difference counts when the bootstrap interval of the paired difference of areas is above one point. The largest area
/// of many scores on a few dozen images is often luck, and a score that is good at one kind of other images can be poor
/// at all the rest.
pub(super) fn choose_score(
    images: &[OodScores],
    others: &[OodScores],
    usual: OodScore,
    seed: u64,
) -> Result<OodScore> {
    let usual = match Candidate::of(usual, images, others)? {
        Some(usual) => Some(usual),
        None => Candidate::of(OodScore::Msp, images, others)?,
    };
    let usual = usual
        .ok_or_else(|| Error::policy("no out-of-distribution score is known of all images"))?;
    let mut better = Vec::new();
    for score in OodScore::ALL {
        better
            .extend(Candidate::of(score, images, others)?.filter(|other| other.area > usual.area));
    }
    better.sort_by(|a, b| b.area.total_cmp(&a.area));
    for other in better {
        if other.gain(&usual, seed)?.low > WORTHWHILE {
            return Ok(other.score);
        }
    }
    Ok(usual.score)
}

/// A score's values, and how well it tells them apart.
struct Candidate {
    score: OodScore,
    inside: Vec<f32>,
    outside: Vec<f32>,
    area: f64,
}

impl Candidate {
    /// `None` if not all images have this score.
    fn of(score: OodScore, images: &[OodScores], others: &[OodScores]) -> Result<Option<Self>> {
        let values = |set: &[OodScores]| -> Option<Vec<f32>> {
            set.iter().map(|scores| scores.value(score)).collect()
        };
        let (Some(inside), Some(outside)) = (values(images), values(others)) else {
            return Ok(None);
        };
        let area = auroc(&inside, &outside)?;
        Ok(Some(Self {
            score,
            inside,
            outside,
            area,
        }))
    }

    /// The interval of this score's area less `usual`'s, on the same resampled images.
    fn gain(&self, usual: &Self, seed: u64) -> Result<Interval> {
        let resampling = Resampling {
            draws: DRAWS,
            confidence: CONFIDENCE,
            ..Resampling::seeded(seed)
        };
        let rows = [self.inside.len(), self.outside.len()];
        bootstrap(rows, &resampling, |drawn| {
            Ok(self.area_of(drawn)? - usual.area_of(drawn)?)
        })
    }

    fn area_of(&self, [inside, outside]: [&[usize]; 2]) -> Result<f64> {
        let pick = |values: &[f32], rows: &[usize]| -> Vec<f32> {
            rows.iter().map(|row| values[*row]).collect()
        };
        auroc(&pick(&self.inside, inside), &pick(&self.outside, outside))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Forty images a side. MSP is above the others' for `told` of the labels' images, the margin for all of them.
    fn sides(told: usize) -> [Vec<OodScores>; 2] {
        let scores = |row: usize, msp_tells: bool, margin_tells: bool| OodScores {
            msp: Some(f32::from(msp_tells) + row as f32 / 100.0),
            mcm: None,
            max_cosine: 0.0,
            energy: None,
            entropy: None,
            margin: Some(f32::from(margin_tells) + row as f32 / 100.0),
            logit_gap: None,
            neg_label: None,
            eoe: None,
            neg_refine: None,
            sigmoid: None,
        };
        [
            (0..40).map(|row| scores(row, row < told, true)).collect(),
            (0..40).map(|row| scores(row, false, false)).collect(),
        ]
    }

    #[test]
    fn another_score_has_to_be_better_beyond_chance() {
        for (told, chosen) in [
            (40, OodScore::Msp),
            (39, OodScore::Msp),
            (20, OodScore::Margin),
        ] {
            let [inside, outside] = sides(told);
            let score = choose_score(&inside, &outside, OodScore::Msp, 1).unwrap();
            assert_eq!(score, chosen, "{told} of 40");
        }
    }

    #[test]
    fn a_usual_score_that_nothing_has_gives_way_to_msp() {
        let [inside, outside] = sides(40);
        let score = choose_score(&inside, &outside, OodScore::NegLabel, 1).unwrap();
        assert_eq!(score, OodScore::Msp);
    }
}
