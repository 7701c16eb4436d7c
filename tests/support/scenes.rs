//! Synthetic camera frames: a scene of blocks, with noise, light and things that come and go.

use clipgate::{Frame, PixelFormat};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::streams::normal;

/// A picture that owns its pixels.
#[derive(Clone)]
pub(crate) struct Scene {
    width: u32,
    height: u32,
    format: PixelFormat,
    still: Vec<u8>,
    shown: Vec<u8>,
}

impl Scene {
    /// Coloured blocks, different for each seed.
    pub(crate) fn new(width: u32, height: u32, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let blocks: Vec<[u8; 3]> = (0..64).map(|_| random.random()).collect();
        let still = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| blocks[(y * 8 / height * 8 + x * 8 / width) as usize])
            .collect();
        Self::of(width, height, still)
    }

    pub(crate) fn flat(width: u32, height: u32, value: u8) -> Self {
        let still = vec![value; (width * height * 3) as usize];
        Self::of(width, height, still)
    }

    fn of(width: u32, height: u32, still: Vec<u8>) -> Self {
        Self {
            width,
            height,
            format: PixelFormat::Rgb8,
            shown: still.clone(),
            still,
        }
    }

    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame::new(&self.shown, self.width, self.height, self.format).unwrap()
    }

    /// The still scene with a sensor's noise of this deviation.
    pub(crate) fn noise(&mut self, deviation: f64, seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for (shown, &still) in self.shown.iter_mut().zip(&self.still) {
            *shown = (f64::from(still) + deviation * normal(&mut random)).clamp(0.0, 255.0) as u8;
        }
    }

    pub(crate) fn brighter(mut self, by: u8) -> Self {
        for value in &mut self.shown {
            *value = value.saturating_add(by);
        }
        self
    }

    /// With a grey thing whose top left corner is at `x`, `y`.
    pub(crate) fn with_patch(mut self, x: u32, y: u32, width: u32, height: u32) -> Self {
        for row in y..y + height {
            let start = ((row * self.width + x) * 3) as usize;
            for value in &mut self.shown[start..start + width as usize * 3] {
                *value ^= 0x80;
            }
        }
        self
    }

    /// The same picture as RGBA or grey.
    pub(crate) fn in_format(mut self, format: PixelFormat) -> Self {
        let pixels = self.shown.chunks_exact(3);
        self.shown = match format {
            PixelFormat::Rgba8 => pixels.flat_map(|p| [p[0], p[1], p[2], 255]).collect(),
            PixelFormat::Gray8 => pixels.map(|p| p[1]).collect(),
            _ => self.shown,
        };
        self.format = format;
        self
    }
}
