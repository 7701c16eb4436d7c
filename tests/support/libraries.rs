//! Shared libraries made for a test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::is_emulated;

/// Writes a file.
pub(crate) fn file(directory: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Compiles a shared library, or says loudly that there is no C compiler.
pub(crate) fn compile(directory: &tempfile::TempDir, name: &str, source: &str) -> Option<PathBuf> {
    let source = file(directory, &format!("{name}.c"), source.as_bytes());
    let library = directory.path().join(format!("lib{name}.so"));
    // Under an emulator `cc` is the machine's own.
    let compiler = if is_emulated() {
        "aarch64-linux-gnu-gcc"
    } else {
        "cc"
    };
    let compiled = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .output();
    match compiled {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => panic!("{compiler}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("SKIPPED the fake library {name}: {compiler} cannot be run ({error})");
            None
        }
    }
}
