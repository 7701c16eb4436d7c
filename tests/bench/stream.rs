//! What a stream adds to the model, and a long soak: `cargo bench --bench stream`, with a number of frames after `--` for
//! another soak than 100,000.
//!
//! 1. Skipping: the time of a 1080p NV21 frame that is skipped, beside that of the encoder alone on the same frame. Frames
//!    change places in memory, so that none is in the processor's cache. At most 3 % of the encoder.
//! 2. Noticing: what is done to photos, whether it is skipped, and what the model would have said of it: the least cosine
//!    between the embeddings before and after, and the decisions that are others.
//! 3. Pushing: the time of `LiveStream::push`, beside that of copying as many bytes.
//! 4. Soak: frames of all formats and several sizes through `LiveStream`, and the memory at its beginning, middle and end.

use std::error::Error;
use std::time::{Duration, Instant};

use clipgate::{
    Bundle, Classifier, Frame, LiveStream, PixelFormat, StreamOptions, Unchanged, VideoStream,
};

#[path = "../../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;

#[path = "stream/noticing.rs"]
mod noticing;
#[path = "stream/soak.rs"]
mod soak;

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
const RUNS: u64 = 300;
const LIMIT: f64 = 0.03;
const SOAK: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let frames = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    skipping()?;
    noticing::run()?;
    pushing()?;
    soak::run(frames.unwrap_or(SOAK))
}

fn classifier() -> Result<Classifier, Box<dyn Error>> {
    Ok(Classifier::new(
        &runtime_search::load()?,
        &Bundle::embedded()?,
    )?)
}

/// A picture that is not flat, with noise of a few units which differs from seed to seed.
fn pixels(
    format: PixelFormat,
    width: u32,
    height: u32,
    seed: u32,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let length = format.frame_bytes(width, height)?;
    Ok((0..length as u32)
        .map(|i| {
            let picture = (i / 97 % 160) as u8 + 40;
            let noise = (i ^ seed).wrapping_mul(2_654_435_761) >> 29;
            picture + noise as u8
        })
        .collect())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn skipping() -> Result<(), Box<dyn Error>> {
    let memory: Vec<Vec<u8>> = (0..16)
        .map(|seed| pixels(PixelFormat::Nv21, WIDTH, HEIGHT, seed))
        .collect::<Result<_, _>>()?;
    let options = StreamOptions::default().unchanged(Unchanged::default().longest(Duration::MAX));
    let mut video = VideoStream::new(classifier()?, options)?;
    let mut plain = classifier()?;
    let (mut skipped, mut encoder, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..RUNS {
        let frame = Frame::new(
            &memory[n as usize % memory.len()],
            WIDTH,
            HEIGHT,
            PixelFormat::Nv21,
        )?;
        let answer = video.classify(&frame, Duration::from_millis(n * 33))?;
        if answer.skipped {
            skipped.push(answer.took);
        }
        let start = Instant::now();
        let timings = plain.classify(&frame)?.timings;
        whole.push(start.elapsed());
        encoder.push(timings.encode);
    }
    if skipped.len() as u64 != RUNS - 1 {
        return Err(format!("{} of {RUNS} frames were skipped", skipped.len()).into());
    }
    let (skipped, encoder, whole) = (median(skipped), median(encoder), median(whole));
    let share = skipped.as_secs_f64() / encoder.as_secs_f64();
    println!(
        "1080p NV21: a skipped frame takes {:.1} us, the encoder {:.3} ms, an answered frame {:.3} ms; {:.2} % of the \
         encoder (limit {:.0} %)",
        skipped.as_secs_f64() * 1e6,
        encoder.as_secs_f64() * 1e3,
        whole.as_secs_f64() * 1e3,
        share * 100.0,
        LIMIT * 100.0
    );
    if share > LIMIT {
        return Err("skipping costs too much".into());
    }
    Ok(())
}

fn pushing() -> Result<(), Box<dyn Error>> {
    let memory = pixels(PixelFormat::Nv21, WIDTH, HEIGHT, 1)?;
    let frame = Frame::new(&memory, WIDTH, HEIGHT, PixelFormat::Nv21)?;
    let live = LiveStream::start(classifier()?, StreamOptions::default(), |_| ())?;
    let mut copy = vec![0; memory.len()];
    let (mut pushes, mut copies) = (Vec::new(), Vec::new());
    for n in 0..RUNS {
        let start = Instant::now();
        live.push(&frame, Duration::from_millis(n * 33))?;
        pushes.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(3));
        let start = Instant::now();
        copy.copy_from_slice(std::hint::black_box(&memory));
        copies.push(start.elapsed());
        std::hint::black_box(&copy);
    }
    println!(
        "1080p NV21: push takes {:.3} ms, copying its {} bytes {:.3} ms",
        median(pushes).as_secs_f64() * 1e3,
        memory.len(),
        median(copies).as_secs_f64() * 1e3
    );
    live.finish(Duration::from_secs(10))?;
    Ok(())
}
