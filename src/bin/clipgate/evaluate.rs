//! `clipgate evaluate`: a model and its gate on labelled images, alone or beside another model.

mod cards;
mod encode;
mod models;
mod page;
pub(crate) mod rows;
mod sets;
mod tables;

use std::path::PathBuf;
use std::time::Instant;

use clipgate::evaluate::{Evaluation, Judge, JudgedSet, Measurement, Paired, Plots};
use clipgate::metrics::Resampling;
use clipgate::{CalibrationFit, Gate, Result};
use serde::Serialize;

use crate::args::{EvaluateArgs, Format};
use crate::exit_code::Outcome;
use crate::labelled::Embedded;
use crate::output::Output;
use crate::{report, runtime_search};

use encode::encode;
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
    let output = args.report.as_deref().map(Output::at).transpose()?;
    let runtime = runtime_search::load()?;
    let models = models::open(args, &runtime)?;
    let sets = sets::read(args, &models[0].bank)?;
    for set in &sets {
        set.check_graph(models[0].executed.graph)?;
    }
    let names: Vec<String> = sets.iter().map(|set| set.name.clone()).collect();
    let folders: Vec<Option<PathBuf>> = sets.iter().map(Set::folder).collect();
    let embedded = embed(args, &runtime, &models, sets, format)?;
    let outcome = embedded[0]
        .iter()
        .fold(Outcome::Answered, |outcome, set| outcome.and(set.outcome()));

    let subjects = models
        .into_iter()
        .zip(embedded)
        .map(|(model, embedded)| judge(model, embedded, &names))
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
    if let Some(output) = &output {
        let page = page::render(args, &subjects, &evaluations, paired.as_ref(), &folders)?;
        output.write(page.as_bytes())?;
    }
    print(&subjects, &evaluations, paired.as_ref(), format, seconds);
    if let (Some(output), Format::Text) = (&output, format) {
        report::line(&format!("\n{}: the report", output.name()));
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
    if !lists.is_empty() {
        let mut workers = models::workers(models, args, runtime)?;
        seen = encode(&mut workers, &lists, &args.decode, format);
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

fn judge(model: Model, embedded: Vec<Embedded>, names: &[String]) -> Result<Subject> {
    let scale = model.bundle.manifest().logit_scale;
    let judge = Judge::new(&model.bank, scale, model.gate.as_ref())?;
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

fn print(
    subjects: &[Subject],
    evaluations: &[&Evaluation],
    paired: Option<&Paired>,
    format: Format,
    seconds: f64,
) {
    let [own, others @ ..] = evaluations else {
        return;
    };
    let reference = others.first().copied();
    match format {
        Format::Json => report::json(&Printed {
            model: subjects[0].facts(),
            evaluation: own,
            reference: subjects
                .get(1)
                .zip(reference)
                .map(|(subject, evaluation)| Reference {
                    model: subject.facts(),
                    evaluation,
                }),
            paired,
            failed: subjects[0].failed(),
            seconds: (seconds * 100.0).round() / 100.0,
        }),
        Format::Text => {
            let names: Vec<&str> = subjects.iter().map(|s| s.model.name.as_str()).collect();
            report::line(&format!(
                "{} on {} images of {} labels; ranges are 95 % intervals",
                names.join(" and "),
                crate::numbers::count(own.id.n),
                subjects[0].model.bank.labels().len(),
            ));
            report::line(tables::text(&names, own, reference, paired).trim_end());
        }
    }
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
