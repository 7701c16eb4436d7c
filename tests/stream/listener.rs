//! Who hears the results of a live stream: a callback or a channel, which may be slow, stuck, loud or curious.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use clipgate::{ErrorKind, LiveResults, LiveStream, Stage, StreamEvent};

use super::live::{LIMIT, every_frame, wait_until};
use super::milliseconds;
use crate::support::encoders::{Control, Mood, obedient};
use crate::support::scenes::Scene;

#[test]
fn a_stream_stops_in_time_though_the_listener_is_stuck() {
    let control = Control::default();
    let (release, held) = mpsc::channel::<()>();
    let options = every_frame().deadline(milliseconds(20));
    let stream = LiveStream::start(obedient(&control), options, move |_| {
        let _ = held.recv();
    })
    .unwrap();
    let scene = Scene::new(320, 240, 1);
    stream.push(&scene.frame(), milliseconds(0)).unwrap();
    wait_until(&stream, |status| status.answered == 1);
    for n in 1..50 {
        stream.push(&scene.frame(), milliseconds(n)).unwrap();
    }
    let status = wait_until(&stream, |status| {
        let stuck = status.stuck();
        stuck.is_some_and(|stuck| stuck.stage == Stage::Listener)
    });
    assert_eq!((status.answered, status.dropped), (1, 48));
    assert!(stream.stop(milliseconds(20)).is_err());
    drop(release);
}

#[test]
fn a_listener_that_panics_hears_the_next_frame() {
    let control = Control::default();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let heard = Arc::clone(&heard);
        move |event| {
            let StreamEvent::Answer(answer) = event else {
                return;
            };
            heard.lock().unwrap().push(answer.frame);
            assert!(answer.frame % 2 == 1, "an even frame, on purpose");
        }
    };
    let stream = LiveStream::start(obedient(&control), every_frame(), listener).unwrap();
    let scene = Scene::new(64, 64, 1);
    for n in 0..10 {
        stream.push(&scene.frame(), milliseconds(n)).unwrap();
        wait_until(&stream, |status| {
            status.answered == n + 1 && status.in_flight.is_none()
        });
    }
    let status = stream.stop(LIMIT).unwrap();
    assert_eq!(status.listener_panics, 5);
    // The lock is poisoned by the panics only where it was held.
    let heard = heard
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    assert_eq!(*heard, (0..10).collect::<Vec<_>>());
}

thread_local! {
    /// The stream that the logger asks when this thread logs.
    static ASKED: RefCell<Option<Arc<LiveStream>>> = const { RefCell::new(None) };
}

/// A logger that asks the stream that it is told of how it is doing.
struct Asking;

impl log::Log for Asking {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let stream = ASKED.with_borrow_mut(Option::take);
        if let Some(stream) = stream {
            let scene = Scene::new(64, 64, 1);
            assert!(stream.status().stuck().is_some());
            stream.push(&scene.frame(), milliseconds(1000)).unwrap();
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_may_ask_the_stream_that_it_hears_of() {
    log::set_logger(&Asking).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let control = Control::default();
    let options = every_frame().deadline(milliseconds(20));
    let stream = LiveStream::start(obedient(&control), options, |_| ()).unwrap();
    let stream = Arc::new(stream);
    control.set(Mood::Stuck);
    let scene = Scene::new(64, 64, 1);
    stream.push(&scene.frame(), milliseconds(0)).unwrap();
    std::thread::sleep(milliseconds(60));
    let (sender, pushed) = mpsc::channel();
    let pushing = Arc::clone(&stream);
    std::thread::spawn(move || {
        ASKED.set(Some(Arc::clone(&pushing)));
        sender.send(
            pushing
                .push(&Scene::new(64, 64, 1).frame(), milliseconds(1))
                .is_ok(),
        )
    });
    assert!(pushed.recv_timeout(LIMIT).unwrap());
    control.set(Mood::Prompt);
    stream.stop(LIMIT).unwrap();
}

#[test]
fn a_listener_may_stop_its_own_stream() {
    let control = Control::default();
    let own: Arc<Mutex<Option<Arc<LiveStream>>>> = Arc::default();
    let (sender, stopped) = mpsc::channel();
    let stream = {
        let own = Arc::clone(&own);
        LiveStream::start(obedient(&control), every_frame(), move |_| {
            let stream = own.lock().unwrap().take();
            if let Some(stream) = stream {
                let _ = sender.send(stream.stop(LIMIT).is_ok());
            }
        })
    };
    let stream = Arc::new(stream.unwrap());
    *own.lock().unwrap() = Some(Arc::clone(&stream));
    let start = Instant::now();
    stream
        .push(&Scene::new(64, 64, 1).frame(), milliseconds(0))
        .unwrap();
    assert!(stopped.recv_timeout(LIMIT).unwrap());
    stream.stop(LIMIT).unwrap();
    assert!(start.elapsed() < LIMIT / 2);
    assert!(stream.status().stopped);
}

#[test]
fn results_through_a_channel_are_bounded_and_the_newest_win() {
    let control = Control::default();
    let (stream, results) = LiveStream::channel(obedient(&control), every_frame(), 2).unwrap();
    let scene = Scene::new(64, 64, 1);
    assert!(results.try_recv().is_none());
    assert!(results.recv_timeout(milliseconds(5)).is_none());
    for n in 0..6 {
        stream.push(&scene.frame(), milliseconds(n)).unwrap();
        wait_until(&stream, |status| {
            status.answered == n + 1 && status.in_flight.is_none()
        });
    }
    let status = stream.stop(LIMIT).unwrap();
    assert_eq!(status.results_dropped, 4);
    let left: Vec<u64> = results
        .map(|event| match event {
            StreamEvent::Answer(answer) => answer.frame,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(left, [4, 5]);
}

#[test]
fn results_end_with_a_stream_that_was_given_up() {
    let control = Control::default();
    let (stream, results) = LiveStream::channel(obedient(&control), every_frame(), 2).unwrap();
    control.set(Mood::Stuck);
    let scene = Scene::new(64, 64, 1);
    stream.push(&scene.frame(), milliseconds(0)).unwrap();
    wait_until(&stream, |status| status.in_flight.is_some());
    let (sender, ended) = mpsc::channel();
    let receiver = std::thread::spawn(move || sender.send(results.recv().is_none()));
    assert!(stream.stop(milliseconds(50)).is_err());
    assert!(ended.recv_timeout(LIMIT).unwrap());
    receiver.join().unwrap().unwrap();
    control.set(Mood::Prompt);
}

#[test]
fn a_channel_has_a_capacity_within_bounds() {
    let channel = |capacity| {
        let control = Control::default();
        LiveStream::channel(obedient(&control), every_frame(), capacity)
    };
    for capacity in [usize::MAX, LiveResults::MAX_CAPACITY + 1] {
        let error = channel(capacity).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Caller);
        assert!(error.to_string().contains("65536"), "{error}");
    }
    for capacity in [0, LiveResults::MAX_CAPACITY] {
        channel(capacity).unwrap();
    }
}
