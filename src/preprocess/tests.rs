//! What frames of one picture have in common: formats, strides, turns and regions change nothing else.

mod layouts;
mod rules;
mod views;

use super::color::{Converter, Target};
use super::{Preprocessing, Preprocessor};
use crate::frame::Frame;

/// Numbers without a pattern.
struct Noise(u32);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.0 >> 24) as u8
            })
            .collect()
    }
}

fn values(frame: &Frame<'_>, spec: Preprocessing) -> Vec<f32> {
    let mut values = vec![0.0; spec.pixel_values_len()];
    Preprocessor::new(spec)
        .unwrap()
        .run(frame, &mut values)
        .unwrap();
    values
}

/// The whole frame as packed RGB, converted at once.
fn rgb_of(frame: &Frame<'_>) -> Vec<u8> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let mut rgb = vec![0; width * height * 3];
    let target = Target {
        rows: 0..height,
        columns: 0..width,
        rgb: &mut rgb,
        stride: width * 3,
    };
    Converter::new(width).run(frame, target).unwrap();
    rgb
}
