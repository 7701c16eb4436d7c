//! Where a bundle's files lie.

#[cfg(unix)]
use std::collections::BTreeMap;
use std::path::PathBuf;
#[cfg(feature = "embedded-model")]
use std::sync::Arc;

use crate::bytes::SharedBytes;
use crate::error::{Error, ErrorKind, Result};
use crate::file::read_file;
#[cfg(unix)]
use crate::file_part::FilePart;
#[cfg(unix)]
use crate::mapping::Mapping;

#[derive(Debug)]
pub(super) enum Location {
    Directory(PathBuf),
    /// Parts of open files, by the names that the bundle's files have.
    #[cfg(unix)]
    Parts {
        place: String,
        files: BTreeMap<String, FilePart>,
    },
    #[cfg(feature = "embedded-model")]
    Embedded(&'static [(&'static str, &'static [u8])]),
}

impl Location {
    /// A file's content, in memory that nothing outside can change.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`], naming the file, if it is missing or has more than `limit` bytes;
    /// [`ErrorKind::Machine`] if it cannot be read.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<SharedBytes> {
        match self {
            Self::Directory(directory) => read_file(&directory.join(name), limit),
            #[cfg(unix)]
            Self::Parts { .. } => self.part(name)?.read(limit),
            #[cfg(feature = "embedded-model")]
            Self::Embedded(files) => files
                .iter()
                .find(|(file, _)| *file == name)
                .map(|(_, bytes)| Arc::new(*bytes) as SharedBytes)
                .ok_or_else(|| Error::bundle("the file is not embedded").at(self.path(name))),
        }
        .map_err(missing_is_the_bundles_fault)
    }

    /// A file's mapping, if it can have one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[cfg(unix)]
    pub(super) fn mapping(&self, name: &str, limit: u64) -> Result<Option<Mapping>> {
        match self {
            Self::Directory(directory) => Mapping::open_to_load(&directory.join(name), limit),
            Self::Parts { .. } => Mapping::load_part(self.part(name)?.try_clone()?),
            #[cfg(feature = "embedded-model")]
            Self::Embedded(_) => Ok(None),
        }
        .map_err(missing_is_the_bundles_fault)
    }

    #[cfg(unix)]
    fn part(&self, name: &str) -> Result<&FilePart> {
        let part = match self {
            Self::Parts { files, .. } => files.get(name),
            _ => None,
        };
        part.ok_or_else(|| Error::bundle("the file is missing").at(self.path(name)))
    }

    /// Where a file lies, for errors.
    pub(super) fn path(&self, name: &str) -> String {
        match self {
            Self::Directory(directory) => directory.join(name).display().to_string(),
            #[cfg(unix)]
            Self::Parts { place, .. } => format!("{place}/{name}"),
            #[cfg(feature = "embedded-model")]
            Self::Embedded(_) => format!("the embedded bundle/{name}"),
        }
    }
}

fn missing_is_the_bundles_fault(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Caller => Error::bundle(error.to_string()).with_source(error),
        _ => error,
    }
}
