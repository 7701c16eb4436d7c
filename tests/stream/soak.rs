//! Some seconds of frames that change size and format. `cargo bench --bench stream` is the long one, with its memory.

use std::time::{Duration, Instant};

use clipgate::{LiveStream, PixelFormat, StreamEvent, StreamOptions};

use crate::support::encoders::pocket;
use crate::support::is_emulated;
use crate::support::scenes::Scene;

#[test]
fn every_frame_of_a_changing_stream_is_accounted_for() {
    let scenes: Vec<Scene> = [(160, 120), (1, 1), (97, 31), (320, 240)]
        .into_iter()
        .enumerate()
        .flat_map(|(seed, (width, height))| {
            let scene = Scene::new(width, height, seed as u64);
            [
                scene.clone(),
                scene.clone().in_format(PixelFormat::Rgba8),
                scene.in_format(PixelFormat::Gray8),
            ]
        })
        .collect();
    let (stream, results) = LiveStream::channel(pocket(), StreamOptions::default(), 4).unwrap();
    // Long enough for a scene to be looked at twice.
    let frames_of_a_scene = if is_emulated() { 200 } else { 7 };
    let start = Instant::now();
    let (mut pushed, mut received) = (0, 0);
    let mut last = None;
    let mut receive = |event: StreamEvent| {
        let StreamEvent::Answer(answer) = event else {
            panic!("{event:?}");
        };
        assert!(last.is_none_or(|last| last < answer.timestamp));
        assert!(answer.frame >= answer.dropped);
        last = Some(answer.timestamp);
        received += 1;
    };
    while start.elapsed() < Duration::from_secs(3) {
        let scene = &scenes[pushed / frames_of_a_scene % scenes.len()];
        stream.push(&scene.frame(), start.elapsed()).unwrap();
        pushed += 1;
        while let Some(event) = results.try_recv() {
            receive(event);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    let status = stream.finish(Duration::from_secs(20)).unwrap();
    results.for_each(&mut receive);
    assert_eq!(status.pushed, pushed as u64);
    assert_eq!(
        status.answered + status.skipped + status.dropped,
        status.pushed,
        "{status:?}"
    );
    assert_eq!(
        received + status.results_dropped,
        status.answered + status.skipped
    );
    assert!(status.answered > 0 && status.skipped > 0);
    assert_eq!((status.failed, status.in_flight), (0, None));
}
