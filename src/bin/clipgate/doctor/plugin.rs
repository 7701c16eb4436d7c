//! The finding about Qualcomm's plugin, where one was named.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use clipgate::QnnOptions;
use clipgate::internal::{check_library, compiled_graphs};

use crate::doctor::finding::{Finding, Level};
use crate::doctor::trial::{Offloaded, Part, Said, Trial};
use crate::provider::{NAME_PLUGIN, no_plugin_named};
use crate::report;

/// What the name of a wheel's folder of metadata begins and ends with, around its version.
const METADATA: (&str, &str) = ("onnxruntime_qnn-", ".dist-info");

/// What to do about a plugin that does not find its own libraries.
const KEEP_WHOLE: &str = "keep the package onnxruntime-qnn whole: libQnnHtp.so lies beside the plugin, and the folder \
    onnxruntime_qnn.libs beside the plugin's folder; the chapter on platforms says more";

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
    let library = qnn.library();
    let name = format!("{DLL_PREFIX}onnxruntime_providers_qnn{DLL_SUFFIX}");
    let is_called_so = library.file_name() == Some(OsStr::new(&name));
    let to_do = match check_library(library) {
        Ok(()) if is_called_so => KEEP_WHOLE.to_owned(),
        // A library of another name may be the plugin, and is more likely not.
        Ok(()) => format!("{NAME_PLUGIN}; and {KEEP_WHOLE}"),
        Err(_) => NAME_PLUGIN.to_owned(),
    };
    // The finding begins with the file's name.
    let named = library.display().to_string();
    let rest = why.strip_prefix(&named).unwrap_or(why);
    let why = rest.trim_start_matches([':', ' ']);
    Finding::new("qnn", Level::Warning, why)
        .advise(format!("everything runs on the CPU meanwhile: {to_do}"))
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
