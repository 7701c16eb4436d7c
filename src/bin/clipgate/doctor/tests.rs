//! Findings about machines that are made up, file by file.

mod damaged;
mod machines;

use std::fs;
use std::path::Path;

use clipgate::internal::System;
use tempfile::TempDir;

use super::board::CLibrary;
use super::finding::{Finding, Level};
use super::machine;

/// The files of a machine, below a folder that stands for `/`.
struct Machine {
    root: TempDir,
    arch: &'static str,
    cores: usize,
    glibc: Option<&'static str>,
    vcgencmd: Option<&'static str>,
}

impl Machine {
    /// One that says nothing.
    fn bare() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            arch: "aarch64",
            cores: 4,
            glibc: Some("2.36"),
            vcgencmd: None,
        }
    }

    /// One with the processor of tests/arm/boards, as Raspberry Pi OS shows it.
    fn board(name: &str) -> Self {
        let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arm/boards");
        let cpuinfo = fs::read(boards.join(format!("{name}.cpuinfo"))).unwrap();
        Self::bare()
            .file("/proc/cpuinfo", cpuinfo)
            .file("/sys/devices/system/cpu/present", "0-3\n")
            .file("/proc/sys/kernel/osrelease", "6.6.31+rpt-rpi-v8\n")
            .pages(4096)
            .memory(4_000_000, 3_500_000, 100_000)
    }

    fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// An auxiliary vector with pages of this size, between two other entries.
    fn pages(self, bytes: usize) -> Self {
        let words = [16, 0xff, 6, bytes, 0, 0];
        self.file("/proc/self/auxv", words.map(usize::to_ne_bytes).concat())
    }

    /// In kilobytes, as the kernel counts.
    fn memory(self, total: u64, available: u64, swap: u64) -> Self {
        self.file(
            "/proc/meminfo",
            format!(
                "MemTotal:  {total} kB\nMemFree: 1 kB\nMemAvailable: {available} kB\nSwapTotal: {swap} kB\n"
            ),
        )
    }

    fn findings(&self) -> Vec<Finding> {
        let library = CLibrary {
            glibc: self.glibc.map(str::to_owned),
        };
        let system = System::below(self.root.path());
        let vcgencmd = self.vcgencmd.map(str::to_owned);
        machine(&system, self.arch, self.cores, &library, vcgencmd)
    }

    /// The finding about one thing.
    fn finding(&self, check: &str) -> Option<Finding> {
        let mut findings = self.findings();
        findings.retain(|finding| finding.check == check);
        assert!(findings.len() <= 1, "{findings:?}");
        findings.pop()
    }

    /// What it says about one thing is of this level and holds these words; something to do is named unless all is well.
    #[track_caller]
    fn says(&self, check: &str, level: Level, words: &[&str]) {
        let found = self.finding(check).unwrap();
        assert_eq!(found.level, level, "{found:?}");
        let whole = format!(
            "{} | {}",
            found.what,
            found.to_do.as_deref().unwrap_or_default()
        );
        for word in words {
            assert!(whole.contains(word), "{word:?} is missing: {whole}");
        }
        if level >= Level::Warning {
            assert!(found.to_do.is_some(), "{found:?}");
        }
    }
}
