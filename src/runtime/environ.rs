//! A variable of the process's environment, set while other threads may be reading it.
//!
//! C's `setenv` moves or frees the table that another thread's `getenv` may be walking through: in bionic
//! (libc/upstream-openbsd/lib/libc/stdlib/setenv.c) and in glibc before 2.41. Android's apps and every other program with
//! a Java VM have such threads before they load this library. Here a longer copy takes the table's place, and the old one
//! stays as it is, for whoever is still reading it.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

#[expect(unsafe_code, reason = "the C library's own table")]
unsafe extern "C" {
    /// What `getenv` walks through: pointers to `NAME=value`, the last one null. POSIX lets a program replace it.
    static mut environ: *mut *mut c_char;
}

/// Sets what `entry` says, `NAME=value`, in place of another value; the table stays where it says so already.
pub(super) fn set(entry: &'static CStr) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let name = entry
        .to_bytes()
        .split_inclusive(|&byte| byte == b'=')
        .next();
    let name = name.unwrap_or_default();
    #[expect(unsafe_code, reason = "the C library's own table")]
    // SAFETY: `environ` is null or leads to pointers of NUL-terminated strings up to a null pointer, as POSIX says, and is
    // read at once, so that table and length belong together. What is read here could be freed by a `setenv` of another
    // thread only, which is as unsafe beside every other reader and which Rust's `set_var` forbids its callers. The new
    // table lives for ever, as do the strings: `entry` by its type, the others because the old table had them for as
    // long. It is stored whole, after its content: who reads the pointer finds either table complete.
    unsafe {
        let table = AtomicPtr::from_ptr(&raw mut environ);
        let mut entries = Vec::new();
        let mut next = table.load(Ordering::Acquire);
        while !next.is_null() && !(*next).is_null() {
            let present = CStr::from_ptr(*next);
            if present == entry {
                return;
            }
            if !present.to_bytes().starts_with(name) {
                entries.push(*next);
            }
            next = next.add(1);
        }
        entries.push(entry.as_ptr().cast_mut());
        entries.push(ptr::null_mut());
        table.store(entries.leak().as_mut_ptr(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::ffi::OsString;
    use std::process::Command;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    const NAME: &str = "CLIPGATE_TEST_ENVIRON";
    const VALUES: [&CStr; 2] = [c"CLIPGATE_TEST_ENVIRON=1", c"CLIPGATE_TEST_ENVIRON=2"];

    #[expect(unsafe_code, reason = "read as C reads it")]
    fn read_by_c(name: &CStr) -> Option<String> {
        // SAFETY: nobody takes memory away from the table, which is what is tested.
        unsafe {
            let value = libc::getenv(name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
        }
    }

    /// But for the one that a test beside this one may set.
    fn others() -> Vec<(OsString, OsString)> {
        env::vars_os()
            .filter(|(name, _)| name != NAME && name != "ORT_DISABLE_TELEMETRY")
            .collect()
    }

    #[test]
    fn everybody_reads_it_and_the_others_stay() {
        let before = others();
        let path = read_by_c(c"PATH");
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(read_by_c(c"PATH"), path);
                    }
                });
            }
            for turn in 0..1000 {
                set(VALUES[turn % 2]);
                set(VALUES[turn % 2]);
                let expected = ["1", "2"][turn % 2];
                assert_eq!(env::var(NAME).as_deref(), Ok(expected));
                assert_eq!(
                    read_by_c(c"CLIPGATE_TEST_ENVIRON").as_deref(),
                    Some(expected)
                );
            }
            stop.store(true, Ordering::Relaxed);
        });
        let child = Command::new("/usr/bin/env").output().unwrap();
        let child = String::from_utf8_lossy(&child.stdout);
        let lines = child.lines().filter(|line| line.starts_with(NAME));
        assert_eq!(lines.collect::<Vec<_>>(), ["CLIPGATE_TEST_ENVIRON=2"]);
        assert_eq!(others(), before);
    }
}
