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
    Bundle, Classification, Classifier, ColorSpace, Decision, DecodeLimits, DecodedImage, Frame,
    Orientation, PixelFormat, Plane, decode_file,
};
use yuv::{
    YuvBiPlanarImageMut, YuvChromaSubsampling, YuvConversionMode, YuvRange, YuvStandardMatrix,
    rgb_to_yuv_nv21,
};

// How the clipgate command finds ONNX Runtime; a program of yours says Runtime::load("/path/to/libonnxruntime.so").
#[path = "../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which picture?")?;
    let sensor = sensor(&decode_file(Path::new(&path), &DecodeLimits::default())?)?;
    let mut classifier = Classifier::new(&runtime_search::load()?, &Bundle::embedded()?)?;
    let mut answer = Classification::default();

    // V begins first and U a byte after it: Android's usual way, as fast as NV21.
    let (luma, chroma) = (sensor.y_plane.borrow(), sensor.uv_plane.borrow());
    let plane = |data, stride, pixel_stride| Plane {
        data,
        row_stride: stride as usize,
        pixel_stride,
    };
    let planes = [
        plane(luma, sensor.y_stride, 1),
        plane(&chroma[1..], sensor.uv_stride, 2),
        plane(&chroma[..chroma.len() - 1], sensor.uv_stride, 2),
    ];
    let (width, height) = (sensor.width, sensor.height);
    let frame = Frame::from_planes(&planes, width, height, PixelFormat::I420)?
        .with_color(ColorSpace::BT601_FULL)
        .oriented(Orientation::clockwise(90)?);
    classifier.classify_into(&frame, &mut answer)?;
    match &answer.decision {
        Decision::Accept(found) => println!("{width}x{height} sensor: {}", found.label),
        Decision::Abstain(abstention) => println!("not sure, {}", abstention.reason),
        _ => println!("an answer of a newer clipgate"),
    }
    Ok(())
}

/// A picture turned anticlockwise: what a phone's sensor sees, V and U by turns.
fn sensor(image: &DecodedImage) -> Result<YuvBiPlanarImageMut<'static, u8>, Box<dyn Error>> {
    let (width, height) = (image.height(), image.width());
    let row = image.width() as usize * 3;
    let column = |x| {
        image
            .pixels()
            .chunks(row)
            .map(move |row| &row[x * 3..x * 3 + 3])
    };
    let turned: Vec<u8> = (0..height as usize)
        .rev()
        .flat_map(column)
        .flatten()
        .copied()
        .collect();
    let mut frame = YuvBiPlanarImageMut::alloc(width, height, YuvChromaSubsampling::Yuv420);
    let (range, matrix) = (YuvRange::Full, YuvStandardMatrix::Bt601);
    let mode = YuvConversionMode::Balanced;
    rgb_to_yuv_nv21(&mut frame, &turned, width * 3, range, matrix, mode)?;
    Ok(frame)
}
