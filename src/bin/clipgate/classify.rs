//! `clipgate classify`: one decision an image.

use std::path::Path;

use clipgate::{Classifier, Decision, PromiseKind, Result};
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::args::{ClassifyArgs, Format};
use crate::exit_code::Outcome;
use crate::{inputs, report};

/// The widest path in the text output; longer ones push their own line only.
const PATH_WIDTH: usize = 40;

/// One line of `--format json`.
#[derive(Serialize)]
struct Line<'a> {
    image: String,
    #[serde(flatten)]
    answer: Answer<'a>,
}

pub(crate) fn run(args: &ClassifyArgs, format: Format) -> Result<Outcome> {
    let (mut classifier, decode) = args.answer.open(&args.decode)?;

    let mut summary = Summary::default();
    let progress = report::progress_beside_lines(args.images.len(), "classifying");
    let outcome = inputs::each_image(&args.images, decode, format, &progress, |_, path, frame| {
        let answer = classifier.classify(frame)?;
        match format {
            Format::Json => report::json(&Line {
                image: path.display().to_string(),
                answer: Answer::new(&answer, classifier.gate()),
            }),
            Format::Text => report::line(&sentence(path, &answer::sentence(&answer))),
        }
        Ok(summary.count(&answer.decision, args.fail_on_abstain))
    });
    if format == Format::Text {
        report::line(&summary.sentence(&classifier, args.images.len()));
        let negatives = classifier.bank().negatives().len();
        if args.answer.labels.is_some() && negatives > 0 {
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
        let trust = answer::trust(gate);
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

fn sentence(path: &Path, said: &str) -> String {
    format!("{:PATH_WIDTH$}  {said}", report::path(path))
}
