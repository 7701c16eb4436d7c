//! Two models on the same images.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::{Estimate, Metric};
use super::judge::{JudgedSet, Judgement};
use super::measure::{Measurement, share};
use super::sampled::Sampled;
use crate::error::{Error, Result};
use crate::metrics::{MIN_PROBABILITY, Resampling, mcnemar, sign_flip};
use crate::ood::OodScore;

/// Sign patterns that a permutation test draws.
const FLIPS: usize = 9_999;

/// What changes from the reference to the model under test, the same images being shown to both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// Images of the labels that both saw.
    pub n: usize,
    /// Figures without a gate.
    pub id: BTreeMap<Metric, Difference>,
    /// The area under the ROC curve, a set each: of each gate's own score, or of the other model's where there is no
    /// gate.
    pub ood: Vec<PairedOod>,
    /// Share of images answered; `None` unless both have a gate.
    pub coverage: Option<Difference>,
    /// Share of answers that are wrong.
    pub selective_risk: Option<Difference>,
    /// Share of all other images answered; `None` without such images.
    pub accepted_ood: Option<Difference>,
    /// Share of all images of which both say the same: the same label, or both abstain. Without a gate, the share of
    /// images with the same best label.
    pub agreement: Estimate,
}

/// One set in the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedOod {
    /// The set's name.
    pub name: String,
    /// The score of the model under test.
    pub score: OodScore,
    /// The score of the reference.
    pub reference_score: OodScore,
    /// Difference in area under the ROC curve.
    pub auroc: Difference,
}

/// A figure of the model under test less the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// With its 95 % interval, by resampling images.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Chance of a difference as large as this or larger if there were none.
    pub p_value: f64,
    /// How that was computed.
    pub test: Test,
}

/// Where a p-value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// McNemar's exact test, for shares of images: [`mcnemar`].
    #[serde(rename = "mcnemar")]
    McNemar,
    /// Flipping the signs of the images' differences, for means over images: [`sign_flip`].
    SignFlip,
    /// How often a resample of the images turns the sign, for all other figures.
    Bootstrap,
}

impl Paired {
    /// Compares `own`, the model under test, with `reference`; both were measured with `resampling` on the same images.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if they were not.
    pub fn of(
        own: &Measurement<'_>,
        reference: &Measurement<'_>,
        resampling: &Resampling,
    ) -> Result<Self> {
        check_same(own, reference)?;
        let by = |test: Test, p_value: f64, figures: (&Sampled, &Sampled)| {
            difference(test, p_value, figures, resampling.confidence)
        };
        let by_draws = |own: &Sampled, reference: &Sampled| {
            by(
                Test::Bootstrap,
                own.minus(reference).p_value(),
                (own, reference),
            )
        };
        let mut id = BTreeMap::new();
        for (metric, figure) in &own.metrics {
            let Some(other) = reference.metrics.get(metric) else {
                continue;
            };
            let tested = match metric {
                Metric::Accuracy => {
                    let test = mcnemar(&own.id.correct(), &reference.id.correct())?;
                    by(Test::McNemar, test.p_value, (figure, other))?
                }
                Metric::Nll | Metric::Brier => {
                    let p = flip(own.id, reference.id, *metric, resampling.seed)?;
                    by(Test::SignFlip, p, (figure, other))?
                }
                _ => by_draws(figure, other)?,
            };
            id.extend(tested.map(|difference| (*metric, difference)));
        }
        let mut paired = Self {
            n: own.id.judgements.len(),
            id,
            ood: separation(own, reference, by_draws)?,
            coverage: None,
            selective_risk: None,
            accepted_ood: None,
            agreement: agreement(own, reference, resampling.confidence)?,
        };
        let (Some(gated), Some(other)) = (&own.gated, &reference.gated) else {
            return Ok(paired);
        };
        let test = mcnemar(&answered([own.id]), &answered([reference.id]))?;
        paired.coverage = by(
            Test::McNemar,
            test.p_value,
            (&gated.coverage, &other.coverage),
        )?;
        paired.selective_risk = by_draws(&gated.selective_risk, &other.selective_risk)?;
        paired.accepted_ood = match (&gated.accepted_ood, &other.accepted_ood) {
            (Some(gated), Some(other)) => {
                let test = mcnemar(&answered(own.ood), &answered(reference.ood))?;
                by(Test::McNemar, test.p_value, (gated, other))?
            }
            _ => None,
        };
        Ok(paired)
    }
}

fn separation(
    own: &Measurement<'_>,
    reference: &Measurement<'_>,
    by_draws: impl Fn(&Sampled, &Sampled) -> Result<Option<Difference>>,
) -> Result<Vec<PairedOod>> {
    let find = |samples: &[(OodScore, Sampled)], wanted: OodScore| -> Option<Sampled> {
        let found = samples.iter().find(|(score, _)| *score == wanted);
        found.map(|(_, sampled)| sampled.clone())
    };
    let mut paired = Vec::new();
    for (place, set) in own.evaluation.ood.iter().enumerate() {
        let others = &reference.evaluation.ood[place];
        let Some(score) = set.leading_score().map(|figures| figures.score) else {
            continue;
        };
        let reference_score = others.gate.unwrap_or(score);
        let samples = find(&own.auroc[place], score);
        let others = find(&reference.auroc[place], reference_score);
        let Some((own, other)) = samples.zip(others) else {
            continue;
        };
        paired.extend(by_draws(&own, &other)?.map(|auroc| PairedOod {
            name: set.name.clone(),
            score,
            reference_score,
            auroc,
        }));
    }
    Ok(paired)
}

fn check_same(own: &Measurement<'_>, reference: &Measurement<'_>) -> Result<()> {
    let sets = |of: &Measurement<'_>| -> Vec<(String, Vec<Option<usize>>)> {
        let labels = |set: &JudgedSet| set.judgements.iter().map(|j| j.label).collect();
        let sets = std::iter::once(of.id).chain(of.ood);
        sets.map(|set| (set.name.clone(), labels(set))).collect()
    };
    if sets(own) == sets(reference) {
        return Ok(());
    }
    Err(Error::caller(
        "the two models were not shown the same images",
    ))
}

/// `None` where it is not a number: where one of the gates answers nothing, for example.
fn difference(
    test: Test,
    p_value: f64,
    (own, reference): (&Sampled, &Sampled),
    confidence: f64,
) -> Result<Option<Difference>> {
    let estimate = own.minus(reference).estimate(confidence)?;
    Ok(estimate.map(|estimate| Difference {
        estimate,
        p_value,
        test,
    }))
}

/// An image's part of a metric that is a mean over images.
fn cost(metric: Metric, image: &Judgement) -> Option<f64> {
    match metric {
        Metric::Brier => image.brier,
        _ => image
            .own_probability
            .map(|p| -f64::from(p).max(MIN_PROBABILITY).ln()),
    }
}

fn flip(own: &JudgedSet, reference: &JudgedSet, metric: Metric, seed: u64) -> Result<f64> {
    let pairs = own.judgements.iter().zip(&reference.judgements);
    let differences =
        pairs.filter_map(|(own, other)| Some(cost(metric, own)? - cost(metric, other)?));
    sign_flip(&differences.collect::<Vec<_>>(), FLIPS, seed)
}

fn answered<'a>(sets: impl IntoIterator<Item = &'a JudgedSet>) -> Vec<bool> {
    let judgements = sets.into_iter().flat_map(|set| &set.judgements);
    judgements.map(Judgement::is_answered).collect()
}

fn agreement(
    own: &Measurement<'_>,
    reference: &Measurement<'_>,
    confidence: f64,
) -> Result<Estimate> {
    let images = |of: &Measurement<'_>| -> Vec<Option<usize>> {
        let sets = std::iter::once(of.id).chain(of.ood);
        let judgements = sets.flat_map(|set| &set.judgements);
        let gated = own.gated.is_some() && reference.gated.is_some();
        let said = |j: &Judgement| Some(j.best).filter(|_| !gated || j.is_answered());
        judgements.map(said).collect()
    };
    let (first, second) = (images(own), images(reference));
    let same: Vec<bool> = first.iter().zip(&second).map(|(a, b)| a == b).collect();
    share(&same, confidence)
}
