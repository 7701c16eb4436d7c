//! `clipgate labels build`: labels in words to a label bank.

use clipgate::{LabelBank, Result, TextEncoder};

use crate::args::{BuildArgs, Format};
use crate::exit_code::Outcome;
use crate::output::Output;
use crate::{inputs, report, runtime_search};

pub(crate) fn build(args: &BuildArgs, format: Format) -> Result<Outcome> {
    let output = Output::at(&args.output)?;
    let names = inputs::label_names(&args.labels)?;
    let read = |path: &Option<_>| path.as_deref().map(inputs::lines).transpose();
    let templates = read(&args.templates)?.unwrap_or_default();
    let negatives = read(&args.negatives)?.unwrap_or_default();
    let runtime = runtime_search::load()?;
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    let mut encoder = TextEncoder::open(&runtime, &bundle, args.model.session()?)?;
    let mut embed = |names: &[String], what| -> Result<LabelBank> {
        let progress = report::progress(names.len(), what);
        let bank = encoder.label_bank(names, &templates, |done| progress.set_position(done as u64));
        progress.finish_and_clear();
        bank
    };
    let mut bank = embed(&names, "embedding labels")?;
    if !negatives.is_empty() {
        let negatives =
            embed(&negatives, "embedding negatives").map_err(|error| error.at("negatives"))?;
        bank = bank.with_negatives(negatives)?;
    }
    output.write(&bank.to_safetensors()?)?;
    match format {
        Format::Json => report::json(&serde_json::json!({
            "output": output.name(),
            "labels": bank.labels().len(),
            "negatives": bank.negatives().len(),
            "dimension": bank.dimension(),
            "sha256": bank.digest().to_string(),
        })),
        Format::Text => report::line(&format!(
            "{}: {} labels and {} negatives of {} values for the model {}",
            output.name(),
            bank.labels().len(),
            bank.negatives().len(),
            bank.dimension(),
            bundle.manifest().id
        )),
    }
    Ok(Outcome::Answered)
}
