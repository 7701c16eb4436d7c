//! Image files to pixels: JPEG, PNG, WebP, GIF (its first frame), BMP, TIFF.
//!
//! The format is read from the content, never from the name. The pixels are those of Pillow's
//! `ImageOps.exif_transpose(Image.open(file)).convert("RGB")`, which is how open_clip's own data
//! pipeline decodes, except for what is listed here.
//!
//! | case | here | Pillow 13 |
//! |---|---|---|
//! | lossless colour files | equal to the bit | |
//! | JPEG | `zune-jpeg`: resized crops differ by up to 4 of 255 on the test images | libjpeg-turbo |
//! | lossy WebP | `image-webp`: resized crops equal on the test images | libwebp |
//! | EXIF orientation | applied | applied only on request; open_clip's transform alone does not |
//! | alpha | dropped, the colour underneath stays | the same |
//! | palette | looked up before resizing | the same after `convert`; resized by nearest neighbour without |
//! | 16-bit colour | the high byte | the same |
//! | 16-bit grey | the high byte | clipped at 255, which turns a picture white |
//! | CMYK JPEG | `(255 - c) * (255 - k) / 255` | the same, but for the decoder |
//! | floating point | refused | not compared |
//! | JPEG inside TIFF | refused | read |

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::error::{Error, Result};
use crate::file::read_file;
use crate::frame::{Frame, MAX_EDGE, PixelFormat};

/// What a file may cost; a file beyond is refused from its length or header, before it is decoded.
///
/// While a file is decoded, memory stays within the file, 16 bytes a pixel and some buffers.
///
/// ```
/// use clipgate::DecodeLimits;
///
/// let limits = DecodeLimits { max_pixels: 200_000_000, ..DecodeLimits::default() };
/// assert_eq!(limits.max_edge, clipgate::MAX_EDGE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Length of the file in bytes; 64 MiB by default.
    pub max_file_bytes: u64,
    /// Width times height; 64 Mi (67,108,864) by default.
    pub max_pixels: u64,
    /// Width and height each; [`MAX_EDGE`] by default, and no frame exceeds that.
    pub max_edge: u32,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_file_bytes: 64 << 20,
            max_pixels: 64 << 20,
            max_edge: MAX_EDGE,
        }
    }
}

/// The upright 8-bit RGB pixels of an image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedImage {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl DecodedImage {
    /// Width in pixels, after the EXIF orientation was applied.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, after the EXIF orientation was applied.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Red, green and blue of each pixel, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The image as a frame.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an edge exceeds [`MAX_EDGE`].
    pub fn frame(&self) -> Result<Frame<'_>> {
        Frame::new(&self.pixels, self.width, self.height, PixelFormat::Rgb8)
    }
}

/// Decodes an image file.
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller), naming the file and the rule it breaks: it is missing,
/// no regular file, empty, truncated or corrupt, of no known format, or beyond a limit.
/// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if it cannot be read.
///
/// ```
/// use clipgate::{DecodeLimits, decode_file};
///
/// let error = decode_file("Cargo.toml".as_ref(), &DecodeLimits::default()).unwrap_err();
/// assert_eq!(error.to_string(), "Cargo.toml: not an image of a known format (JPEG, PNG, WebP, GIF, BMP, TIFF)");
/// ```
pub fn decode_file(path: &Path, limits: &DecodeLimits) -> Result<DecodedImage> {
    let bytes = read_file(path, limits.max_file_bytes)?;
    decode_bytes((*bytes).as_ref(), limits).map_err(|error| error.at(path.display()))
}

/// Decodes the bytes of an image file.
///
/// # Errors
/// As [`decode_file`], but there is no file to name.
pub fn decode_bytes(bytes: &[u8], limits: &DecodeLimits) -> Result<DecodedImage> {
    check_length(bytes.len() as u64, limits)?;
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::machine("cannot be read").with_source(error))?;
    let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
        return Err(Error::caller(
            "not an image of a known format (JPEG, PNG, WebP, GIF, BMP, TIFF)",
        ));
    };
    if format == ImageFormat::Jpeg {
        check_jpeg_ends(bytes)?;
    }
    decode(reader, limits, name(format))
}

fn check_length(length: u64, limits: &DecodeLimits) -> Result<()> {
    if length == 0 {
        return Err(Error::caller("empty"));
    }
    if length > limits.max_file_bytes {
        return Err(Error::caller(format!(
            "{length} bytes, above the limit of {} (`max_file_bytes`)",
            limits.max_file_bytes
        )));
    }
    Ok(())
}

fn decode(
    mut reader: ImageReader<Cursor<&[u8]>>,
    limits: &DecodeLimits,
    format: &str,
) -> Result<DecodedImage> {
    const BYTES_PER_PIXEL: u64 = 16;
    const BUFFERS: u64 = 16 << 20;
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
    check_dimensions(decoder.dimensions(), limits)?;
    // A damaged EXIF block must not cost the picture: without one, it counts as upright.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    let mut upright = DynamicImage::ImageRgb8(to_rgb8(image, format)?);
    upright.apply_orientation(orientation);
    let rgb = upright.into_rgb8();
    Ok(DecodedImage {
        width: rgb.width(),
        height: rgb.height(),
        pixels: rgb.into_raw(),
    })
}

fn check_dimensions((width, height): (u32, u32), limits: &DecodeLimits) -> Result<()> {
    let max_edge = limits.max_edge.min(MAX_EDGE);
    if width == 0 || height == 0 {
        return Err(Error::caller(format!(
            "an image of {width}x{height} has no pixels"
        )));
    }
    if width > max_edge || height > max_edge {
        return Err(Error::caller(format!(
            "{width}x{height} pixels, an edge above max_edge {max_edge}"
        )));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels {
        return Err(Error::caller(format!(
            "{width}x{height} pixels, above the limit of {} (`max_pixels`; the command takes --max-megapixels)",
            limits.max_pixels
        )));
    }
    Ok(())
}

/// 8-bit RGB: alpha dropped, grey replicated, the high byte of 16 bits.
fn to_rgb8(image: DynamicImage, format: &str) -> Result<image::RgbImage> {
    let (width, height) = (image.width(), image.height());
    let pixels: Vec<u8> = match image {
        DynamicImage::ImageRgb8(image) => return Ok(image),
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
    };
    image::RgbImage::from_raw(width, height, pixels).ok_or_else(|| {
        Error::caller(format!(
            "a {format} whose pixels do not fill {width}x{height}"
        ))
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

/// Refuses a JPEG that ends before its end-of-image marker.
///
/// The decoder fills what is missing with grey and reports success, so the markers are walked here:
/// segments by their length, scans up to the next marker that is neither stuffing nor a restart
/// (ITU-T T.81, B.1.1).
fn check_jpeg_ends(bytes: &[u8]) -> Result<()> {
    const STUFFING: u8 = 0x00;
    const FILL: u8 = 0xFF;
    const TEM: u8 = 0x01;
    const SOI: u8 = 0xD8;
    const EOI: u8 = 0xD9;
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == 0xFF) {
        let Some((&marker, after)) = rest[at + 1..].split_first() else {
            break;
        };
        rest = match marker {
            EOI => return Ok(()),
            FILL => &rest[at + 1..],
            STUFFING | TEM | SOI | 0xD0..=0xD7 => after,
            _ => {
                let Some(length) = after.first_chunk::<2>() else {
                    break;
                };
                let length = usize::from(u16::from_be_bytes(*length));
                let Some(next) = after.get(length..) else {
                    break;
                };
                next
            }
        };
    }
    Err(Error::caller(
        "a truncated JPEG: it has no end-of-image marker",
    ))
}
