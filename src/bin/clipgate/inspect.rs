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
    let mut text = format!(
        "{id} version {version} ({location}, schema {schema}, {megabytes:.1} MB)\n\
         architecture  {architecture}\n\
         source        {source}\n\
         licence       {licence}\n\
         input         {size}x{size}, shortest edge bicubic, centre crop\n\
         embedding     {dimension} values, logit scale {scale}\n\
         own labels    {own_labels}\n\
         labels        {count}: {names}\n\
         calibration   temperature {temperature:.3}, fitted on {fitted} images; thresholds on {certified} others\n\
         \u{20}             ({images})\n\
         gate          accepts {coverage:.1} % of those {certified} images, {risk:.1} % of the accepted are wrong\n\
         promise       {promise}\n\
         rule          {rule}\n\
         files",
        id = manifest.id,
        version = manifest.version,
        location = bundle.location(),
        schema = manifest.schema,
        megabytes = bytes as f64 / 1e6,
        architecture = manifest.architecture,
        source = manifest.source,
        licence = manifest.licence,
        size = manifest.preprocessing.size,
        dimension = manifest.embedding_dim,
        scale = manifest.logit_scale,
        count = bank.labels().len(),
        temperature = calibration.temperature(),
        fitted = calibration.fitted_on().temperature,
        certified = calibration.fitted_on().thresholds,
        images = calibration.fitted_on().source,
        rule = point.rule,
        coverage = point.coverage * 100.0,
        risk = point.selective_risk * 100.0,
        promise = calibration.promise().conditions,
    );
    for (name, file) in &manifest.files {
        text.push_str(&format!("\n  {:>10}  {}  {name}", file.bytes, file.sha256));
    }
    text
}
