//! Streams: skipping, order, and what a live stream does about everything that is slow, stuck or broken.

mod listener;
mod live;
mod soak;

use std::time::Duration;

use clipgate::{
    Decision, ErrorKind, Frame, PixelFormat, PromiseKind, Reason, Smoothing, StreamOptions,
    Unchanged, VideoStream,
};

use crate::support::encoders::{Control, Mood, obedient, pocket};
use crate::support::scenes::Scene;

pub(crate) fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn video(options: StreamOptions) -> (VideoStream, Control) {
    let control = Control::default();
    (
        VideoStream::new(obedient(&control), options).unwrap(),
        control,
    )
}

#[test]
fn raw_answers_are_the_classifiers_own_and_steady_ones_promise_nothing() {
    let scene = Scene::new(320, 240, 1);
    let mut plain = pocket();
    let mut video = VideoStream::new(pocket(), StreamOptions::default().unchanged(None)).unwrap();
    for n in 0..30 {
        let expected = plain.classify(&scene.frame()).unwrap();
        let answer = video
            .classify(&scene.frame(), milliseconds(40 * n))
            .unwrap();
        assert_eq!(answer.raw.decision, expected.decision);
        assert_eq!(answer.raw.top, expected.top);
        assert_eq!(answer.steady.promise, PromiseKind::None);
        assert_eq!((answer.frame, answer.dropped), (n, 0));
        assert_eq!(answer.raw_timestamp, answer.timestamp);
        let steady = (
            answer.steady.decision.reason(),
            answer.steady.decision.accepted(),
        );
        match n {
            0..=7 => assert_eq!(steady.0, Some(Reason::Unsettled)),
            8 => assert_ne!(steady.0, Some(Reason::Unsettled), "0.32 s: held"),
            _ => assert_eq!(answer.steady.since, milliseconds(320)),
        }
        if n > 8 {
            assert_eq!(steady.0, expected.decision.reason());
            let index = |accepted: Option<&clipgate::Prediction>| accepted.map(|one| one.index);
            assert_eq!(index(steady.1), index(expected.decision.accepted()));
        }
    }
}

#[test]
fn timestamps_must_increase() {
    let (mut video, control) = video(StreamOptions::default());
    let scene = Scene::new(64, 64, 1);
    video.classify(&scene.frame(), milliseconds(5)).unwrap();
    for late in [5, 4, 0] {
        let error = video
            .classify(&scene.frame(), milliseconds(late))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Caller);
        assert!(error.to_string().contains("5ms"), "{error}");
    }
    let answer = video.classify(&scene.frame(), milliseconds(6)).unwrap();
    assert_eq!(answer.frame, 1, "what was refused does not count");
    assert!(answer.skipped);
    assert_eq!(control.asked(), 2, "the self-test and one frame");
}

#[test]
fn an_unchanged_frame_is_skipped_but_not_for_longer_than_a_second() {
    let (mut video, control) = video(StreamOptions::default());
    let mut scene = Scene::new(320, 240, 2);
    let mut answered = Vec::new();
    for n in 0..25 {
        scene.noise(4.0, n);
        let answer = video
            .classify(&scene.frame(), milliseconds(100 * n))
            .unwrap();
        if answer.skipped {
            assert_eq!(
                answer.raw_timestamp,
                milliseconds(*answered.last().unwrap())
            );
        } else {
            answered.push(100 * n);
        }
    }
    assert_eq!(answered, [0, 1000, 2000]);
    assert_eq!(control.asked(), 1 + 3);
}

#[test]
fn a_slow_change_adds_up_until_it_is_noticed() {
    let options =
        StreamOptions::default().unchanged(Unchanged::default().longest(Duration::from_secs(3600)));
    let (mut video, _) = video(options);
    let mut answered = Vec::new();
    for n in 0..100 {
        // One unit of 255 a frame: no two neighbours differ.
        let scene = Scene::flat(320, 240, 50 + n as u8);
        if !video
            .classify(&scene.frame(), milliseconds(40 * n))
            .unwrap()
            .skipped
        {
            answered.push(n);
        }
    }
    assert_eq!(&answered[..3], [0, 7, 14]);
    assert_eq!(answered.len(), 15);
}

#[test]
fn every_visible_change_is_noticed() {
    let still = Scene::new(640, 480, 3);
    let changes: [(&str, Scene); 5] = [
        ("another scene", Scene::new(640, 480, 4)),
        ("another size", Scene::new(320, 240, 3)),
        ("light", still.clone().brighter(8)),
        (
            "a thing of a fiftieth",
            still.clone().with_patch(200, 150, 90, 70),
        ),
        (
            "another colour order",
            still.clone().in_format(PixelFormat::Rgba8),
        ),
    ];
    for (what, changed) in changes {
        let (mut video, _) = video(StreamOptions::default());
        video.classify(&still.frame(), milliseconds(0)).unwrap();
        let again = video.classify(&still.frame(), milliseconds(10)).unwrap();
        assert!(again.skipped);
        let answer = video.classify(&changed.frame(), milliseconds(20)).unwrap();
        assert!(!answer.skipped, "{what}");
    }
}

#[test]
fn the_smallest_frames_are_compared_too() {
    for (width, height) in [(1, 1), (1, 200), (200, 1), (31, 33), (2, 2)] {
        let (mut video, _) = video(StreamOptions::default());
        let skipped: Vec<bool> = [40, 40, 200]
            .iter()
            .enumerate()
            .map(|(n, &value)| {
                let scene = Scene::flat(width, height, value);
                let answer = video
                    .classify(&scene.frame(), milliseconds(n as u64))
                    .unwrap();
                answer.skipped
            })
            .collect();
        assert_eq!(skipped, [false, true, false], "{width}x{height}");
    }
}

#[test]
fn a_frame_that_fails_is_no_decision_and_the_next_one_is_answered() {
    let (mut video, control) = video(StreamOptions::default());
    let scene = Scene::new(320, 240, 5);
    video.classify(&scene.frame(), milliseconds(0)).unwrap();
    control.set(Mood::Failing);
    let other = Scene::new(320, 240, 6);
    let error = video.classify(&other.frame(), milliseconds(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    control.set(Mood::Prompt);
    let answer = video.classify(&other.frame(), milliseconds(2)).unwrap();
    assert!(!answer.skipped, "an error answers nothing");
    assert_eq!(answer.frame, 2);
}

#[test]
fn nothing_is_smoothed_where_nobody_asked_for_it() {
    let options = StreamOptions::default().smoothing(None).unchanged(None);
    let mut video = VideoStream::new(pocket(), options).unwrap();
    let scene = Scene::new(320, 240, 1);
    let dark = Scene::flat(320, 240, 2);
    for (n, scene) in [&scene, &dark, &dark, &scene].into_iter().enumerate() {
        let at = milliseconds(n as u64);
        let answer = video.classify(&scene.frame(), at).unwrap();
        assert_eq!(
            answer.steady.decision.reason(),
            answer.raw.decision.reason()
        );
        assert_eq!(answer.steady.since, milliseconds([0, 1, 1, 3][n]));
    }
}

#[test]
fn a_reset_forgets_what_was_seen() {
    let (mut video, _) = video(StreamOptions::default());
    let scene = Scene::new(320, 240, 1);
    for n in 0..40 {
        video
            .classify(&scene.frame(), milliseconds(40 * n))
            .unwrap();
    }
    video.reset();
    let answer = video.classify(&scene.frame(), milliseconds(1601)).unwrap();
    assert!(!answer.skipped);
    assert_eq!(answer.steady.decision.reason(), Some(Reason::Unsettled));
    assert!(video.classify(&scene.frame(), milliseconds(1600)).is_err());
}

#[test]
fn options_out_of_their_range_are_refused() {
    let cases = [
        StreamOptions::default().smoothing(Smoothing::default().confidence(0.0)),
        StreamOptions::default().smoothing(Smoothing::default().confidence(f32::NAN)),
        StreamOptions::default().unchanged(Unchanged::default().difference(-1.0)),
        StreamOptions::default().unchanged(Unchanged::default().area(f32::NAN)),
        StreamOptions::default().deadline(Duration::ZERO),
    ];
    for options in cases {
        let error = VideoStream::new(obedient(&Control::default()), options)
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Caller);
    }
}

/// A label set has a meaning by its promise only; a steady decision has none of either.
#[test]
fn the_first_frame_may_be_anything() {
    let (mut video, _) = video(StreamOptions::default());
    let pixels = [0; 4];
    let frame = Frame::new(&pixels, 1, 1, PixelFormat::Rgba8).unwrap();
    let answer = video.classify(&frame, Duration::ZERO).unwrap();
    assert!(matches!(answer.steady.decision, Decision::Abstain(_)));
    assert_eq!(answer.raw.decision.reason(), Some(Reason::UnusableFrame));
}
