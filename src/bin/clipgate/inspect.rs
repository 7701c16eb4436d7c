//! `clipgate inspect`: what a bundle says of itself.

use clipgate::{Bundle, Calibration, LabelBank, Result};

use crate::args::{Format, InspectArgs};
use crate::exit_code::Outcome;
use crate::{inputs, report};

pub(crate) fn run(args: &InspectArgs, format: Format) -> Result<Outcome> {
    let bundle = inputs::bundle(args.bundle.as_deref())?;
    let bank = bundle.label_bank()?;
    let calibration = bundle.calibration()?;
    match format {
        Format::Json => report::json(&serde_json::json!({
            "location": bundle.location(),
            "manifest": bundle.manifest(),
            "labels": bank.labels(),
            "negatives": bank.negatives().len(),
            "bank_sha256": bank.digest(),
            "calibration": calibration,
        })),
        Format::Text => report::line(&describe(&bundle, &bank, &calibration)),
    }
    Ok(Outcome::Answered)
}

fn describe(bundle: &Bundle, bank: &LabelBank, calibration: &Calibration) -> String {
    let manifest = bundle.manifest();
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    let names = bank
        .labels()
        .iter()
        .map(|label| label.name())
        .collect::<Vec<_>>()
        .join(", ");
    let own_labels = match &manifest.text_encoder {
        Some(text) => format!(
            "yes, up to {} tokens, as {:?}",
            text.context_length, text.prompt_template
        ),
        None => "no: the bundle has no text encoder".to_owned(),
    };
    let point = calibration.operating_point();
    let fitted = calibration.fitted_on();
    let mut text = format!(
        "{} version {} ({}, schema {}, {:.1} MB)",
        manifest.id,
        manifest.version,
        bundle.location(),
        manifest.schema,
        bytes as f64 / 1e6
    );
    for (name, value) in [
        ("architecture", manifest.architecture.clone()),
        ("source", manifest.source.clone()),
        ("licence", manifest.licence.clone()),
        (
            "input",
            format!(
                "{0}x{0}, shortest edge bicubic, centre crop",
                manifest.preprocessing.size
            ),
        ),
        (
            "embedding",
            format!(
                "{} values, logit scale {}",
                manifest.embedding_dim, manifest.logit_scale
            ),
        ),
        ("own labels", own_labels),
        ("labels", format!("{}: {names}", bank.labels().len())),
        (
            "negatives",
            format!(
                "{} texts share the probability and never win",
                bank.negatives().len()
            ),
        ),
        (
            "calibration",
            format!(
                "temperature {:.3}, fitted on {} images; thresholds on {} others ({})",
                calibration.temperature(),
                fitted.temperature,
                fitted.thresholds,
                fitted.source
            ),
        ),
        (
            "gate",
            format!(
                "accepts {:.1} % of those {} images, {:.1} % of the accepted are wrong",
                point.coverage * 100.0,
                fitted.thresholds,
                point.selective_risk * 100.0
            ),
        ),
        ("rule", point.rule.clone()),
        ("promise", calibration.promise().conditions.clone()),
    ] {
        text.push('\n');
        text.push_str(&entry(name, &value));
    }
    text.push_str("\nfiles");
    for (name, file) in &manifest.files {
        text.push_str(&format!("\n  {:>10}  {}  {name}", file.bytes, file.sha256));
    }
    text
}

/// A name and a value that continues under itself.
fn entry(name: &str, value: &str) -> String {
    const WIDTH: usize = 100;
    const INDENT: &str = "              ";
    let first = format!("{name:<14}");
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(&first)
        .subsequent_indent(INDENT);
    textwrap::fill(value, options)
}
