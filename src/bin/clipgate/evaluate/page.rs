//! The page's content: figures, curves, pictures, and how they came about.

use std::path::PathBuf;

use clipgate::evaluate::{Evaluation, Paired, Plots};
use clipgate::{Gate, PromiseKind, Result};

use super::EvaluateArgs;
use super::Subject as Judged;
use super::cards::{self, Seen};
use crate::numbers::count;
use crate::report_html::{self, Cards, Page, Subject};

/// All that a page is made from.
pub(super) struct Made<'a> {
    pub(super) args: &'a EvaluateArgs,
    pub(super) subjects: &'a [Judged],
    pub(super) evaluations: &'a [&'a Evaluation],
    pub(super) paired: Option<&'a Paired>,
    /// Where each set's images lie; `None` for embeddings.
    pub(super) folders: &'a [Option<PathBuf>],
    /// Images that fitted the gates.
    pub(super) fitted: Option<usize>,
}

impl Made<'_> {
    /// The whole file.
    pub(super) fn render(&self) -> Result<String> {
        let plots = self.subjects.iter().map(Judged::plots);
        let plots = plots.collect::<Result<Vec<Plots>>>()?;
        let subject = |place: usize| Subject {
            name: self.subjects[place].model.name.clone(),
            evaluation: self.evaluations[place],
            plots: &plots[place],
        };
        let (mut mistakes, mut refusals) = (Cards::default(), Cards::default());
        let own = &self.subjects[0];
        if own.model.gate.is_some() {
            let (bank, limits) = (&own.model.bank, self.args.decode.limits());
            let seen = self.seen();
            mistakes = cards::mistakes(&seen, bank, &limits);
            refusals = cards::refusals(&seen, bank, &limits);
        }
        Ok(report_html::render(&Page {
            subject: subject(0),
            reference: (self.subjects.len() > 1).then(|| subject(1)),
            paired: self.paired,
            promise: promise(own),
            mistakes,
            refusals,
            facts: self.facts(),
        }))
    }

    fn seen(&self) -> Vec<Seen<'_>> {
        let own = &self.subjects[0];
        let sets = own.judged.iter().zip(&own.embedded).zip(self.folders);
        sets.map(|((set, embedded), folder)| Seen {
            set,
            names: &embedded.names,
            folder: folder.as_deref(),
        })
        .collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let own = &self.subjects[0];
        let mut facts = Vec::new();
        for subject in self.subjects {
            let model = &subject.model;
            let version = model.bundle.manifest().version;
            facts.push(("Model", format!("{}, version {version}", model.name)));
            facts.push(("Graph", model.executed.graph.to_string()));
            facts.push(("Gate", gate(model.gate.as_ref(), own.model.gate.is_some())));
        }
        if let Some(images) = self.fitted {
            facts.push((
                "Fitted on",
                format!(
                    "{} images of the labels, which are judged nowhere here",
                    count(images)
                ),
            ));
        }
        facts.push(("Labels", labels(own)));
        for (set, embedded) in own.judged.iter().zip(&own.embedded) {
            let mut text = format!("{}: {} images", set.name, count(embedded.len()));
            if set.unusable > 0 {
                text.push_str(&format!(", {} of them show nothing", count(set.unusable)));
            }
            if embedded.failed > 0 {
                text.push_str(&format!(
                    ", {} more could not be read",
                    count(embedded.failed)
                ));
            }
            facts.push(("Images", text));
        }
        facts.push(("Intervals", format!(
        "95\u{202f}%: Wilson's for shares of images, by resampling the images for all others ({} resamples, seed {})",
            count(self.args.resamples as usize),
        self.args.seed
    )));
        facts
    }
}

fn promise(own: &Judged) -> String {
    let Some(gate) = &own.model.gate else {
        return "Without a gate nothing is promised: every answer is given, however unsure."
            .to_owned();
    };
    let promise = gate.promise();
    match promise.kind {
        PromiseKind::None => promise.conditions.clone(),
        _ => format!("Promised: {promise}. {}", promise.conditions),
    }
}

fn gate(gate: Option<&Gate>, is_beside_one: bool) -> String {
    let Some(gate) = gate else {
        return match is_beside_one {
            true => "none; probabilities at the first model's temperature",
            false => "none",
        }
        .to_owned();
    };
    let calibration = gate.calibration();
    format!(
        "temperature {:.3}, {} at least {:.4}, confidence at least {:.4}",
        calibration.temperature(),
        calibration.ood().score.as_str(),
        calibration.ood().threshold,
        calibration.confidence().threshold
    )
}

fn labels(own: &Judged) -> String {
    const NAMED: usize = 60;
    let labels = own.model.bank.labels();
    let names: Vec<&str> = labels
        .iter()
        .take(NAMED)
        .map(|label| label.name())
        .collect();
    let more = match labels.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {} more", count(more)),
    };
    format!("{}: {}{more}", count(labels.len()), names.join(", "))
}
