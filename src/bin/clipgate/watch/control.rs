//! When a stream is to end, and how it did.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clipgate::{Error, ErrorKind, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit_code::Outcome;

/// The exit status of a shell for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Shared by the thread that reads, the one that answers and the one that waits for both.
#[derive(Default)]
pub(super) struct Control {
    is_interrupted: Arc<AtomicBool>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether results are wanted no more.
    is_stopped: bool,
    is_reader_gone: bool,
    failure: Option<Error>,
    ended: Option<Result<Outcome>>,
}

impl Control {
    /// From now on SIGINT and SIGTERM end the stream; a second one ends the program.
    pub(super) fn heed_interrupts(&self) -> Result<()> {
        let refused = |error| {
            Error::new(ErrorKind::Machine, "interrupts cannot be heeded").with_source(error)
        };
        for signal in [SIGINT, SIGTERM] {
            let flag = &self.is_interrupted;
            flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(flag))
                .map_err(refused)?;
            flag::register(signal, Arc::clone(flag)).map_err(refused)?;
        }
        Ok(())
    }

    /// Ends the stream: nobody reads its results any more.
    pub(super) fn reader_is_gone(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        state.is_reader_gone = true;
        self.changed.notify_all();
    }

    pub(super) fn is_reader_gone(&self) -> bool {
        self.lock().is_reader_gone
    }

    /// Ends the stream with an error; the first one counts.
    pub(super) fn fail(&self, error: Error) {
        let mut state = self.lock();
        state.is_stopped = true;
        state.failure.get_or_insert(error);
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed) || self.lock().is_stopped
    }

    /// Whether the user ended the stream.
    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }

    /// The thread that reads has ended.
    pub(super) fn finish(&self, ended: Result<Outcome>) {
        self.lock().ended = Some(ended);
        self.changed.notify_all();
    }

    /// Waits for that, looking every `look` whether the stream is to end, and no longer than `patience` from then on.
    pub(super) fn wait(&self, look: Duration, patience: Duration) -> Result<Outcome> {
        let mut stopped_at = None;
        let mut state = self.lock();
        loop {
            if let Some(ended) = state.ended.take() {
                return match state.failure.take() {
                    Some(failure) => Err(failure),
                    // What broke off because the sender was interrupted, too, is no error.
                    None if self.is_interrupted() => Ok(ended.unwrap_or(Outcome::Answered)),
                    None => ended,
                };
            }
            if state.is_stopped || self.is_interrupted() {
                let since = *stopped_at.get_or_insert_with(Instant::now);
                if since.elapsed() > patience {
                    // It waits for input or is stuck; it ends with the program.
                    return state.failure.take().map_or(Ok(Outcome::Answered), Err);
                }
            }
            state = self
                .changed
                .wait_timeout(state, look)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
