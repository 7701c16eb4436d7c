//! Frames of all formats and several sizes through a live stream, and the memory at its beginning, middle and end.

use std::error::Error;
use std::time::{Duration, Instant};

use clipgate::{Frame, LiveStream, PixelFormat, StreamEvent, StreamOptions};

use super::{classifier, pixels};

/// The most that memory may grow between the middle and the end, in KiB: what the allocator keeps back.
const GROWTH: u64 = 4096;

pub(super) fn run(frames: u64) -> Result<(), Box<dyn Error>> {
    let mut memory = Vec::new();
    for &format in PixelFormat::ALL {
        for (seed, (width, height)) in [(320, 240), (641, 479), (1, 1), (160, 120)]
            .into_iter()
            .enumerate()
        {
            memory.push((
                pixels(format, width, height, seed as u32)?,
                width,
                height,
                format,
            ));
        }
    }
    let (live, results) = LiveStream::channel(classifier()?, StreamOptions::default(), 4)?;
    let receiver = std::thread::spawn(move || {
        let failed = |event: &StreamEvent| !matches!(event, StreamEvent::Answer(_));
        results.filter(failed).count()
    });
    let start = Instant::now();
    let mut resident = Vec::new();
    for n in 0..frames {
        // A stretch of each format, as a camera that is set anew now and then.
        let (pixels, width, height, format) = &memory[(n / 25) as usize % memory.len()];
        let frame = Frame::new(pixels, *width, *height, *format)?;
        live.push(&frame, Duration::from_millis(n * 33))?;
        // Every buffer has been used for every size by now.
        if [frames / 20, frames / 2, frames - 1].contains(&n) {
            resident.push(resident_kib());
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    let status = live.finish(Duration::from_secs(10))?;
    let troubles = receiver.join().map_err(|_| "the receiver panicked")?;
    println!(
        "soak: {} frames in {:.0} s: {} answered, {} skipped, {} dropped, {} failed, {troubles} troubles",
        status.pushed,
        start.elapsed().as_secs_f64(),
        status.answered,
        status.skipped,
        status.dropped,
        status.failed
    );
    let [beginning, middle, end] = resident[..] else {
        return Err("a soak of some frames at least".into());
    };
    println!(
        "memory: {beginning} KiB after a twentieth, {middle} KiB in the middle, {end} KiB in the end"
    );
    if end > middle + GROWTH {
        return Err("memory grows".into());
    }
    Ok(())
}

/// Resident memory of this process, where Linux tells it; 0 elsewhere.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
