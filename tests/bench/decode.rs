//! Time from a JPEG file's bytes to pixels, by decoder, beside Pillow: `cargo bench --bench decode`, and with
//! `--features turbojpeg` libjpeg-turbo too.
//!
//! The photos are `examples/photos/coffee.jpg` enlarged with a camera's noise, so that a pixel takes about as many bytes
//! as in a camera's file. One run of each side alternates with the others, and the fastest of each counts. Pillow makes
//! the photos and decodes them in a process of its own each round: of `python3`, or of what `PYTHON` names.

use std::error::Error;
use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clipgate::{
    DecodeLimits, DecodeOptions, ImageDecoder, Preprocessing, Preprocessor, decode_bytes,
};

const ROUNDS: usize = 5;
const RUNS: usize = 6;

/// The model's edge: that of ViT-B/32.
const SIZE: u32 = 224;

const PHOTOS: [(&str, u32, u32); 2] = [("1080p", 1920, 1080), ("12 MP", 4000, 3000)];

/// Makes a JPEG of quality 90 with chroma halved both ways, as cameras do.
const ENLARGE: &str = "
import sys
from PIL import Image, ImageChops
size = int(sys.argv[3]), int(sys.argv[4])
photo = Image.open(sys.argv[1]).convert('RGB').resize(size, Image.Resampling.BICUBIC)
noise = Image.merge('RGB', [Image.effect_noise(size, 4) for _ in range(3)])
ImageChops.add(photo, noise, 1, -128).save(sys.argv[2], quality=90, subsampling='4:2:0')
";

/// Prints the fastest of some decodings in milliseconds: at full size, then by `draft` as small as `--fast-decode`.
const DECODE: &str = "
import io, sys, time
from PIL import Image
data, size, runs = open(sys.argv[1], 'rb').read(), (int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4])
def once(draft):
    start = time.perf_counter()
    image = Image.open(io.BytesIO(data))
    if draft:
        image.draft('RGB', size)
    image.convert('RGB').load()
    return (time.perf_counter() - start) * 1e3
print(*(min(once(draft) for _ in range(runs)) for draft in (False, True)))
";

/// The fastest run of each side.
struct Fastest(Vec<(&'static str, Duration)>);

impl Fastest {
    fn time<T>(&mut self, name: &'static str, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = black_box(run());
        self.keep(name, start.elapsed());
        result
    }

    fn keep(&mut self, name: &'static str, took: Duration) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, fastest)) => *fastest = took.min(*fastest),
            None => self.0.push((name, took)),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for (name, width, height) in PHOTOS {
        let path = folder.path().join("photo.jpg");
        enlarge(&path, width, height)?;
        let bytes = std::fs::read(&path)?;
        println!(
            "{name}: {width}x{height}, {:.1} MB",
            bytes.len() as f64 / 1e6
        );
        compare(&path, &bytes)?;
    }
    Ok(())
}

fn compare(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let spec = Preprocessing::openai(SIZE);
    let mut fast = ImageDecoder::new(DecodeOptions::fast(&spec));
    let mut exact = ImageDecoder::new(DecodeOptions::default());
    let mut preprocessor = Preprocessor::new(spec)?;
    let mut pixel_values = vec![0.0; spec.pixel_values_len()];
    let (width, height) = {
        let scaled = fast.decode_bytes(bytes)?;
        (scaled.width(), scaled.height())
    };
    let divisor = image::ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()?
        .into_dimensions()?
        .0
        .div_ceil(width);
    let mut fastest = Fastest(Vec::new());
    for _ in 0..ROUNDS {
        let [full, draft] = pillow(path, width, height)?;
        fastest.keep("Pillow", full);
        fastest.keep("Pillow, draft", draft);
        for _ in 0..RUNS {
            fastest.time("zune-jpeg", || zune(bytes))?;
            fastest.time("jpeg-decoder, scaled", || scaled(bytes, divisor))?;
            #[cfg(feature = "turbojpeg")]
            for (name, divisor) in [("libjpeg-turbo", 1), ("libjpeg-turbo, scaled", divisor)] {
                fastest.time(name, || turbo(bytes, divisor as usize))?;
            }
            fastest.time("clipgate, a new decoder a file", || {
                decode_bytes(bytes, &DecodeLimits::default())
            })?;
            for (name, decoder) in [
                ("clipgate", &mut exact),
                ("clipgate --fast-decode", &mut fast),
            ] {
                let image = fastest.time(name, || decoder.decode_bytes(bytes))?;
                let frame = image.frame()?;
                let name = if name == "clipgate" {
                    "its preprocessing"
                } else {
                    "its preprocessing, fast"
                };
                fastest.time(name, || preprocessor.run(&frame, &mut pixel_values))?;
            }
        }
    }
    let pillow = fastest
        .0
        .first()
        .map_or(0.0, |(_, took)| took.as_secs_f64());
    for (name, took) in &fastest.0 {
        let took = took.as_secs_f64();
        println!(
            "  {name:<32} {:7.2} ms  Pillow / this {:.2}",
            took * 1e3,
            pillow / took
        );
    }
    Ok(())
}

fn zune(bytes: &[u8]) -> image::ImageResult<image::DynamicImage> {
    image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg)
}

fn scaled(bytes: &[u8], divisor: u32) -> Result<Vec<u8>, jpeg_decoder::Error> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info()?;
    if let Some(info) = decoder.info() {
        let edge = |edge: u16| (u32::from(edge).div_ceil(divisor)) as u16;
        decoder.scale(edge(info.width), edge(info.height))?;
    }
    decoder.decode()
}

#[cfg(feature = "turbojpeg")]
fn turbo(bytes: &[u8], divisor: usize) -> turbojpeg::Result<Vec<u8>> {
    let mut decompressor = turbojpeg::Decompressor::new()?;
    let factor = turbojpeg::ScalingFactor::new(1, divisor);
    decompressor.set_scaling_factor(factor)?;
    let header = decompressor.read_header(bytes)?.scaled(factor);
    let mut pixels = vec![0; header.width * header.height * 3];
    let output = turbojpeg::Image {
        pixels: &mut *pixels,
        width: header.width,
        pitch: header.width * 3,
        height: header.height,
        format: turbojpeg::PixelFormat::RGB,
    };
    decompressor.decompress(bytes, output)?;
    Ok(pixels)
}

fn pillow(path: &Path, width: u32, height: u32) -> Result<[Duration; 2], Box<dyn Error>> {
    let [path, numbers @ ..] = [
        path.display().to_string(),
        width.to_string(),
        height.to_string(),
        RUNS.to_string(),
    ];
    let text = python(DECODE, &[&[path][..], &numbers].concat())?;
    let times = text
        .split_whitespace()
        .map(|time| Ok(Duration::from_secs_f64(time.parse::<f64>()? / 1e3)))
        .collect::<Result<Vec<_>, std::num::ParseFloatError>>()?;
    Ok(times
        .try_into()
        .map_err(|_| "Pillow printed no two times")?)
}

fn enlarge(path: &Path, width: u32, height: u32) -> Result<(), Box<dyn Error>> {
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos/coffee.jpg");
    let arguments = [
        photo.to_owned(),
        path.display().to_string(),
        width.to_string(),
        height.to_string(),
    ];
    python(ENLARGE, &arguments).map(drop)
}

fn python(script: &str, arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(&python)
        .args(["-c", script])
        .args(arguments)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(
            format!("{python} with Pillow is needed (PYTHON names another): {said}").into(),
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
