//! What `classify` and `watch` share: a classifier made of options, and its answers in JSON and in words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clipgate::{
    CalibrationFit, Candidate, Classification, Classifier, Decision, DecodeOptions, ErrorKind,
    Gate, OodScores, Promise, PromiseKind, Reason, Result,
};
use serde::Serialize;

use crate::args::{AnswerArgs, DecodeArgs};
use crate::{inputs, runtime_search};

/// One answer of `--format json`.
#[derive(Serialize)]
pub(crate) struct Answer<'a> {
    decision: &'static str,
    reason: Option<Reason>,
    label: Option<&'a str>,
    confidence: Option<f32>,
    top: Vec<Near<'a>>,
    scores: Option<OodScores>,
    calibration: CalibrationFit,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<Vec<&'a str>>,
    promise: &'a Promise,
    timings_ms: Milliseconds,
}

#[derive(Serialize)]
struct Near<'a> {
    label: &'a str,
    probability: Option<f32>,
    similarity: f32,
}

#[derive(Serialize)]
struct Milliseconds {
    preprocess: f64,
    encode: f64,
    decide: f64,
}

impl AnswerArgs {
    /// The classifier that the arguments describe, and how image files are decoded for it.
    pub(crate) fn open(&self, decode: &DecodeArgs) -> Result<(Classifier, DecodeOptions)> {
        let start = Instant::now();
        let session = self.model.session()?;
        let bundle = inputs::bundle(self.model.bundle.as_deref())?;
        bundle.read_ahead(session.model_memory());
        let runtime = runtime_search::load()?;
        // Before the model is loaded: without thresholds nothing can be answered.
        let calibration = match &self.calibration {
            Some(path) => inputs::calibration(path)?,
            None => bundle.calibration()?,
        };
        let mut options = Classifier::options()
            .session(session)
            .calibration(calibration)
            .preprocessing(decode.mode())
            .top_k(self.top_k);
        let session = self.model.on_cpu()?;
        let own = match &self.labels {
            Some(labels) if self.no_negatives => {
                let bank = inputs::labels_in_words(labels, &runtime, &bundle, session)?;
                Some(Arc::new(bank))
            }
            labels => inputs::own_bank(
                labels.as_deref(),
                self.bank.as_deref(),
                &runtime,
                &bundle,
                session,
            )?,
        };
        if let Some(bank) = own {
            options = options.bank(bank);
        }
        let classifier = options.open(&runtime, &bundle).map_err(|error| {
            match (&self.calibration, error.kind()) {
                (Some(path), ErrorKind::Policy) => error.at(path.display()),
                _ => error,
            }
        })?;
        if classifier.gate().fit() == CalibrationFit::Transferred
            && let Some(path) = self.calibration.as_ref().filter(|_| !self.transfer)
        {
            return Err(inputs::foreign_labels().at(path.display()));
        }
        log::info!("ready after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        Ok((
            classifier,
            decode.options(&[&bundle.manifest().preprocessing]),
        ))
    }
}

/// How far a gate's answers can be trusted.
pub(crate) fn trust(gate: &Gate) -> &'static str {
    match gate.fit() {
        CalibrationFit::Transferred => {
            "calibration transferred from other labels: confidences are a guess, promise: none"
        }
        _ if gate.promise().kind == PromiseKind::None => {
            "calibration fitted on these labels, promise: none"
        }
        _ => "calibration fitted on these labels",
    }
}

impl<'a> Answer<'a> {
    pub(crate) fn new(answer: &'a Classification, gate: &'a Gate) -> Self {
        let accepted = answer.decision.accepted();
        Self {
            decision: if accepted.is_some() {
                "accept"
            } else {
                "abstain"
            },
            reason: answer.decision.reason(),
            label: accepted.map(|prediction| &*prediction.label),
            confidence: accepted.and_then(|prediction| prediction.confidence),
            top: answer
                .top
                .iter()
                .map(|near| Near {
                    label: &near.label,
                    probability: near.probability,
                    similarity: near.similarity,
                })
                .collect(),
            scores: answer.scores,
            calibration: answer.calibration,
            set: gate.calibration().sets().map(|_| set(&answer.decision)),
            promise: gate.promise(),
            timings_ms: Milliseconds {
                preprocess: milliseconds(answer.timings.preprocess),
                encode: milliseconds(answer.timings.encode),
                decide: milliseconds(answer.timings.decide),
            },
        }
    }
}

/// A time in milliseconds, to the microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// An answer in words.
pub(crate) fn sentence(answer: &Classification) -> String {
    match &answer.decision {
        Decision::Accept(prediction) => match (prediction.confidence, answer.calibration) {
            (Some(confidence), CalibrationFit::Fitted) => {
                format!("{} ({})", prediction.label, percent(confidence))
            }
            (Some(confidence), _) => {
                format!("{} (a guess, {})", prediction.label, percent(confidence))
            }
            (None, _) => format!(
                "{} (a guess: one label has no confidence)",
                prediction.label
            ),
        },
        Decision::Abstain(abstention) => {
            let relative = abstention.reason != Reason::OutOfDistribution;
            let nearest: Vec<_> = answer
                .top
                .iter()
                .map(|near| describe(near, relative))
                .collect();
            match nearest.as_slice() {
                _ if abstention.reason == Reason::Ambiguous => format!(
                    "not sure: {}: {}",
                    abstention.reason,
                    set(&answer.decision).join(", ")
                ),
                [] => format!("not sure: {}", abstention.reason),
                _ => format!(
                    "not sure: {} (nearest: {})",
                    abstention.reason,
                    nearest.join(", ")
                ),
            }
        }
        _ => "an answer that this command does not know".to_owned(),
    }
}

/// The labels of which one is the true one, as far as the calibration promises.
fn set(decision: &Decision) -> Vec<&str> {
    match decision {
        Decision::Accept(prediction) => vec![&prediction.label],
        Decision::Abstain(abstention) => {
            abstention.set.iter().map(|member| &*member.label).collect()
        }
        _ => Vec::new(),
    }
}

/// A candidate with its probability; where it is about none of the labels, with its cosine, because
/// probabilities only compare the labels with each other.
fn describe(candidate: &Candidate, relative: bool) -> String {
    match candidate.probability.filter(|_| relative) {
        Some(probability) => format!("{} {}", candidate.label, percent(probability)),
        None => format!(
            "{} at cosine {}",
            candidate.label,
            cosine(candidate.similarity)
        ),
    }
}

/// Two digits; a zero bears no sign.
fn cosine(similarity: f32) -> String {
    format!("{:.2}", (similarity * 100.0).round() / 100.0 + 0.0)
}

pub(crate) fn percent(probability: f32) -> String {
    format!("{:.0} %", probability * 100.0)
}

#[cfg(test)]
mod tests {
    use super::cosine;

    #[test]
    fn a_cosine_of_nearly_nothing_bears_no_sign() {
        assert_eq!(cosine(-0.004), "0.00");
        assert_eq!(cosine(-0.006), "-0.01");
    }
}
