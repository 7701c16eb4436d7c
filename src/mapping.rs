//! A file mapped into memory, and watched for as long as it is.

mod guard;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod lease;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, SystemTime};

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{Mmap, MmapOptions, UncheckedAdvice};

use crate::bytes::Source;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::file;
use crate::file_part::FilePart;
use guard::Guard;
#[cfg(any(target_os = "linux", target_os = "android"))]
use lease::Lease;

/// A file's times are those of the kernel's clock tick, at most a hundredth of a second long. Twice as long after the
/// last change, every further one gets another time.
const TICK: Duration = Duration::from_millis(20);

/// How often pages that were read are given back while a model is loaded: at a gigabyte a second 2 MB gather.
const RELEASE_EVERY: Duration = Duration::from_millis(2);

/// The least and the most that a mapping is divided into, see [`divide`]: a process may have some 65,000 pieces.
#[cfg(target_os = "linux")]
const PIECE: usize = 256 << 10;
#[cfg(target_os = "linux")]
const MOST_PIECES: usize = 512;

/// A mapping begins at a multiple of this in its file, which every size of a memory page divides.
const GRANULE: u64 = 64 << 10;

/// A read-only mapping of a part of a file whose content had `digest` when it was mapped.
///
/// It has two enemies. Where the file is truncated, reading the mapping raises SIGBUS: the [`Guard`] answers that with
/// zeros and remembers it. Where the file is written to, the mapping's content changes: the file's size and times tell.
/// Both are asked by [`check`](Self::check), which whoever has read the mapping calls before using what came of it.
#[derive(Debug)]
pub(crate) struct Mapping {
    part: FilePart,
    digest: Digest,
    stamp: Mutex<Stamp>,
    // Dropped before the mapping that it guards.
    guard: Guard,
    map: Mmap,
    /// What was mapped before the part, so as to begin at a page.
    lead: usize,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    lease: Mutex<Option<Lease>>,
}

/// What changes with a file's content. A write changes all three times and perhaps the size; a file that is renamed,
/// replaced by a rename or given other rights has another `changed` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mapping {
    /// Maps a regular file of 1 to `limit` bytes; its content is read once, through a small buffer, for the digest.
    ///
    /// `None` where the mapping could not be watched, and the file should be copied: on a file system that keeps whole
    /// seconds, for a file from the future, where the file cannot be mapped, and beyond [`guard::MOST`] mappings.
    ///
    /// # Errors
    /// As [`file::read_file`].
    pub(crate) fn open(path: &Path, limit: u64) -> Result<Option<Self>> {
        let (file, size) = file::open(path, limit)?;
        Self::of(FilePart::whole(file, size, path))
    }

    /// As [`open`](Self::open), for a file that is parsed where it lies: nobody can write to it until
    /// [`releasing`](Self::releasing) is over, where the system has leases. `None` also where it is being written to.
    pub(crate) fn open_to_load(path: &Path, limit: u64) -> Result<Option<Self>> {
        let (file, size) = file::open(path, limit)?;
        Self::load_part(FilePart::whole(file, size, path))
    }

    /// As [`open_to_load`](Self::open_to_load), for a part of a file that is open.
    pub(crate) fn load_part(part: FilePart) -> Result<Option<Self>> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let Ok(lease) = Lease::of(part.file()) else {
                return Ok(None);
            };
            let mapping = Self::of(part)?;
            Ok(mapping.map(|mapping| Self {
                lease: Mutex::new(lease),
                ..mapping
            }))
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Self::of(part)
    }

    fn of(part: FilePart) -> Result<Option<Self>> {
        let failed = |error| file::unreadable(error, part.place());
        let Some(stamp) = settled(part.file()).map_err(failed)? else {
            return Ok(None);
        };
        if stamp.size < part.offset() + part.length() {
            return Err(changed().at(part.place().display()));
        }
        let digest = file::hash(&mut part.reader()).map_err(failed)?;
        let lead = part.offset() % GRANULE;
        let (Ok(length), Ok(lead)) = (usize::try_from(lead + part.length()), usize::try_from(lead))
        else {
            return Ok(None);
        };
        let mut options = MmapOptions::new();
        options.offset(part.offset() - lead as u64).len(length);
        #[expect(unsafe_code, reason = "a file is mapped")]
        // SAFETY: the mapping is read-only and private to this type. What is read there may be anything (the digest was
        // checked, but the file may change): weights and the rows of a label bank are numbers of any value, for which
        // every computation is defined; a bank's texts are copied before they are looked at; a graph's structure is
        // parsed under a lease that keeps writers away (where none is granted, whoever may write to the model is
        // trusted: see the chapter on security). What came of it is thrown away unless `check` finds the file as it was.
        let Ok(map) = (unsafe { options.map(part.file()) }) else {
            return Ok(None);
        };
        let Some(guard) = Guard::over(map.as_ptr() as usize, map.len()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            part,
            digest,
            stamp: Mutex::new(stamp),
            guard,
            map,
            lead,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            lease: Mutex::default(),
        }))
    }

    /// The digest of the content that [`check`](Self::check) vouches for.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// The mapped bytes: numbers that may change until [`check`](Self::check) has vouched for what was read of them.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[self.lead..]
    }

    /// Keeps what is read here and there from costing more memory than it must; what is read from end to end is better
    /// left whole.
    pub(crate) fn divided(self) -> Self {
        #[cfg(target_os = "linux")]
        divide(&self.map);
        self
    }

    /// Reads the first bytes from the file.
    pub(crate) fn start(&self, buffer: &mut [u8]) -> Result<()> {
        self.part.start(buffer)
    }

    /// Whether all that was read from the mapping so far was the content of [`digest`](Self::digest).
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if it may have been anything else.
    pub(crate) fn check(&self) -> Result<()> {
        if self.guard.was_hit() {
            return Err(changed());
        }
        let now = Stamp::of(self.part.file()).map_err(|error| changed().with_source(error))?;
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if now == *stamp {
            return Ok(());
        }
        if (now.size, now.modified) != (stamp.size, stamp.modified) {
            return Err(changed());
        }
        // A rename over the file, say, or a write whose time was set back: only the content tells.
        match self.rehash() {
            Ok(digest)
                if digest == self.digest && Stamp::of(self.part.file()).ok() == Some(now) =>
            {
                *stamp = now;
                Ok(())
            }
            _ => Err(changed()),
        }
    }

    /// Runs `load`, which reads the mapping, and gives back what it has read as it goes on.
    ///
    /// The file's pages are in the system's cache either way and are read again from there if need be; without this
    /// they would count as the process's own beside the copies that ONNX Runtime makes of the weights.
    pub(crate) fn releasing<T>(&self, load: impl FnOnce() -> T) -> T {
        let loaded = thread::scope(|scope| {
            let (done, wait) = std::sync::mpsc::channel::<()>();
            // Where no thread can be had, more memory is used.
            let _ = thread::Builder::new()
                .name("clipgate-release".to_owned())
                .stack_size(64 << 10)
                .spawn_scoped(scope, move || {
                    while wait.recv_timeout(RELEASE_EVERY)
                        == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                    {
                        self.release();
                    }
                });
            let loaded = load();
            drop(done);
            loaded
        });
        self.release();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        self.lease
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        loaded
    }

    fn release(&self) {
        #[expect(unsafe_code, reason = "pages of the mapping are given back")]
        // SAFETY: the mapping is of a file and was never written to, so a page that is read again has the file's
        // content, as it would have had before. (Where the guard has put zeros, it has zeros again.)
        let _ = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
    }

    fn rehash(&self) -> io::Result<Digest> {
        file::hash(&mut self.part.reader())
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Source for Mapping {
    fn check_unchanged(&self) -> Result<()> {
        self.check()
            .map_err(|error| error.at(self.part.place().display()))
    }
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// How long ago the file changed; `None` for the future.
    fn age(&self) -> Option<Duration> {
        let since_1970 = Duration::new(
            u64::try_from(self.changed.0).ok()?,
            u32::try_from(self.changed.1).ok()?,
        );
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH + since_1970)
            .ok()
    }
}

/// Makes the kernel keep the mapping in pieces, by advice that differs from one to the next and means nothing here (not
/// to dump a piece into a core file).
///
/// Linux maps as much as it holds together of a file in its cache, up to 2 MB, where one page is read, and counts it all
/// as the process's (`finish_fault` in mm/memory.c, from 6.18 on; earlier where huge pages are wanted): 26 MB for the
/// 2 MB of small tensors that a ViT-B/32 reads in place. It never goes beyond a piece.
#[cfg(target_os = "linux")]
fn divide(map: &Mmap) {
    let piece = PIECE.max(map.len().div_ceil(MOST_PIECES).next_multiple_of(PIECE));
    for start in (0..map.len()).step_by(2 * piece) {
        let length = piece.min(map.len() - start);
        // Where it is refused, more memory is used.
        let _ = map.advise_range(Advice::DontDump, start, length);
    }
    let _ = map.advise(Advice::NoHugePage);
}

/// The stamp of a file that every later write will change; waits a moment where the file was written just now.
fn settled(file: &File) -> io::Result<Option<Stamp>> {
    let stamp = Stamp::of(file)?;
    // One file in a billion has no fraction by chance, and is copied.
    if stamp.changed.1 == 0 {
        return Ok(None);
    }
    let Some(age) = stamp.age() else {
        return Ok(None);
    };
    if age >= TICK {
        return Ok(Some(stamp));
    }
    thread::sleep(TICK - age);
    let again = Stamp::of(file)?;
    Ok((again == stamp && again.age() >= Some(TICK)).then_some(again))
}

fn changed() -> Error {
    Error::machine(
        "the file was truncated, replaced in place or became unreadable while it was in use, and nothing that came of \
         it is used: open it again, and put a new version in place by a rename, or choose a private copy (for a model \
         `--model-memory private` or `ModelMemory::Private`, for a label bank `LabelBank::open`)",
    )
}
