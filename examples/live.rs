//! Answers a camera's frames as they come, and acts on what has held for a while.
//!
//! The camera is made up here: a photo for two seconds, then a covered lens, at 30 frames a second.
//!
//! ```text
//! $ cargo run --release --example live
//!  0.3 s  espresso
//!  2.8 s  not sure: the frame shows nothing (dark, flat or covered)
//! 120 frames: 4 answered, 116 unchanged, 0 dropped
//! ```

use std::error::Error;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clipgate::{
    Bundle, Classifier, Decision, DecodeLimits, LiveStream, StreamEvent, StreamOptions, decode_file,
};

// How the clipgate command finds ONNX Runtime; a program of yours says Runtime::load("/path/to/libonnxruntime.so").
#[path = "../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;

const FRAME_TIME: Duration = Duration::from_millis(33);

fn main() -> Result<(), Box<dyn Error>> {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos");
    let coffee = decode_file(&photos.join("coffee.jpg"), &DecodeLimits::default())?;
    let covered = decode_file(&photos.join("covered_lens.jpg"), &DecodeLimits::default())?;

    let runtime = runtime_search::load()?;
    let classifier = Classifier::new(&runtime, &Bundle::embedded()?)?;
    let mut said = String::new();
    let live = LiveStream::start(classifier, StreamOptions::default(), move |event| {
        let StreamEvent::Answer(answer) = event else {
            eprintln!("{event:?}");
            return;
        };
        let now = match &answer.steady.decision {
            Decision::Accept(prediction) => prediction.label.to_string(),
            Decision::Abstain(abstention) => format!("not sure: {}", abstention.reason),
            _ => return,
        };
        // The first thing that is settled, and every change.
        let settled = answer.steady.since > Duration::ZERO;
        if settled && said != now {
            println!("{:4.1} s  {now}", answer.timestamp.as_secs_f64());
            said = now;
        }
    })?;

    let start = Instant::now();
    for n in 0..120 {
        let camera = if n < 60 { &coffee } else { &covered };
        let status = live.push(&camera.frame()?, start.elapsed())?;
        if let Some(stuck) = status.stuck() {
            eprintln!("frame {} takes {:?}", stuck.frame, stuck.elapsed);
        }
        sleep(FRAME_TIME);
    }
    let status = live.finish(Duration::from_secs(2))?;
    println!(
        "{} frames: {} answered, {} unchanged, {} dropped",
        status.pushed, status.answered, status.skipped, status.dropped
    );
    Ok(())
}
