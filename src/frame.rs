//! A frame: borrowed, validated pixels.

use crate::error::{Error, Result};

/// The largest width or height of a frame, in pixels.
pub const MAX_EDGE: u32 = 1 << 15;

/// How the bytes of a [`Frame`] are laid out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue; 3 bytes a pixel.
    Rgb8,
    /// Red, green, blue, alpha; 4 bytes a pixel. Alpha is ignored, as by Pillow's `convert("RGB")`.
    Rgba8,
    /// Luminance; 1 byte a pixel.
    Gray8,
}

impl PixelFormat {
    /// Bytes a pixel takes.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Rgb8 => 3,
            Self::Rgba8 => 4,
            Self::Gray8 => 1,
        }
    }
}

/// Borrowed 8-bit sRGB pixels whose geometry has been checked.
///
/// ```
/// use clipgate::{Frame, PixelFormat};
///
/// let pixels = vec![127; 640 * 480 * 3];
/// let frame = Frame::new(&pixels, 640, 480, PixelFormat::Rgb8)?;
/// assert_eq!((frame.width(), frame.height()), (640, 480));
/// assert!(Frame::new(&pixels, 641, 480, PixelFormat::Rgb8).is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pixels: &'a [u8],
    width: u32,
    height: u32,
    stride: usize,
    format: PixelFormat,
}

impl<'a> Frame<'a> {
    /// A frame whose rows follow each other without a gap.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an edge is 0 or above [`MAX_EDGE`], or if
    /// `pixels` is not exactly `width * height * bytes_per_pixel` long.
    pub fn new(pixels: &'a [u8], width: u32, height: u32, format: PixelFormat) -> Result<Self> {
        // Saturates only where the width is refused anyway.
        let stride = (width as usize).saturating_mul(format.bytes_per_pixel());
        let frame = Self::with_stride(pixels, width, height, stride, format)?;
        let expected = stride * height as usize;
        if pixels.len() != expected {
            return Err(Error::caller(format!(
                "a {width}x{height} {format:?} frame has {expected} bytes, not {}",
                pixels.len()
            )));
        }
        Ok(frame)
    }

    /// A frame whose rows begin `stride` bytes apart, as cameras deliver them.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an edge is 0 or above [`MAX_EDGE`], if
    /// `stride` is shorter than a row, or if `pixels` ends before the last row does.
    pub fn with_stride(
        pixels: &'a [u8],
        width: u32,
        height: u32,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self> {
        if width == 0 || height == 0 || width > MAX_EDGE || height > MAX_EDGE {
            return Err(Error::caller(format!(
                "a frame of {width}x{height}: each edge is 1 to {MAX_EDGE} pixels"
            )));
        }
        let row = width as usize * format.bytes_per_pixel();
        if stride < row {
            return Err(Error::caller(format!(
                "a stride of {stride} bytes is shorter than a row of {row}"
            )));
        }
        let needed = stride
            .checked_mul(height as usize - 1)
            .and_then(|bytes| bytes.checked_add(row));
        if needed.is_none_or(|needed| pixels.len() < needed) {
            return Err(Error::caller(format!(
                "a {width}x{height} {format:?} frame with a stride of {stride} does not fit in {} bytes",
                pixels.len()
            )));
        }
        Ok(Self {
            pixels,
            width,
            height,
            stride,
            format,
        })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Layout of the bytes.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes of row `y`, without its padding. `y` is below [`height`](Self::height).
    pub(crate) fn row(&self, y: u32) -> &'a [u8] {
        let start = y as usize * self.stride;
        let length = self.width as usize * self.format.bytes_per_pixel();
        &self.pixels[start..start + length]
    }
}
