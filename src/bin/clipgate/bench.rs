//! `clipgate bench`: what a frame, a start and a megabyte cost on this machine.

mod args;
mod compare;
mod figures;
mod input;
mod machine;
mod model;
mod report;
mod start;
mod steady;

pub(crate) use args::BenchArgs;

use std::path::Path;

use clipgate::{Bundle, Error, ErrorKind, Result};
use serde::Serialize;

use crate::args::Format;
use crate::exit_code::Outcome;
use crate::output::Output;
use crate::{inputs, report as printed};
use compare::Change;
use input::Input;
use machine::{Machine, Readings};
use model::Opened;
use report::{BundleName, Run, SCHEMA, Subject};

/// What `--format json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    run: &'a Run,
    /// Beside the run that `--compare` named.
    #[serde(flatten)]
    compared: Option<Compared>,
}

/// This run beside an earlier one.
#[derive(Serialize)]
struct Compared {
    #[serde(rename = "compared")]
    changes: Vec<Change>,
    /// What else differs, so that a change may come from there.
    #[serde(rename = "compared_notes")]
    notes: Vec<String>,
}

pub(crate) fn run(args: &BenchArgs, format: Format) -> Result<Outcome> {
    if args.first_decision {
        return start::first_decision(args).map(|()| Outcome::Answered);
    }
    let output = args.output.as_deref().map(Output::at).transpose()?;
    if let Some(output) = &output {
        output.spares(args.image.iter().chain(&args.compare))?;
    }
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    let mut input = Input::new(args, &bundle.manifest().preprocessing, steady::FRAMES)?;
    let subject = subject(args, &bundle, &input)?;
    let before = match &args.compare {
        Some(path) => Some(earlier(path, &subject, args.across)?),
        None => None,
    };

    let Some(run) = measure(args, &mut input, subject)? else {
        return Ok(Outcome::Failed);
    };
    // First, so that nothing that follows loses it.
    if let Some(output) = &output {
        write(output, &run)?;
    }
    let compared = match (&before, &args.compare) {
        (Some(before), Some(path)) => Some(Compared {
            changes: compare::changes(before, &run).map_err(|error| error.at(path.display()))?,
            notes: compare::notes(before, &run),
        }),
        _ => None,
    };
    match format {
        Format::Json => printed::json(&Printed {
            run: &run,
            compared,
        }),
        Format::Text => {
            printed::line(&report::describe(&run));
            if let (Some(before), Some(Compared { changes, notes })) = (&before, &compared) {
                printed::line(&format!("\n{}", compare::describe(changes, notes, before)));
            }
        }
    }
    Ok(Outcome::Answered)
}

/// What is about to be measured, before anything takes time.
fn subject(args: &BenchArgs, bundle: &Bundle, input: &Input) -> Result<Subject> {
    let manifest = bundle.manifest();
    let decides = model::labels_and_thresholds(args, bundle)?;
    Ok(Subject {
        bundle: BundleName {
            id: manifest.id.clone(),
            version: manifest.version,
            graph_sha256: bundle.executed_graph()?.graph.to_string(),
        },
        input: input.described()?,
        labels: decides.map(|(bank, _)| bank.labels().len()),
        threads: args.model.threads,
    })
}

/// The run to compare with: of the same subject, unless the user asked for another.
fn earlier(path: &Path, subject: &Subject, across: bool) -> Result<Run> {
    let before = compare::read(path)?;
    // Figures that cannot be compared are told before anything takes time.
    compare::changes(&before, &before).map_err(|error| error.at(path.display()))?;
    let differences = compare::differences(&before.subject, subject);
    if differences.is_empty() || across {
        return Ok(before);
    }
    let refused = format!(
        "another run than this one, so that a ratio would say nothing (--across takes it all the same)\n  {}",
        differences.join("\n  ")
    );
    Err(Error::new(ErrorKind::Caller, refused).at(path.display()))
}

/// `None` if a process that was started refused, having said why.
fn measure(args: &BenchArgs, input: &mut Input, subject: Subject) -> Result<Option<Run>> {
    let readings = Readings::now();
    let start = match args.starts {
        0 => None,
        starts => match start::measure(starts)? {
            None => return Ok(None),
            measured => measured,
        },
    };
    let mut opened = Opened::new(args)?;
    let (stages_ms, pace) = steady::run(&mut opened, input, args)?;
    Ok(Some(Run {
        schema: SCHEMA,
        clipgate: printed::version(),
        subject,
        provider: opened.provider.clone(),
        onnxruntime: opened.runtime.version().to_owned(),
        machine: Machine::since(readings),
        stages_ms,
        pace,
        start,
        peak_rss_bytes: machine::peak_rss_bytes(),
    }))
}

fn write(output: &Output, run: &Run) -> Result<()> {
    let json = serde_json::to_vec_pretty(run).map_err(|error| {
        Error::new(
            ErrorKind::Machine,
            format!("{}: cannot be written", output.name()),
        )
        .with_source(error)
    })?;
    output.write(&json)
}
