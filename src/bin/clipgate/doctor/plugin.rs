//! The finding about Qualcomm's plugin, where one was named.

use std::fs;
use std::path::Path;

use clipgate::QnnOptions;
use clipgate::internal::{check_library, compiled_graphs};

use crate::doctor::finding::{Finding, Level};
use crate::doctor::trial::{Offloaded, Part, Said, Trial};
use crate::provider::no_plugin_named;
use crate::report;

/// What the name of a wheel's folder of metadata begins and ends with, around its version.
const METADATA: (&str, &str) = ("onnxruntime_qnn-", ".dist-info");

/// `None` where the plugin was not tried: without ONNX Runtime and a bundle nothing can be.
pub(super) fn finding(trial: &Trial, qnn: &QnnOptions, bundle: Option<&Path>) -> Option<Finding> {
    let said = trial.said.iter().find_map(|said| match said {
        Said::Npu(offloaded) => Some(usable(offloaded, qnn, bundle)),
        Said::Failed(failure) if failure.part == Part::Plugin => {
            Some(unusable(&failure.error, qnn))
        }
        _ => None,
    });
    let ended = trial
        .end
        .as_ref()
        .filter(|_| trial.last() == Some(Part::Plugin))
        .map(|end| unusable(&format!("a process of its own ended in it: {end}"), qnn));
    let mut found = ended.or(said)?;

    let library = report::path(qnn.library());
    let package = package(qnn.library());
    let named = match &package {
        Some(version) => format!("{library} of onnxruntime-qnn {version}"),
        None => library.clone(),
    };
    found.what = format!("{named}: {}", found.what);
    Some(found.value("path", library).value("package", package))
}

/// For an option that says something of a plugin where none was named.
pub(super) fn unnamed(option: &str) -> Finding {
    Finding::new(
        "qnn",
        Level::Warning,
        format!("{option} is given, and no plugin to go with it"),
    )
    .advise(no_plugin_named().report())
}

fn usable(offloaded: &Offloaded, qnn: &QnnOptions, bundle: Option<&Path>) -> Finding {
    let target = qnn
        .target()
        .map_or_else(String::new, |target| format!(" for {target}"));
    let nodes = match offloaded.nodes {
        1 => "compiled ahead of time".to_owned(),
        nodes => format!("{nodes} nodes"),
    };
    let cosine = offloaded.cosine.unwrap_or(f32::NAN);
    let compiled = compiled_graphs(qnn, bundle).into_iter().next();
    let unused = compiled.filter(|_| offloaded.nodes != 1);
    let found = Finding::new(
        "qnn",
        match unused {
            Some(_) => Level::Warning,
            None => Level::Ok,
        },
        format!(
            "runs the whole image graph{target} ({nodes}); the self-test's embedding has cosine {cosine:.4} to the expected one"
        ),
    )
    .value("nodes", offloaded.nodes)
    .value("cosine", offloaded.cosine);
    match unused {
        Some(path) => found.advise(format!(
            "{} lies there and is not used: run `clipgate compile` again",
            report::path(&path)
        )),
        None => found,
    }
}

fn unusable(why: &str, qnn: &QnnOptions) -> Finding {
    let to_do = match check_library(qnn.library()) {
        Ok(()) => {
            "Keep the package onnxruntime-qnn whole: libQnnHtp.so lies beside the plugin, and the folder onnxruntime_qnn.libs \
             beside the plugin's folder; the chapter on platforms says more"
        }
        Err(_) => {
            "Let --qnn-library or CLIPGATE_QNN_LIBRARY name libonnxruntime_providers_qnn.so in the package onnxruntime-qnn, \
             of this processor"
        }
    };
    Finding::new("qnn", Level::Warning, why)
        .advise(format!("everything runs on the CPU meanwhile. {to_do}"))
}

/// The version of the package that the plugin lies in, where its metadata lies beside: the plugin's own says nothing.
fn package(library: &Path) -> Option<String> {
    let packages = library.parent()?.parent()?;
    let (start, end) = METADATA;
    fs::read_dir(packages).ok()?.find_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let version = name.strip_prefix(start)?.strip_suffix(end)?;
        Some(version.chars().take(32).collect())
    })
}
