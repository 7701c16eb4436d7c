//! `clipgate watch` as users meet it.

mod files;
mod output;
mod pipe;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Output, Stdio};
use std::time::{Duration, Instant};

use clipgate::{DecodeLimits, decode_file};
use serde_json::Value;

use crate::cli::command;

const LIMIT: Duration = Duration::from_secs(60);

/// A photo as raw RGB, and its size as --size takes it.
fn photo(name: &str) -> (Vec<u8>, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/photos")
        .join(name);
    let image = decode_file(&path, &DecodeLimits::default()).unwrap();
    let frame = image.frame().unwrap();
    let size = format!("{}x{}", frame.width(), frame.height());
    (frame.planes()[0].data.to_vec(), size)
}

/// Runs the command with this on its standard input.
fn watch(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(&[&["watch"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // It may end before it has read everything.
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// A running command that is watched line by line.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(&[&["watch", "--format", "json"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        let line = self.lines.next().expect("a line").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    #[cfg(target_os = "linux")]
    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until the command handles SIGINT (`SigCgt` in proc(5)), which takes a slow machine a while.
    #[cfg(target_os = "linux")]
    fn wait_until_it_can_be_interrupted(&self) {
        let status = format!("/proc/{}/status", self.child.id());
        let start = Instant::now();
        let is_handled = || {
            let status = std::fs::read_to_string(&status).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            u64::from_str_radix(mask.unwrap().trim(), 16).unwrap() >> 1 & 1 == 1
        };
        while !is_handled() {
            assert!(start.elapsed() < LIMIT, "SIGINT is not handled");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The exit status and what was said on standard error.
    fn end(self) -> (Option<i32>, String) {
        let Self { mut child, lines } = self;
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > LIMIT {
                child.kill().unwrap();
                panic!("the command did not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(lines);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    }
}
