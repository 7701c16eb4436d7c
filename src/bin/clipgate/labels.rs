//! `clipgate labels build`: labels in words to a label bank.

use clipgate::{Result, TextEncoder};

use crate::args::{BuildArgs, Format};
use crate::exit_code::Outcome;
use crate::{inputs, output, report, runtime_search};

pub(crate) fn build(args: &BuildArgs, format: Format) -> Result<Outcome> {
    let names = inputs::label_names(&args.labels)?;
    let templates = match &args.templates {
        Some(path) => inputs::lines(path)?,
        None => Vec::new(),
    };
    let runtime = runtime_search::load()?;
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    let mut encoder = TextEncoder::open(&runtime, &bundle, args.model.session()?)?;
    let progress = report::progress(names.len(), "embedding labels");
    let bank = encoder.label_bank(&names, &templates, |done| {
        progress.set_position(done as u64)
    });
    progress.finish_and_clear();
    let bank = bank?;
    output::write_whole(&args.output, &bank.to_safetensors()?)?;
    match format {
        Format::Json => report::json(&serde_json::json!({
            "output": args.output,
            "labels": bank.labels().len(),
            "dimension": bank.dimension(),
            "sha256": bank.digest().to_string(),
        })),
        Format::Text => report::line(&format!(
            "{}: {} labels of {} values for the model {}",
            args.output.display(),
            bank.labels().len(),
            bank.dimension(),
            bundle.manifest().id
        )),
    }
    Ok(Outcome::Answered)
}
