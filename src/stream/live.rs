//! The newest frame, answered on a thread of its own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::frame::Frame;

use super::buffer::FrameBuffer;
use super::results::{self, LiveResults};
use super::shared::{Phase, Shared};
use super::status::LiveStatus;
use super::video::{VideoStream, check_order};
use super::worker;
use super::{StreamEvent, StreamOptions};

/// Answers a camera's frames as they come: the newest wins.
///
/// [`push`](Self::push) copies the frame and returns; it never waits for the model or the listener. One frame is at work
/// and one waits; a newer one takes the place of the one that waits, which is counted as dropped. Memory is bounded: three
/// buffers of the largest frame's size, used again and again.
///
/// A worker thread answers and tells the listener. A listener that panics is counted, and hears the next frame; one that
/// blocks makes frames drop and nothing else. Whatever takes longer than [`StreamOptions::deadline`] is told by
/// [`status`](Self::status) and by every `push` while it lasts, and as [`StreamEvent::Late`] afterwards.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use clipgate::{Bundle, Classifier, Frame, LiveStream, PixelFormat, Runtime, StreamEvent, StreamOptions};
///
/// let runtime = Runtime::load("/usr/lib/libonnxruntime.so".as_ref())?;
/// let classifier = Classifier::new(&runtime, &Bundle::embedded()?)?;
/// let live = LiveStream::start(classifier, StreamOptions::default(), |event| {
///     if let StreamEvent::Answer(answer) = event {
///         println!("{:?}: {:?}", answer.timestamp, answer.steady.decision);
///     }
/// })?;
/// let start = Instant::now();
/// let pixels = vec![127; 640 * 480 * 3]; // of the camera
/// for _ in 0..300 {
///     let status = live.push(&Frame::new(&pixels, 640, 480, PixelFormat::Rgb8)?, start.elapsed())?;
///     if let Some(stuck) = status.stuck() {
///         eprintln!("frame {} takes {:?}", stuck.frame, stuck.elapsed);
///     }
/// }
/// live.finish(Duration::from_secs(2))?;
/// # Ok::<(), clipgate::Error>(())
/// ```
pub struct LiveStream {
    shared: Arc<Shared>,
    writer: Mutex<Writer>,
    worker: Mutex<Option<JoinHandle<()>>>,
    worker_id: ThreadId,
    /// The end of the channel that the listener holds, if there is a channel.
    results: Weak<results::Sender>,
    deadline: Duration,
    max_frame_bytes: usize,
}

/// Who pushes: one thread at a time, for as long as a copy takes.
#[derive(Debug, Default)]
struct Writer {
    buffer: FrameBuffer,
    last_timestamp: Option<Duration>,
}

impl LiveStream {
    /// Starts the worker. The listener is called on its thread, with one event at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for options out of their range;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if there can be no thread.
    pub fn start(
        classifier: Classifier,
        options: StreamOptions,
        listener: impl FnMut(StreamEvent) + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::new(options.deadline));
        Self::start_worker(shared, classifier, options, Box::new(listener))
    }

    /// As [`start`](Self::start), with results to be received instead of a listener: up to `capacity` of them wait, at
    /// least 1, and the newest wins there, too.
    ///
    /// # Errors
    /// As [`start`](Self::start), and [`ErrorKind::Caller`](crate::ErrorKind::Caller) for a capacity above
    /// [`LiveResults::MAX_CAPACITY`].
    pub fn channel(
        classifier: Classifier,
        options: StreamOptions,
        capacity: usize,
    ) -> Result<(Self, LiveResults)> {
        let shared = Arc::new(Shared::new(options.deadline));
        let (sender, results) = results::channel(capacity)?;
        let sender = Arc::new(sender);
        let of_stream = Arc::downgrade(&sender);
        let counter = Arc::clone(&shared);
        let listener = move |event| {
            if sender.send(event) {
                counter.count(|status| status.results_dropped += 1);
            }
        };
        let mut stream = Self::start_worker(shared, classifier, options, Box::new(listener))?;
        stream.results = of_stream;
        Ok((stream, results))
    }

    fn start_worker(
        shared: Arc<Shared>,
        classifier: Classifier,
        options: StreamOptions,
        listener: worker::Listener,
    ) -> Result<Self> {
        let (deadline, max_frame_bytes) = (options.deadline, options.max_frame_bytes);
        let video = VideoStream::new(classifier, options)?;
        let of_worker = Arc::clone(&shared);
        let worker = thread::Builder::new()
            .name("clipgate-live".to_owned())
            .spawn(move || worker::run(&of_worker, video, listener))
            .map_err(|error| {
                Error::machine("no thread can be started for a live stream").with_source(error)
            })?;
        Ok(Self {
            shared,
            writer: Mutex::default(),
            worker_id: worker.thread().id(),
            worker: Mutex::new(Some(worker)),
            results: Weak::new(),
            deadline,
            max_frame_bytes,
        })
    }

    /// Hands a frame over: copies it and returns. After the first frames of the largest size it allocates nothing.
    ///
    /// Size and format may change from frame to frame. `timestamp` counts from any beginning, in the camera's time.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the timestamp is not above the last one's, if the frame has more
    /// bytes than [`StreamOptions::max_frame_bytes`], or if the stream was stopped. The frame does not count then.
    pub fn push(&self, frame: &Frame<'_>, timestamp: Duration) -> Result<LiveStatus> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.phase() > Phase::Open {
            return Err(Error::caller(
                "the live stream was stopped: it takes no more frames",
            ));
        }
        check_order(writer.last_timestamp, timestamp)?;
        writer.buffer.fill(frame, self.max_frame_bytes)?;
        writer.last_timestamp = Some(timestamp);
        let report = self.shared.offer(&mut writer.buffer, timestamp);
        drop(writer);
        Ok(report.log())
    }

    /// Forgets what was smoothed and what the last frame looked like, as [`VideoStream::reset`] does, before the next frame
    /// is begun. The one at work is answered as if nothing had been asked.
    pub fn reset(&self) {
        self.shared.request(|requests| requests.reset = true);
    }

    /// Forgets the drift so far, as [`VideoStream::reset_drift`] does, before the next frame is begun.
    pub fn reset_drift(&self) {
        self.shared.request(|requests| requests.reset_drift = true);
    }

    /// How the stream is doing.
    pub fn status(&self) -> LiveStatus {
        self.shared.status()
    }

    /// Ends the stream: the frame at work is answered and told, one that waits is dropped.
    ///
    /// Called by the listener itself, it returns at once and the stream ends when the listener does.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if that takes longer than `limit`: the classifier or the listener
    /// is stuck. The thread is left behind with the classifier and ends as soon as it can; the listener hears nothing more.
    pub fn stop(&self, limit: Duration) -> Result<LiveStatus> {
        self.end(Phase::Stopping, limit)
    }

    /// Ends the stream as [`stop`](Self::stop) does, but the frame that waits is answered and told, too.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn finish(&self, limit: Duration) -> Result<LiveStatus> {
        self.end(Phase::Finishing, limit)
    }

    fn end(&self, phase: Phase, limit: Duration) -> Result<LiveStatus> {
        self.shared.advance(phase);
        if thread::current().id() == self.worker_id {
            return Ok(self.shared.status());
        }
        let has_ended = self.shared.wait_for_end(limit);
        let worker = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if has_ended {
            // Its end was announced, so that this waits for nothing; a panic of it was caught where it happened.
            worker.map(JoinHandle::join);
            return Ok(self.shared.status());
        }
        let status = self.shared.status();
        self.shared.advance(Phase::Abandoned);
        if let Some(results) = self.results.upgrade() {
            results.close();
        }
        let stuck = match status.in_flight {
            Some(flight) => format!(
                "frame {} has been in the {:?} for {:.1?}",
                flight.frame, flight.stage, flight.elapsed
            ),
            None => "its worker has not ended".to_owned(),
        };
        Err(Error::machine(format!(
            "the live stream did not stop within {limit:?}: {stuck}; its thread is left behind"
        )))
    }
}

/// [`stop`](LiveStream::stop)s the stream, and waits for that as long as the deadline.
impl Drop for LiveStream {
    fn drop(&mut self) {
        if let Err(error) = self.stop(self.deadline) {
            log::warn!("{error}");
        }
    }
}

impl fmt::Debug for LiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveStream")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
