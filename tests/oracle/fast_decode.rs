//! JPEGs decoded smaller for the model, against the same files at full size: pixels, embeddings, decisions.

use std::path::PathBuf;

use clipgate::{
    Bundle, Classifier, DecodeLimits, DecodeOptions, DecodedImage, Gate, ImageDecoder,
    ImageEncoder, Preprocessing, Preprocessor, SessionOptions, decode_bytes, decode_file,
};

use crate::support::{data_path, runtime};

fn photos() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos");
    let mut photos: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .collect();
    photos.sort();
    photos
}

fn pixel_values(image: &DecodedImage, spec: Preprocessing) -> Vec<f32> {
    let mut values = vec![0.0; spec.pixel_values_len()];
    let mut preprocessor = Preprocessor::new(spec).unwrap();
    preprocessor
        .run(&image.frame().unwrap(), &mut values)
        .unwrap();
    values
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The bounds lie a little outside what these photos show by either decoder, which is printed. The cosine of
/// `pixel_values` is lowest where a photo has little contrast.
#[test]
fn pixels_embeddings_and_decisions_stay_near_those_of_exact_decoding() {
    let (runtime, bundle) = (runtime(), Bundle::embedded().unwrap());
    let mut classifier = Classifier::new(&runtime, &bundle).unwrap();
    let mut encoder = ImageEncoder::open(&runtime, &bundle, SessionOptions::default()).unwrap();
    let spec = bundle.manifest().preprocessing;
    let mut fast = ImageDecoder::new(DecodeOptions::fast(&spec));
    let mut smaller = 0;
    for path in photos() {
        let exact = decode_file(&path, &DecodeLimits::default()).unwrap();
        let scaled = fast.decode_file(&path).unwrap();
        smaller += usize::from(scaled.width() < exact.width());
        assert!(scaled.width().min(scaled.height()) >= 2 * spec.size);
        let unit = Preprocessing {
            mean: [0.0; 3],
            std: [1.0; 3],
            ..spec
        };
        let levels = pixel_values(&exact, unit)
            .iter()
            .zip(pixel_values(scaled, unit))
            .map(|(a, b)| ((a - b).abs() * 255.0).round() as u8)
            .max()
            .unwrap();
        let pixels = cosine(&pixel_values(&exact, spec), &pixel_values(scaled, spec));
        let [exact, scaled] = [exact.frame().unwrap(), scaled.frame().unwrap()];
        let usable = Gate::inspect(encoder.prepare(&exact).unwrap()).is_none();
        let embeddings = {
            let of_exact = encoder.encode(&exact).unwrap().clone();
            of_exact.cosine(encoder.encode(&scaled).unwrap()).unwrap()
        };
        println!(
            "{}: largest difference {levels}/255, cosine of pixel_values {pixels:.6}, of embeddings {embeddings:.4}",
            path.display()
        );
        let [of_exact, of_scaled] =
            [exact, scaled].map(|frame| classifier.classify(&frame).unwrap());
        assert_eq!(of_exact.decision.reason(), of_scaled.decision.reason());
        if usable {
            assert!(levels <= 24, "{}: {levels}", path.display());
            assert!(pixels >= 0.998, "{}: {pixels}", path.display());
            assert!(embeddings >= 0.998, "{}: {embeddings}", path.display());
        }
    }
    assert!(smaller >= 4, "only {smaller} were decoded smaller");
}

/// A file with its whole last blocks shown, so that its edges divide by 8.
fn widened(name: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(data_path("preprocess/images").join(name)).unwrap();
    let frame = bytes
        .windows(2)
        .position(|marker| matches!(marker, [0xFF, 0xC0 | 0xC2]))
        .unwrap();
    // Marker, length, precision, height, width, components, then of the first: its number and sampling.
    let sampling = bytes[frame + 11];
    for (at, factor) in [(frame + 5, sampling & 15), (frame + 7, sampling >> 4)] {
        let edge = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let widened = edge.next_multiple_of(8 * u16::from(factor));
        bytes[at..at + 2].copy_from_slice(&widened.to_be_bytes());
    }
    bytes
}

#[test]
fn every_kind_of_jpeg_comes_upright_and_about_as_at_full_size() {
    let mut decoder = ImageDecoder::new(DecodeOptions::default().with_fast_for(Some(8)));
    let turned = (1..=8).map(|orientation| format!("jpeg_exif_{orientation}.jpg"));
    let kinds = ["q75", "progressive", "444", "422", "restart", "gray", "odd"];
    let names = kinds.map(|kind| format!("jpeg_{kind}.jpg"));
    for name in names.into_iter().chain(turned) {
        let bytes = widened(&name);
        let exact = decode_bytes(&bytes, &DecodeLimits::default()).unwrap();
        let scaled = decoder.decode_bytes(&bytes).unwrap();
        let divisor = exact.width() / scaled.width();
        assert!(divisor > 1, "{name}");
        assert_eq!(exact.height() / divisor, scaled.height(), "{name}");
        let spec = Preprocessing::openai(8);
        let cosine = cosine(&pixel_values(&exact, spec), &pixel_values(scaled, spec));
        println!("{name}: 1/{divisor}, cosine {cosine:.5}");
        // Eight pixels of a picture of about ten blocks: any shift or wrong colour shows as 0.95 and less.
        assert!(cosine > 0.99, "{name}: {cosine}");
    }
}

#[test]
fn what_cannot_be_scaled_is_decoded_exactly() {
    let mut decoder = ImageDecoder::new(DecodeOptions::default().with_fast_for(Some(8)));
    for name in ["jpeg_cmyk.jpg", "jpeg_odd.jpg", "threefold.png"] {
        let path = data_path("preprocess/images").join(name);
        let exact = decode_file(&path, &DecodeLimits::default()).unwrap();
        let fast = decoder.decode_file(&path).unwrap();
        assert_eq!(fast.width(), exact.width(), "{name}");
        assert!(fast.pixels() == exact.pixels(), "{name}");
    }
}
