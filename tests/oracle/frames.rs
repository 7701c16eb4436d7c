//! OpenCV's and the standards' colours of every pixel format.
//!
//! `models/export/clipgate_export/goldens_frames.py` made the frames and the answers.

use clipgate::{
    ColorMatrix, ColorRange, ColorSpace, Frame, PixelFormat, Preprocessing, Preprocessor,
};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::support::data;

/// `yuv` rounds each product to a sixty-fourth of a level or finer and adds two or three of them, where the references
/// round once: sums near a half fall to the other side.
const LEVELS: u8 = 1;

#[derive(Deserialize)]
struct Case {
    name: String,
    format: String,
    size: u32,
    matrix: String,
    range: String,
    reference: String,
}

/// The frame's own pixels: of a square of the model's size nothing is resampled, and mean 0 and deviation 1 leave
/// `v / 255` in planes.
fn rgb(frame: &Frame<'_>) -> Vec<u8> {
    let spec = Preprocessing {
        mean: [0.0; 3],
        std: [1.0; 3],
        ..Preprocessing::openai(frame.width())
    };
    let mut values = vec![0.0; spec.pixel_values_len()];
    let mut preprocessor = Preprocessor::new(spec).unwrap();
    preprocessor.run(frame, &mut values).unwrap();
    let plane = values.len() / 3;
    (0..values.len())
        .map(|i| (values[i % 3 * plane + i / 3] * 255.0).round() as u8)
        .collect()
}

#[test]
fn every_format_matrix_and_range_has_the_reference_s_colours() {
    let bytes = data("frames/expected.safetensors");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: Vec<Case> =
        serde_json::from_str(&metadata.metadata().clone().unwrap()["cases"]).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str, part| tensors.tensor(&format!("{name}.{part}")).unwrap().data();
    let (mut values, mut differing, mut failed) = (0, 0, Vec::new());
    let mut formats = Vec::new();
    for case in &cases {
        let format: PixelFormat = case.format.parse().unwrap();
        formats.push(format);
        let matrix = match case.matrix.as_str() {
            "bt601" => ColorMatrix::Bt601,
            _ => ColorMatrix::Bt709,
        };
        let range = match case.range.as_str() {
            "limited" => ColorRange::Limited,
            _ => ColorRange::Full,
        };
        let frame = Frame::new(tensor(&case.name, "frame"), case.size, case.size, format)
            .unwrap()
            .with_color(ColorSpace::new(matrix, range));
        let (actual, expected) = (rgb(&frame), tensor(&case.name, "rgb"));
        assert_eq!(actual.len(), expected.len(), "{}", case.name);
        let differences = actual.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
        let largest = differences.clone().max().unwrap();
        values += actual.len();
        differing += differences.filter(|difference| *difference > 0).count();
        let tolerance = match format {
            PixelFormat::Rgb8
            | PixelFormat::Bgr8
            | PixelFormat::Rgba8
            | PixelFormat::Bgra8
            | PixelFormat::Gray8 => 0,
            _ => LEVELS,
        };
        if largest > tolerance {
            failed.push(format!(
                "{} against {}: {largest}",
                case.name, case.reference
            ));
        }
    }
    println!(
        "{} cases, {differing} of {values} values differ by {LEVELS}",
        cases.len()
    );
    assert!(
        PixelFormat::ALL
            .iter()
            .all(|format| formats.contains(format))
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
