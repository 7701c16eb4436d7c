//! From a frame to `pixel_values`: the reference's image transform, bit for bit.

mod color;
mod convolve;
mod normalize;
mod resize;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::frame::Frame;
use normalize::Normalizer;
use resize::Resampler;

pub use normalize::FrameQuality;

/// The largest [`Preprocessing::size`], in pixels.
pub const MAX_SIZE: u32 = 1024;

/// How a frame of any proportion becomes a square of [`Preprocessing::size`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The shorter edge becomes `size`, the longer keeps the proportion, and what exceeds the square is cut off
    /// evenly.
    ShortestEdge,
    /// Both edges become `size`: nothing is cut off and the proportion is lost, as SigLIP's models were trained.
    Squash,
}

/// The filter of the resampler, widened by the scale when the frame shrinks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Cubic convolution with a = -0.5 (Keys 1981).
    Bicubic,
    /// A triangle, as MobileCLIP's models were trained.
    Bilinear,
}

/// What a model was trained to see: a bundle's `preprocessing`.
///
/// ```
/// use clipgate::Preprocessing;
///
/// let spec = Preprocessing::openai(224);
/// assert_eq!(spec.size, 224);
/// spec.validate()?;
/// assert!(Preprocessing { std: [0.0; 3], ..spec }.validate().is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Edge of the square the model sees, 1 to [`MAX_SIZE`] pixels.
    pub size: u32,
    /// Subtracted from red, green and blue in 0 to 1.
    pub mean: [f32; 3],
    /// Divides red, green and blue after `mean` is subtracted; above 0.
    pub std: [f32; 3],
    /// How the frame becomes a square.
    pub resize: Resize,
    /// Filter of the resampler.
    pub interpolation: Interpolation,
}

impl Preprocessing {
    /// The transform of OpenAI's CLIP, which open_clip's models share: its `mean` and `std`.
    pub fn openai(size: u32) -> Self {
        Self {
            size,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            resize: Resize::ShortestEdge,
            interpolation: Interpolation::Bicubic,
        }
    }

    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) that names the field.
    pub fn validate(&self) -> Result<()> {
        if self.size == 0 || self.size > MAX_SIZE {
            return Err(Error::bundle(format!(
                "preprocessing.size is {}, not 1 to {MAX_SIZE}",
                self.size
            )));
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return Err(Error::bundle(format!(
                "preprocessing.mean is not finite: {:?}",
                self.mean
            )));
        }
        if !self.std.iter().all(|std| std.is_normal() && *std > 0.0) {
            return Err(Error::bundle(format!(
                "preprocessing.std is not above 0 and finite: {:?}",
                self.std
            )));
        }
        let extremes = (0..3).flat_map(|c| [0.0, 1.0].map(|v| (v - self.mean[c]) / self.std[c]));
        if !extremes.into_iter().all(f32::is_finite) {
            return Err(Error::bundle(format!(
                "preprocessing.mean {:?} over preprocessing.std {:?} is not finite",
                self.mean, self.std
            )));
        }
        Ok(())
    }

    /// Length of `pixel_values`: three planes of `size` x `size`.
    pub fn pixel_values_len(&self) -> usize {
        3 * self.size as usize * self.size as usize
    }
}

/// Turns frames into `pixel_values`, and keeps its buffers from frame to frame.
///
/// Pillow's two-pass fixed-point resampler with antialiasing makes the shortest edge `size`, and the
/// centre is cropped with torchvision's rounding; or it makes both edges `size` ([`Resize`]). Each value
/// becomes `(v / 255 - mean) / std`. From the same 8-bit pixels the result equals
/// `open_clip.image_transform(size, is_train=False, resize_mode=..., interpolation=...)` on a Pillow RGB
/// image bit for bit. A crop is computed alone, so a panorama costs what its centre costs.
///
/// Frames of one geometry share their filter and buffers: after the first, a frame allocates nothing.
///
/// ```
/// use clipgate::{Frame, PixelFormat, Preprocessing, Preprocessor};
///
/// let spec = Preprocessing::openai(64);
/// let mut pixel_values = vec![0.0; spec.pixel_values_len()];
/// let grey = vec![128; 640 * 480 * 3];
/// let frame = Frame::new(&grey, 640, 480, PixelFormat::Rgb8)?;
/// let quality = Preprocessor::new(spec)?.run(&frame, &mut pixel_values)?;
/// assert_eq!((quality.luma_mean, quality.luma_deviation), (128.0, 0.0));
/// assert_eq!(pixel_values[0], (128.0 / 255.0 - spec.mean[0]) / spec.std[0]);
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Debug)]
pub struct Preprocessor {
    spec: Preprocessing,
    normalizer: Normalizer,
    resampler: Option<Resampler>,
}

impl Preprocessor {
    /// A preprocessor for one model.
    ///
    /// # Errors
    /// As [`Preprocessing::validate`].
    pub fn new(spec: Preprocessing) -> Result<Self> {
        spec.validate()?;
        Ok(Self {
            spec,
            normalizer: Normalizer::new(&spec.mean, &spec.std),
            resampler: None,
        })
    }

    /// What this preprocessor does.
    pub fn spec(&self) -> &Preprocessing {
        &self.spec
    }

    /// Writes `pixel_values` as [3, size, size]: the planes of red, green and blue, row by row.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `pixel_values` is not
    /// [`pixel_values_len`](Preprocessing::pixel_values_len) long.
    pub fn run(&mut self, frame: &Frame<'_>, pixel_values: &mut [f32]) -> Result<FrameQuality> {
        let expected = self.spec.pixel_values_len();
        if pixel_values.len() != expected {
            return Err(Error::caller(format!(
                "pixel_values of size {} has {expected} values, not {}",
                self.spec.size,
                pixel_values.len()
            )));
        }
        let resampler = match &mut self.resampler {
            Some(resampler) if resampler.fits(frame) => resampler,
            slot => slot.insert(Resampler::new(frame.width(), frame.height(), &self.spec)),
        };
        resampler.run(frame);
        Ok(self.normalizer.run(resampler.rows(), pixel_values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    #[test]
    fn a_spec_with_an_unknown_resize_or_filter_is_refused() {
        let spec = serde_json::to_value(Preprocessing::openai(64)).unwrap();
        assert_eq!(spec["resize"], "shortest_edge");
        assert_eq!(spec["interpolation"], "bicubic");
        for (field, value) in [("resize", "longest"), ("interpolation", "nearest")] {
            let mut changed = spec.clone();
            changed[field] = value.into();
            let error = serde_json::from_value::<Preprocessing>(changed).unwrap_err();
            assert!(error.to_string().contains(value), "{error}");
        }
    }

    #[test]
    fn validate_names_the_field() {
        let good = Preprocessing::openai(64);
        let cases = [
            (Preprocessing { size: 0, ..good }, "size"),
            (
                Preprocessing {
                    size: MAX_SIZE + 1,
                    ..good
                },
                "size",
            ),
            (
                Preprocessing {
                    mean: [f32::NAN, 0.0, 0.0],
                    ..good
                },
                "mean",
            ),
            (
                Preprocessing {
                    std: [1.0, 0.0, 1.0],
                    ..good
                },
                "std",
            ),
            (
                Preprocessing {
                    std: [1.0, -1.0, 1.0],
                    ..good
                },
                "std",
            ),
            (
                Preprocessing {
                    mean: [f32::MAX; 3],
                    ..good
                },
                "mean",
            ),
        ];
        for (spec, field) in cases {
            let error = spec.validate().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn formats_and_strides_of_one_picture_agree() {
        let (width, height) = (37u32, 23u32);
        let gray: Vec<u8> = (0..width * height)
            .map(|i| (i * 7919 % 251) as u8)
            .collect();
        let rgb: Vec<u8> = gray.iter().flat_map(|&v| [v; 3]).collect();
        let rgba: Vec<u8> = gray.iter().flat_map(|&v| [v, v, v, v ^ 0x55]).collect();
        let stride = width as usize * 3 + 5;
        let mut padded = vec![9; stride * height as usize];
        for (row, from) in padded
            .chunks_mut(stride)
            .zip(rgb.chunks(width as usize * 3))
        {
            row[..from.len()].copy_from_slice(from);
        }
        let frames = [
            Frame::new(&rgb, width, height, PixelFormat::Rgb8).unwrap(),
            Frame::new(&rgba, width, height, PixelFormat::Rgba8).unwrap(),
            Frame::new(&gray, width, height, PixelFormat::Gray8).unwrap(),
            Frame::with_stride(&padded, width, height, stride, PixelFormat::Rgb8).unwrap(),
        ];
        let spec = Preprocessing::openai(16);
        let mut preprocessor = Preprocessor::new(spec).unwrap();
        let results = frames.map(|frame| {
            let mut values = vec![0.0; spec.pixel_values_len()];
            preprocessor.run(&frame, &mut values).unwrap();
            values
        });
        for other in &results[1..] {
            assert_eq!(&results[0], other);
        }
    }

    #[test]
    fn the_longest_panoramas_are_taken_by_every_rule() {
        let pixels = vec![200; crate::MAX_EDGE as usize];
        for resize in [Resize::ShortestEdge, Resize::Squash] {
            for interpolation in [Interpolation::Bicubic, Interpolation::Bilinear] {
                let spec = Preprocessing {
                    resize,
                    interpolation,
                    ..Preprocessing::openai(224)
                };
                let mut preprocessor = Preprocessor::new(spec).unwrap();
                let mut values = vec![0.0; spec.pixel_values_len()];
                for (width, height) in [(crate::MAX_EDGE, 1), (1, crate::MAX_EDGE)] {
                    let frame = Frame::new(&pixels, width, height, PixelFormat::Gray8).unwrap();
                    let quality = preprocessor.run(&frame, &mut values).unwrap();
                    assert_eq!(quality.luma_mean, 200.0, "{spec:?}");
                }
            }
        }
    }

    #[test]
    fn pixel_values_of_another_length_are_refused() {
        let frame = Frame::new(&[0; 3], 1, 1, PixelFormat::Rgb8).unwrap();
        let error = Preprocessor::new(Preprocessing::openai(8))
            .unwrap()
            .run(&frame, &mut [0.0; 5]);
        assert!(error.unwrap_err().to_string().contains("192"));
    }
}
