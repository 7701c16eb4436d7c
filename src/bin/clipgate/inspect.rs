//! `clipgate inspect`: what a bundle says of itself.

mod placement;

use clipgate::{
    Bundle, Calibration, ImageEncoder, Interpolation, LabelBank, Manifest, Preprocessing, Provider,
    Resize, Result, SessionOptions,
};

use crate::args::{Format, InspectArgs, ShowArgs};
use crate::exit_code::Outcome;
use crate::{inputs, report, runtime_search};

pub(crate) fn run(show: &ShowArgs, format: Format) -> Result<Outcome> {
    let args = &show.inspected;
    if !show.placement {
        args.provider
            .refuse_without_images("no graph is run without --placement")?;
    }
    let bundle = inputs::bundle(args.bundle.as_deref())?;
    let manifest = bundle.manifest();
    let bank = manifest
        .labels
        .as_ref()
        .map(|_| bundle.label_bank())
        .transpose()?;
    let calibration = calibration(&bundle, args)?;
    let encoder = match show.placement {
        true => Some(encoder(&bundle, args)?),
        false => None,
    };
    let runs_text = show.placement && manifest.text_encoder.is_some();
    match format {
        Format::Json => report::json(&serde_json::json!({
            "location": bundle.location(),
            "manifest": manifest,
            "labels": bank.as_ref().map(LabelBank::labels),
            "negatives": bank.as_ref().map(|bank| bank.negatives().len()),
            "bank_sha256": bank.as_ref().map(LabelBank::digest),
            "calibration": calibration,
            "provider": encoder.as_ref().and_then(ImageEncoder::provider),
            "providers": encoder.as_ref().map(placement::json),
            "text_provider": runs_text.then_some(Provider::Cpu),
        })),
        Format::Text => {
            report::line(&describe(&bundle, bank.as_ref(), calibration.as_ref()));
            if let Some(encoder) = &encoder {
                report::line(&format!("providers\n{}", placement::describe(encoder)));
            }
            if runs_text {
                report::line(
                    "text graph: cpu, whatever runs the image graph: a bundle has no self-test for it",
                );
            }
        }
    }
    Ok(Outcome::Answered)
}

/// The image graph on the provider that is asked for, every node's place recorded.
fn encoder(bundle: &Bundle, args: &InspectArgs) -> Result<ImageEncoder> {
    let options = args
        .provider
        .apply(SessionOptions::default(), args.bundle.as_ref(), &[])?
        .with_placement(true);
    ImageEncoder::open(&runtime_search::load()?, bundle, options)
}

/// The calibration that was named, which must belong to the bundle's graph, or the bundle's own.
fn calibration(bundle: &Bundle, args: &InspectArgs) -> Result<Option<Calibration>> {
    let Some(path) = &args.calibration else {
        let own = bundle.manifest().calibration.as_ref();
        return own.map(|_| bundle.calibration()).transpose();
    };
    let calibration = inputs::calibration(path)?;
    bundle
        .executed_graph()?
        .admits(&calibration)
        .map_err(|error| error.at(path.display()))?;
    Ok(Some(calibration))
}

fn describe(
    bundle: &Bundle,
    bank: Option<&LabelBank>,
    calibration: Option<&Calibration>,
) -> String {
    let manifest = bundle.manifest();
    let bytes: u64 = manifest.files.values().map(|file| file.bytes).sum();
    let mut text = format!(
        "{} version {} ({}, schema {}, {:.1} MB)",
        manifest.id,
        manifest.version,
        bundle.location(),
        manifest.schema,
        bytes as f64 / 1e6
    );
    let mut entries = model(manifest);
    entries.extend(labels(bank));
    entries.extend(gate(calibration));
    for (name, value) in entries {
        text.push('\n');
        text.push_str(&entry(name, &value));
    }
    text.push_str("\nfiles");
    for (name, file) in &manifest.files {
        text.push_str(&format!("\n  {:>10}  {}  {name}", file.bytes, file.sha256));
    }
    text
}

fn model(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let own_labels = match &manifest.text_encoder {
        Some(text) => format!(
            "yes, up to {} tokens, as {:?}",
            text.context_length, text.prompt_template
        ),
        None => "no: the bundle has no text encoder".to_owned(),
    };
    let scale = format!(
        "{} values, logit scale {}",
        manifest.embedding_dim, manifest.logit_scale
    );
    let embedding = match manifest.logit_bias {
        Some(bias) => format!("{scale}, logit bias {bias} (sigmoid loss)"),
        None => scale,
    };
    let mut entries = vec![
        ("architecture", manifest.architecture.clone()),
        ("graph", graph(manifest)),
        ("source", manifest.source.clone()),
        ("licence", manifest.licence.clone()),
        ("input", input(&manifest.preprocessing)),
        ("embedding", embedding),
    ];
    entries.extend(manifest.activation.clone().map(|name| ("activation", name)));
    entries.extend(
        manifest
            .recipe
            .as_ref()
            .and_then(|recipe| Some(("recipe", serde_json::to_string(recipe).ok()?))),
    );
    entries.push(("own labels", own_labels));
    entries
}

/// What is executed, and what can be seen of it.
fn graph(manifest: &Manifest) -> String {
    let file = &manifest.image_encoder.file;
    if file.to_ascii_lowercase().ends_with(".ort") {
        return format!(
            "{file}, in ONNX Runtime's own format: optimised when it was made, and not to be read by tools for ONNX"
        );
    }
    format!("{file}, ONNX: optimised at every start")
}

fn input(preprocessing: &Preprocessing) -> String {
    let resize = match preprocessing.resize {
        Resize::ShortestEdge => "shortest edge, centre crop",
        Resize::Squash => "squashed",
        _ => "resized in a way that this command does not know",
    };
    let interpolation = match preprocessing.interpolation {
        Interpolation::Bicubic => "bicubic",
        Interpolation::Bilinear => "bilinear",
        _ => "a filter that this command does not know",
    };
    format!("{0}x{0}, {resize}, {interpolation}", preprocessing.size)
}

fn labels(bank: Option<&LabelBank>) -> Vec<(&'static str, String)> {
    let Some(bank) = bank else {
        let none = "none: `classify` needs --labels or --bank";
        return vec![("labels", none.to_owned())];
    };
    let names = bank
        .labels()
        .iter()
        .map(|label| label.name())
        .collect::<Vec<_>>()
        .join(", ");
    vec![
        ("labels", format!("{}: {names}", bank.labels().len())),
        (
            "negatives",
            format!(
                "{} texts share the probability and never win",
                bank.negatives().len()
            ),
        ),
    ]
}

fn gate(calibration: Option<&Calibration>) -> Vec<(&'static str, String)> {
    let Some(calibration) = calibration else {
        let none = "none: `classify` needs --calibration";
        return vec![("calibration", none.to_owned())];
    };
    let point = calibration.operating_point();
    let fitted = calibration.fitted_on();
    vec![
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
                point.accepted.value().unwrap_or(0.0) * 100.0,
                fitted.thresholds,
                point.wrong.value().unwrap_or(0.0) * 100.0
            ),
        ),
        ("rule", point.rule.clone()),
        (
            "promise",
            format!(
                "{}. {}",
                calibration.promise(),
                calibration.promise().conditions
            ),
        ),
    ]
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
