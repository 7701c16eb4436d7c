//! Reading whole files into private memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use memmap2::MmapMut;

use crate::bank::SharedBytes;
use crate::error::{Error, ErrorKind, Result};

/// Reads a regular file of 1 to `limit` bytes into private, page-aligned memory.
///
/// Mapping the file would be cheaper, but a file that is truncated under a mapping kills the process with
/// SIGBUS; anonymous memory cannot be pulled away.
///
/// # Errors
/// [`ErrorKind::Caller`] if the file is missing, empty, too large or not a regular file;
/// [`ErrorKind::Machine`] if it cannot be read. Both name the file.
pub fn read_file(path: &Path, limit: u64) -> Result<SharedBytes> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::UnexpectedEof => ErrorKind::Caller,
            _ => ErrorKind::Machine,
        };
        Error::new(kind, "cannot be read")
            .with_source(error)
            .at(path.display())
    };
    let refused = |rule: String| Error::caller(rule).at(path.display());
    // Asked before opening: opening a named pipe waits for a writer, perhaps for ever.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(refused("a directory, not a file".to_owned()));
    }
    if !metadata.is_file() {
        return Err(refused("not a regular file".to_owned()));
    }
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size == 0 {
        return Err(refused("the file is empty".to_owned()));
    }
    if size > limit {
        return Err(refused(format!("{size} bytes, above the limit of {limit}")));
    }
    let mut memory = usize::try_from(size)
        .map_err(io::Error::other)
        .and_then(MmapMut::map_anon)
        .map_err(failed)?;
    file.read_exact(&mut memory).map_err(failed)?;
    let memory = memory.make_read_only().map_err(failed)?;
    Ok(Arc::new(memory))
}
