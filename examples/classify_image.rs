//! Classifies image files with the embedded model.
//!
//! ```text
//! $ cargo run --release --example classify_image -- examples/photos/coffee.jpg examples/photos/gravel.jpg
//! examples/photos/coffee.jpg: espresso, confidence 0.99
//! examples/photos/gravel.jpg: not sure, this looks like none of the labels
//! ```

use std::error::Error;
use std::path::Path;

use clipgate::{Bundle, Classifier, Decision, DecodeLimits, decode_file};

// How the clipgate command finds ONNX Runtime; a program of yours says Runtime::load("/path/to/libonnxruntime.so").
#[path = "../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = runtime_search::load()?;
    let mut classifier = Classifier::new(&runtime, &Bundle::embedded()?)?;
    for path in std::env::args().skip(1) {
        let image = decode_file(Path::new(&path), &DecodeLimits::default())?;
        let answer = classifier.classify(&image.frame()?)?;
        match answer.decision {
            Decision::Accept(prediction) => {
                println!(
                    "{path}: {}, confidence {:.2}",
                    prediction.label,
                    prediction.confidence.unwrap_or(f32::NAN)
                );
            }
            Decision::Abstain(abstention) => println!("{path}: not sure, {}", abstention.reason),
            _ => println!("{path}: an answer of a newer clipgate"),
        }
    }
    Ok(())
}
