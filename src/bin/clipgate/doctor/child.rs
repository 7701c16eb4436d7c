//! A process that may crash or hang without taking this one along.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use clipgate::internal::{spawn, wait};

use crate::report;

/// The most output that is kept.
const MAX_BYTES: u64 = 1 << 20;

/// What a process said, and how it ended; `None` where it had to be ended.
pub(super) struct Ended {
    pub(super) said: String,
    pub(super) status: Option<ExitStatus>,
}

/// Runs `command` without input for at most `limit`; `what` is told to be waited for where that takes a while.
pub(super) fn run(command: &mut Command, limit: Duration, what: &str) -> io::Result<Ended> {
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(stdout) = stdout {
            // What came before an error is of use, too.
            let _ = stdout.take(MAX_BYTES).read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    });
    let status = wait(&mut child, limit, || {
        report::note(&format!("{what}, which may take {} s", limit.as_secs()));
    })?;
    let said = reader.join().unwrap_or_default();
    Ok(Ended { said, status })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_a_crash_or_the_end_of_patience_is_kept() {
        const LONG: Duration = Duration::from_secs(60);
        let shell = |script: &str, limit| {
            run(
                Command::new("/bin/sh").args(["-c", script]),
                limit,
                "trying",
            )
            .unwrap()
        };
        let crashed = shell("echo one; kill -ILL $$", LONG);
        assert_eq!(crashed.said, "one\n");
        assert!(crashed.status.unwrap().to_string().contains("signal: 4"));
        let stuck = shell("echo two; exec sleep 600", Duration::from_millis(300));
        assert_eq!((stuck.said.as_str(), stuck.status), ("two\n", None));
    }
}
