//! From camera frames to `pixel_values`, on one thread: `cargo bench --bench frames [-- PYTHON]`.
//!
//! Two bars, each a ratio from this run at 1920x1080 and size 224:
//! - NV21 against bare libraries: `yuv` converts the frame, `fast_image_resize` resamples its middle to 8-bit pixels.
//!   The preprocessor also normalises to planes and measures luma. At most 2.0.
//! - RGB against Pillow and numpy (`frames.py`, beside this file), equal to the bit: at least 6.0 times faster. Skipped
//!   without a Python that has both; PYTHON names one, `python3` otherwise.
//!
//! Runs alternate and the fastest of each counts, so a busy machine disturbs all alike.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clipgate::{Frame, Orientation, PixelFormat, Preprocessing, Preprocessor, Region};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use yuv::{YuvBiPlanarImage, YuvConversionMode, YuvRange, YuvStandardMatrix, yuv_nv21_to_rgb};

const RUNS: usize = 200;
const SIZE: u32 = 224;
const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
const LIBRARIES_LIMIT: f64 = 2.0;
const PILLOW_LIMIT: f64 = 6.0;

fn main() -> Result<(), Box<dyn Error>> {
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT * 4)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let bytes = |format: PixelFormat| -> clipgate::Result<&[u8]> {
        Ok(&pixels[..format.frame_bytes(WIDTH, HEIGHT)?])
    };
    let frame = |format| Frame::new(bytes(format)?, WIDTH, HEIGHT, format);
    let nv21 = frame(PixelFormat::Nv21)?;
    let middle = Region::new(0.25, 0.25, 0.75, 0.75)?;
    let mut cases = vec![
        Case::new("nv21", nv21)?,
        Case::new("rgb", frame(PixelFormat::Rgb8)?)?,
        Case::new(
            "nv21 turned by 90",
            nv21.oriented(Orientation::clockwise(90)?),
        )?,
        Case::new(
            "nv21 turned by 180",
            nv21.oriented(Orientation::clockwise(180)?),
        )?,
        Case::new("nv21, its middle", nv21.region(middle))?,
    ];
    for &format in PixelFormat::ALL {
        if !matches!(format, PixelFormat::Nv21 | PixelFormat::Rgb8) {
            cases.push(Case::new(format.as_str(), frame(format)?)?);
        }
    }
    let mut libraries = Libraries::new(bytes(PixelFormat::Nv21)?);
    for _ in 0..RUNS {
        for case in &mut cases {
            case.run()?;
        }
        libraries.run()?;
    }
    let bare = libraries.convert + libraries.resize;
    println!(
        "yuv {:.3} ms, fast_image_resize {:.3} ms, together {:.3} ms",
        milliseconds(libraries.convert),
        milliseconds(libraries.resize),
        milliseconds(bare)
    );
    for case in &cases {
        let ratio = case.fastest.as_secs_f64() / bare.as_secs_f64();
        println!(
            "{:<20} {:.3} ms, {ratio:.2} of that",
            case.name,
            milliseconds(case.fastest)
        );
    }
    let mut failed = Vec::new();
    let ratio = cases[0].fastest.as_secs_f64() / bare.as_secs_f64();
    println!("nv21 takes {ratio:.2} of the bare libraries' time (at most {LIBRARIES_LIMIT})");
    if ratio > LIBRARIES_LIMIT {
        failed.push("nv21 against the bare libraries");
    }
    match pillow()? {
        None => println!("no Python with Pillow and numpy here: not compared"),
        Some(pillow) => {
            let faster = pillow / milliseconds(cases[1].fastest);
            println!(
                "rgb: Pillow and numpy {pillow:.3} ms, {faster:.2} times ours (at least {PILLOW_LIMIT})"
            );
            if faster < PILLOW_LIMIT {
                failed.push("rgb against Pillow");
            }
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        _ => Err(failed.join(", ").into()),
    }
}

/// One kind of frame with a preprocessor of its own.
struct Case<'a> {
    name: &'a str,
    frame: Frame<'a>,
    preprocessor: Preprocessor,
    pixel_values: Vec<f32>,
    fastest: Duration,
}

impl<'a> Case<'a> {
    fn new(name: &'a str, frame: Frame<'a>) -> Result<Self, Box<dyn Error>> {
        let spec = Preprocessing::openai(SIZE);
        Ok(Self {
            name,
            frame,
            preprocessor: Preprocessor::new(spec)?,
            pixel_values: vec![0.0; spec.pixel_values_len()],
            fastest: Duration::MAX,
        })
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        self.preprocessor.run(&self.frame, &mut self.pixel_values)?;
        self.fastest = self.fastest.min(start.elapsed());
        Ok(())
    }
}

/// What a user would call who has no preprocessor.
struct Libraries<'a> {
    nv21: &'a [u8],
    rgb: Vec<u8>,
    target: Image<'static>,
    resizer: Resizer,
    convert: Duration,
    resize: Duration,
}

impl<'a> Libraries<'a> {
    fn new(nv21: &'a [u8]) -> Self {
        Self {
            nv21,
            rgb: vec![0; (WIDTH * HEIGHT * 3) as usize],
            target: Image::new(SIZE, SIZE, PixelType::U8x3),
            resizer: Resizer::new(),
            convert: Duration::MAX,
            resize: Duration::MAX,
        }
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let (y_plane, uv_plane) = self.nv21.split_at((WIDTH * HEIGHT) as usize);
        let image = YuvBiPlanarImage {
            y_plane,
            y_stride: WIDTH,
            uv_plane,
            uv_stride: WIDTH,
            width: WIDTH,
            height: HEIGHT,
        };
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        let mode = YuvConversionMode::Balanced;
        yuv_nv21_to_rgb(&image, &mut self.rgb, WIDTH * 3, range, matrix, mode)?;
        self.convert = self.convert.min(start.elapsed());

        let start = Instant::now();
        let source = ImageRef::new(WIDTH, HEIGHT, &self.rgb, PixelType::U8x3)?;
        let edge = f64::from(HEIGHT);
        let left = f64::from(WIDTH - HEIGHT) / 2.0;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .crop(left, 0.0, edge, edge);
        self.resizer.resize(&source, &mut self.target, &options)?;
        self.resize = self.resize.min(start.elapsed());
        Ok(())
    }
}

/// The fastest run of `frames.py` in milliseconds, if Python has what it needs.
fn pillow() -> Result<Option<f64>, Box<dyn Error>> {
    // Cargo itself says --bench.
    let python = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/frames.py");
    let output = Command::new(python.as_deref().unwrap_or("python3"))
        .arg(script)
        .args([WIDTH, HEIGHT, SIZE].map(|number| number.to_string()))
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(Some(String::from_utf8(output.stdout)?.trim().parse()?))
        }
        _ => Ok(None),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
