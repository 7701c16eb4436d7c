//! From judged images to figures, with the resamples that intervals and comparisons come from.

use std::collections::BTreeMap;

use super::figures::{Estimate, Evaluation, IdFigures, Metric, OodFigures, ScoreFigures};
use super::gated::{GateFigures, answered_share, wrong_share};
use super::judge::{JudgedSet, Judgement};
use super::ranking::{Ranked, Ranking};
use super::sampled::Sampled;
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::metrics::{
    self, Binning, DEFAULT_BINS, Resampling, debiased_calibration_error,
    expected_calibration_error, resample, wilson,
};
use crate::ood::OodScore;

/// One model's figures and what they were made of.
pub struct Measurement<'a> {
    pub(super) id: &'a JudgedSet,
    pub(super) ood: &'a [JudgedSet],
    pub(super) evaluation: Evaluation,
    pub(super) metrics: BTreeMap<Metric, Sampled>,
    pub(super) gated: Option<GateSamples>,
    /// Of every score on each set.
    pub(super) auroc: Vec<Vec<(OodScore, Sampled)>>,
}

/// A gate's figures on resamples of the labels' images.
pub(super) struct GateSamples {
    pub(super) coverage: Sampled,
    pub(super) selective_risk: Sampled,
    /// Over all sets of other images together; `None` without any.
    pub(super) accepted_ood: Option<Sampled>,
}

impl<'a> Measurement<'a> {
    /// The figures of one model on images of its labels and on sets of others, judged with `gate` or without one.
    ///
    /// Intervals of shares of images are Wilson's. All others resample the images: percentile intervals, and basic ones
    /// for calibration errors, which resampling itself makes larger; near an error of 0 these still lie somewhat high.
    /// The same seed and images give the same resamples for another model.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if a set has no image that the model saw, or the resampling is
    /// out of range.
    pub fn of(
        id: &'a JudgedSet,
        ood: &'a [JudgedSet],
        gate: Option<&Gate>,
        resampling: &Resampling,
    ) -> Result<Self> {
        for set in std::iter::once(id).chain(ood) {
            if set.judgements.is_empty() {
                return Err(Error::caller(format!(
                    "{}: no image that the model saw",
                    set.name
                )));
            }
        }
        let metrics = id_metrics(id, resampling)?;
        let confidence = resampling.confidence;
        let mut estimates = BTreeMap::new();
        for (metric, sampled) in &metrics {
            let estimate = match metric {
                Metric::Accuracy => Some(share(&id.correct(), confidence)?),
                _ => sampled.estimate(confidence)?,
            };
            let not_below_zero = |estimate: Estimate| Estimate {
                low: estimate.low.max(0.0),
                ..estimate
            };
            estimates.extend(estimate.map(|estimate| (*metric, not_below_zero(estimate))));
        }
        let mut sets = Vec::with_capacity(ood.len());
        let mut auroc = Vec::with_capacity(ood.len());
        for set in ood {
            let (figures, samples) = separation(id, set, gate, resampling)?;
            sets.push(figures);
            auroc.push(samples);
        }
        let judged = gate
            .map(|gate| GateFigures::of(id, ood, gate, confidence))
            .transpose()?;
        Ok(Self {
            id,
            ood,
            evaluation: Evaluation {
                id: IdFigures {
                    n: id.judgements.len(),
                    metrics: estimates,
                },
                ood: sets,
                gate: judged,
            },
            metrics,
            gated: gate
                .map(|_| gate_samples(id, ood, resampling))
                .transpose()?,
            auroc,
        })
    }

    /// The figures.
    pub fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }
}

/// The share of images of which something is true, with its interval.
pub(super) fn share(answers: &[bool], confidence: f64) -> Result<Estimate> {
    let hits = answers.iter().filter(|hit| **hit).count();
    let interval = wilson(hits, answers.len(), confidence)?;
    Ok(Estimate {
        value: hits as f64 / answers.len() as f64,
        low: interval.low,
        high: interval.high,
    })
}

/// What a metric is computed from, one entry an image.
struct Rows {
    correct: Vec<bool>,
    confidences: Vec<f32>,
    own_probabilities: Vec<f32>,
    brier: Vec<f64>,
}

impl Rows {
    /// `None` where one label leaves no confidence.
    fn of(id: &JudgedSet) -> Option<Self> {
        let judgements = || id.judgements.iter();
        Some(Self {
            correct: id.correct(),
            confidences: id.confidences()?,
            own_probabilities: judgements()
                .map(|j| j.own_probability)
                .collect::<Option<_>>()?,
            brier: judgements().map(|j| j.brier).collect::<Option<_>>()?,
        })
    }

    fn pick(&self, rows: &[usize]) -> Self {
        fn of<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|row| values[*row]).collect()
        }
        Self {
            correct: of(&self.correct, rows),
            confidences: of(&self.confidences, rows),
            own_probabilities: of(&self.own_probabilities, rows),
            brier: of(&self.brier, rows),
        }
    }

    fn metric(&self, metric: Metric) -> Result<f64> {
        let (confidences, correct) = (self.confidences.as_slice(), self.correct.as_slice());
        match metric {
            Metric::Accuracy => metrics::accuracy(correct),
            Metric::Ece => {
                expected_calibration_error(confidences, correct, Binning::EqualWidth, DEFAULT_BINS)
            }
            Metric::EceEqualMass => {
                expected_calibration_error(confidences, correct, Binning::EqualMass, DEFAULT_BINS)
            }
            Metric::EceDebiased => {
                debiased_calibration_error(confidences, correct, Binning::EqualMass, DEFAULT_BINS)
            }
            Metric::SmoothEce => metrics::smooth_ece(confidences, correct),
            Metric::Nll => metrics::nll(&self.own_probabilities),
            Metric::Brier => Ok(self.brier.iter().sum::<f64>() / self.brier.len() as f64),
            Metric::Aurc => metrics::aurc(confidences, correct),
            Metric::EAurc => metrics::e_aurc(confidences, correct),
            Metric::Augrc => metrics::augrc(confidences, correct),
        }
    }
}

fn id_metrics(id: &JudgedSet, resampling: &Resampling) -> Result<BTreeMap<Metric, Sampled>> {
    let Some(rows) = Rows::of(id) else {
        // With one label the answer is always that label.
        let accuracy = metrics::accuracy(&id.correct())?;
        let sampled = Sampled {
            value: accuracy,
            draws: vec![accuracy; resampling.draws],
        };
        return Ok(BTreeMap::from([(Metric::Accuracy, sampled)]));
    };
    let mut figures = BTreeMap::new();
    for metric in Metric::ALL {
        let value = rows.metric(metric)?;
        let draws = Vec::with_capacity(resampling.draws);
        figures.insert(metric, Sampled { value, draws });
    }
    resample([id.judgements.len()], resampling, |[drawn]| {
        let picked = rows.pick(drawn);
        for (metric, sampled) in &mut figures {
            sampled.draws.push(picked.metric(*metric)?);
        }
        Ok(())
    })?;
    let settled = figures.into_iter().map(|(metric, sampled)| {
        let sampled = match metric.is_calibration_error() {
            true => sampled.reflected(),
            false => sampled,
        };
        (metric, sampled)
    });
    Ok(settled.collect())
}

fn gate_samples(id: &JudgedSet, ood: &[JudgedSet], resampling: &Resampling) -> Result<GateSamples> {
    let inside: Vec<&Judgement> = id.judgements.iter().collect();
    let outside: Vec<&Judgement> = ood.iter().flat_map(|set| &set.judgements).collect();
    Ok(GateSamples {
        coverage: sampled(&inside, resampling, answered_share)?,
        selective_risk: sampled(&inside, resampling, wrong_share)?,
        accepted_ood: match outside.is_empty() {
            true => None,
            false => Some(sampled(&outside, resampling, answered_share)?),
        },
    })
}

fn sampled(
    images: &[&Judgement],
    resampling: &Resampling,
    figure: fn(&mut dyn Iterator<Item = &Judgement>) -> f64,
) -> Result<Sampled> {
    let mut draws = Vec::with_capacity(resampling.draws);
    resample([images.len()], resampling, |[drawn]| {
        draws.push(figure(&mut drawn.iter().map(|row| images[*row])));
        Ok(())
    })?;
    Ok(Sampled {
        value: figure(&mut images.iter().copied()),
        draws,
    })
}

/// How well each score tells a set from the labels' images, and every AUROC with its resamples.
fn separation(
    id: &JudgedSet,
    set: &JudgedSet,
    gate: Option<&Gate>,
    resampling: &Resampling,
) -> Result<(OodFigures, Vec<(OodScore, Sampled)>)> {
    let known: Vec<(OodScore, Ranking)> = OodScore::ALL
        .into_iter()
        .filter_map(|score| {
            let ranking = Ranking::of(&id.scores(score)?, &set.scores(score)?);
            Some((score, ranking))
        })
        .collect();
    let (inside, outside) = (id.judgements.len(), set.judgements.len());
    let once = vec![1; inside + outside];
    let mut draws: Vec<Vec<Ranked>> = vec![Vec::with_capacity(resampling.draws); known.len()];
    let mut times = vec![0u32; inside + outside];
    resample([inside, outside], resampling, |[of_id, of_set]| {
        times.fill(0);
        of_id.iter().for_each(|row| times[*row] += 1);
        of_set.iter().for_each(|row| times[inside + *row] += 1);
        for ((_, ranking), draws) in known.iter().zip(&mut draws) {
            draws.push(ranking.figures(&times));
        }
        Ok(())
    })?;
    let mut scores = Vec::with_capacity(known.len());
    let mut samples = Vec::with_capacity(known.len());
    for ((score, ranking), draws) in known.iter().zip(&draws) {
        let value = ranking.figures(&once);
        let sampled = |pick: fn(&Ranked) -> f64| Sampled {
            value: pick(&value),
            draws: draws.iter().map(pick).collect(),
        };
        let estimate = |pick| sampled(pick).estimate(resampling.confidence);
        if let (Some(auroc), Some(aupr), Some(fpr95)) = (
            estimate(|ranked| ranked.auroc)?,
            estimate(|ranked| ranked.aupr)?,
            estimate(|ranked| ranked.fpr95)?,
        ) {
            scores.push(ScoreFigures {
                score: *score,
                auroc,
                aupr,
                fpr95,
            });
        }
        samples.push((*score, sampled(|ranked| ranked.auroc)));
    }
    let figures = OodFigures {
        name: set.name.clone(),
        n: outside,
        scores,
        gate: gate.map(|gate| gate.ood_rule(id.is_relative()).score),
    };
    Ok((figures, samples))
}
