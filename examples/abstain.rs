//! Acts on each reason for which the gate abstains, on frames that it makes itself.
//!
//! ```text
//! $ cargo run --release --example abstain
//! a covered lens   ask someone to clean the lens
//! stripes          do nothing: it is none of our things
//! a horizon        look again with the next frame
//! ```

use std::error::Error;

use clipgate::{Bundle, Classifier, Frame, PixelFormat, Reason};

// How the clipgate command finds ONNX Runtime; a program of yours says Runtime::load("/path/to/libonnxruntime.so").
#[path = "../src/bin/clipgate/runtime_search.rs"]
mod runtime_search;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = runtime_search::load()?;
    let mut classifier = Classifier::new(&runtime, &Bundle::embedded()?)?;
    let frames = [
        ("a covered lens", draw(|_, _| 3)),
        (
            "stripes",
            draw(|x, _| if x / 16 % 2 == 0 { 30 } else { 220 }),
        ),
        (
            "a horizon",
            draw(|_, y| if y < HEIGHT / 2 { 220 } else { 70 }),
        ),
    ];
    for (name, pixels) in &frames {
        let frame = Frame::new(pixels, WIDTH, HEIGHT, PixelFormat::Gray8)?;
        let decision = classifier.classify(&frame)?.decision;
        let action = match decision.reason() {
            None => "take the label",
            Some(Reason::UnusableFrame) => "ask someone to clean the lens",
            Some(Reason::OutOfDistribution) => "do nothing: it is none of our things",
            Some(Reason::LowConfidence) => "look again with the next frame",
            Some(_) => "do nothing",
        };
        println!("{name:16} {action}");
    }
    Ok(())
}

fn draw(luma: impl Fn(u32, u32) -> u8) -> Vec<u8> {
    (0..HEIGHT)
        .flat_map(|y| (0..WIDTH).map(move |x| (x, y)))
        .map(|(x, y)| luma(x, y))
        .collect()
}
