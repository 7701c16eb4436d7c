//! Image files: those that are there, in the order of their names, then those that come or change.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::{self, Metadata};
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clipgate::{DecodeOptions, Error, ErrorKind, ImageDecoder, Result};

use super::args::WatchArgs;
use super::capture::{Next, Source};
use super::pipe::Clock;
use crate::report;

/// File names that end so are images; a pattern takes whatever it matches.
const ENDINGS: [&str; 9] = [
    "jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "jfif",
];

/// How long a file's size and time must stand still before it is read.
const STILL: Duration = Duration::from_millis(400);

/// A file that was last written this long ago is read at once.
const OLD: Duration = Duration::from_secs(2);

/// How long a file may take to be written.
const LONGEST_WRITE: Duration = Duration::from_secs(30);

/// Time between two looks at the folder; ten times what a look takes, if that is longer.
const LOOK: Duration = Duration::from_millis(200);

/// The longest wait in one call, so that the stream can be ended.
const NAP: Duration = Duration::from_millis(50);

/// The most files that are watched: each is looked at again and again.
const MAX_FILES: usize = 1_000_000;

/// The files that SOURCE names.
pub(super) struct Folder {
    files: Files,
    /// A file that this very program writes.
    output: Option<PathBuf>,
    once: bool,
    decoder: ImageDecoder,
    clock: Clock,
    known: HashMap<PathBuf, File>,
    ready: VecDeque<Found>,
    next_look: Option<Instant>,
    current_path: PathBuf,
}

enum Files {
    /// Image files directly in a folder.
    In(PathBuf),
    /// Whatever matches a pattern; a plain path matches itself.
    Matching(String),
}

/// What is known of a file.
enum File {
    Growing {
        state: State,
        still_since: Instant,
        first_seen: Instant,
    },
    /// Read in this state; another state makes it a new file.
    Read(State),
}

/// A file's size and the time of its last change.
#[derive(Clone, Copy, PartialEq)]
struct State {
    bytes: u64,
    changed: Option<SystemTime>,
}

enum Found {
    Whole(PathBuf),
    NeverWhole(PathBuf),
}

impl Folder {
    pub(super) fn new(source: &Path, args: &WatchArgs, decode: DecodeOptions) -> Result<Self> {
        let files = Files::named(source)?;
        Ok(Self {
            files,
            output: args.output.clone(),
            once: args.once,
            decoder: ImageDecoder::new(decode),
            clock: Clock::new(args.fps),
            known: HashMap::new(),
            ready: VecDeque::new(),
            next_look: None,
            current_path: PathBuf::new(),
        })
    }

    /// Looks at the files, and queues those that have become whole. Tells whether all that are there are read or queued.
    fn look(&mut self) -> Result<bool> {
        let start = Instant::now();
        let present = self.files.list()?;
        self.known.retain(|path, _| present.contains(path));
        let mut is_settled = true;
        for path in present {
            // It may be gone again.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if !metadata.is_file() {
                continue;
            }
            if self
                .output
                .as_deref()
                .is_some_and(|own| is_one_file(own, &path))
            {
                continue;
            }
            let state = State::of(&metadata);
            let known = self.known.get_mut(&path);
            match settle(known, state, start) {
                Verdict::AsBefore => {}
                Verdict::Wait(file) => {
                    is_settled = false;
                    self.known.insert(path, file);
                }
                Verdict::Whole => {
                    self.known.insert(path.clone(), File::Read(state));
                    self.ready.push_back(Found::Whole(path));
                }
                Verdict::NeverWhole => {
                    self.known.insert(path.clone(), File::Read(state));
                    self.ready.push_back(Found::NeverWhole(path));
                }
            }
        }
        self.next_look = Some(Instant::now() + LOOK.max(start.elapsed() * 10));
        Ok(is_settled)
    }
}

impl Source for Folder {
    fn next(&mut self) -> Result<Next<'_>> {
        match self.ready.pop_front() {
            Some(Found::Whole(path)) => {
                self.current_path = path;
                match self.decoder.decode_file(&self.current_path) {
                    Ok(image) => Ok(Next::Frame {
                        frame: image.frame()?,
                        timestamp: self.clock.tick(),
                        file: Some(&self.current_path),
                    }),
                    // Taken away while it waited.
                    Err(_) if is_gone(&self.current_path) => {
                        self.known.remove(&self.current_path);
                        Ok(Next::Nothing)
                    }
                    Err(error) => Ok(Next::Failed {
                        file: Some(&self.current_path),
                        error,
                    }),
                }
            }
            Some(Found::NeverWhole(path)) => {
                let error = Error::new(
                    ErrorKind::Caller,
                    format!(
                        "{}: is empty, or still being written after {} s: it is left alone until it changes again",
                        path.display(),
                        LONGEST_WRITE.as_secs()
                    ),
                );
                self.current_path = path;
                Ok(Next::Failed {
                    file: Some(&self.current_path),
                    error,
                })
            }
            None => {
                let wait = self
                    .next_look
                    .map(|look| look.saturating_duration_since(Instant::now()));
                if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                    std::thread::sleep(wait.min(NAP));
                    return Ok(Next::Nothing);
                }
                let is_settled = self.look()?;
                if self.once && is_settled && self.ready.is_empty() {
                    return Ok(Next::End);
                }
                Ok(Next::Nothing)
            }
        }
    }
}

impl Files {
    fn named(source: &Path) -> Result<Self> {
        if source.is_dir() {
            return Ok(Self::In(source.to_owned()));
        }
        let refused = |why: String| {
            Err(Error::new(
                ErrorKind::Caller,
                format!("{}: {why}", report::path(source)),
            ))
        };
        let Some(text) = source.to_str() else {
            return refused("a pattern is UTF-8 text".to_owned());
        };
        if source.exists() {
            return Ok(Self::Matching(glob::Pattern::escape(text)));
        }
        if !text.contains(['*', '?', '[']) {
            return refused("no such file or folder".to_owned());
        }
        match glob::Pattern::new(text) {
            Ok(_) => Ok(Self::Matching(text.to_owned())),
            Err(error) => refused(format!("not a pattern: {error}")),
        }
    }

    /// In the order of their names.
    fn list(&self) -> Result<BTreeSet<PathBuf>> {
        let mut present = BTreeSet::new();
        match self {
            Self::In(folder) => {
                let unreadable = |error| {
                    Error::new(
                        ErrorKind::Machine,
                        format!("{}: the folder cannot be read", folder.display()),
                    )
                    .with_source(error)
                };
                for entry in fs::read_dir(folder).map_err(unreadable)? {
                    let path = entry.map_err(unreadable)?.path();
                    if is_image(&path) {
                        present.insert(path);
                    }
                    self.check_count(present.len())?;
                }
            }
            Self::Matching(pattern) => {
                let paths = glob::glob(pattern).map_err(|error| {
                    Error::new(ErrorKind::Caller, format!("{pattern}: not a pattern"))
                        .with_source(error)
                })?;
                // A folder that cannot be read holds nothing that matches.
                for path in paths.flatten() {
                    present.insert(path);
                    self.check_count(present.len())?;
                }
            }
        }
        Ok(present)
    }

    fn check_count(&self, count: usize) -> Result<()> {
        if count > MAX_FILES {
            return Err(Error::new(
                ErrorKind::Caller,
                format!("more than {MAX_FILES} files: watch a part of them by a pattern"),
            ));
        }
        Ok(())
    }
}

/// The files that SOURCE names at the moment.
pub(super) fn listed(source: &Path) -> Result<BTreeSet<PathBuf>> {
    Files::named(source)?.list()
}

fn is_gone(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| error.kind() == IoErrorKind::NotFound)
}

/// Whether two paths lead to one file.
fn is_one_file(one: &Path, other: &Path) -> bool {
    one.file_name() == other.file_name()
        && matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether a folder's file is an image by its name. Names that begin with a dot are of programs that are writing.
fn is_image(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    !is_hidden && ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
}

enum Verdict {
    AsBefore,
    Wait(File),
    Whole,
    NeverWhole,
}

/// What a file's state means, given what was known of it.
fn settle(known: Option<&mut File>, state: State, now: Instant) -> Verdict {
    let growing = |first_seen| {
        Verdict::Wait(File::Growing {
            state,
            still_since: now,
            first_seen,
        })
    };
    match known {
        Some(File::Read(read)) if *read == state => Verdict::AsBefore,
        None if state.is_old() => match state.bytes {
            0 => Verdict::NeverWhole,
            _ => Verdict::Whole,
        },
        None | Some(File::Read(_)) => growing(now),
        Some(File::Growing {
            state: before,
            still_since,
            first_seen,
        }) => {
            let is_still = *before == state;
            if is_still && state.bytes > 0 && now.duration_since(*still_since) >= STILL {
                return Verdict::Whole;
            }
            if now.duration_since(*first_seen) >= LONGEST_WRITE {
                return Verdict::NeverWhole;
            }
            if is_still {
                return Verdict::Wait(File::Growing {
                    state,
                    still_since: *still_since,
                    first_seen: *first_seen,
                });
            }
            growing(*first_seen)
        }
    }
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            changed: metadata.modified().ok(),
        }
    }

    fn is_old(&self) -> bool {
        let age = self.changed.and_then(|changed| changed.elapsed().ok());
        age.is_some_and(|age| age >= OLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_empty_file_is_not_waited_for_and_a_new_one_is() {
        let empty = |age| State {
            bytes: 0,
            changed: Some(SystemTime::now() - age),
        };
        let now = Instant::now();
        assert!(matches!(
            settle(None, empty(OLD * 2), now),
            Verdict::NeverWhole
        ));
        assert!(matches!(
            settle(None, empty(Duration::ZERO), now),
            Verdict::Wait(_)
        ));
    }
}
