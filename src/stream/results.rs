//! Results through a channel: bounded, and the newest wins.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

use super::StreamEvent;

/// The receiving end of [`LiveStream::channel`](crate::LiveStream::channel).
///
/// It holds a fixed number of results. One that nobody received gives way to a newer one, and is counted in
/// [`LiveStatus::results_dropped`](crate::LiveStatus::results_dropped): who is slow gets the newest, and never holds up
/// the stream.
#[derive(Debug)]
pub struct LiveResults(Arc<Queue>);

/// The sending end.
#[derive(Debug)]
pub(super) struct Sender(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State {
    events: VecDeque<StreamEvent>,
    is_open: bool,
}

/// Both ends of a channel for `capacity` results, at least 1 and at most [`LiveResults::MAX_CAPACITY`].
pub(super) fn channel(capacity: usize) -> Result<(Sender, LiveResults)> {
    if capacity > LiveResults::MAX_CAPACITY {
        return Err(Error::caller(format!(
            "a channel for {capacity} results: at most {}",
            LiveResults::MAX_CAPACITY
        )));
    }
    let capacity = capacity.max(1);
    let queue = Arc::new(Queue {
        state: Mutex::new(State {
            events: VecDeque::new(),
            is_open: true,
        }),
        changed: Condvar::new(),
        capacity,
    });
    Ok((Sender(Arc::clone(&queue)), LiveResults(queue)))
}

impl LiveResults {
    /// The most results that can wait.
    pub const MAX_CAPACITY: usize = 1 << 16;

    /// The oldest result that is there; waits for one. `None` once the stream has stopped, or was given up because it did
    /// not stop in time, and everything was received.
    pub fn recv(&self) -> Option<StreamEvent> {
        let mut state = self.0.lock();
        loop {
            if let Some(event) = state.events.pop_front() {
                return Some(event);
            }
            if !state.is_open {
                return None;
            }
            state = self
                .0
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`recv`](Self::recv), but waits no longer than `limit`: then it is `None`, too.
    pub fn recv_timeout(&self, limit: Duration) -> Option<StreamEvent> {
        let start = Instant::now();
        let mut state = self.0.lock();
        loop {
            if let Some(event) = state.events.pop_front() {
                return Some(event);
            }
            let left = limit.saturating_sub(start.elapsed());
            if !state.is_open || left.is_zero() {
                return None;
            }
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The oldest result that is there, without waiting.
    pub fn try_recv(&self) -> Option<StreamEvent> {
        self.0.lock().events.pop_front()
    }
}

/// Every result until the stream stops or is given up.
impl Iterator for LiveResults {
    type Item = StreamEvent;

    fn next(&mut self) -> Option<StreamEvent> {
        self.recv()
    }
}

impl Sender {
    /// Hands a result over, in place of the oldest if there is no room. Tells whether one was lost.
    pub(super) fn send(&self, event: StreamEvent) -> bool {
        let mut state = self.0.lock();
        if !state.is_open {
            return false;
        }
        let is_full = state.events.len() == self.0.capacity;
        if is_full {
            state.events.pop_front();
        }
        state.events.push_back(event);
        self.0.changed.notify_one();
        is_full
    }

    /// Ends the results: what is there can still be received, and nothing comes after it.
    pub(super) fn close(&self) {
        self.0.lock().is_open = false;
        self.0.changed.notify_all();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
