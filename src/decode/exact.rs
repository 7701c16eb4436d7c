//! Any format at full size, through the crate `image`.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits,
};

use super::{DecodeLimits, DecodedImage, check_dimensions};
use crate::error::{Error, Result};

pub(super) fn decode(
    mut reader: ImageReader<Cursor<&[u8]>>,
    limits: &DecodeLimits,
    format: ImageFormat,
    image: &mut DecodedImage,
) -> Result<()> {
    const BYTES_PER_PIXEL: u64 = 16;
    const BUFFERS: u64 = 16 << 20;
    let format = name(format);
    let mut decoder_limits = Limits::no_limits();
    decoder_limits.max_alloc = Some(
        limits
            .max_pixels
            .saturating_mul(BYTES_PER_PIXEL)
            .saturating_add(BUFFERS),
    );
    reader.limits(decoder_limits);
    let broken = |error| undecodable(error, format);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_dimensions((width, height), limits)?;
    // A damaged EXIF block must not cost the picture: without one, it counts as upright.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if decoder.color_type() == ColorType::Rgb8 {
        image.resize(width, height);
        decoder.read_image(&mut image.pixels).map_err(broken)?;
    } else {
        let colored = DynamicImage::from_decoder(decoder).map_err(broken)?;
        image.width = width;
        image.height = height;
        image.pixels = to_rgb8(colored, format)?;
        if image.pixels.len() as u64 != u64::from(width) * u64::from(height) * 3 {
            return Err(Error::caller(format!(
                "a {format} whose pixels do not fill {width}x{height}"
            )));
        }
    }
    image.turn(orientation);
    Ok(())
}

/// 8-bit RGB: alpha dropped, grey replicated, the high byte of 16 bits.
fn to_rgb8(image: DynamicImage, format: &str) -> Result<Vec<u8>> {
    Ok(match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.pixels().flat_map(|p| [p.0[0]; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|p| [p.0[0]; 3]).collect(),
        DynamicImage::ImageRgba8(image) => image
            .pixels()
            .flat_map(|p| [p.0[0], p.0[1], p.0[2]])
            .collect(),
        DynamicImage::ImageLuma16(image) => image
            .pixels()
            .flat_map(|p| [high_byte(p.0[0]); 3])
            .collect(),
        DynamicImage::ImageLumaA16(image) => image
            .pixels()
            .flat_map(|p| [high_byte(p.0[0]); 3])
            .collect(),
        DynamicImage::ImageRgb16(image) => image.as_raw().iter().copied().map(high_byte).collect(),
        DynamicImage::ImageRgba16(image) => image
            .pixels()
            .flat_map(|p| [p.0[0], p.0[1], p.0[2]].map(high_byte))
            .collect(),
        other => {
            return Err(Error::caller(format!(
                "a {format} with {:?} pixels, not 8 or 16 bits a channel",
                other.color()
            )));
        }
    })
}

fn high_byte(value: u16) -> u8 {
    (value >> 8) as u8
}

fn undecodable(error: ImageError, format: &str) -> Error {
    let rule = match &error {
        ImageError::Limits(_) => {
            format!("a {format} that needs more memory than max_pixels allows")
        }
        ImageError::Unsupported(_) => format!("a {format} of a kind that is not supported"),
        ImageError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("a truncated {format}")
        }
        _ => format!("a truncated or corrupt {format}"),
    };
    Error::caller(rule).with_source(error)
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        _ => "image",
    }
}
