//! JPEG: what is known before decoding, and the decoders that read it ahead of the exact one.

mod scaled;
mod survey;
#[cfg(feature = "turbojpeg")]
mod turbo;

use super::{DecodeLimits, DecodedImage, check_dimensions};
use crate::error::Result;
use survey::Survey;

/// How many pixels of the decoded picture stay for each of the square that the model sees, along the shorter edge: with
/// 2, the resampler still does the last halving, and its antialiasing hides which decoder did the others.
const HEADROOM: u32 = 2;

/// The most scans that are decoded ahead; a progressive file has about ten, and every scan costs a pass over the picture.
const MAX_SCANS: usize = 100;

/// Decoders that need not understand every file. What one cannot read, it leaves to the next and in the end to the
/// exact one, which says what is wrong with a file. A scaled decoder reads past damage that the exact one refuses in
/// about one damaged file of a thousand.
#[derive(Debug, Default)]
pub(super) struct Decoders {
    #[cfg(feature = "turbojpeg")]
    turbo: turbo::Turbo,
}

impl Decoders {
    /// Decodes a JPEG if one of the decoders reads it; otherwise `image` is left to the exact decoder.
    ///
    /// With `size`, the picture may come at a half, a quarter or an eighth while its shorter edge keeps at least
    /// [`HEADROOM`] times that.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the file is truncated or beyond a limit.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        limits: &DecodeLimits,
        size: Option<u32>,
        image: &mut DecodedImage,
    ) -> Result<bool> {
        let survey = Survey::of(bytes)?;
        let Some((width, height)) = survey.dimensions else {
            return Ok(false);
        };
        check_dimensions((width, height), limits)?;
        if survey.scans > MAX_SCANS {
            return Ok(false);
        }
        let divisor = size.map_or(1, |size| divisor(width, height, size));
        image.resize(width / divisor, height / divisor);
        if !self.read(bytes, divisor, image) {
            return Ok(false);
        }
        image.turn(survey.orientation);
        Ok(true)
    }

    /// Fills `image`, whose edges are those of the file divided by `divisor`.
    fn read(&mut self, bytes: &[u8], divisor: u32, image: &mut DecodedImage) -> bool {
        #[cfg(feature = "turbojpeg")]
        match self.turbo.read(bytes, divisor, image) {
            Ok(()) => return true,
            Err(error) => log::debug!("libjpeg-turbo leaves a file to another decoder: {error}"),
        }
        divisor > 1
            && scaled::read(bytes, image)
                .inspect_err(|error| log::debug!("a JPEG is decoded at full size: {error}"))
                .is_ok()
    }
}

/// The largest of 8, 4 and 2 that leaves the shorter edge at least [`HEADROOM`] times `size`, or 1.
///
/// It divides both edges: a remainder would become a whole pixel, and the picture be stretched. What a camera writes has
/// edges that 8 or 4 divides.
fn divisor(width: u32, height: u32, size: u32) -> u32 {
    let needed = size.saturating_mul(HEADROOM);
    [8, 4, 2]
        .into_iter()
        .find(|&divisor| {
            width.is_multiple_of(divisor)
                && height.is_multiple_of(divisor)
                && width.min(height) / divisor >= needed
        })
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::divisor;

    #[test]
    fn no_more_is_dropped_than_the_resampler_can_spare() {
        for (width, height, size, expected) in [
            (4000, 3000, 224, 4),
            (3024, 4032, 64, 8),
            (1920, 1080, 224, 2),
            (1080, 894, 224, 1),
            (896, 1080, 224, 2),
            (4001, 3000, 224, 1),
            (4002, 3000, 224, 2),
            (1024, 1024, 64, 8),
            (1016, 1024, 64, 4),
            (1, 1, 1, 1),
            (2, 2, 1, 1),
            (4, 4, 1, 2),
            (u32::MAX, u32::MAX, u32::MAX, 1),
        ] {
            assert_eq!(
                divisor(width, height, size),
                expected,
                "{width}x{height} {size}"
            );
        }
    }
}
