//! Findings about ONNX Runtime and the model, from what came of trying them.

use std::env::consts::ARCH;

use crate::doctor::finding::{Finding, Level};
use crate::doctor::trial::{Failure, Library, Part, SIZE, Said, Trial};
use crate::{report, runtime_search};

pub(super) fn findings(trial: &Trial) -> Vec<Finding> {
    let mut findings = Vec::new();
    for said in &trial.said {
        match said {
            Said::Begun(_) | Said::Npu(_) => {}
            Said::Library(library) => findings.extend(usable(library)),
            Said::Bundle(bundle) => findings.push(
                Finding::new(
                    "bundle",
                    Level::Ok,
                    format!("{}, version {}", bundle.id, bundle.version),
                )
                .value("id", &*bundle.id)
                .value("version", bundle.version),
            ),
            Said::Model(timed) => findings.push(
                Finding::new(
                    "model",
                    Level::Ok,
                    format!(
                        "computes what its self-test expects; {:.1} ms for a frame of {}x{} on one thread",
                        timed.frame_ms, SIZE.0, SIZE.1
                    ),
                )
                .value("frame_ms", timed.frame_ms)
                .value("frames", timed.frames),
            ),
            Said::Failed(failure) => findings.extend(failed(failure)),
            Said::Done => {}
        }
    }
    let end = trial.end.as_ref();
    findings.extend(end.and_then(|end| crashed(trial.last(), end)));
    findings
}

fn usable(library: &Library) -> [Finding; 2] {
    let what = format!("{}, {}", library.version, library.path);
    let found = if library.passed_over.is_empty() {
        Finding::new("onnxruntime", Level::Ok, what)
    } else {
        Finding::new(
            "onnxruntime",
            Level::Warning,
            format!(
                "{what}; passed over before it:\n{}",
                library.passed_over.join("\n")
            ),
        )
        .advise("remove the files that cannot be used, or put good ones in their place")
    };
    let short = |name: &String| {
        let name = name.strip_suffix("ExecutionProvider").unwrap_or(name);
        name.to_lowercase()
    };
    let names: Vec<String> = library.providers.iter().map(short).collect();
    [
        found
            .value("version", &*library.version)
            .value("path", &*library.path)
            .value("passed_over", library.passed_over.clone())
            .value("searched", searched()),
        Finding::new(
            "providers",
            Level::Ok,
            format!("built into the library: {}", names.join(", ")),
        )
        .value("names", library.providers.clone()),
    ]
}

fn failed(failure: &Failure) -> Option<Finding> {
    let finding = match failure.part {
        // A finding of its own.
        Part::Plugin => return None,
        Part::Library => Finding::new("onnxruntime", Level::Problem, unadvised(&failure.error))
            .advise(runtime_search::spare().unwrap_or_else(install))
            .value("error", &*failure.error)
            .value("searched", searched()),
        Part::Bundle => Finding::new("bundle", Level::Problem, &*failure.error)
            .advise("pass --bundle DIR with a bundle that `clipgate verify DIR` accepts; copy it again if it is damaged")
            .value("error", &*failure.error),
        Part::Model if failure.computes_wrongly => {
            Finding::new("model", Level::Problem, &*failure.error)
                .advise(
                    "do not use this model here: `clipgate verify` tells a damaged file; otherwise a kernel computes \
                     wrongly on this processor: try another version of ONNX Runtime, and report the processor",
                )
                .value("error", &*failure.error)
        }
        Part::Model => Finding::new("model", Level::Problem, &*failure.error)
            .advise("`clipgate verify` on this bundle says more")
            .value("error", &*failure.error),
    };
    Some(finding)
}

/// Something ended the process that tried.
fn crashed(last: Option<Part>, end: &str) -> Option<Finding> {
    let (check, doing) = match last {
        Some(Part::Plugin) => return None,
        Some(Part::Library) => ("onnxruntime", "loading ONNX Runtime"),
        Some(Part::Bundle) => ("bundle", "reading the bundle"),
        Some(Part::Model) => ("model", "running the model"),
        None => ("onnxruntime", "starting"),
    };
    let finding = Finding::new(
        check,
        Level::Problem,
        format!("a process of its own ended while {doing}: {end}"),
    )
    .advise(
        "an illegal instruction (SIGILL) or a fault there is ONNX Runtime's: 1.23 to 1.24.0 end so on some new Arm chips; take \
         another version, 1.28 or newer, through ORT_DYLIB_PATH. SIGKILL is most often a lack of memory",
    )
    .value("end", end)
    .value("searched", searched());
    Some(finding)
}

fn install() -> String {
    format!(
        "install ONNX Runtime 1.28 or newer for {ARCH} (PyPI's package `onnxruntime` holds it as \
         onnxruntime/capi/libonnxruntime.so.*) and name it: export ORT_DYLIB_PATH=FILE. A file that is cut short \
         has to be copied again. Building clipgate where python3 and pip work fetches the library"
    )
}

/// What [`runtime_search::load`] says, without what to do and its indents.
fn unadvised(message: &str) -> String {
    let message = runtime_search::without_advice(message);
    message
        .lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
}

fn searched() -> Vec<String> {
    let candidates = runtime_search::candidates();
    candidates.iter().map(|path| report::path(path)).collect()
}
