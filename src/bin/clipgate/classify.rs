//! `clipgate classify`: one decision an image.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clipgate::{
    CalibrationFit, Candidate, Classification, Classifier, Decision, ErrorKind, Gate, OodScores,
    Promise, PromiseKind, Reason, Result,
};
use serde::Serialize;

use crate::args::{ClassifyArgs, Format};
use crate::exit_code::Outcome;
use crate::{inputs, report, runtime_search};

/// The widest path in the text output; longer ones push their own line only.
const PATH_WIDTH: usize = 40;

/// One line of `--format json`.
#[derive(Serialize)]
struct Line<'a> {
    image: String,
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

pub(crate) fn run(args: &ClassifyArgs, format: Format) -> Result<Outcome> {
    let start = Instant::now();
    let runtime = runtime_search::load()?;
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    // Before the model is loaded: without thresholds nothing can be answered.
    let calibration = match &args.calibration {
        Some(path) => inputs::calibration(path)?,
        None => bundle.calibration()?,
    };
    let mut options = Classifier::options()
        .session(args.model.session()?)
        .calibration(calibration)
        .preprocessing(args.decode.mode())
        .top_k(args.top_k);
    let session = args.model.session()?;
    let own = match &args.labels {
        Some(labels) if args.no_negatives => {
            let bank = inputs::labels_in_words(labels, &runtime, &bundle, session)?;
            Some(Arc::new(bank))
        }
        labels => inputs::own_bank(
            labels.as_deref(),
            args.bank.as_deref(),
            &runtime,
            &bundle,
            session,
        )?,
    };
    if let Some(bank) = own {
        options = options.bank(bank);
    }
    let mut classifier = options.open(&runtime, &bundle).map_err(|error| {
        match (&args.calibration, error.kind()) {
            (Some(path), ErrorKind::Policy) => error.at(path.display()),
            _ => error,
        }
    })?;
    if classifier.gate().fit() == CalibrationFit::Transferred
        && let Some(path) = args.calibration.as_ref().filter(|_| !args.transfer)
    {
        return Err(inputs::foreign_labels().at(path.display()));
    }
    log::info!("ready after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);

    let mut summary = Summary::default();
    let progress = report::progress_beside_lines(args.images.len(), "classifying");
    let outcome = inputs::each_image(
        &args.images,
        args.decode.options(&[&bundle.manifest().preprocessing]),
        format,
        &progress,
        |_, path, frame| {
            let answer = classifier.classify(frame)?;
            match format {
                Format::Json => report::json(&line(path, &answer, classifier.gate())),
                Format::Text => report::line(&sentence(path, &answer)),
            }
            Ok(summary.count(&answer.decision, args.fail_on_abstain))
        },
    );
    if format == Format::Text {
        report::line(&summary.sentence(&classifier, args.images.len()));
        let negatives = classifier.bank().negatives().len();
        if args.labels.is_some() && negatives > 0 {
            report::line(&format!(
                "{negatives} of the model's own labels and negatives stood beside yours, to tell what is none of them"
            ));
        }
    }
    Ok(outcome)
}

#[derive(Default)]
struct Summary {
    accepted: usize,
    abstained: usize,
}

impl Summary {
    fn count(&mut self, decision: &Decision, fail_on_abstain: bool) -> Outcome {
        if decision.accepted().is_some() {
            self.accepted += 1;
            return Outcome::Answered;
        }
        self.abstained += 1;
        if fail_on_abstain {
            Outcome::CheckFailed
        } else {
            Outcome::Answered
        }
    }

    fn sentence(&self, classifier: &Classifier, images: usize) -> String {
        let failed = images - self.accepted - self.abstained;
        let failed = if failed == 0 {
            String::new()
        } else {
            format!(", {failed} failed")
        };
        let gate = classifier.gate();
        let trust = match gate.fit() {
            CalibrationFit::Transferred => {
                "calibration transferred from other labels: confidences are a guess, promise: none"
            }
            _ if gate.promise().kind == PromiseKind::None => {
                "calibration fitted on these labels, promise: none"
            }
            _ => "calibration fitted on these labels",
        };
        let mut sentence = format!(
            "\n{} accepted, {} abstained{failed} ({trust})",
            self.accepted, self.abstained
        );
        if gate.promise().kind != PromiseKind::None {
            let promise = gate.promise();
            sentence.push_str(&format!("\npromise: {promise}. {}", promise.conditions));
        }
        sentence
    }
}

fn line<'a>(path: &Path, answer: &'a Classification, gate: &'a Gate) -> Line<'a> {
    let accepted = answer.decision.accepted();
    let milliseconds = |duration: std::time::Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Line {
        image: path.display().to_string(),
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

fn sentence(path: &Path, answer: &Classification) -> String {
    let said = match &answer.decision {
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
    };
    format!("{:PATH_WIDTH$}  {said}", report::path(path))
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
        None => format!("{} at cosine {:.2}", candidate.label, candidate.similarity),
    }
}

fn percent(probability: f32) -> String {
    format!("{:.0} %", probability * 100.0)
}
