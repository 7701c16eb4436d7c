//! What the gate does with the images: how many it answers, how many of those wrongly, and why it abstains.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::figures::Estimate;
use super::judge::{JudgedSet, Judgement};
use crate::calibration::Promise;
use crate::decision::Reason;
use crate::error::{Error, Result};
use crate::gate::{CalibrationFit, Gate};
use crate::metrics::wilson;
use crate::ood::OodScore;

/// Figures of a gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateFigures {
    /// Share of the labels' images that are answered.
    pub coverage: Estimate,
    /// Share of the answered ones whose label is wrong; `None` if nothing was answered.
    pub selective_risk: Option<Estimate>,
    /// Share of all other images that are answered; `None` without such images.
    pub accepted_ood: Option<Estimate>,
    /// Share of all answers that are wrong, every answer to an image of another set being one.
    pub risk_with_ood: Option<Estimate>,
    /// Images of the labels by outcome.
    pub id: Outcomes,
    /// Images of each other set by outcome.
    pub ood: Vec<Outcomes>,
    /// The out-of-distribution score that is asked.
    pub score: OodScore,
    /// The least score that passes.
    pub score_threshold: f32,
    /// The least confidence that passes.
    pub confidence_threshold: f32,
    /// What divides the logits.
    pub temperature: f32,
    /// Whether all that was fitted for this label bank.
    pub calibration: CalibrationFit,
    /// What is promised of accepted answers.
    pub promise: Promise,
}

/// `{"coverage", "selective_risk", "accepted_ood", "risk_with_ood", "intervals": {"coverage": [low, high], ...}, ...}`.
impl Serialize for GateFigures {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            #[serde(flatten)]
            values: BTreeMap<&'static str, Option<f64>>,
            intervals: BTreeMap<&'static str, [f64; 2]>,
            id: &'a Outcomes,
            ood: &'a [Outcomes],
            score: OodScore,
            score_threshold: f32,
            confidence_threshold: f32,
            temperature: f32,
            calibration: CalibrationFit,
            promise: &'a Promise,
        }
        let figures = [
            ("coverage", Some(self.coverage)),
            ("selective_risk", self.selective_risk),
            ("accepted_ood", self.accepted_ood),
            ("risk_with_ood", self.risk_with_ood),
        ];
        let interval = |(name, figure): &(&'static str, Option<Estimate>)| {
            figure.map(|figure| (*name, [figure.low, figure.high]))
        };
        Wire {
            intervals: figures.iter().filter_map(interval).collect(),
            values: figures
                .map(|(name, figure)| (name, figure.map(|figure| figure.value)))
                .into(),
            id: &self.id,
            ood: &self.ood,
            score: self.score,
            score_threshold: self.score_threshold,
            confidence_threshold: self.confidence_threshold,
            temperature: self.temperature,
            calibration: self.calibration,
            promise: &self.promise,
        }
        .serialize(serializer)
    }
}

/// One set's images by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// The set's name.
    pub name: String,
    /// Images, those among them that show nothing too.
    pub n: usize,
    /// Answered with their label.
    pub accepted_right: usize,
    /// Answered with another label, or answered although they show none.
    pub accepted_wrong: usize,
    /// Abstained on, in the order in which the gate asks.
    #[serde(serialize_with = "by_reason")]
    pub abstained: Vec<(Reason, usize)>,
}

impl GateFigures {
    /// What `gate` did with the images that were judged with it.
    pub(super) fn of(
        id: &JudgedSet,
        ood: &[JudgedSet],
        gate: &Gate,
        confidence: f64,
    ) -> Result<Self> {
        let own = Outcomes::of(id);
        let others: Vec<Outcomes> = ood.iter().map(Outcomes::of).collect();
        let sum = |count: fn(&Outcomes) -> usize| others.iter().map(count).sum::<usize>();
        let share = |hits, n| -> Result<Option<Estimate>> {
            if n == 0 {
                return Ok(None);
            }
            let interval = wilson(hits, n, confidence)?;
            Ok(Some(Estimate {
                value: hits as f64 / n as f64,
                low: interval.low,
                high: interval.high,
            }))
        };
        let (accepted, wrong) = (own.accepted(), own.accepted_wrong);
        let accepted_others = sum(Outcomes::accepted);
        let coverage = share(accepted, own.n)?
            .ok_or_else(|| Error::caller(format!("{}: no image", own.name)))?;
        let rule = gate.ood_rule(id.is_relative());
        let calibration = gate.calibration();
        Ok(Self {
            coverage,
            selective_risk: share(wrong, accepted)?,
            accepted_ood: share(accepted_others, sum(|set| set.n))?,
            risk_with_ood: share(wrong + accepted_others, accepted + accepted_others)?,
            id: own,
            ood: others,
            score: rule.score,
            score_threshold: rule.threshold,
            confidence_threshold: calibration.confidence().threshold,
            temperature: calibration.temperature(),
            calibration: gate.fit(),
            promise: gate.promise().clone(),
        })
    }
}

impl Outcomes {
    fn of(set: &JudgedSet) -> Self {
        let mut outcomes = Self {
            name: set.name.clone(),
            n: set.judgements.len() + set.unusable,
            ..Self::default()
        };
        if set.unusable > 0 {
            let unusable = (Reason::UnusableFrame, set.unusable);
            outcomes.abstained.push(unusable);
        }
        for judgement in &set.judgements {
            match judgement.reason() {
                None if judgement.is_right() => outcomes.accepted_right += 1,
                None => outcomes.accepted_wrong += 1,
                Some(reason) => outcomes.abstain(reason),
            }
        }
        outcomes.abstained.sort_unstable();
        outcomes
    }

    fn abstain(&mut self, reason: Reason) {
        match self
            .abstained
            .iter_mut()
            .find(|(other, _)| *other == reason)
        {
            Some((_, count)) => *count += 1,
            None => self.abstained.push((reason, 1)),
        }
    }

    /// Images that were answered.
    pub fn accepted(&self) -> usize {
        self.accepted_right + self.accepted_wrong
    }

    /// Images that were abstained on for one reason.
    pub fn abstained_for(&self, reason: Reason) -> usize {
        let found = self.abstained.iter().find(|(other, _)| *other == reason);
        found.map_or(0, |(_, count)| *count)
    }
}

/// The share of images that the gate answers.
pub(super) fn answered_share(images: &mut dyn Iterator<Item = &Judgement>) -> f64 {
    let (mut all, mut answered) = (0usize, 0usize);
    for image in images {
        all += 1;
        answered += usize::from(image.is_answered());
    }
    answered as f64 / all as f64
}

/// The share of answers that is wrong; NaN if there is none.
pub(super) fn wrong_share(images: &mut dyn Iterator<Item = &Judgement>) -> f64 {
    let (mut answered, mut wrong) = (0usize, 0usize);
    for image in images.filter(|image| image.is_answered()) {
        answered += 1;
        wrong += usize::from(!image.is_right());
    }
    wrong as f64 / answered as f64
}

fn by_reason<S: Serializer>(
    abstained: &[(Reason, usize)],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(abstained.len()))?;
    for (reason, count) in abstained {
        map.serialize_entry(reason.as_str(), count)?;
    }
    map.end()
}
