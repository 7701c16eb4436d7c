//! What several tests need.

use std::path::PathBuf;

use clipgate::Runtime;

pub(crate) mod bundles;
pub(crate) mod encoders;
pub(crate) mod libraries;
pub(crate) mod png;
pub(crate) mod scenes;
pub(crate) mod scores;
pub(crate) mod streams;

#[path = "../../src/bin/clipgate/runtime_search.rs"]
pub(crate) mod runtime_search;

/// ONNX Runtime, found as the command finds it.
///
/// # Panics
/// If there is none. The build of this package fetches it, so that is a machine without python3, pip or a network.
pub(crate) fn runtime() -> Runtime {
    match runtime_search::load() {
        Ok(runtime) => runtime,
        Err(error) => panic!("this test needs ONNX Runtime: {}", error.report()),
    }
}

/// Whether these tests run as on a board, under qemu (tests/arm/run): it is some fifty times as slow, and does not keep the
/// limits that are set for a process.
pub(crate) fn is_emulated() -> bool {
    std::env::var_os("CLIPGATE_TEST_EMULATED").is_some()
}

/// The path of a file or folder of tests/data.
pub(crate) fn data_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// The content of a file of tests/data.
pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = data_path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
