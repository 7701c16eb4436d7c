//! Pillow and open_clip's image transform, on images of odd kinds.
//!
//! `models/export/clipgate_export/goldens_preprocess.py` made the images and the answers.

use clipgate::{
    DecodeLimits, Frame, Interpolation, PixelFormat, Preprocessing, Preprocessor, Resize,
    decode_bytes, decode_file,
};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::support::data_path;

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    size: u32,
    resize: Resize,
    interpolation: Interpolation,
    lossless: bool,
    note: String,
    as_opened_cosine: Option<f64>,
}

struct Goldens {
    bytes: Vec<u8>,
    cases: Vec<Case>,
}

impl Goldens {
    fn read() -> Self {
        let bytes = std::fs::read(data_path("preprocess/expected.safetensors")).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        let cases = serde_json::from_str(&metadata["cases"]).unwrap();
        Self { bytes, cases }
    }

    /// The pixels of a golden, which is a lossless PNG.
    fn pixels(&self, name: &str) -> clipgate::DecodedImage {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        decode_bytes(
            tensors.tensor(name).unwrap().data(),
            &DecodeLimits::default(),
        )
        .unwrap()
    }

    /// What Pillow decodes from the case's file.
    fn decoded(&self, case: &Case) -> clipgate::DecodedImage {
        if case.lossless {
            return ours(case);
        }
        let stem = case.name.split('@').next().unwrap();
        self.pixels(&format!("{stem}.decoded"))
    }

    fn crop(&self, case: &Case) -> Vec<u8> {
        self.pixels(&format!("{}.crop", case.name))
            .pixels()
            .to_vec()
    }
}

/// Whether the file's own pixels are the reference's: lossless files, and JPEGs through the reference's own decoder.
fn is_exact(case: &Case) -> bool {
    case.lossless || (cfg!(feature = "turbojpeg") && case.file.ends_with(".jpg"))
}

fn ours(case: &Case) -> clipgate::DecodedImage {
    decode_file(
        &data_path("preprocess/images").join(&case.file),
        &DecodeLimits::default(),
    )
    .unwrap()
}

/// The square before normalisation: mean 0 and deviation 1 leave `v / 255` in planes.
fn crop(frame: &Frame<'_>, case: &Case) -> Vec<u8> {
    let spec = Preprocessing {
        size: case.size,
        mean: [0.0; 3],
        std: [1.0; 3],
        resize: case.resize,
        interpolation: case.interpolation,
    };
    let mut values = vec![0.0; spec.pixel_values_len()];
    Preprocessor::new(spec)
        .unwrap()
        .run(frame, &mut values)
        .unwrap();
    let plane = values.len() / 3;
    (0..values.len())
        .map(|i| (values[i % 3 * plane + i / 3] * 255.0).round() as u8)
        .collect()
}

/// `pixel_values` as the model gets them, from a packed crop.
fn normalized(crop: &[u8]) -> Vec<f64> {
    let spec = Preprocessing::openai(1);
    crop.iter()
        .enumerate()
        .map(|(i, &v)| f64::from((f32::from(v) / 255.0 - spec.mean[i % 3]) / spec.std[i % 3]))
        .collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    a.iter()
        .zip(b)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap_or(0)
}

fn equal(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a == b).count()
}

#[test]
fn from_the_same_pixels_the_crop_equals_the_reference_to_the_bit() {
    let goldens = Goldens::read();
    let (mut values, mut agreeing, mut largest, mut failed) = (0, 0, 0, Vec::new());
    for case in &goldens.cases {
        let decoded = goldens.decoded(case);
        let (actual, expected) = (crop(&decoded.frame().unwrap(), case), goldens.crop(case));
        assert_eq!(actual.len(), expected.len(), "{}", case.name);
        let same = equal(&actual, &expected);
        let difference = largest_difference(&actual, &expected);
        values += actual.len();
        agreeing += same;
        largest = largest.max(difference);
        if same != actual.len() {
            failed.push(format!(
                "{:<24} {same} of {} equal, largest difference {difference}",
                case.name,
                actual.len()
            ));
        }
    }
    for (resize, interpolation) in [
        (Resize::ShortestEdge, Interpolation::Bicubic),
        (Resize::ShortestEdge, Interpolation::Bilinear),
        (Resize::Squash, Interpolation::Bicubic),
        (Resize::Squash, Interpolation::Bilinear),
    ] {
        let of_this_way =
            |case: &&Case| (case.resize, case.interpolation) == (resize, interpolation);
        let cases = goldens.cases.iter().filter(of_this_way).count();
        println!("{resize:?}, {interpolation:?}: {cases} cases");
        assert!(cases >= 30);
    }
    println!(
        "same pixels: {} cases, {agreeing} of {values} values equal, largest difference {largest}/255",
        goldens.cases.len()
    );
    assert!(
        failed.is_empty(),
        "{} cases differ:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn from_the_file_pixel_values_point_where_the_reference_does() {
    let goldens = Goldens::read();
    let (mut lowest, mut differing, mut failed) = (1.0f64, 0, Vec::new());
    for case in &goldens.cases {
        let decoded = ours(case);
        let (actual, expected) = (crop(&decoded.frame().unwrap(), case), goldens.crop(case));
        let cosine = cosine(&normalized(&actual), &normalized(&expected));
        lowest = lowest.min(cosine);
        let row = format!(
            "{:<24} cosine {cosine:.6}, largest difference {}, {:.2} % equal; transform of the file as opened: {}; {}",
            case.name,
            largest_difference(&actual, &expected),
            100.0 * equal(&actual, &expected) as f64 / actual.len() as f64,
            case.as_opened_cosine
                .map_or("fails".into(), |cosine| format!("cosine {cosine:.6}")),
            case.note
        );
        if actual != expected {
            differing += 1;
        }
        if actual != expected
            || case
                .as_opened_cosine
                .is_none_or(|cosine| cosine < 0.999_999)
        {
            println!("{row}");
        }
        if cosine < 0.999 || (is_exact(case) && actual != expected) {
            failed.push(row);
        }
    }
    println!(
        "from the file: {} cases, lowest cosine {lowest:.6}, {differing} not equal to the bit",
        goldens.cases.len()
    );
    assert!(
        failed.is_empty(),
        "{} cases fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[cfg(feature = "turbojpeg")]
#[test]
fn jpegs_decode_as_in_pillow_to_the_bit() {
    let goldens = Goldens::read();
    let (mut compared, mut failed) = (0, Vec::new());
    for case in goldens.cases.iter().filter(|case| is_exact(case)) {
        if !case.lossless {
            compared += 1;
            if ours(case) != goldens.decoded(case) {
                failed.push(case.name.as_str());
            }
        }
    }
    assert!(compared >= 18, "only {compared} JPEGs");
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn gray_frames_equal_their_replication() {
    let goldens = Goldens::read();
    let case = goldens
        .cases
        .iter()
        .find(|case| case.name == "gray@64")
        .unwrap();
    let decoded = ours(case);
    let gray: Vec<u8> = decoded.pixels().iter().copied().step_by(3).collect();
    let frame = Frame::new(&gray, decoded.width(), decoded.height(), PixelFormat::Gray8).unwrap();
    assert_eq!(crop(&frame, case), goldens.crop(case));
}
