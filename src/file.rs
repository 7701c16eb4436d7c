//! Whole files: read into private memory, or through a small buffer for their digest.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use memmap2::MmapMut;
#[cfg(unix)]
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::bytes::SharedBytes;
#[cfg(unix)]
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// How much of a file is held at a time while its digest is computed: it stays in the processor's cache.
#[cfg(unix)]
const CHUNK: usize = 64 << 10;

/// Reads a regular file of 1 to `limit` bytes into private, page-aligned memory.
///
/// Mapping the file would be cheaper, but a file that is truncated under a mapping kills the process with
/// SIGBUS; anonymous memory cannot be pulled away.
///
/// # Errors
/// [`ErrorKind::Caller`] if the file is missing, empty, too large or not a regular file;
/// [`ErrorKind::Machine`] if it cannot be read. Both name the file.
pub fn read_file(path: &Path, limit: u64) -> Result<SharedBytes> {
    let (mut file, size) = open(path, limit)?;
    let failed = |error| unreadable(error, path);
    let mut memory = MmapMut::map_anon(size).map_err(failed)?;
    file.read_exact(&mut memory).map_err(failed)?;
    let memory = memory.make_read_only().map_err(failed)?;
    Ok(Arc::new(memory))
}

/// What a file will hold: written and synced beside it under a random name, and gone again unless it takes its place.
pub(crate) struct Replacement<'a> {
    path: &'a Path,
    file: NamedTempFile,
}

impl<'a> Replacement<'a> {
    /// Writes `content` beside `path`. It keeps the permissions of the file that it replaces.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`], naming `path`, if it cannot be written.
    pub(crate) fn write(path: &'a Path, content: &[u8]) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".clipgate-");
        let permissions = match fs::metadata(path) {
            Ok(metadata) => Some(metadata.permissions()),
            Err(_) => new_file_permissions(),
        };
        if let Some(permissions) = permissions {
            builder.permissions(permissions);
        }
        let write = || -> io::Result<NamedTempFile> {
            let mut file = builder.tempfile_in(folder(path))?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = write().map_err(|error| unwritable(error, path))?;
        Ok(Self { path, file })
    }

    /// Takes the file's place.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`], naming the file, if it cannot; what was there stays.
    pub(crate) fn take_place(self) -> Result<()> {
        let Self { path, file } = self;
        let persisted = file.persist(path);
        persisted.map_err(|error| unwritable(error.error, path))?;
        Ok(())
    }
}

/// Writes a file whole or not at all: beside it under a random name, synced, then renamed over it. It keeps the permissions
/// of the file that it replaces. Others that do the same at the same time are no matter: the last one's content stays.
///
/// # Errors
/// [`ErrorKind::Machine`], naming the file, if it cannot be written; nothing is left behind, and what was there stays.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    Replacement::write(path, content)?.take_place()
}

fn unwritable(error: io::Error, path: &Path) -> Error {
    Error::machine("cannot be written")
        .with_source(error)
        .at(path.display())
}

/// The folder that a file lies or will lie in. For the command, no part of the interface.
#[doc(hidden)]
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What `open` would ask for; the user's umask takes its share. Temporary files are private otherwise.
#[cfg(unix)]
fn new_file_permissions() -> Option<fs::Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn new_file_permissions() -> Option<fs::Permissions> {
    None
}

/// The digest of all that `source` still holds.
///
/// # Errors
/// If it cannot be read.
#[cfg(unix)]
pub(crate) fn hash(source: &mut impl Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(Digest::finish(hasher)),
            Ok(read) => hasher.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A regular file of 1 to `limit` bytes, and how many.
pub(crate) fn open(path: &Path, limit: u64) -> Result<(File, usize)> {
    let failed = |error| unreadable(error, path);
    let refused = |rule: String| Error::caller(rule).at(path.display());
    // Asked before opening: opening a named pipe waits for a writer, perhaps for ever.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(refused("a directory, not a file".to_owned()));
    }
    if !metadata.is_file() {
        return Err(refused("not a regular file".to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size == 0 {
        return Err(refused("the file is empty".to_owned()));
    }
    if size > limit {
        return Err(refused(format!("{size} bytes, above the limit of {limit}")));
    }
    let size = usize::try_from(size).map_err(|error| failed(io::Error::other(error)))?;
    Ok((file, size))
}

/// What is said of a file that cannot be read.
pub(crate) fn unreadable(error: io::Error, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::UnexpectedEof => {
            ErrorKind::Caller
        }
        _ => ErrorKind::Machine,
    };
    Error::new(kind, "cannot be read")
        .with_source(error)
        .at(path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_or_left_and_nothing_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["first", "second"] {
            replace_file(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let taken = folder.path().join("folder");
        fs::create_dir(&taken).unwrap();
        for refused in [taken.as_path(), &path.join("below a file"), Path::new("/")] {
            let error = replace_file(refused, b"content").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Machine);
            let name = refused.display().to_string();
            assert!(error.to_string().starts_with(&name), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    #[cfg(unix)]
    fn a_new_file_is_as_readable_as_others_and_an_old_one_stays_as_it_was() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        let (written, usual) = (folder.path().join("written"), folder.path().join("usual"));
        replace_file(&written, b"content").unwrap();
        fs::write(&usual, "content").unwrap();
        assert_eq!(mode(&written), mode(&usual));
        fs::set_permissions(&written, fs::Permissions::from_mode(0o600)).unwrap();
        replace_file(&written, b"again").unwrap();
        assert_eq!(mode(&written) & 0o777, 0o600);
    }
}
