//! Time of the preprocessor against `fast_image_resize` on one thread: `cargo bench --bench resize`.
//!
//! The yardstick resamples the same crop box to the same 8-bit square; the preprocessor also
//! normalises to planes and measures luma. Runs alternate and the fastest of each counts, so a busy
//! machine disturbs both alike. The ratio may be 2.5 at most.

use std::error::Error;
use std::time::{Duration, Instant};

use clipgate::{Frame, PixelFormat, Preprocessing, Preprocessor};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

const RUNS: usize = 200;
const LIMIT: f64 = 2.5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut worst = 0.0f64;
    for (width, height) in [(1920u32, 1080u32), (640, 480)] {
        for size in [64u32, 224] {
            let ratio = compare(width, height, size)?;
            if (width, height) == (1920, 1080) {
                worst = worst.max(ratio);
            }
        }
    }
    println!("worst at 1920x1080: {worst:.2} (limit {LIMIT})");
    if worst > LIMIT {
        return Err(format!("{worst:.2} times the yardstick's time, above {LIMIT}").into());
    }
    Ok(())
}

fn compare(width: u32, height: u32, size: u32) -> Result<f64, Box<dyn Error>> {
    let pixels: Vec<u8> = (0..width * height * 3)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let frame = Frame::new(&pixels, width, height, PixelFormat::Rgb8)?;
    let spec = Preprocessing::openai(size);
    let mut preprocessor = Preprocessor::new(spec)?;
    let mut pixel_values = vec![0.0; spec.pixel_values_len()];

    let source = ImageRef::new(width, height, &pixels, PixelType::U8x3)?;
    let mut target = Image::new(size, size, PixelType::U8x3);
    let mut resizer = Resizer::new();
    let short = f64::from(width.min(height));
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(
            (f64::from(width) - short) / 2.0,
            (f64::from(height) - short) / 2.0,
            short,
            short,
        );

    let (mut ours, mut yardstick) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        let start = Instant::now();
        preprocessor.run(&frame, &mut pixel_values)?;
        ours = ours.min(start.elapsed());
        let start = Instant::now();
        resizer.resize(&source, &mut target, &options)?;
        yardstick = yardstick.min(start.elapsed());
    }
    let ratio = ours.as_secs_f64() / yardstick.as_secs_f64();
    println!(
        "{width}x{height} -> {size}: clipgate {:.3} ms, fast_image_resize {:.3} ms, ratio {ratio:.2}",
        ours.as_secs_f64() * 1e3,
        yardstick.as_secs_f64() * 1e3,
    );
    Ok(ratio)
}
