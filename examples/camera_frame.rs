//! Classifies a frame as Android's camera hands it over: three planes of YUV_420_888, lying on the sensor's side.
//!
//! ```text
//! $ cargo run --release --example camera_frame -- examples/photos/coffee.jpg
//! 400x600 sensor, 600x400 upright: espresso, confidence 0.99
//! the middle alone, 360x240: espresso, confidence 0.99
//! ```

use std::error::Error;
use std::path::Path;

use clipgate::{
    Bundle, Classification, Classifier, ColorSpace, Decision, DecodeLimits, Frame, Orientation,
    PixelFormat, Plane, Region, decode_file,
};

// How the clipgate command finds ONNX Runtime; a program of yours says Runtime::load("/path/to/libonnxruntime.so").
#[path = "../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which picture?")?;
    let sensor = Sensor::of(Path::new(&path))?;
    let mut classifier = Classifier::new(&runtime_search::load()?, &Bundle::embedded()?)?;
    let mut answer = Classification::default();

    // V begins first and U a byte after it: Android's usual way, as fast as NV21.
    let plane = |data, pixel_stride| Plane {
        data,
        row_stride: sensor.width,
        pixel_stride,
    };
    let planes = [
        plane(&sensor.luma, 1),
        plane(&sensor.chroma[1..], 2),
        plane(&sensor.chroma[..sensor.chroma.len() - 1], 2),
    ];
    let (width, height) = (sensor.width as u32, sensor.height as u32);
    let frame = Frame::from_planes(&planes, width, height, PixelFormat::I420)?
        .with_color(ColorSpace::BT601_FULL)
        .oriented(Orientation::clockwise(90)?);
    classifier.classify_into(&frame, &mut answer)?;
    let (across, down) = frame.upright_size();
    println!(
        "{width}x{height} sensor, {across}x{down} upright: {}",
        said(&answer)
    );

    let middle = frame.region(Region::new(0.2, 0.2, 0.8, 0.8)?);
    classifier.classify_into(&middle, &mut answer)?;
    let (across, down) = middle.upright_size();
    println!("the middle alone, {across}x{down}: {}", said(&answer));
    Ok(())
}

fn said(answer: &Classification) -> String {
    match &answer.decision {
        Decision::Accept(found) => {
            format!(
                "{}, confidence {:.2}",
                found.label,
                found.confidence.unwrap_or(f32::NAN)
            )
        }
        Decision::Abstain(abstention) => format!("not sure, {}", abstention.reason),
        _ => "an answer of a newer clipgate".into(),
    }
}

/// A picture of even edges turned anticlockwise, in BT.601 of full range: what a phone's sensor sees.
struct Sensor {
    luma: Vec<u8>,
    chroma: Vec<u8>,
    width: usize,
    height: usize,
}

impl Sensor {
    fn of(path: &Path) -> Result<Self, Box<dyn Error>> {
        let image = decode_file(path, &DecodeLimits::default())?;
        let (width, height) = (image.height() as usize & !1, image.width() as usize & !1);
        let row = image.width() as usize;
        let rgb = |x: usize, y: usize| {
            let at = (x * row + height - 1 - y) * 3;
            [0, 1, 2].map(|channel| f32::from(image.pixels()[at + channel]))
        };
        let y_of = |[r, g, b]: [f32; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
        let pixels = (0..width * height).map(|i| rgb(i % width, i / width));
        let luma = pixels.map(|pixel| y_of(pixel).round() as u8).collect();
        let pairs = (0..width * height / 4).flat_map(|i| {
            let pixel = rgb(i % (width / 2) * 2, i / (width / 2) * 2);
            let y = y_of(pixel);
            [(pixel[0] - y) / 1.402, (pixel[2] - y) / 1.772].map(|c| (c + 128.0).round() as u8)
        });
        let chroma = pairs.collect();
        Ok(Self {
            luma,
            chroma,
            width,
            height,
        })
    }
}
