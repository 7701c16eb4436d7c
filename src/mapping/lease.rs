//! Keeps others from writing to a file for a moment (`fcntl(2)`, "Leases").

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Which signal tells the holder of a writer that waits: `asm-generic/fcntl.h`, the same on x86, Arm and RISC-V.
const F_SETSIG: libc::c_int = 10;

/// A read lease. Whoever opens the file for writing or truncates it waits until this is dropped, or for as long as the
/// system lets a lease stand against them (45 s, `/proc/sys/fs/lease-break-time`).
#[derive(Debug)]
pub(super) struct Lease(File);

impl Lease {
    /// `None` where the system grants none: to others than the file's owner, on most network shares.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if somebody has the file open for writing.
    pub(super) fn of(file: &File) -> io::Result<Option<Self>> {
        let file = file.try_clone()?;
        // The signal by which the system tells of a writer that waits: one that does nothing unless a program wants it.
        // The usual one, SIGIO, would end the process.
        if control(&file, F_SETSIG, libc::SIGURG).is_err() {
            return Ok(None);
        }
        match control(&file, libc::F_SETLEASE, libc::F_RDLCK) {
            Ok(()) => Ok(Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // It ends with the last handle of the file at the latest.
        let _ = control(&self.0, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the standard library has no leases")]
    // SAFETY: the descriptor is open for the whole call, and the commands used here take an integer and no pointer.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
