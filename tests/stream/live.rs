//! A live stream: newest wins, and nothing that is stuck, slow or broken stops or swells it.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use clipgate::{ErrorKind, LiveResults, LiveStatus, LiveStream, Stage, StreamEvent, StreamOptions};

use super::milliseconds;
use crate::support::encoders::{Control, Mood, obedient};
use crate::support::scenes::Scene;

const LIMIT: Duration = Duration::from_secs(20);

fn every_frame() -> StreamOptions {
    StreamOptions::default().unchanged(None)
}

/// A stream whose events come through a channel without bound.
fn live(options: StreamOptions) -> (LiveStream, Control, mpsc::Receiver<StreamEvent>) {
    let control = Control::default();
    let (sender, events) = mpsc::channel();
    let stream = LiveStream::start(obedient(&control), options, move |event| {
        let _ = sender.send(event);
    });
    (stream.unwrap(), control, events)
}

/// Waits for something to become true of a stream.
fn wait_until(stream: &LiveStream, what: impl Fn(&LiveStatus) -> bool) -> LiveStatus {
    let start = Instant::now();
    loop {
        let status = stream.status();
        if what(&status) {
            return status;
        }
        assert!(start.elapsed() < LIMIT, "{status:?}");
        std::thread::sleep(milliseconds(1));
    }
}

fn accounted(status: &LiveStatus) -> u64 {
    status.answered + status.skipped + status.dropped + status.failed
}

fn answers(events: &mpsc::Receiver<StreamEvent>) -> Vec<u64> {
    let answer = |event| match event {
        StreamEvent::Answer(answer) => Some(answer.timestamp.as_millis() as u64),
        _ => None,
    };
    events.try_iter().filter_map(answer).collect()
}

#[test]
fn the_newest_frame_wins_and_a_stuck_encoder_is_reported_and_queues_nothing() {
    let (stream, control, events) = live(every_frame().deadline(milliseconds(300)));
    let scene = Scene::new(320, 240, 1);
    control.set(Mood::Stuck);
    stream.push(&scene.frame(), milliseconds(0)).unwrap();
    wait_until(&stream, |status| status.in_flight.is_some());
    let mut status = stream.status();
    for n in 1..=100 {
        status = stream.push(&scene.frame(), milliseconds(n)).unwrap();
    }
    assert_eq!((status.pushed, status.dropped), (101, 99));
    let stuck = wait_until(&stream, |status| status.stuck().is_some())
        .stuck()
        .unwrap();
    assert_eq!((stuck.frame, stuck.stage), (0, Stage::Classifier));
    let pushed = stream.push(&scene.frame(), milliseconds(101)).unwrap();
    assert!(pushed.stuck().is_some(), "push tells it, too");

    control.set(Mood::Prompt);
    let status = stream.finish(LIMIT).unwrap();
    assert_eq!((status.answered, status.dropped, status.late), (2, 100, 1));
    assert_eq!(accounted(&status), status.pushed);
    let told: Vec<StreamEvent> = events.try_iter().collect();
    assert!(matches!(
        told[0],
        StreamEvent::Late { frame: 0, stage: Stage::Classifier, took, .. } if took > milliseconds(300)
    ));
    let StreamEvent::Answer(last) = &told[2] else {
        panic!("{told:?}");
    };
    assert_eq!((last.frame, last.dropped), (101, 100));
}

#[test]
fn a_stream_stops_in_time_though_the_encoder_is_stuck() {
    let (stream, control, events) = live(every_frame());
    let scene = Scene::new(320, 240, 1);
    control.set(Mood::Stuck);
    stream.push(&scene.frame(), milliseconds(0)).unwrap();
    wait_until(&stream, |status| status.in_flight.is_some());
    let start = Instant::now();
    let error = stream.stop(milliseconds(50)).unwrap_err();
    assert!(start.elapsed() < LIMIT / 2);
    assert_eq!(error.kind(), ErrorKind::Machine);
    assert!(error.to_string().contains("frame 0"), "{error}");
    assert!(stream.push(&scene.frame(), milliseconds(1)).is_err());
    assert!(stream.stop(LIMIT).is_err(), "given up, so not waited for");
    drop(stream);
    control.set(Mood::Prompt);
    // The thread ends when it can, and drops the listener without telling it anything.
    assert!(events.recv().is_err());
}

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

#[test]
fn an_encoder_that_fails_or_panics_fails_its_frame_alone() {
    let (stream, control, events) = live(every_frame());
    let scene = Scene::new(64, 64, 1);
    for (n, mood) in [Mood::Failing, Mood::Panicking, Mood::Prompt]
        .into_iter()
        .enumerate()
    {
        control.set(mood);
        stream.push(&scene.frame(), milliseconds(n as u64)).unwrap();
        wait_until(&stream, |status| accounted(status) == n as u64 + 1);
    }
    let status = stream.finish(LIMIT).unwrap();
    assert_eq!((status.failed, status.answered), (2, 1));
    let told: Vec<String> = events
        .try_iter()
        .map(|event| match event {
            StreamEvent::Failed { frame, error, .. } => format!("{frame} {error}"),
            StreamEvent::Answer(answer) => format!("{} answered", answer.frame),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "0 told to fail",
            "1 the classifier panicked: told to panic",
            "2 answered"
        ]
    );
}

#[test]
fn frames_that_cannot_be_taken_do_not_count() {
    let (stream, _, events) = live(every_frame().max_frame_bytes(64 * 64 * 3));
    let scene = Scene::new(64, 64, 1);
    stream.push(&scene.frame(), milliseconds(1)).unwrap();
    let order = stream.push(&scene.frame(), milliseconds(1)).unwrap_err();
    let large = stream
        .push(&Scene::new(65, 64, 1).frame(), milliseconds(2))
        .unwrap_err();
    assert_eq!(
        (order.kind(), large.kind()),
        (ErrorKind::Caller, ErrorKind::Caller)
    );
    assert!(large.to_string().contains("max_frame_bytes"), "{large}");
    stream.push(&scene.frame(), milliseconds(2)).unwrap();
    let status = stream.finish(LIMIT).unwrap();
    assert_eq!(status.pushed, 2);
    assert_eq!(answers(&events).last(), Some(&2));
    let error = stream.push(&scene.frame(), milliseconds(3)).unwrap_err();
    assert!(error.to_string().contains("stopped"), "{error}");
}

#[test]
fn stop_drops_what_waits_and_finish_answers_it() {
    for (finishes, expected) in [(false, vec![0]), (true, vec![0, 2])] {
        let (stream, control, events) = live(every_frame());
        let scene = Scene::new(64, 64, 1);
        control.set(Mood::Stuck);
        for n in 0..3 {
            stream.push(&scene.frame(), milliseconds(n)).unwrap();
            wait_until(&stream, |status| status.in_flight.is_some());
        }
        let ending = std::thread::spawn(move || {
            let ended = if finishes {
                stream.finish(LIMIT)
            } else {
                stream.stop(LIMIT)
            };
            ended.unwrap()
        });
        std::thread::sleep(milliseconds(30));
        control.set(Mood::Prompt);
        let status = ending.join().unwrap();
        assert_eq!(accounted(&status), 3);
        assert_eq!(answers(&events), expected);
    }
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

#[test]
fn a_reset_comes_before_the_next_frame() {
    let (stream, _, events) = live(StreamOptions::default());
    let scene = Scene::new(64, 64, 1);
    for n in 0..3 {
        if n == 2 {
            stream.reset();
            stream.reset_drift();
        }
        stream.push(&scene.frame(), milliseconds(n)).unwrap();
        wait_until(&stream, |status| accounted(status) == n + 1);
    }
    stream.finish(LIMIT).unwrap();
    let skipped: Vec<bool> = events
        .try_iter()
        .map(|event| match event {
            StreamEvent::Answer(answer) => answer.skipped,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(skipped, [false, true, false]);
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
fn push_copies_without_allocating_once_it_is_warm() {
    let (stream, _, events) = live(StreamOptions::default());
    let scenes: Vec<Scene> = [(640, 480), (320, 240), (64, 1), (639, 479)]
        .map(|(width, height)| Scene::new(width, height, 1))
        .into();
    let mut at = 0;
    let mut round = || {
        for scene in &scenes {
            at += 1;
            stream.push(&scene.frame(), milliseconds(at)).unwrap();
            // Every buffer comes round.
            std::thread::sleep(milliseconds(2));
        }
    };
    // Each of three buffers grows to the largest of four sizes when its turn comes, which the worker decides.
    let growth = 3 * scenes.len();
    let rounds = 20 * growth;
    let allocating = (0..rounds)
        .filter(|_| allocation_counter::measure(&mut round).count_total > 0)
        .count();
    assert!(
        allocating <= growth,
        "{allocating} of {rounds} rounds allocate"
    );
    stream.finish(LIMIT).unwrap();
    assert!(!answers(&events).is_empty());
}
