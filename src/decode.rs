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
//! | JPEG, feature `turbojpeg` | libjpeg-turbo: equal to the bit; what it warns about is left to `zune-jpeg` | libjpeg-turbo |
//! | JPEG, [`DecodeOptions::fast`] | at a half, a quarter or an eighth, by `jpeg-decoder` or libjpeg-turbo | the same through `draft` |
//! | lossy WebP | `image-webp`: resized crops equal on the test images | libwebp |
//! | EXIF orientation | applied | applied only on request; open_clip's transform alone does not |
//! | alpha | dropped, the colour underneath stays | the same |
//! | palette | looked up before resizing | the same after `convert`; resized by nearest neighbour without |
//! | 16-bit colour | the high byte | the same |
//! | 16-bit grey | the high byte | clipped at 255, which turns a picture white |
//! | CMYK JPEG | `(255 - c) * (255 - k) / 255` | the same, but for the decoder |
//! | floating point | refused | not compared |
//! | JPEG inside TIFF | refused | read |

mod exact;
mod jpeg;

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, ImageReader, RgbImage};

use crate::error::{Error, Result};
use crate::file::read_file;
use crate::frame::{Frame, MAX_EDGE, PixelFormat};
use crate::preprocess::Preprocessing;

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

/// How files become pixels.
///
/// ```
/// use clipgate::{DecodeOptions, Preprocessing};
///
/// let exact = DecodeOptions::default();
/// let fast = DecodeOptions::fast(&Preprocessing::openai(224));
/// assert_eq!(exact.limits(), fast.limits());
/// assert_eq!((exact.fast_for(), fast.fast_for()), (None, Some(224)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    limits: DecodeLimits,
    fast_for: Option<u32>,
}

impl DecodeOptions {
    /// JPEGs may be decoded at a half, a quarter or an eighth for a model of this preprocessing: as small as their
    /// shorter edge keeps at least twice [`Preprocessing::size`], and both edges stay whole.
    ///
    /// That takes about half the time for a photo of 12 megapixels, and other pixels result: near the exact ones, and
    /// how near is written in [platforms](crate::docs::platforms). A classifier that was not told by
    /// [`ClassifierOptions::preprocessing`](crate::ClassifierOptions::preprocessing) to expect them promises nothing of
    /// them. Other formats, CMYK and JPEGs that it cannot read are decoded at full size.
    pub fn fast(preprocessing: &Preprocessing) -> Self {
        Self::default().with_fast_for(Some(preprocessing.size))
    }

    /// The same as [`fast`](Self::fast) for a model that sees a square of `edge` pixels; `None` decodes every file at
    /// full size.
    pub fn with_fast_for(mut self, edge: Option<u32>) -> Self {
        self.fast_for = edge;
        self
    }

    /// The edge in pixels of the square that a model sees, where JPEGs may be decoded smaller for it.
    pub fn fast_for(&self) -> Option<u32> {
        self.fast_for
    }

    /// What a file may cost.
    pub fn with_limits(mut self, limits: DecodeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What a file may cost.
    pub fn limits(&self) -> &DecodeLimits {
        &self.limits
    }
}

/// The upright 8-bit RGB pixels of an image file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodedImage {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    is_fast: bool,
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

    /// The image as a frame, which knows whether it was decoded by [`DecodeOptions::fast`].
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an edge exceeds [`MAX_EDGE`].
    pub fn frame(&self) -> Result<Frame<'_>> {
        let frame = Frame::new(&self.pixels, self.width, self.height, PixelFormat::Rgb8)?;
        Ok(frame.fast_decoded(self.is_fast))
    }

    /// Room for `width` x `height` pixels of any colour.
    fn resize(&mut self, width: u32, height: u32) {
        self.width = width;
        self.height = height;
        self.pixels.resize(width as usize * height as usize * 3, 0);
    }

    fn turn(&mut self, orientation: Orientation) {
        if orientation == Orientation::NoTransforms {
            return;
        }
        let pixels = std::mem::take(&mut self.pixels);
        if let Some(rgb) = RgbImage::from_raw(self.width, self.height, pixels) {
            let mut upright = DynamicImage::ImageRgb8(rgb);
            upright.apply_orientation(orientation);
            self.width = upright.width();
            self.height = upright.height();
            self.pixels = upright.into_rgb8().into_raw();
        }
    }
}

/// Decodes image files one after the other into the same memory.
///
/// What it keeps between files are the pixels of one image: as large as the largest so far.
///
/// ```
/// use clipgate::{DecodeOptions, ImageDecoder};
///
/// let mut decoder = ImageDecoder::new(DecodeOptions::default());
/// let image = decoder.decode_file("examples/photos/coffee.jpg".as_ref())?;
/// assert_eq!((image.width(), image.height()), (600, 400));
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct ImageDecoder {
    options: DecodeOptions,
    image: DecodedImage,
    jpeg: jpeg::Decoders,
}

impl ImageDecoder {
    /// A decoder of any number of files.
    pub fn new(options: DecodeOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Decodes an image file.
    ///
    /// # Errors
    /// As [`decode_file`].
    pub fn decode_file(&mut self, path: &Path) -> Result<&DecodedImage> {
        let bytes = read_file(path, self.options.limits.max_file_bytes)?;
        self.decode_bytes((*bytes).as_ref())
            .map_err(|error| error.at(path.display()))
    }

    /// Decodes the bytes of an image file.
    ///
    /// # Errors
    /// As [`decode_file`], but there is no file to name.
    pub fn decode_bytes(&mut self, bytes: &[u8]) -> Result<&DecodedImage> {
        let DecodeOptions { limits, fast_for } = &self.options;
        check_length(bytes.len() as u64, limits)?;
        let reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| Error::machine("cannot be read").with_source(error))?;
        let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
            return Err(Error::caller(
                "not an image of a known format (JPEG, PNG, WebP, GIF, BMP, TIFF)",
            ));
        };
        let is_read = format == ImageFormat::Jpeg
            && self
                .jpeg
                .decode(bytes, limits, *fast_for, &mut self.image)?;
        if !is_read {
            exact::decode(reader, limits, format, &mut self.image)?;
        }
        // Also where this file was decoded at full size: what a calibration was fitted on is a mixture of both.
        self.image.is_fast = fast_for.is_some();
        Ok(&self.image)
    }
}

/// Decodes an image file, exactly.
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
    let mut decoder = exact_decoder(limits);
    decoder.decode_file(path)?;
    Ok(decoder.image)
}

/// Decodes the bytes of an image file, exactly.
///
/// # Errors
/// As [`decode_file`], but there is no file to name.
pub fn decode_bytes(bytes: &[u8], limits: &DecodeLimits) -> Result<DecodedImage> {
    let mut decoder = exact_decoder(limits);
    decoder.decode_bytes(bytes)?;
    Ok(decoder.image)
}

fn exact_decoder(limits: &DecodeLimits) -> ImageDecoder {
    ImageDecoder::new(DecodeOptions::default().with_limits(*limits))
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
