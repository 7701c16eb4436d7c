//! The gate: turns scores into a decision, by thresholds that were fitted on this very graph.

use serde::Serialize;

use crate::bank::LabelBank;
use crate::calibration::{Binding, Calibration, OodRule, Promise};
use crate::decision::{Abstention, Decision, Prediction, Reason, SetLabel};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ood::{OodScore, OodScores};
use crate::preprocess::FrameQuality;
use crate::score::{Scorer, Scores};

/// Standard deviation of the resized frame's luma, in 0..=255, below which it shows nothing: strong sensor
/// noise (deviation 20) over 640x480 pixels averages down to 1.4, and the flattest of the 9,000 held-out
/// Tiny ImageNet images has 9.5.
pub const MIN_LUMA_DEVIATION: f32 = 2.0;

/// Whether the thresholds were fitted on this label bank.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationFit {
    /// Fitted on this graph with this bank.
    Fitted,
    /// Fitted on this graph with another bank: confidences and thresholds are a guess, promise none.
    Transferred,
}

/// Thresholds bound to a graph, and the order in which they are asked.
#[derive(Clone, Debug)]
pub struct Gate {
    calibration: Calibration,
    fit: CalibrationFit,
    promise: Promise,
}

/// What a calibration of other labels promises.
const TRANSFERRED: &str =
    "Temperature and thresholds were fitted on other labels, so confidences are a guess.";

/// What a calibration of pixels that were made in another way promises.
const OTHER_PIXELS: &str = "Thresholds were fitted on images that were decoded in another way: exactly where these are \
decoded fast, or the other way round. Calibrate with the decoding that is used, and they hold.";

impl Gate {
    /// A gate for the graph that `executed` describes and for `bank`.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the calibration was fitted on another graph or another
    /// self-test. Another bank is no error but [`CalibrationFit::Transferred`]; with pixels that were made in another
    /// way ([`PreprocessingMode`](crate::calibration::PreprocessingMode)) the thresholds are asked and nothing is
    /// promised.
    pub fn new(
        calibration: Calibration,
        executed: &ExecutedGraph,
        bank: &LabelBank,
    ) -> Result<Self> {
        executed.admits(&calibration)?;
        let fit = if calibration.binding().bank_sha256 == bank.digest() {
            CalibrationFit::Fitted
        } else {
            CalibrationFit::Transferred
        };
        let promise = match fit {
            CalibrationFit::Transferred => Promise::none(TRANSFERRED),
            _ if calibration.binding().preprocessing != executed.preprocessing => {
                Promise::none(OTHER_PIXELS)
            }
            CalibrationFit::Fitted => calibration.promise().clone(),
        };
        Ok(Self {
            calibration,
            fit,
            promise,
        })
    }

    /// Whether the thresholds were fitted on this bank.
    pub fn fit(&self) -> CalibrationFit {
        self.fit
    }

    /// The calibration behind the thresholds.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// What scores images for this gate: a model of this `logit_scale` and, where it has one, `logit_bias`, at the
    /// calibrated temperature.
    ///
    /// # Errors
    /// As [`Scorer::new`] and [`Scorer::with_logit_bias`].
    pub fn scorer(&self, logit_scale: f32, logit_bias: Option<f32>) -> Result<Scorer> {
        Scorer::new(logit_scale, self.calibration.temperature())?.with_logit_bias(logit_bias)
    }

    /// Whether a frame is worth the model's time: `Some` reason if not.
    pub fn inspect(quality: FrameQuality) -> Option<Reason> {
        // Written so that NaN is unusable.
        let usable = quality.luma_deviation >= MIN_LUMA_DEVIATION;
        (!usable).then_some(Reason::UnusableFrame)
    }

    /// What is promised of accepted answers: nothing where the calibration was fitted on another bank, or on pixels that
    /// were made in another way.
    pub fn promise(&self) -> &Promise {
        &self.promise
    }

    /// The out-of-distribution cut that is asked: the calibrated one, or a plain cosine where that says nothing, for
    /// another bank or where one label leaves nothing to compare (`relative` as [`Scores::is_relative`]).
    pub fn ood_rule(&self, relative: bool) -> OodRule {
        match self.fit {
            CalibrationFit::Fitted if relative => self.calibration.ood(),
            _ => OodRule {
                score: OodScore::MaxCosine,
                threshold: self.calibration.absolute().similarity_threshold,
            },
        }
    }

    /// The decision on one image's scores: out of distribution first, then confidence, then the label set if the
    /// calibration has one.
    ///
    /// Every comparison is written so that NaN abstains.
    pub fn decide(&self, scores: &Scores, ood: &OodScores, bank: &LabelBank) -> Decision {
        self.decide_with(scores, ood, bank, &mut SetBuffers::default())
    }

    /// As [`decide`](Self::decide), but the label set is made in buffers of the caller's.
    pub(crate) fn decide_with(
        &self,
        scores: &Scores,
        ood: &OodScores,
        bank: &LabelBank,
        buffers: &mut SetBuffers,
    ) -> Decision {
        let abstain = |reason| Decision::Abstain(Abstention::because(reason));
        let Some((index, label)) = scores
            .best()
            .and_then(|row| Some((row, bank.labels().get(row)?)))
        else {
            return abstain(Reason::OutOfDistribution);
        };
        if !self.is_in_distribution(scores, ood) {
            return abstain(Reason::OutOfDistribution);
        }
        let confidence = scores.is_relative().then(|| scores.probabilities()[index]);
        let confident =
            confidence.is_none_or(|value| value >= self.calibration.confidence().threshold);
        if !confident {
            return abstain(Reason::LowConfidence);
        }
        if let Some(rule) = self.calibration.sets() {
            rule.labels(scores.probabilities(), &mut buffers.rows);
            match buffers.rows.len() {
                0 => return abstain(Reason::LowConfidence),
                1 => {}
                _ => {
                    return Decision::Abstain(Abstention {
                        reason: Reason::Ambiguous,
                        set: buffers.members(bank),
                    });
                }
            }
        }
        Decision::Accept(Prediction {
            index,
            label: label.shared_name(),
            confidence,
        })
    }

    fn is_in_distribution(&self, scores: &Scores, ood: &OodScores) -> bool {
        self.ood_rule(scores.is_relative()).passes(ood)
    }
}

/// What a label set is made in, kept from frame to frame.
#[derive(Debug, Default)]
pub(crate) struct SetBuffers {
    rows: Vec<usize>,
    members: Vec<SetLabel>,
}

impl SetBuffers {
    /// Takes the buffer of an answer that is no longer needed.
    pub(crate) fn recycle(&mut self, decision: &mut Decision) {
        if let Decision::Abstain(abstention) = decision
            && abstention.set.capacity() > self.members.capacity()
        {
            self.members = std::mem::take(&mut abstention.set);
        }
    }

    /// The labels in the rows, in their order.
    fn members(&mut self, bank: &LabelBank) -> Vec<SetLabel> {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        members.extend(self.rows.iter().filter_map(|&index| {
            let label = bank.labels().get(index)?.shared_name();
            Some(SetLabel { index, label })
        }));
        members
    }
}

/// What really runs: compared with what a calibration was fitted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedGraph {
    /// SHA-256 of the image encoder's file.
    pub graph: Digest,
    /// How pixels are made: what decodes the files decides, so change it where that is not the exact way.
    pub preprocessing: crate::calibration::PreprocessingMode,
    /// SHA-256 of the self-test's expected embedding.
    pub selftest: Digest,
}

impl ExecutedGraph {
    /// What a calibration that is fitted on this graph with `bank` is bound to.
    pub fn binding(&self, bank: &LabelBank) -> Binding {
        Binding {
            graph_sha256: self.graph,
            bank_sha256: bank.digest(),
            preprocessing: self.preprocessing,
            selftest_sha256: self.selftest,
        }
    }

    /// Whether a calibration was fitted on what runs.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) if it was fitted on another graph or another self-test.
    pub fn admits(&self, calibration: &Calibration) -> Result<()> {
        let Binding {
            graph_sha256,
            bank_sha256: _,
            preprocessing: _,
            selftest_sha256,
        } = calibration.binding();
        if *graph_sha256 != self.graph {
            return Err(Error::policy(format!(
                "the calibration was fitted on graph {graph_sha256}, this one is {}: fit it again",
                self.graph
            )));
        }
        if *selftest_sha256 != self.selftest {
            return Err(Error::policy(
                "the calibration was fitted beside another self-test: fit it again",
            ));
        }
        Ok(())
    }
}
