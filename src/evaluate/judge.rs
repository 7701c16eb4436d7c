//! One image at a time: what the model says of it, and what the gate makes of that.

use crate::bank::LabelBank;
use crate::decision::Reason;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::metrics;
use crate::ood::{OodScore, OodScores};
use crate::score::{Scorer, Scores};

/// A model's labels, its scorer and perhaps its gate: what a classifier is beyond its encoder.
#[derive(Debug)]
pub struct Judge<'a> {
    bank: &'a LabelBank,
    scorer: Scorer,
    gate: Option<&'a Gate>,
}

/// Images of one set, as a judge saw them.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedSet {
    /// What people call the set.
    pub name: String,
    /// One an image that the model saw, in the order in which they came.
    pub judgements: Vec<Judgement>,
    /// Images that show nothing: the gate abstains before the model runs.
    pub unusable: usize,
}

/// What is known of one image after the model and the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The row of its label; `None` where it shows none.
    pub label: Option<usize>,
    /// The row of the label that is most probable.
    pub best: usize,
    /// The calibrated probability of that; `None` where one label leaves nothing to compare.
    pub confidence: Option<f32>,
    /// The calibrated probability of its own label.
    pub own_probability: Option<f32>,
    /// This image's part of the Brier score, 0 to 2.
    pub brier: Option<f64>,
    /// The out-of-distribution scores.
    pub scores: OodScores,
    /// What the gate says; `None` without one.
    pub verdict: Option<Verdict>,
}

/// What the gate says of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The best label is given as the answer.
    Answered,
    /// No label is given.
    Refused(Reason),
}

impl<'a> Judge<'a> {
    /// A judge of `bank` for a model with this logit scale. Its temperature is the gate's, or 1 without one.
    ///
    /// # Errors
    /// As [`Scorer::new`].
    pub fn new(bank: &'a LabelBank, logit_scale: f32, gate: Option<&'a Gate>) -> Result<Self> {
        let temperature = gate.map_or(1.0, |gate| gate.calibration().temperature());
        Ok(Self {
            bank,
            scorer: Scorer::new(logit_scale, temperature)?,
            gate,
        })
    }

    /// Looks at every image of a set: `labels` holds the row of each one's label, or is `None` where they show none.
    /// `unusable` counts the images that showed nothing and have no embedding.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there are other numbers of labels than of images, a label
    /// is no row of the bank, or an embedding has another dimension.
    pub fn set(
        &self,
        name: &str,
        images: &[Embedding],
        labels: Option<&[usize]>,
        unusable: usize,
    ) -> Result<JudgedSet> {
        if let Some(labels) = labels.filter(|labels| labels.len() != images.len()) {
            return Err(Error::caller(format!(
                "{} images, but {} labels",
                images.len(),
                labels.len()
            )));
        }
        let mut scores = Scores::default();
        let judgements = images
            .iter()
            .enumerate()
            .map(|(row, image)| {
                let label = labels.map(|labels| labels[row]);
                self.image(image, label, &mut scores)
                    .map_err(|error| error.at(format!("image {row}")))
            })
            .collect::<Result<_>>()?;
        Ok(JudgedSet {
            name: name.to_owned(),
            judgements,
            unusable,
        })
    }

    fn image(
        &self,
        image: &Embedding,
        label: Option<usize>,
        scores: &mut Scores,
    ) -> Result<Judgement> {
        self.scorer.score(image, self.bank, scores)?;
        let ood = OodScores::of(scores, &self.scorer);
        let best = scores
            .best()
            .ok_or_else(|| Error::caller("the bank has no label"))?;
        let probabilities = Some(scores.probabilities()).filter(|_| scores.is_relative());
        let own = |label: usize| {
            probabilities
                .and_then(|probabilities| probabilities.get(label))
                .copied()
        };
        if let Some(label) = label.filter(|label| *label >= self.bank.labels().len()) {
            return Err(Error::caller(format!(
                "its label is row {label} of {}",
                self.bank.labels().len()
            )));
        }
        let brier = label
            .zip(probabilities)
            .map(|(label, probabilities)| metrics::brier(probabilities, &[label]))
            .transpose()?;
        Ok(Judgement {
            label,
            best,
            confidence: own(best),
            own_probability: label.and_then(own),
            brier,
            scores: ood,
            verdict: self
                .gate
                .map(|gate| match gate.decide(scores, &ood, self.bank).reason() {
                    None => Verdict::Answered,
                    Some(reason) => Verdict::Refused(reason),
                }),
        })
    }
}

impl Judgement {
    /// Whether the best label is the image's own; never for an image of no label.
    pub fn is_right(&self) -> bool {
        self.label == Some(self.best)
    }

    /// Whether the gate lets the best label through.
    pub fn is_answered(&self) -> bool {
        self.verdict == Some(Verdict::Answered)
    }

    /// Why the gate refuses, if it does.
    pub fn reason(&self) -> Option<Reason> {
        match self.verdict {
            Some(Verdict::Refused(reason)) => Some(reason),
            _ => None,
        }
    }
}

impl JudgedSet {
    /// One score of every image; `None` where an image has none, or one that is no number.
    pub fn scores(&self, which: OodScore) -> Option<Vec<f32>> {
        let value = |judgement: &Judgement| judgement.scores.value(which);
        let finite = |value: &f32| value.is_finite();
        self.judgements
            .iter()
            .map(|judgement| value(judgement).filter(finite))
            .collect()
    }

    /// Whether softmax had anything to compare.
    pub(super) fn is_relative(&self) -> bool {
        self.judgements
            .iter()
            .all(|judgement| judgement.confidence.is_some())
    }

    /// The confidence of every image; `None` where one label leaves nothing to compare.
    pub(super) fn confidences(&self) -> Option<Vec<f32>> {
        let judgements = self.judgements.iter();
        judgements.map(|judgement| judgement.confidence).collect()
    }

    /// Whether each image's best label is its own.
    pub(super) fn correct(&self) -> Vec<bool> {
        self.judgements.iter().map(Judgement::is_right).collect()
    }
}
