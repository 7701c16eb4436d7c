//! An image file as a small picture inside the page.

use std::path::Path;

use clipgate::{DecodeLimits, DecodedImage, Error, ErrorKind, Result, decode_file};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, crop_imm, resize};
use image::{ExtendedColorType, ImageBuffer, Rgb};

/// Pixels of the longer edge: enough for 132 of CSS on a good screen, some 5 kB.
const EDGE: u32 = 160;

/// JPEG quality, 1 to 100.
const QUALITY: u8 = 75;

/// The middle square of an image file as a `data:` URI of a JPEG; smaller images keep their size.
///
/// # Errors
/// As [`decode_file`].
pub(crate) fn data_uri(path: &Path, limits: &DecodeLimits) -> Result<String> {
    let jpeg = encode(&decode_file(path, limits)?)
        .map_err(|error| Error::new(ErrorKind::Caller, "no thumbnail").with_source(error))?;
    Ok(format!("data:image/jpeg;base64,{}", base64::encode(jpeg)))
}

fn encode(image: &DecodedImage) -> image::ImageResult<Vec<u8>> {
    let (width, height) = (image.width(), image.height());
    let side = width.min(height);
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    let pixels = ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, image.pixels());
    let Some(pixels) = pixels else {
        return Ok(jpeg);
    };
    let square = crop_imm(&pixels, (width - side) / 2, (height - side) / 2, side, side);
    let edge = side.min(EDGE);
    let small = resize(&*square, edge, edge, FilterType::Triangle);
    encoder.encode(&small, edge, edge, ExtendedColorType::Rgb8)?;
    Ok(jpeg)
}
