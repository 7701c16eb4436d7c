//! Reading a mapping beyond the end of a file that was truncated raises SIGBUS, which ends the process. Here it is
//! answered with zeros, for clipgate's own mappings alone, and remembered.

use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use libc::{c_int, c_void, siginfo_t};

/// The most mappings that are guarded at a time.
pub(super) const MOST: usize = 64;

/// A guarded range of addresses: a place in [`RANGES`] until it is dropped.
#[derive(Debug)]
pub(super) struct Guard(&'static Range);

/// Read by the signal handler, so without locks or allocations. A range of which `start` is [`FREE`] or [`TAKEN`] guards
/// nothing.
///
/// `start` and `length` are a pair under a sequence lock: `version` is odd while they are written, and another one
/// afterwards, so that a place that is given up and taken again never passes one guard's start with another's length.
#[derive(Debug)]
struct Range {
    version: AtomicUsize,
    start: AtomicUsize,
    length: AtomicUsize,
    hit: AtomicBool,
}

const FREE: usize = 0;
const TAKEN: usize = 1;

static RANGES: [Range; MOST] = [const {
    Range {
        version: AtomicUsize::new(0),
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
        let range = RANGES.iter().find(|range| range.take(start, length))?;
        Some(Self(range))
    }

    /// Whether zeros were read in place of the file's content.
    pub(super) fn was_hit(&self) -> bool {
        // What was read of the mapping was read before: `hit` is stored before there are zeros to read.
        fence(Ordering::SeqCst);
        self.0.hit.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.give_up();
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
    let hit = RANGES
        .iter()
        .find_map(|range| Some((range, range.around(address)?)));
    match hit {
        Some((range, place)) if is_fault && range.blank(place) => {}
        _ => pass_on(signal, info, context),
    }
}

impl Range {
    /// Whether the place was free, and guards this from now on.
    fn take(&self, start: usize, length: usize) -> bool {
        let taken =
            (self.start).compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        self.version.fetch_add(1, Ordering::Relaxed);
        // Whoever sees anything of what follows sees the odd version.
        fence(Ordering::Release);
        self.hit.store(false, Ordering::Relaxed);
        self.length.store(length, Ordering::Relaxed);
        self.start.store(start, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    fn give_up(&self) {
        self.start.store(FREE, Ordering::Release);
    }

    /// Start and length of what is guarded here, if `address` lies in it.
    fn around(&self, address: usize) -> Option<(usize, usize)> {
        let version = self.version.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Relaxed);
        let length = self.length.load(Ordering::Relaxed);
        // If one of the two is of a later guard, that guard's odd version is seen now.
        fence(Ordering::Acquire);
        let is_pair = version.is_multiple_of(2) && version == self.version.load(Ordering::Relaxed);
        let is_inside = start > TAKEN && address.wrapping_sub(start) < length;
        (is_pair && is_inside).then_some((start, length))
    }

    /// Puts zeros in the place of the whole mapping, which [`around`](Self::around) told: the access is tried again and
    /// succeeds, and so do all further ones.
    fn blank(&self, (start, length): (usize, usize)) -> bool {
        // Before there are zeros, as other threads read them as soon as they are there. Where they cannot be put the
        // content is lost all the same.
        self.hit.store(true, Ordering::SeqCst);
        #[expect(unsafe_code, reason = "a signal handler")]
        // SAFETY: start and length are those of one guard, which covers a whole mapping of ours, and the address of the
        // fault lies in it. That mapping is alive until this handler returns: the thread that faulted is in the middle of
        // a read, through a borrow of what owns the mapping at that address, and no other mapping can lie there before
        // that is gone. Its guard was registered before the mapping was lent to anybody, and leaves `RANGES` before it is
        // unmapped; so the guard that was found is that one, and neither its place nor its mapping can be given up or
        // used again meanwhile. The mapping is only ever read, so nothing is lost but what cannot be read any more.
        // `mmap` is a bare system call on the systems that this is built for.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::thread;

    const PAGE: usize = 1 << 16;
    const FAULTS: usize = 500;

    /// Addresses that are ours and hold nothing.
    #[expect(unsafe_code, reason = "memory is mapped")]
    fn reserve(length: usize) -> usize {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, where the kernel finds room.
        let area = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, flags, -1, 0) };
        assert_ne!(area, libc::MAP_FAILED);
        area as usize
    }

    #[test]
    fn a_pair_is_of_one_guard() {
        // The short range with the long length would reach beyond its end.
        let (short, long) = ((PAGE, PAGE), (1 << 31, 1 << 30));
        let range = Range {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(FREE),
            length: AtomicUsize::new(0),
            hit: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..500_000 {
                    for (start, length) in [short, long] {
                        assert!(range.take(start, length));
                        range.give_up();
                    }
                }
            });
            while !writer.is_finished() {
                assert_eq!(range.around(short.0 + 2 * PAGE), None);
                assert_ne!(range.around(short.0), Some((short.0, long.1)));
                assert_ne!(range.around(long.0), Some((long.0, short.1)));
            }
        });
    }

    #[test]
    #[expect(unsafe_code, reason = "a page beyond the end of a file is read")]
    fn a_fault_hits_its_own_guard_though_others_come_and_go() {
        let file = tempfile::tempfile().unwrap();
        let (area, large) = (reserve(4 * PAGE), reserve(1 << 30));
        let at = area + 2 * PAGE;
        let others = thread::spawn(move || {
            let mut hits = 0;
            for _ in 0..10 * FAULTS {
                for (start, length) in [(area, PAGE), (large, 1 << 30)] {
                    let guard = Guard::over(start, length).unwrap();
                    hits += usize::from(guard.was_hit());
                }
            }
            hits
        });
        for _ in 0..FAULTS {
            let flags = libc::MAP_SHARED | libc::MAP_FIXED;
            let empty = file.as_raw_fd();
            // SAFETY: over a part of what was reserved, which nothing else uses.
            unsafe { libc::mmap(at as *mut c_void, PAGE, libc::PROT_READ, flags, empty, 0) };
            let guard = Guard::over(at, PAGE).unwrap();
            // SAFETY: the page is mapped; the fault is answered with zeros.
            assert_eq!(unsafe { (at as *const u8).read_volatile() }, 0);
            assert!(guard.was_hit());
        }
        assert_eq!(others.join().unwrap(), 0);
    }
}
