//! `clipgate evaluate`: a model and its gate on labelled images, alone or beside another model.

mod args;
mod cards;
mod encode;
mod kept;
mod models;
mod page;
mod refit;
pub(crate) mod rows;
mod sets;
mod tables;

use std::path::PathBuf;
use std::time::Instant;

use clipgate::evaluate::{Evaluation, Judge, JudgedSet, Measurement, Paired, Plots};
use clipgate::metrics::Resampling;
use clipgate::{CalibrationFit, Gate, Result};
use serde::Serialize;

use crate::args::Format;
use crate::exit_code::Outcome;
use crate::labelled::Embedded;
use crate::numbers::count;
use crate::output::Output;
use crate::provider::NO_IMAGES;
use crate::{report, runtime_search};

pub(crate) use args::EvaluateArgs;

use encode::encode;
use kept::Kept;
use models::Model;
use sets::{Set, Source};

/// What `--format json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    model: ModelFacts<'a>,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    reference: Option<Reference<'a>>,
    paired: Option<&'a Paired>,
    /// Images that fitted the gates and are judged nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    fitted_on: Option<usize>,
    failed: usize,
    seconds: f64,
}

#[derive(Serialize)]
struct Reference<'a> {
    model: ModelFacts<'a>,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
}

/// Which model a figure is of.
#[derive(Serialize)]
struct ModelFacts<'a> {
    id: &'a str,
    graph_sha256: String,
    bank_sha256: String,
    calibration: Option<CalibrationFit>,
}

/// A model and what it made of the images: one entry a set, the labels' first.
struct Subject {
    model: Model,
    embedded: Vec<Embedded>,
    judged: Vec<JudgedSet>,
}

pub(crate) fn run(args: &EvaluateArgs, format: Format) -> Result<Outcome> {
    let start = Instant::now();
    refit::check(args)?;
    let output = args.report.as_deref().map(Output::at).transpose()?;
    let runtime = runtime_search::load()?;
    let mut models = models::open(args, &runtime)?;
    let sets = sets::read(args, &models[0].bank)?;
    for set in &sets {
        set.check_origin(&models[0].executed)?;
    }
    if let Some(output) = &output {
        let files = [&args.id, &args.embeddings, &args.bank, &args.calibration];
        output.spares(files.into_iter().flatten())?;
        output.spares(&args.labels)?;
        sets.iter().try_for_each(|set| set.spared_by(output))?;
    }
    let names: Vec<String> = sets.iter().map(|set| set.name.clone()).collect();
    let folders: Vec<Option<PathBuf>> = sets.iter().map(Set::folder).collect();
    models::leave_out_foreign(args, &mut models, &sets);
    let mut embedded = embed(args, &runtime, &models, sets, format)?;
    let outcome = embedded[0]
        .iter()
        .fold(Outcome::Answered, |outcome, set| outcome.and(set.outcome()));

    let fitted = match args.fit_fraction {
        Some(share) => Some(refit::refit(args, share, &mut models, &mut embedded)?),
        None => None,
    };
    let first = models[0].gate.clone();
    let subjects = models
        .into_iter()
        .zip(embedded)
        .map(|(model, embedded)| judge(model, embedded, &names, first.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    let resampling = Resampling {
        draws: args.resamples as usize,
        ..Resampling::seeded(args.seed)
    };
    let measured = measure(&subjects, &resampling)?;
    let paired = match measured.as_slice() {
        [own, reference] => Some(Paired::of(own, reference, &resampling)?),
        _ => None,
    };
    let evaluations: Vec<&Evaluation> = measured.iter().map(Measurement::evaluation).collect();
    let seconds = start.elapsed().as_secs_f64();
    match format {
        Format::Json => report::json(&printed(
            &subjects,
            &evaluations,
            paired.as_ref(),
            fitted,
            seconds,
        )),
        Format::Text => report::line(&text(&subjects, &evaluations, paired.as_ref(), fitted)),
    }
    // After the figures: a full disk costs the page alone.
    if let Some(output) = &output {
        let page = page::Made {
            args,
            subjects: &subjects,
            evaluations: &evaluations,
            paired: paired.as_ref(),
            folders: &folders,
            fitted,
        };
        let page = page.render()?;
        output.write(page.as_bytes())?;
        if format == Format::Text {
            report::line(&format!("\n{}: the report", output.name()));
        }
    }
    Ok(outcome)
}

/// Every set as each model sees it: an entry a model, and in it one a set.
fn embed(
    args: &EvaluateArgs,
    runtime: &clipgate::Runtime,
    models: &[Model],
    sets: Vec<Set>,
    format: Format,
) -> Result<Vec<Vec<Embedded>>> {
    let mut lists = Vec::new();
    for set in &sets {
        if let Source::Images(list) = &set.source {
            lists.push(list);
        } else if models.len() > 1 {
            return Err(sets::refused_beside_reference(&set.name));
        }
    }
    let mut seen = Vec::new();
    if lists.is_empty() {
        args.model.provider.refuse_without_images(NO_IMAGES)?;
    } else {
        let mut workers = models::workers(models, args, runtime)?;
        let seen_by: Vec<_> = models
            .iter()
            .map(|model| &model.bundle.manifest().preprocessing)
            .collect();
        let decode = args.decode.options(&seen_by);
        let kept = Kept::open(args, models, runtime)?;
        seen = encode(&mut workers, &kept, &lists, decode, format);
        kept.into_iter().for_each(Kept::save);
    }
    let mut seen = seen.into_iter();
    let mut embedded: Vec<Vec<Embedded>> = models.iter().map(|_| Vec::new()).collect();
    for set in sets {
        match set.source {
            Source::Images(_) => {
                for (model, set) in embedded.iter_mut().zip(seen.next().into_iter().flatten()) {
                    model.push(set);
                }
            }
            Source::Embeddings(set) => embedded[0].push(set),
        }
    }
    Ok(embedded)
}

fn judge(
    model: Model,
    embedded: Vec<Embedded>,
    names: &[String],
    first: Option<&Gate>,
) -> Result<Subject> {
    let judge = Judge::new(&model.bank, model.scorer(first)?, model.gate.as_ref());
    let judged = embedded
        .iter()
        .zip(names)
        .enumerate()
        .map(|(place, (set, name))| {
            let labels = Some(set.labels.as_slice()).filter(|_| place == 0);
            judge.set(name, &set.image_embeds, labels, set.unusable.len())
        })
        .collect::<Result<_>>()?;
    Ok(Subject {
        model,
        embedded,
        judged,
    })
}

/// The models at once, a thread each: resampling takes a while.
fn measure<'a>(subjects: &'a [Subject], resampling: &Resampling) -> Result<Vec<Measurement<'a>>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = subjects
            .iter()
            .map(|subject| {
                scope.spawn(|| {
                    let (id, ood) = subject.sets();
                    Measurement::of(id, ood, subject.model.gate.as_ref(), resampling)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let measured = thread.join();
            measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect()
    })
}

fn printed<'a>(
    subjects: &'a [Subject],
    evaluations: &[&'a Evaluation],
    paired: Option<&'a Paired>,
    fitted_on: Option<usize>,
    seconds: f64,
) -> Printed<'a> {
    Printed {
        model: subjects[0].facts(),
        evaluation: evaluations[0],
        reference: subjects
            .get(1)
            .zip(evaluations.get(1))
            .map(|(subject, evaluation)| Reference {
                model: subject.facts(),
                evaluation,
            }),
        paired,
        fitted_on,
        failed: subjects[0].failed(),
        seconds: (seconds * 100.0).round() / 100.0,
    }
}

fn text(
    subjects: &[Subject],
    evaluations: &[&Evaluation],
    paired: Option<&Paired>,
    fitted_on: Option<usize>,
) -> String {
    let names: Vec<&str> = subjects.iter().map(|s| s.model.name.as_str()).collect();
    let fitted = fitted_on.map_or_else(String::new, |images| {
        format!(", the gate being fitted on {} others", count(images))
    });
    let mut text = format!(
        "{} on {} images of {} labels{fitted}; ranges are 95 % intervals\n",
        names.join(" and "),
        count(evaluations[0].id.n),
        subjects[0].model.bank.labels().len(),
    );
    let reference = evaluations.get(1).copied();
    text.push_str(&tables::text(&names, evaluations[0], reference, paired));
    if let Some(gate) = &subjects[0].model.gate {
        if gate.fit() == CalibrationFit::Transferred {
            text.push_str("\nthe gate was fitted on other labels: confidences are a guess, and nothing is promised");
        }
        let promise = gate.promise();
        text.push_str(&format!("\npromise: {promise}. {}", promise.conditions));
    }
    text
}

impl Subject {
    fn sets(&self) -> (&JudgedSet, &[JudgedSet]) {
        let (id, ood) = self.judged.split_at(1);
        (&id[0], ood)
    }

    fn plots(&self) -> Result<Plots> {
        let (id, ood) = self.sets();
        Plots::of(id, ood, self.model.gate.as_ref())
    }

    fn failed(&self) -> usize {
        self.embedded.iter().map(|set| set.failed).sum()
    }

    fn facts(&self) -> ModelFacts<'_> {
        ModelFacts {
            id: &self.model.name,
            graph_sha256: self.model.executed.graph.to_string(),
            bank_sha256: self.model.bank.digest().to_string(),
            calibration: self.model.gate.as_ref().map(Gate::fit),
        }
    }
}
