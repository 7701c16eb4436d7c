//! Shared libraries made for a test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

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
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .output();
    match compiled {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => panic!("cc: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("SKIPPED the fake library {name}: cc cannot be run ({error})");
            None
        }
    }
}
