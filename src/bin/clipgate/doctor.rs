//! `clipgate doctor`: what this machine has, and what to do about what is missing.

use clipgate::{Classifier, ErrorKind, Result};
use serde::Serialize;

use crate::args::Format;
use crate::exit_code::Outcome;
use crate::{cpu, inputs, report, runtime_search};

/// What was found; printed as it is by `--format json`.
#[derive(Serialize)]
struct Findings {
    version: &'static str,
    target: String,
    cores: usize,
    cpu_features: Vec<&'static str>,
    onnxruntime: Library,
    model: Model,
    advice: Vec<String>,
}

#[derive(Serialize)]
struct Library {
    version: Option<String>,
    path: Option<String>,
    providers: Vec<&'static str>,
    searched: Vec<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Model {
    embedded: bool,
    works: bool,
    error: Option<String>,
}

pub(crate) fn run(format: Format) -> Result<Outcome> {
    let findings = look();
    match format {
        Format::Json => report::json(&findings),
        Format::Text => report::line(&describe(&findings)),
    }
    Ok(if findings.advice.is_empty() {
        Outcome::Answered
    } else {
        Outcome::CheckFailed
    })
}

fn look() -> Findings {
    let mut advice = Vec::new();
    let runtime = runtime_search::load();
    let model = match &runtime {
        Ok(runtime) => inputs::bundle(None)
            .and_then(|bundle| Classifier::new(runtime, &bundle))
            .map(|_| ()),
        Err(_) => inputs::bundle(None).map(|_| ()),
    };
    if runtime.is_err() {
        advice.push(
            "install the library as said above, or build clipgate where python3 and pip work: the build fetches it"
                .to_owned(),
        );
    }
    if let (Ok(_), Err(error)) = (&runtime, &model) {
        advice.push(match error.kind() {
            ErrorKind::Model => {
                "the model computes wrongly here: try another ONNX Runtime version".to_owned()
            }
            _ => "pass --bundle DIR with a bundle that `clipgate verify` accepts".to_owned(),
        });
    }
    Findings {
        version: env!("CARGO_PKG_VERSION"),
        target: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        cores: cpu::cores(),
        cpu_features: cpu::features(),
        onnxruntime: Library {
            version: runtime
                .as_ref()
                .ok()
                .map(|runtime| runtime.version().to_owned()),
            path: runtime
                .as_ref()
                .ok()
                .map(|runtime| report::path(runtime.path())),
            providers: if runtime.is_ok() {
                vec!["cpu"]
            } else {
                Vec::new()
            },
            searched: runtime_search::candidates()
                .iter()
                .map(|path| report::path(path))
                .collect(),
            error: runtime.as_ref().err().map(|error| error.report()),
        },
        model: Model {
            embedded: cfg!(feature = "embedded-model"),
            works: runtime.is_ok() && model.is_ok(),
            error: model.err().map(|error| error.report()),
        },
        advice,
    }
}

fn describe(findings: &Findings) -> String {
    let library = &findings.onnxruntime;
    let runtime = match (&library.version, &library.path) {
        (Some(version), Some(path)) => format!("{version}, {path}"),
        _ => library.error.clone().unwrap_or_default(),
    };
    let model = match (&findings.model.error, findings.model.works) {
        (_, true) => "works: self-test passed".to_owned(),
        (Some(error), _) => error.clone(),
        (None, false) => "not tried".to_owned(),
    };
    let mut text = format!(
        "clipgate      {}, {}, {} cores\ncpu           {}\nonnxruntime   {runtime}\nproviders     {}\nmodel         {model}",
        findings.version,
        findings.target,
        findings.cores,
        findings.cpu_features.join(" "),
        library.providers.join(" "),
    );
    match findings.advice.as_slice() {
        [] => text.push_str("\nEverything that clipgate needs is here."),
        advice => advice
            .iter()
            .for_each(|line| text.push_str(&format!("\nto do         {line}"))),
    }
    text
}
