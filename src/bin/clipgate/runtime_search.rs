//! Where the command looks for ONNX Runtime.

use std::env;
use std::env::consts::{ARCH, DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

use clipgate::internal::check_library;
use clipgate::{Error, Result, Runtime};

// By path, because build.rs and the tests compile these files too.
#[path = "runtime_cache.rs"]
pub(crate) mod runtime_cache;

/// Names the only library that is tried.
const NAMED_BY: &str = "ORT_DYLIB_PATH";

/// The library files to try, in this order: the one that ORT_DYLIB_PATH names, and then no other; else the one next to
/// the executable, the one that the build fetched, and those of the system.
pub(crate) fn candidates() -> Vec<PathBuf> {
    named().map_or_else(unnamed, |path| vec![path])
}

/// Loads the first of [`candidates`] that can be loaded; the error lists them all and says what to do.
pub(crate) fn load() -> Result<Runtime> {
    Runtime::load_first(&candidates()).map_err(|error| match spare() {
        Some(to_do) => {
            let found = without_advice(&error.to_string());
            Error::new(error.kind(), format!("{found}\n  to do: {to_do}"))
        }
        None => error,
    })
}

/// What to do about a library that ORT_DYLIB_PATH names and that cannot be used, where another one would be found.
pub(crate) fn spare() -> Option<String> {
    named()?;
    let is_usable = |path: &PathBuf| check_library(path).is_ok();
    let other = unnamed().into_iter().find(is_usable)?;
    Some(format!(
        "{NAMED_BY} names this file and keeps clipgate from looking elsewhere: unset it, and {} is taken",
        other.display()
    ))
}

/// The message of [`Runtime::load_first`] without its last line, which says what to do.
pub(crate) fn without_advice(message: &str) -> String {
    let lines = message
        .lines()
        .filter(|line| !line.trim_start().starts_with("to do: "));
    lines.collect::<Vec<_>>().join("\n")
}

fn named() -> Option<PathBuf> {
    let path = env::var_os(NAMED_BY).filter(|path| !path.is_empty())?;
    Some(PathBuf::from(path))
}

fn unnamed() -> Vec<PathBuf> {
    let name = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    let beside = env::current_exe()
        .ok()
        .and_then(|executable| Some(executable.parent()?.join(&name)));
    let fetched = runtime_cache::library(env!("CLIPGATE_ONNXRUNTIME_VERSION"), ARCH);
    let system = [
        format!("/usr/local/lib/{name}"),
        format!("/usr/lib/{ARCH}-linux-gnu/{name}"),
        format!("/usr/lib64/{name}"),
        format!("/usr/lib/{name}"),
    ];
    beside
        .into_iter()
        .chain(fetched)
        .chain(system.into_iter().map(PathBuf::from))
        .collect()
}
