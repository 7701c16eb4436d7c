//! Classifies an image by labels in words, without training anything.
//!
//! ```text
//! $ cargo run --release --example own_labels -- examples/photos/coffee.jpg cat teapot goldfish
//! teapot               cosine 0.009
//! cat                  cosine -0.042
//! goldfish             cosine -0.055
//! not sure (Transferred calibration)
//! ```
//!
//! The photo shows a cup, which none of the labels says. The model's own labels are their negatives: they take the
//! probability that is not theirs. The thresholds were fitted on other labels, so the answer is marked `Transferred` and
//! promises nothing.

use std::error::Error;
use std::path::PathBuf;

use clipgate::{Bundle, Classifier, DecodeLimits, SessionOptions, TextEncoder, decode_file};

// How the clipgate command finds ONNX Runtime; a program of yours says Runtime::load("/path/to/libonnxruntime.so").
#[path = "../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let image: PathBuf = arguments
        .next()
        .ok_or("usage: own_labels IMAGE LABEL...")?
        .into();
    let labels: Vec<String> = arguments.collect();

    let runtime = runtime_search::load()?;
    let bundle = Bundle::embedded()?;
    let bank = TextEncoder::open(&runtime, &bundle, SessionOptions::default())?.label_bank(
        &labels,
        &[],
        |_| (),
    )?;
    let (bank, _) = bank.with_negatives_of(&bundle.label_bank()?)?;
    let mut classifier = Classifier::options().bank(bank).open(&runtime, &bundle)?;

    let image = decode_file(&image, &DecodeLimits::default())?;
    let answer = classifier.classify(&image.frame()?)?;
    for candidate in &answer.top {
        println!("{:20} cosine {:.3}", candidate.label, candidate.similarity);
    }
    match answer.decision.accepted() {
        Some(prediction) => println!(
            "accepted: {} ({:?} calibration)",
            prediction.label, answer.calibration
        ),
        None => println!("not sure ({:?} calibration)", answer.calibration),
    }
    Ok(())
}
