//! `clipgate labels`: label banks from words, and from other banks.

use clipgate::{LabelBank, Result, Rows, TextEncoder};
use serde::Serialize;

use crate::args::{BuildArgs, ConvertArgs, Format, RowsArg};
use crate::exit_code::Outcome;
use crate::output::Output;
use crate::vocabulary::{self, Source};
use crate::{inputs, report, runtime_search};

/// The line that `labels build --format json` prints.
#[derive(Serialize)]
struct Line {
    output: String,
    labels: usize,
    negatives: usize,
    dimension: usize,
    sha256: String,
    negatives_from: Source,
}

pub(crate) fn build(args: &BuildArgs, format: Format) -> Result<Outcome> {
    let output = Output::at(&args.output)?;
    let words = [Some(&args.labels), args.mine_negatives.as_ref()];
    output.spares(words.into_iter().flatten())?;
    output.spares([&args.templates, &args.negatives].into_iter().flatten())?;
    let names = inputs::label_names(&args.labels)?;
    let templates = args.templates.as_deref().map(inputs::lines).transpose()?;
    let templates = templates.unwrap_or_default();
    let runtime = runtime_search::load()?;
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    let mut encoder = TextEncoder::open(&runtime, &bundle, args.model.text_session()?)?;
    let progress = report::progress(names.len(), "embedding labels");
    let bank: Result<LabelBank> = encoder.label_bank(&names, &templates, |done| {
        progress.set_position(done as u64);
    });
    progress.finish_and_clear();
    let lender = inputs::lender(&bundle)?;
    let (bank, source) =
        vocabulary::add_negatives(bank?, args, &templates, &mut encoder, lender.as_ref())?;
    let bank = bank.with_rows(args.rows.into())?;
    output.write(&bank.to_safetensors()?)?;
    match format {
        Format::Json => report::json(&Line {
            output: output.name(),
            labels: bank.labels().len(),
            negatives: bank.negatives().len(),
            dimension: bank.dimension(),
            sha256: bank.digest().to_string(),
            negatives_from: source,
        }),
        Format::Text => {
            report::line(&format!(
                "{}: {} labels and {} negatives of {} values for the model {}",
                output.name(),
                bank.labels().len(),
                bank.negatives().len(),
                bank.dimension(),
                bundle.manifest().id
            ));
            if let Some(words) = source.words() {
                report::line(&words);
            }
        }
    }
    Ok(Outcome::Answered)
}

/// The line that `labels convert --format json` prints.
#[derive(Serialize)]
struct Converted {
    output: String,
    labels: usize,
    dimension: usize,
    sha256: String,
}

pub(crate) fn convert(args: &ConvertArgs, format: Format) -> Result<Outcome> {
    let output = Output::at(&args.output)?;
    output.spares([&args.bank])?;
    let bank = inputs::bank(&args.bank)?.with_rows(args.rows.into())?;
    output.write(&bank.to_safetensors()?)?;
    match format {
        Format::Json => report::json(&Converted {
            output: output.name(),
            labels: bank.labels().len(),
            dimension: bank.dimension(),
            sha256: bank.digest().to_string(),
        }),
        Format::Text => report::line(&format!(
            "{}: {} labels of {} values; a calibration of theirs is bound to {}",
            output.name(),
            bank.labels().len(),
            bank.dimension(),
            bank.digest()
        )),
    }
    Ok(Outcome::Answered)
}

impl From<RowsArg> for Rows {
    fn from(rows: RowsArg) -> Self {
        match rows {
            RowsArg::F32 => Self::F32,
            RowsArg::Int8 => Self::Int8,
            RowsArg::Both => Self::Both,
        }
    }
}
