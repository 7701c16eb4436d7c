//! `clipgate compile`: the image graph as an NPU's binary, made ahead of time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clipgate::internal::check_library;
use clipgate::{
    Bundle, CompiledContext, Error, ErrorKind, HtpTarget, Provider, ProviderLadder, QnnOptions,
    Result, SessionOptions,
};

use crate::args::{CompileArgs, Format};
use crate::exit_code::Outcome;
use crate::output::Output;
use crate::provider::{NAME_PLUGIN, QnnArgs, embedded_contexts, no_plugin_named};
use crate::{inputs, report, runtime_search};

pub(crate) fn run(args: &CompileArgs, format: Format) -> Result<Outcome> {
    let bundle = inputs::bundle(args.bundle.as_deref())?;
    let target = args.target;
    let plugin = QnnArgs {
        qnn_library: args.qnn_library.clone(),
        qnn_target: Some(target),
        qnn_context: None,
    };
    let qnn = plugin
        .options(args.bundle.as_ref())
        .ok_or_else(no_plugin_named)?;
    let path = match &args.output {
        Some(output) => output.clone(),
        None => beside(&bundle, target)?,
    };
    let is_there = path.exists();
    if is_there && path.is_file() && !CompiledContext::has_record(&path) {
        return Err(
            caller(
                "is there already and was not compiled by clipgate, or its record was left behind: name another file with -o, \
                 or remove this one",
            )
            .at(path.display()),
        );
    }
    let output = Output::at(&path)?.file()?;
    check_plugin(&qnn)?;
    let runtime = runtime_search::load()?;
    let options = SessionOptions::default()
        .with_providers(ProviderLadder::required(Provider::Qnn))
        .with_qnn(qnn);
    if is_there {
        match CompiledContext::check(&output, &bundle, &options) {
            Ok(()) => return Ok(tell(format, &path, target, None)),
            Err(error) => report::note(&format!("{}: compiling it anew", error.report())),
        }
    }
    if let Some(probe) = plugin.probe(args.bundle.as_ref(), &[]) {
        probe.run(Provider::Qnn)?;
    }
    let start = Instant::now();
    let compiled = CompiledContext::compile(&runtime, &bundle, &options)?;
    let seconds = start.elapsed().as_secs_f64();
    compiled.write(&output)?;
    Ok(tell(format, &path, target, Some((&compiled, seconds))))
}

/// That the plugin is a shared library of this processor, before anything of it is loaded.
fn check_plugin(qnn: &QnnOptions) -> Result<()> {
    check_library(qnn.library()).map_err(|error| {
        let found = error.at(qnn.library().display());
        let message = format!("{}\n  to do: {NAME_PLUGIN}", found.report());
        Error::new(found.kind(), message)
    })
}

/// Where the result lies unless it is said: in the bundle's directory, or in the user's cache for the embedded model.
fn beside(bundle: &Bundle, target: HtpTarget) -> Result<PathBuf> {
    if let Some(directory) = bundle.directory() {
        return Ok(directory.join(target.file_name()));
    }
    let folder = embedded_contexts()
        .ok_or_else(|| caller("the embedded model has no directory: name a file with -o"))?;
    fs::create_dir_all(&folder).map_err(|error| {
        let what = format!("cannot be made ({error}): name a file with -o");
        Error::new(ErrorKind::Machine, what).at(folder.display())
    })?;
    Ok(folder.join(target.file_name()))
}

/// Says what lies at `output`; `made` if it was not there before, with the time that it took.
fn tell(
    format: Format,
    output: &Path,
    target: HtpTarget,
    made: Option<(&CompiledContext, f64)>,
) -> Outcome {
    match format {
        Format::Json => report::json(&serde_json::json!({
            "output": output.display().to_string(),
            "target": target,
            "compiled": made.is_some(),
            "bytes": made.map(|(compiled, _)| compiled.bytes()),
            "cosine": made.map(|(compiled, _)| compiled.cosine()),
            "seconds": made.map(|(_, seconds)| seconds),
        })),
        Format::Text => report::line(&match made {
            Some((compiled, seconds)) => format!(
                "{}: the whole graph for {target}, {:.1} MB, compiled and tested in {seconds:.1} s; the self-test's embedding \
                 has cosine {:.4} to the expected one",
                report::path(output),
                compiled.bytes() as f64 / 1e6,
                compiled.cosine()
            ),
            None => format!(
                "{}: there already, made from this graph by this driver for {target}",
                report::path(output)
            ),
        }),
    }
    Outcome::Answered
}

fn caller(message: &str) -> Error {
    Error::new(ErrorKind::Caller, message)
}
