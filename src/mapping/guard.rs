//! Reading a mapping beyond the end of a file that was truncated raises SIGBUS, which ends the process. Here it is
//! answered with zeros, for clipgate's own mappings alone, and remembered.

use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};

/// The most mappings that are guarded at a time.
pub(super) const MOST: usize = 64;

/// A guarded range of addresses: a place in [`RANGES`] until it is dropped.
#[derive(Debug)]
pub(super) struct Guard(&'static Range);

/// Read by the signal handler, so without locks or allocations. A range of which `start` is [`FREE`] or [`TAKEN`] guards
/// nothing.
#[derive(Debug)]
struct Range {
    start: AtomicUsize,
    length: AtomicUsize,
    hit: AtomicBool,
}

const FREE: usize = 0;
const TAKEN: usize = 1;

static RANGES: [Range; MOST] = [const {
    Range {
        start: AtomicUsize::new(FREE),
        length: AtomicUsize::new(0),
        hit: AtomicBool::new(false),
    }
}; MOST];

/// The handler that was there before; `None` where ours could not be installed.
static PREVIOUS: OnceLock<Option<libc::sigaction>> = OnceLock::new();

impl Guard {
    /// Guards a mapping, from its first byte on; `None` if there are too many or signals cannot be handled.
    pub(super) fn over(start: usize, length: usize) -> Option<Self> {
        PREVIOUS.get_or_init(install).as_ref()?;
        let range = RANGES.iter().find(|range| {
            range
                .start
                .compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })?;
        range.hit.store(false, Ordering::Relaxed);
        range.length.store(length, Ordering::Relaxed);
        range.start.store(start, Ordering::Release);
        Some(Self(range))
    }

    /// Whether zeros were read in place of the file's content.
    pub(super) fn was_hit(&self) -> bool {
        self.0.hit.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.start.store(FREE, Ordering::Release);
    }
}

/// Puts [`on_bus_error`] before the handler that is there, which it returns.
#[expect(unsafe_code, reason = "a signal handler is installed")]
fn install() -> Option<libc::sigaction> {
    // SAFETY: `sigaction` is plain data that the first call fills, and for which the second is given a whole value. The
    // handler has the signature that SA_SIGINFO asks for and does only what a handler may. It may run before this
    // function has returned: no range is guarded then, and without a known predecessor it falls back to the default,
    // which is what a SIGBUS would meet otherwise.
    unsafe {
        let mut previous: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &mut previous) != 0 {
            return None;
        }
        let mut action: libc::sigaction = mem::zeroed();
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_bus_error;
        action.sa_sigaction = handler as usize;
        // On the alternate stack, where the thread has one, as the handlers of Rust's runtime and of most others are.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        (libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) == 0).then_some(previous)
    }
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    #[expect(unsafe_code, reason = "a signal handler")]
    // SAFETY: the kernel hands a handler of SA_SIGINFO a valid `info`, whose address is set where a SIGBUS is of the
    // kernel's own making: its code is then above 0.
    let (is_fault, address) = unsafe { ((*info).si_code > 0, (*info).si_addr() as usize) };
    let hit = RANGES.iter().find(|range| {
        let start = range.start.load(Ordering::Acquire);
        let length = range.length.load(Ordering::Relaxed);
        is_fault && start > TAKEN && (start..start + length).contains(&address)
    });
    match hit {
        Some(range) if blank(range) => range.hit.store(true, Ordering::Release),
        _ => pass_on(signal, info, context),
    }
}

/// Puts zeros in the place of the whole mapping: the access is tried again and succeeds, and so do all further ones.
fn blank(range: &Range) -> bool {
    let start = range.start.load(Ordering::Acquire);
    let length = range.length.load(Ordering::Relaxed);
    #[expect(unsafe_code, reason = "a signal handler")]
    // SAFETY: the range is a whole mapping of ours, which lives at least until it leaves `RANGES`, and that is before
    // it is unmapped; it is only ever read, so nothing is lost but what cannot be read any more. `mmap` is a bare
    // system call on the systems that this is built for.
    let mapped = unsafe {
        libc::mmap(
            start as *mut c_void,
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    mapped != libc::MAP_FAILED
}

/// Lets the handler that was there before have the signal, as far as there was one: else the default, which ends the
/// process.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let previous = PREVIOUS.get().and_then(Option::as_ref);
    let handler = previous.map_or(libc::SIG_DFL, |action| action.sa_sigaction);
    #[expect(unsafe_code, reason = "a signal handler")]
    // SAFETY: a handler's address is called with the signature that its flags state. Where there is none the default
    // action is restored and met as soon as this handler returns, since the signal is blocked until then.
    unsafe {
        match (handler, previous) {
            (libc::SIG_IGN, _) if (*info).si_code <= 0 => {}
            (libc::SIG_DFL | libc::SIG_IGN, _) | (_, None) => {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
            (handler, Some(action)) if action.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    mem::transmute(handler);
                handler(signal, info, context);
            }
            (handler, Some(_)) => {
                let handler: extern "C" fn(c_int) = mem::transmute(handler);
                handler(signal);
            }
        }
    }
}
