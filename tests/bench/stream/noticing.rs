//! What is done to photos, whether a stream skips it, and what the model would have said of it.

use std::error::Error;
use std::time::Duration;

use clipgate::{
    Bundle, Decision, DecodeLimits, Frame, ImageEncoder, PixelFormat, SessionOptions,
    StreamOptions, VideoStream, decode_file,
};

use super::{classifier, runtime_search};

/// What may happen to a photo of this width and height between two frames.
type Happening = (&'static str, fn(&[u8], usize, usize) -> Vec<u8>);

const HAPPENINGS: [Happening; 12] = [
    ("noise of deviation 2", |pixels, _, _| noisy(pixels, 2.0)),
    ("noise of deviation 5", |pixels, _, _| noisy(pixels, 5.0)),
    ("noise of deviation 10", |pixels, _, _| noisy(pixels, 10.0)),
    ("noise of deviation 20", |pixels, _, _| noisy(pixels, 20.0)),
    ("light, 3 units more", |pixels, _, _| brighter(pixels, 3)),
    ("light, 8 units more", |pixels, _, _| brighter(pixels, 8)),
    ("one pixel to the left", |pixels, _, _| shifted(pixels, 1)),
    ("eight pixels to the left", |pixels, _, _| {
        shifted(pixels, 8)
    }),
    ("a thing, 5 % of the edges", |pixels, width, height| {
        patched(pixels, width, height, 0.05)
    }),
    ("a thing, 10 % of the edges", |pixels, width, height| {
        patched(pixels, width, height, 0.1)
    }),
    ("a thing, 15 % of the edges", |pixels, width, height| {
        patched(pixels, width, height, 0.15)
    }),
    ("a thing, 30 % of the edges", |pixels, width, height| {
        patched(pixels, width, height, 0.3)
    }),
];

/// Sums of twelve evenly spread numbers are nearly normal.
fn noisy(pixels: &[u8], deviation: f64) -> Vec<u8> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let mut noise = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    pixels
        .iter()
        .map(|&value| {
            (f64::from(value) + deviation * noise())
                .round()
                .clamp(0.0, 255.0) as u8
        })
        .collect()
}

fn brighter(pixels: &[u8], by: u8) -> Vec<u8> {
    pixels
        .iter()
        .map(|value| value.saturating_add(by))
        .collect()
}

fn shifted(pixels: &[u8], by: usize) -> Vec<u8> {
    [&pixels[by * 3..], &pixels[..by * 3]].concat()
}

/// A thing of the opposite brightness in the middle.
fn patched(pixels: &[u8], width: usize, height: usize, edge: f64) -> Vec<u8> {
    let mut patched = pixels.to_vec();
    let (across, down) = (
        (width as f64 * edge) as usize,
        (height as f64 * edge) as usize,
    );
    for row in (height - down) / 2..(height + down) / 2 {
        let start = (row * width + (width - across) / 2) * 3;
        patched[start..start + across * 3]
            .iter_mut()
            .for_each(|value| *value ^= 0x80);
    }
    patched
}

pub(super) fn run() -> Result<(), Box<dyn Error>> {
    let mut photos = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "jpg") {
            photos.push(decode_file(&path, &DecodeLimits::default())?);
        }
    }
    let bundle = Bundle::embedded()?;
    let mut encoder =
        ImageEncoder::open(&runtime_search::load()?, &bundle, SessionOptions::default())?;
    println!(
        "{:28} skipped  least cosine  other decisions among those skipped",
        "of photos"
    );
    for (what, happening) in HAPPENINGS {
        let (mut skipped, mut least, mut others) = (0, 1.0f32, 0);
        for photo in &photos {
            let before = photo.frame()?;
            let (width, height) = (before.width(), before.height());
            let pixels = before.planes()[0].data;
            if before.format() != PixelFormat::Rgb8 {
                continue;
            }
            let pixels = happening(pixels, width as usize, height as usize);
            let after = Frame::new(&pixels, width, height, PixelFormat::Rgb8)?;
            let options = StreamOptions::default();
            let mut video = VideoStream::new(classifier()?, options)?;
            let first = video.classify(&before, Duration::ZERO)?;
            if video.classify(&after, Duration::from_millis(33))?.skipped {
                skipped += 1;
                let kept = encoder.encode(&before)?.clone();
                least = least.min(encoder.encode(&after)?.cosine(&kept)?);
                let second = video.into_classifier().classify(&after)?;
                let said = |decision: &Decision| {
                    (decision.reason(), decision.accepted().map(|one| one.index))
                };
                others += usize::from(said(&second.decision) != said(&first.raw.decision));
            }
        }
        let least = if skipped > 0 {
            format!("{least:.4}")
        } else {
            "-".to_owned()
        };
        println!(
            "{what:28} {skipped} of {}   {least:12}  {others}",
            photos.len()
        );
    }
    Ok(())
}
