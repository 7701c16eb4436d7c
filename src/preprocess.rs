//! From a frame to `pixel_values`: the reference's image transform, bit for bit.

mod axis;
mod color;
mod convolve;
mod normalize;
mod resize;
mod ring;

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
        let view = frame.view();
        let resampler = match &mut self.resampler {
            Some(resampler) if resampler.fits(&view) => resampler,
            slot => slot.insert(Resampler::new(&view, &self.spec)),
        };
        let square = resampler.run(frame, &view)?;
        Ok(self.normalizer.run(&square, pixel_values))
    }
}

#[cfg(test)]
mod tests;
