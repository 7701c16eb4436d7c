//! The page's content: figures, curves, pictures, and how they came about.

use std::path::PathBuf;

use clipgate::evaluate::{Evaluation, Paired, Plots};
use clipgate::{Gate, PromiseKind, Result};

use super::Subject as Judged;
use super::cards::{self, Seen};
use crate::args::EvaluateArgs;
use crate::numbers::count;
use crate::report_html::{self, Page, Subject};

/// The whole file.
pub(super) fn render(
    args: &EvaluateArgs,
    judged: &[Judged],
    evaluations: &[&Evaluation],
    paired: Option<&Paired>,
    folders: &[Option<PathBuf>],
) -> Result<String> {
    let plots = judged
        .iter()
        .map(Judged::plots)
        .collect::<Result<Vec<Plots>>>()?;
    let mut subjects =
        judged
            .iter()
            .zip(evaluations)
            .zip(&plots)
            .map(|((judged, evaluation), plots)| Subject {
                name: judged.model.name.clone(),
                evaluation,
                plots,
            });
    let own = &judged[0];
    let sets = own.judged.iter().zip(&own.embedded).zip(folders);
    let seen: Vec<Seen<'_>> = sets
        .map(|((set, embedded), folder)| Seen {
            set,
            names: &embedded.names,
            folder: folder.as_deref(),
        })
        .collect();
    let (bank, limits) = (&own.model.bank, args.decode.limits());
    let gated = own.model.gate.is_some();
    let Some(subject) = subjects.next() else {
        return Ok(String::new());
    };
    Ok(report_html::render(&Page {
        subject,
        reference: subjects.next(),
        paired,
        promise: promise(own),
        mistakes: if gated {
            cards::mistakes(&seen, bank, &limits)
        } else {
            Default::default()
        },
        refusals: if gated {
            cards::refusals(&seen, bank, &limits)
        } else {
            Default::default()
        },
        facts: facts(args, judged),
    }))
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

fn facts(args: &EvaluateArgs, judged: &[Judged]) -> Vec<(&'static str, String)> {
    let own = &judged[0];
    let mut facts = Vec::new();
    for subject in judged {
        let model = &subject.model;
        let version = model.bundle.manifest().version;
        facts.push(("Model", format!("{}, version {version}", model.name)));
        facts.push(("Graph", model.executed.graph.to_string()));
        facts.push(("Gate", gate(model.gate.as_ref())));
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
            count(args.resamples as usize),
        args.seed
    )));
    facts
}

fn gate(gate: Option<&Gate>) -> String {
    let Some(gate) = gate else {
        return "none".to_owned();
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
