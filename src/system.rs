//! What the system says of itself, in files: read below a root, so that tests can hand in a system of their own.
//!
//! Here because both the library, for what it keeps of a machine, and the command look at it.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most that is read of one file. A processor with 256 cores fills a third of it with /proc/cpuinfo.
const MAX_BYTES: u64 = 1 << 20;

/// The most entries of one folder that are looked at.
const MAX_ENTRIES: usize = 1024;

/// The files of a system. What is not there, is no regular file or holds nothing is `None`: no machine has all of them.
#[derive(Debug)]
pub struct System {
    root: PathBuf,
}

impl System {
    /// This machine.
    pub fn here() -> Self {
        Self::below("/")
    }

    /// The files below `root`, which stands for `/`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The bytes of a file, at most a megabyte of them; `path` begins with `/`.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let path = self.path(path);
        // Opening a pipe would wait for whoever writes to it.
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        let file = File::open(path).ok()?;
        file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The text of a file without the white space and zeros around it; what is no UTF-8 is replaced.
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The first line of a file, of a length that can be printed.
    pub fn line(&self, path: &str) -> Option<String> {
        const MAX_CHARS: usize = 120;
        let text = self.text(path)?;
        Some(text.lines().next()?.chars().take(MAX_CHARS).collect())
    }

    /// The first number of a file, if it begins with one that is finite.
    pub fn number(&self, path: &str) -> Option<f64> {
        let number: f64 = self.text(path)?.split_whitespace().next()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// The value of `key` in a file of lines `key: value`, the first that there is.
    pub fn field(&self, path: &str, key: &str) -> Option<String> {
        field(&self.text(path)?, key).map(str::to_owned)
    }

    /// The paths in a folder whose names begin with `start`, sorted.
    pub fn entries(&self, folder: &str, start: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut paths: Vec<String> = entries
            .take(MAX_ENTRIES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(start))
            .map(|name| format!("{folder}/{name}"))
            .collect();
        // zone2 before zone10
        paths.sort_by_key(|path| (path.len(), path.clone()));
        paths
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path.trim_start_matches('/')))
    }
}

/// The value of `key` in lines `key: value`, the first that there is.
pub fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_damaged_or_endless_is_read_as_far_as_it_goes() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(root.path().join(name), bytes).unwrap();
        write("model", b"Raspberry Pi 5 \xff Rev\0\0\n");
        write("empty", b"");
        write("nan", b"NaN");
        write("temp", b"48312\n");
        write("huge", &vec![b'7'; 3 << 20]);
        fs::create_dir(root.path().join("folder")).unwrap();
        for name in ["zone10", "zone2", "other"] {
            write(&format!("folder/{name}"), b"");
        }
        let system = System::below(root.path());
        assert_eq!(
            system.text("/model").unwrap(),
            "Raspberry Pi 5 \u{fffd} Rev"
        );
        assert_eq!(system.number("/temp"), Some(48312.0));
        assert_eq!(system.bytes("/huge").unwrap().len() as u64, MAX_BYTES);
        assert_eq!(system.line("/huge").unwrap().len(), 120);
        for path in ["/empty", "/folder", "/no/such", ""] {
            assert_eq!(system.text(path), None, "{path}");
        }
        for path in ["/nan", "/huge", "/model"] {
            assert_eq!(system.number(path), None, "{path}");
        }
        assert_eq!(
            system.entries("/folder", "zone"),
            ["/folder/zone2", "/folder/zone10"]
        );
        assert!(system.entries("/model", "").is_empty());
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(root.path().join("pipe"))
            .status();
        if made.is_ok_and(|status| status.success()) {
            assert_eq!(System::below(root.path()).text("/pipe"), None);
        } else {
            eprintln!("SKIPPED the pipe: there is no mkfifo");
        }
    }
}
