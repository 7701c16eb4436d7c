//! Where the command keeps files of its own. build.rs puts the ONNX Runtime that it fetched there too.

use std::env;
use std::path::PathBuf;

/// clipgate's folder in the user's cache directory, by the XDG base directory specification; `None` where the user has no
/// home.
pub(crate) fn directory() -> Option<PathBuf> {
    // The specification says to ignore a relative path.
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("clipgate"))
}

/// The library of `version` for `arch` (Rust's name of it) in that folder.
pub(crate) fn library(version: &str, arch: &str) -> Option<PathBuf> {
    let folder = directory()?.join(format!("onnxruntime/{version}-{arch}"));
    Some(folder.join("libonnxruntime.so"))
}
