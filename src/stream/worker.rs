//! The thread that answers a live stream's frames and tells its listener.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;

use super::buffer::FrameBuffer;
use super::shared::{Phase, Shared, Ticket};
use super::status::Stage;
use super::video::VideoStream;
use super::{StreamAnswer, StreamEvent};

/// Who hears of every frame.
pub(super) type Listener = Box<dyn FnMut(StreamEvent) + Send>;

/// Answers frames until the stream ends.
pub(super) fn run(shared: &Shared, mut video: VideoStream, mut listener: Listener) {
    let _ended = Ended(shared);
    let mut buffer = FrameBuffer::default();
    while let Some((ticket, requests)) = shared.take(&mut buffer) {
        if requests.reset {
            video.reset();
        }
        if requests.reset_drift {
            video.reset_drift();
        }
        // A backend of the caller's may panic. The video is fit for the next frame whatever the last one left.
        let caught = catch_unwind(AssertUnwindSafe(|| {
            video.answer(&buffer.frame()?, ticket.frame, ticket.timestamp)
        }));
        let late = shared.end();
        let outcome = caught.unwrap_or_else(|panic| {
            Err(Error::model(format!(
                "the classifier panicked: {}",
                message(&*panic)
            )))
        });
        let event = event(shared, ticket, outcome);
        let mut listen = |event| tell(shared, ticket, &mut listener, event);
        if let Some(took) = late {
            listen(ticket.late(Stage::Classifier, took));
        }
        if let Some(late) = listen(event) {
            listen(late);
        }
    }
}

/// Counts an outcome and puts it into words.
fn event(shared: &Shared, ticket: Ticket, outcome: Result<StreamAnswer, Error>) -> StreamEvent {
    match outcome {
        Ok(answer) => {
            shared.count(|status| {
                if answer.skipped {
                    status.skipped += 1;
                } else {
                    status.answered += 1;
                }
            });
            StreamEvent::Answer(StreamAnswer {
                dropped: ticket.dropped,
                ..answer
            })
        }
        Err(error) => {
            shared.count(|status| status.failed += 1);
            StreamEvent::Failed {
                frame: ticket.frame,
                timestamp: ticket.timestamp,
                error,
            }
        }
    }
}

/// Tells the listener, and what is to be told of the listener if it took too long.
fn tell(
    shared: &Shared,
    ticket: Ticket,
    listener: &mut Listener,
    event: StreamEvent,
) -> Option<StreamEvent> {
    if shared.phase() >= Phase::Abandoned {
        return None;
    }
    shared.begin(ticket, Stage::Listener);
    let caught = catch_unwind(AssertUnwindSafe(|| listener(event)));
    let late = shared.end();
    if let Err(panic) = caught {
        shared.count(|status| status.listener_panics += 1);
        log::error!(
            "the listener panicked on frame {}: {}",
            ticket.frame,
            message(&*panic)
        );
    }
    late.map(|took| ticket.late(Stage::Listener, took))
}

/// Says so when the worker is gone, whatever ended it.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.advance(Phase::Ended);
    }
}

impl Ticket {
    fn late(self, stage: Stage, took: std::time::Duration) -> StreamEvent {
        StreamEvent::Late {
            frame: self.frame,
            timestamp: self.timestamp,
            stage,
            took,
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
