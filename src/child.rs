//! Starts a process that may hang, and waits for it.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How often the process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// After this somebody who waits wants to know what for.
const LONG: Duration = Duration::from_secs(2);

/// Starts `command` as a process that Linux ends with the thread that calls this: one that hangs in native code would
/// outlive a program that is killed.
///
/// # Errors
/// The system's, if the process cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    end_with_this_thread(command);
    command.spawn()
}

/// Waits for the end of `child`, for at most `limit`: then it is ended, and its status is `None`. `tell` is called where
/// that takes longer than two seconds.
///
/// # Errors
/// The system's, if the process cannot be waited for.
pub fn wait(
    child: &mut Child,
    limit: Duration,
    tell: impl FnOnce(),
) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut tell = Some(tell);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            // It may end by itself meanwhile: then there is nothing to end.
            let _ = child.kill();
            child.wait()?;
            return Ok(None);
        }
        if start.elapsed() > LONG
            && let Some(tell) = tell.take()
        {
            tell();
        }
        thread::sleep(LOOK);
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn end_with_this_thread(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

    let parent = getpid();
    #[expect(unsafe_code, reason = "the new process itself has to ask for it")]
    // SAFETY: between fork and exec only what is async-signal-safe may be done. These are two system calls, which rustix
    // makes without allocating or locking, and the errors are plain numbers.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The thread may have ended before it was asked for.
            match getppid() == Some(parent) {
                true => Ok(()),
                false => Err(rustix::io::Errno::SRCH.into()),
            }
        });
    }
}
