//! What the threads of a live stream share: the frame that waits, the frame at work, and the counters.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::buffer::FrameBuffer;
use super::status::{InFlight, LiveStatus, Stage};

/// A status, and whether the log has yet to hear of it. Whoever gets it says so once it holds no lock: a logger may be
/// slow, and may ask for the status itself.
#[must_use]
#[derive(Debug)]
pub(super) struct Report {
    status: LiveStatus,
    is_news: bool,
}

/// What the worker is asked to do before its next frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Requests {
    pub(super) reset: bool,
    pub(super) reset_drift: bool,
}

/// One frame waits at most, and one is at work. The frame that waits lies in a buffer which changes places with the
/// writer's and with the worker's, so that three buffers serve a stream for ever.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    deadline: Duration,
}

#[derive(Debug)]
struct State {
    counted: LiveStatus,
    buffer: FrameBuffer,
    waiting: Option<Ticket>,
    flight: Option<Flight>,
    phase: Phase,
    requests: Requests,
}

/// A frame's place in its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) frame: u64,
    pub(super) timestamp: Duration,
    /// Frames dropped before it.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    stage: Stage,
    since: Instant,
    /// Whether the log has heard that it is late.
    is_logged: bool,
}

/// A stream's life, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Frames are taken.
    Open,
    /// The frame that waits is the last.
    Finishing,
    /// The frame at work is the last.
    Stopping,
    /// The same, and nobody waits for it any more: the listener hears nothing of it.
    Abandoned,
    /// The worker has ended.
    Ended,
}

impl Shared {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                counted: LiveStatus::default(),
                buffer: FrameBuffer::default(),
                waiting: None,
                flight: None,
                phase: Phase::Open,
                requests: Requests::default(),
            }),
            changed: Condvar::new(),
            deadline,
        }
    }

    /// Puts the writer's frame where the next one is taken from, in place of one that still waits.
    pub(super) fn offer(&self, buffer: &mut FrameBuffer, timestamp: Duration) -> Report {
        let mut state = self.lock();
        let frame = state.counted.pushed;
        state.counted.pushed += 1;
        if state.waiting.is_some() || state.phase > Phase::Open {
            state.counted.dropped += 1;
        }
        if state.phase == Phase::Open {
            std::mem::swap(&mut state.buffer, buffer);
            state.waiting = Some(Ticket {
                frame,
                timestamp,
                dropped: state.counted.dropped,
            });
            self.changed.notify_all();
        }
        self.report(&mut state)
    }

    /// Asks the worker for something before its next frame.
    pub(super) fn request(&self, request: impl FnOnce(&mut Requests)) {
        request(&mut self.lock().requests);
    }

    /// The next frame for the worker, in its buffer, and what is asked of it before; waits for one. `None` ends the worker.
    pub(super) fn take(&self, buffer: &mut FrameBuffer) -> Option<(Ticket, Requests)> {
        let mut state = self.lock();
        loop {
            if state.phase >= Phase::Stopping {
                state.counted.dropped += u64::from(state.waiting.take().is_some());
                return None;
            }
            if let Some(ticket) = state.waiting.take() {
                std::mem::swap(&mut state.buffer, buffer);
                state.flight = Some(Flight::new(ticket, Stage::Classifier));
                return Some((ticket, std::mem::take(&mut state.requests)));
            }
            if state.phase == Phase::Finishing {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// The frame at work begins a stage.
    pub(super) fn begin(&self, ticket: Ticket, stage: Stage) {
        self.lock().flight = Some(Flight::new(ticket, stage));
    }

    /// The frame at work has ended its stage; tells how long it took if that was too long.
    pub(super) fn end(&self) -> Option<Duration> {
        let mut state = self.lock();
        let took = state.flight.take()?.since.elapsed();
        let is_late = took > self.deadline;
        state.counted.late += u64::from(is_late);
        is_late.then_some(took)
    }

    /// Counts something.
    pub(super) fn count(&self, count: impl FnOnce(&mut LiveStatus)) {
        count(&mut self.lock().counted);
    }

    pub(super) fn status(&self) -> LiveStatus {
        let report = self.report(&mut self.lock());
        report.log()
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Goes on to a later phase.
    pub(super) fn advance(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = state.phase.max(phase);
        self.changed.notify_all();
    }

    /// Waits for the worker's end, no longer than `limit`, and not at all if it was given up before. Tells whether it came.
    pub(super) fn wait_for_end(&self, limit: Duration) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        while state.phase != Phase::Ended {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() || state.phase == Phase::Abandoned {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    fn report(&self, state: &mut State) -> Report {
        let mut status = state.counted;
        status.stopped = state.phase > Phase::Open;
        let Some(flight) = &mut state.flight else {
            return Report {
                status,
                is_news: false,
            };
        };
        let elapsed = flight.since.elapsed();
        let is_late = elapsed > self.deadline;
        let is_news = is_late && !flight.is_logged;
        flight.is_logged |= is_news;
        status.in_flight = Some(InFlight {
            frame: flight.ticket.frame,
            timestamp: flight.ticket.timestamp,
            stage: flight.stage,
            elapsed,
            is_late,
        });
        Report { status, is_news }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// The status, once the log has heard what it has yet to hear.
    pub(super) fn log(self) -> LiveStatus {
        if let Some(flight) = self.status.in_flight.filter(|_| self.is_news) {
            log::warn!(
                "frame {} has been in the {:?} for {:.1?}",
                flight.frame,
                flight.stage,
                flight.elapsed
            );
        }
        self.status
    }
}

impl Flight {
    fn new(ticket: Ticket, stage: Stage) -> Self {
        Self {
            ticket,
            stage,
            since: Instant::now(),
            is_logged: false,
        }
    }
}
