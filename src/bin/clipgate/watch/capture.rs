//! The loop that every source goes through.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use clipgate::{Error, Frame, LiveStream, Result, StreamEvent, VideoStream};

use super::control::Control;
use super::teller::{self, Teller};
use crate::exit_code::Outcome;

/// How long the last frames may take to be answered and told once the source has ended.
const FINISH_LIMIT: Duration = Duration::from_secs(30);

/// How long the frame at work may take once the user has ended the stream: a large model on a slow board takes seconds.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Where frames come from.
pub(super) trait Source {
    /// What comes next. Does not wait for longer than a moment, where that is possible, so that the stream can be ended.
    ///
    /// # Errors
    /// If nothing more can come.
    fn next(&mut self) -> Result<Next<'_>>;
}

/// What a source has.
pub(super) enum Next<'a> {
    /// A frame.
    Frame {
        frame: Frame<'a>,
        timestamp: Duration,
        /// The file it comes from, if it has one of its own.
        file: Option<&'a Path>,
    },
    /// Something that is no frame; others may follow.
    Failed {
        file: Option<&'a Path>,
        error: Error,
    },
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

/// Who answers.
pub(super) enum Pace {
    /// Every frame in turn.
    EveryFrame(Box<VideoStream>),
    /// The newest, on a thread that tells by itself.
    Newest(Box<LiveStream>),
}

/// Hands a source's frames over until it ends, or until `control` says so. What was taken is answered even if the source
/// ends with an error.
pub(super) fn capture(
    source: &mut dyn Source,
    mut pace: Pace,
    teller: &Mutex<Teller>,
    control: &Control,
) -> Result<Outcome> {
    let handed_over = hand_over(source, &mut pace, teller, control);
    let told = match &pace {
        Pace::EveryFrame(_) => Ok(Outcome::Answered),
        Pace::Newest(live) => finish(live, teller, control),
    };
    Ok(handed_over?.and(told?))
}

fn hand_over(
    source: &mut dyn Source,
    pace: &mut Pace,
    teller: &Mutex<Teller>,
    control: &Control,
) -> Result<Outcome> {
    let mut outcome = Outcome::Answered;
    while !control.is_stopped() {
        match source.next()? {
            Next::End => break,
            Next::Nothing => {}
            Next::Failed { file, error } => {
                outcome = Outcome::Failed;
                teller::lock(teller).tell_failed(file, &error, control);
            }
            Next::Frame {
                frame,
                timestamp,
                file,
            } => match pace {
                Pace::EveryFrame(video) => {
                    let answer = video.classify(&frame, timestamp);
                    let mut teller = teller::lock(teller);
                    match answer {
                        Ok(answer) => {
                            teller.name(file);
                            teller.tell(StreamEvent::Answer(answer), control);
                        }
                        Err(error) => {
                            outcome = Outcome::Failed;
                            teller.tell_unanswered(file, error, control);
                        }
                    }
                }
                Pace::Newest(live) => {
                    live.push(&frame, timestamp)?;
                }
            },
        }
    }
    Ok(outcome)
}

/// Waits for what was pushed; only for what is at work if the user has ended the stream.
fn finish(live: &LiveStream, teller: &Mutex<Teller>, control: &Control) -> Result<Outcome> {
    let ended = if control.is_stopped() {
        live.stop(STOP_LIMIT)
    } else {
        live.finish(FINISH_LIMIT)
    };
    teller::lock(teller).count_dropped(live.status().dropped);
    Ok(match ended?.failed {
        0 => Outcome::Answered,
        _ => Outcome::Failed,
    })
}
