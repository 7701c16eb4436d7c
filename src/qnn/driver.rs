//! Which build of Qualcomm's plugin and backend this is.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::QnnOptions;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::file::read_file;

/// The largest plugin library that is read for its digest.
const MAX_PLUGIN_BYTES: u64 = 256 << 20;

/// How much of the backend's library is read: its start holds the linker's build id, and the whole has 100 MB.
const HEAD: u64 = 1 << 20;

/// The two libraries of a driver, told apart from every other build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Driver {
    /// The architecture that they are built for.
    pub(crate) arch: String,
    plugin_sha256: Digest,
    backend_bytes: u64,
    /// Of its first 1 MiB.
    backend_head_sha256: Digest,
}

impl Driver {
    /// # Errors
    /// If one of the two files cannot be read.
    pub(crate) fn of(options: &QnnOptions) -> Result<Self> {
        let plugin = read_file(options.library(), MAX_PLUGIN_BYTES)?;
        let backend = options.backend();
        let (backend_bytes, head) = head(&backend).map_err(|error| {
            Error::machine("cannot be read")
                .with_source(error)
                .at(backend.display())
        })?;
        Ok(Self {
            arch: ARCH.to_owned(),
            plugin_sha256: Digest::of((*plugin).as_ref()),
            backend_bytes,
            backend_head_sha256: Digest::of(&head),
        })
    }
}

fn head(path: &Path) -> io::Result<(u64, Vec<u8>)> {
    // Asked before opening: opening a named pipe waits for a writer, perhaps for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head)?;
    Ok((bytes, head))
}
