//! Where the command looks for ONNX Runtime.

use std::env;
use std::env::consts::{ARCH, DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

use clipgate::{Result, Runtime};

// By path, because build.rs and the tests compile these files too.
#[path = "runtime_cache.rs"]
pub(crate) mod runtime_cache;

/// The library files to try, in this order: the one that ORT_DYLIB_PATH names, and then no other; else the one next to
/// the executable, the one that the build fetched, and those of the system.
pub(crate) fn candidates() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return vec![PathBuf::from(path)];
    }
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

/// Loads the first of [`candidates`] that can be loaded; the error lists them all and says what to do.
pub(crate) fn load() -> Result<Runtime> {
    Runtime::load_first(&candidates())
}
