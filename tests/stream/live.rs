//! A live stream: newest wins, and nothing that is stuck, slow or broken stops or swells it.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use clipgate::{ErrorKind, LiveStatus, LiveStream, Stage, StreamEvent, StreamOptions};

use super::milliseconds;
use crate::support::encoders::{Control, Mood, obedient};
use crate::support::scenes::Scene;

pub(super) const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn every_frame() -> StreamOptions {
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
pub(super) fn wait_until(stream: &LiveStream, what: impl Fn(&LiveStatus) -> bool) -> LiveStatus {
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
