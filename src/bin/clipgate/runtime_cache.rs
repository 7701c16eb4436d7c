//! Where the build of the command keeps the ONNX Runtime it fetched. build.rs writes there, the command reads there.

use std::env;
use std::path::PathBuf;

/// The library of `version` for `arch` (Rust's name of it) in the user's cache directory, by the XDG base directory
/// specification; `None` where the user has no home.
pub(crate) fn library(version: &str, arch: &str) -> Option<PathBuf> {
    // The specification says to ignore a relative path.
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    let directory = format!("clipgate/onnxruntime/{version}-{arch}");
    Some(cache.join(directory).join("libonnxruntime.so"))
}
