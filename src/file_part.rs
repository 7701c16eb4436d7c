//! A part of an open file, such as an asset inside an Android package.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::MmapMut;

use crate::bytes::SharedBytes;
use crate::error::{Error, Result};
use crate::file;

/// Bytes that lie one after another in an open file.
///
/// An Android app's assets lie in its package. One that is not compressed there has a file descriptor, an offset and a
/// length (`AssetManager.openFd`), and can be used where it lies.
///
/// The file's position is neither used nor moved.
#[derive(Debug)]
pub struct FilePart {
    file: File,
    range: Range<u64>,
    place: PathBuf,
}

impl FilePart {
    /// The bytes from `offset` on, `length` of them. `place` is what errors call them.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller), naming the place, if that is no regular file, or if the part is
    /// empty or ends beyond the file's end; [`ErrorKind::Machine`](crate::ErrorKind::Machine) if the file cannot be
    /// asked.
    pub fn new(file: File, offset: u64, length: u64, place: impl Into<PathBuf>) -> Result<Self> {
        let place = place.into();
        let refused = |rule: String| Error::caller(rule).at(place.display());
        let metadata = file
            .metadata()
            .map_err(|error| file::unreadable(error, &place))?;
        if !metadata.is_file() {
            return Err(refused("not a part of a regular file".to_owned()));
        }
        if length == 0 {
            return Err(refused("the part is empty".to_owned()));
        }
        let end = offset
            .checked_add(length)
            .filter(|end| *end <= metadata.len());
        let Some(end) = end else {
            return Err(refused(format!(
                "{length} bytes from byte {offset} on do not lie in a file of {}",
                metadata.len()
            )));
        };
        Ok(Self {
            file,
            range: offset..end,
            place,
        })
    }

    /// All of a file that has `size` bytes.
    pub(crate) fn whole(file: File, size: usize, place: &Path) -> Self {
        Self {
            file,
            range: 0..size as u64,
            place: place.to_owned(),
        }
    }

    /// A second handle of the same bytes.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let file = self
            .file
            .try_clone()
            .map_err(|error| file::unreadable(error, &self.place))?;
        Ok(Self {
            file,
            range: self.range.clone(),
            place: self.place.clone(),
        })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// What errors call it.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Where it begins in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.range.start
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Its first bytes.
    pub(crate) fn start(&self, buffer: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(buffer, self.range.start)
            .map_err(|error| file::unreadable(error, &self.place))
    }

    /// Its bytes, from the first on.
    pub(crate) fn reader(&self) -> impl io::Read {
        Reader {
            file: &self.file,
            rest: self.range.clone(),
        }
    }

    /// Reads it into private, page-aligned memory, as [`read_file`](file::read_file) does a file.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if it has more than `limit` bytes;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if it cannot be read. Both name the place.
    pub(crate) fn read(&self, limit: u64) -> Result<SharedBytes> {
        let failed = |error| file::unreadable(error, &self.place);
        let length = self.length();
        if length > limit {
            let rule = format!("{length} bytes, above the limit of {limit}");
            return Err(Error::caller(rule).at(self.place.display()));
        }
        let size = usize::try_from(length).map_err(|error| failed(io::Error::other(error)))?;
        let mut memory = MmapMut::map_anon(size).map_err(failed)?;
        self.start(&mut memory)?;
        Ok(Arc::new(memory.make_read_only().map_err(failed)?))
    }
}

struct Reader<'a> {
    file: &'a File,
    rest: Range<u64>,
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(rest);
        let read = self.file.read_at(&mut buffer[..wanted], self.rest.start)?;
        self.rest.start += read as u64;
        Ok(read)
    }
}
