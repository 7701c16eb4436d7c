//! `clipgate verify`: every check of a bundle, each with its outcome.

use std::path::Path;

use clipgate::{
    Bundle, Gate, ImageEncoder, LabelBank, Provider, Result, Runtime, SessionOptions, TextEncoder,
};

use crate::args::{Format, InspectArgs};
use crate::exit_code::Outcome;
use crate::{inputs, report, runtime_search};

/// A label that any text encoder can embed.
const PROBE_TEXT: &str = "a photo";

/// A named check and what it found.
struct Check {
    name: String,
    result: Result<String>,
}

pub(crate) fn run(args: &InspectArgs, format: Format) -> Result<Outcome> {
    let bundle = inputs::bundle(args.bundle.as_deref())?;
    // Without ONNX Runtime nothing could be said of the graphs: that is an error, not a failed check.
    let runtime = runtime_search::load()?;
    let session = args
        .provider
        .apply(SessionOptions::default(), args.bundle.as_ref(), &[])?;
    let checks = check(&bundle, &runtime, args, &session);
    for check in &checks {
        match format {
            Format::Json => report::json(&serde_json::json!({
                "check": check.name,
                "passed": check.result.is_ok(),
                "detail": check.result.as_ref().map_or_else(|error| error.report(), Clone::clone),
            })),
            Format::Text => report::line(&match &check.result {
                Ok(detail) => format!("ok      {:<28} {detail}", check.name),
                Err(error) => format!("FAILED  {:<28} {}", check.name, error.report()),
            }),
        }
    }
    let failed = checks.iter().filter(|check| check.result.is_err()).count();
    if format == Format::Text {
        report::line(&match failed {
            0 => format!("{}: all {} checks passed", bundle.location(), checks.len()),
            _ => format!(
                "{}: {failed} of {} checks failed",
                bundle.location(),
                checks.len()
            ),
        });
    }
    Ok(if failed == 0 {
        Outcome::Answered
    } else {
        Outcome::CheckFailed
    })
}

fn check(
    bundle: &Bundle,
    runtime: &Runtime,
    args: &InspectArgs,
    session: &SessionOptions,
) -> Vec<Check> {
    let mut checks: Vec<Check> = bundle
        .manifest()
        .files
        .keys()
        .map(|file| Check {
            name: file.clone(),
            result: bundle
                .read(file)
                .map(|_| "size and sha256 as in the manifest".to_owned()),
        })
        .collect();
    let mut add = |name: &str, result: Result<String>| {
        checks.push(Check {
            name: name.to_owned(),
            result,
        });
    };
    add(
        "image graph and self-test",
        ImageEncoder::open(runtime, bundle, session.clone()).map(|encoder| computed(&encoder)),
    );
    if bundle.manifest().text_encoder.is_some() {
        add(
            "text graph and tokenizer",
            TextEncoder::open(runtime, bundle, session.clone())
                .and_then(|mut encoder| encoder.encode(PROBE_TEXT))
                .map(|_| "a text was embedded".to_owned()),
        );
    }
    if bundle.manifest().labels.is_some() {
        let counted = |bank: LabelBank| format!("{} labels", bank.labels().len());
        add("label bank", bundle.label_bank().map(counted));
    }
    add("calibration", calibration(bundle));
    if let Some(path) = &args.calibration {
        add(&path.display().to_string(), own_calibration(bundle, path));
    }
    checks
}

/// That the self-test passed, and on what; what was passed over stands in the log.
fn computed(encoder: &ImageEncoder) -> String {
    let computed = "the expected embedding was computed";
    match encoder.provider() {
        Some(provider) if provider != Provider::Cpu => format!("{computed} on {provider}"),
        _ => computed.to_owned(),
    }
}

/// Whether the user's own calibration belongs to this graph, and what it promises.
fn own_calibration(bundle: &Bundle, path: &Path) -> Result<String> {
    let calibration = inputs::calibration(path)?;
    bundle.executed_graph()?.admits(&calibration)?;
    Ok(format!(
        "fitted on this graph; promise: {}",
        calibration.promise()
    ))
}

/// Whether the calibration belongs to this graph, as far as there is one.
fn calibration(bundle: &Bundle) -> Result<String> {
    let manifest = bundle.manifest();
    if manifest.calibration.is_none() {
        return Ok("none in the bundle: `classify` needs --calibration".to_owned());
    }
    let calibration = bundle.calibration()?;
    if manifest.labels.is_none() {
        bundle.executed_graph()?.admits(&calibration)?;
        return Ok("fitted on this graph, for labels outside the bundle".to_owned());
    }
    let gate = Gate::new(
        calibration,
        &bundle.executed_graph()?,
        &bundle.label_bank()?,
    )?;
    Ok(format!("{:?} on the default labels", gate.fit()).to_lowercase())
}
