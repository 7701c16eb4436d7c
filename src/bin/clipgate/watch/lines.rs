//! JSON Lines: what one says of a frame, and a file of them that never holds half of one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clipgate::{
    Decision, Error, ErrorKind, Gate, PromiseKind, Reason, Result, SteadyDecision, StreamAnswer,
};
use serde::Serialize;

use crate::answer::{Answer, milliseconds};

/// One line.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    frame: u64,
    timestamp_s: f64,
    source: &'a str,
    steady: Steady<'a>,
    /// The gate's own answer to this frame; `null` where it was skipped.
    raw: Option<Answer<'a>>,
    skipped: bool,
    dropped: u64,
    took_ms: f64,
}

#[derive(Serialize)]
struct Steady<'a> {
    decision: &'static str,
    reason: Option<Reason>,
    label: Option<&'a str>,
    confidence: Option<f32>,
    since_s: f64,
    promise: Unpromised,
}

/// What is promised of steady decisions.
#[derive(Serialize)]
struct Unpromised {
    kind: PromiseKind,
}

impl<'a> Line<'a> {
    pub(super) fn new(answer: &'a StreamAnswer, source: &'a str, gate: &'a Gate) -> Self {
        Self {
            frame: answer.frame,
            timestamp_s: seconds(answer.timestamp),
            source,
            steady: Steady::new(&answer.steady),
            raw: (!answer.skipped).then(|| Answer::new(&answer.raw, gate)),
            skipped: answer.skipped,
            dropped: answer.dropped,
            took_ms: milliseconds(answer.took),
        }
    }
}

impl<'a> Steady<'a> {
    fn new(steady: &'a SteadyDecision) -> Self {
        let accepted = match &steady.decision {
            Decision::Accept(accepted) => Some(accepted),
            _ => None,
        };
        Self {
            decision: if accepted.is_some() {
                "accept"
            } else {
                "abstain"
            },
            reason: steady.decision.reason(),
            label: accepted.map(|accepted| &*accepted.label),
            confidence: accepted.and_then(|accepted| accepted.confidence),
            since_s: seconds(steady.since),
            promise: Unpromised {
                kind: steady.promise,
            },
        }
    }
}

/// To the microsecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// What lines are appended to, and what can be taken back.
pub(super) trait Sink: Write {
    /// Forgets what lies beyond `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Waits until everything is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        // A device or pipe has nothing to sync.
        match self.metadata()?.is_file() {
            true => self.sync_data(),
            false => Ok(()),
        }
    }
}

/// A file of lines. Each is handed to the system at once and whole; what cannot be written as a whole is taken back.
pub(super) struct LineFile<S = File> {
    sink: S,
    path: PathBuf,
    length: u64,
    lines: u64,
    text: Vec<u8>,
}

impl LineFile {
    /// Empties an existing file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        match opened {
            Ok(file) => Ok(Self::new(file, path)),
            Err(error) => Err(Error::new(
                ErrorKind::Machine,
                format!("{}: cannot be opened for writing", path.display()),
            )
            .with_source(error)),
        }
    }
}

impl<S: Sink> LineFile<S> {
    fn new(sink: S, path: &Path) -> Self {
        Self {
            sink,
            path: path.to_owned(),
            length: 0,
            lines: 0,
            text: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, line: &str) -> Result<()> {
        self.text.clear();
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        if let Err(error) = self.sink.write_all(&self.text) {
            // What cannot be cut, such as a device, holds no lines either.
            let _ = self.sink.cut(self.length);
            return Err(self.failed(error));
        }
        self.length += self.text.len() as u64;
        self.lines += 1;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        self.sink.sync().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::new(
            ErrorKind::Machine,
            format!(
                "{}: cannot be written on after {} lines, which are whole",
                self.path.display(),
                self.lines
            ),
        )
        .with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for some bytes.
    struct Small {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room - self.bytes.len());
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Small {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.bytes.truncate(length as usize);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_only() {
        let small = Small {
            bytes: Vec::new(),
            room: 10,
        };
        let mut file = LineFile::new(small, Path::new("small.jsonl"));
        file.write("{}").unwrap();
        file.write("{}").unwrap();
        let error = file.write("{\"a\":1}").unwrap_err();
        assert_eq!(file.sink.bytes, b"{}\n{}\n");
        assert!(error.report().contains("small.jsonl"), "{}", error.report());
        assert!(error.report().contains("2 lines"), "{}", error.report());
    }
}
