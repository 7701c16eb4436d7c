//! How the bytes of a frame are laid out: formats, and the planes of each.

use std::fmt;
use std::str::FromStr;

use super::MAX_EDGE;
use crate::error::{Error, Result};

/// How the bytes of a [`Frame`](super::Frame) are laid out, 8 bits a value.
///
/// ```
/// use clipgate::PixelFormat;
///
/// let format: PixelFormat = "nv21".parse()?;
/// assert_eq!(format, PixelFormat::Nv21);
/// assert_eq!(format.frame_bytes(640, 480)?, 640 * 480 * 3 / 2);
/// assert_eq!(format.frame_bytes(3, 3)?, 9 + 2 * 2 * 2);
/// assert!("p010".parse::<PixelFormat>().is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue; 3 bytes a pixel.
    Rgb8,
    /// Blue, green, red; 3 bytes a pixel. V4L2 calls it BGR3.
    Bgr8,
    /// Red, green, blue, alpha; 4 bytes a pixel. Alpha is ignored, as by Pillow's `convert("RGB")`.
    Rgba8,
    /// Blue, green, red, alpha; 4 bytes a pixel. Alpha is ignored.
    Bgra8,
    /// Luminance of the full range 0 to 255; 1 byte a pixel.
    Gray8,
    /// Two planes: Y, then U and V by turns, one of each for 2x2 pixels.
    Nv12,
    /// Two planes: Y, then V and U by turns, one of each for 2x2 pixels.
    Nv21,
    /// Three planes: Y, U, V; one U and V for 2x2 pixels.
    I420,
    /// Three planes: Y, V, U; one U and V for 2x2 pixels.
    Yv12,
    /// One plane of Y, U, Y, V: 4 bytes for two pixels side by side.
    Yuyv,
    /// One plane of U, Y, V, Y: 4 bytes for two pixels side by side.
    Uyvy,
}

/// One plane of a format.
#[derive(Debug)]
pub(crate) struct PlaneLayout {
    /// What errors call it.
    pub(crate) name: &'static str,
    /// Bytes that lie together, which [`columns`](Self::columns) x [`rows`](Self::rows) pixels share.
    pub(crate) bytes: usize,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    /// Distance of neighbours as [`Plane`](super::Plane) counts it; another one is taken of `loose` planes alone.
    pub(crate) pixel_stride: usize,
    pub(crate) loose: bool,
}

impl PlaneLayout {
    const fn packed(name: &'static str, bytes: usize) -> Self {
        Self {
            name,
            bytes,
            columns: 1,
            rows: 1,
            pixel_stride: bytes,
            loose: false,
        }
    }

    const fn two_pixels(name: &'static str) -> Self {
        Self {
            name,
            bytes: 4,
            columns: 2,
            rows: 1,
            pixel_stride: 2,
            loose: false,
        }
    }

    const fn chroma(name: &'static str, bytes: usize) -> Self {
        Self {
            name,
            bytes,
            columns: 2,
            rows: 2,
            pixel_stride: bytes,
            loose: bytes == 1,
        }
    }

    /// How many groups of bytes a row has, and how many rows there are; odd edges are rounded up.
    pub(crate) fn extent(&self, width: u32, height: u32) -> (usize, usize) {
        (
            width.div_ceil(self.columns) as usize,
            height.div_ceil(self.rows) as usize,
        )
    }
}

const Y: PlaneLayout = PlaneLayout::packed("Y", 1);

impl PixelFormat {
    /// All formats; a later version may have more.
    pub const ALL: &'static [Self] = &[
        Self::Rgb8,
        Self::Bgr8,
        Self::Rgba8,
        Self::Bgra8,
        Self::Gray8,
        Self::Nv12,
        Self::Nv21,
        Self::I420,
        Self::Yv12,
        Self::Yuyv,
        Self::Uyvy,
    ];

    /// The name that [`FromStr`] reads: `rgb`, `bgr`, `rgba`, `bgra`, `gray`, `nv12`, `nv21`, `i420`, `yv12`, `yuyv`
    /// or `uyvy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rgb8 => "rgb",
            Self::Bgr8 => "bgr",
            Self::Rgba8 => "rgba",
            Self::Bgra8 => "bgra",
            Self::Gray8 => "gray",
            Self::Nv12 => "nv12",
            Self::Nv21 => "nv21",
            Self::I420 => "i420",
            Self::Yv12 => "yv12",
            Self::Yuyv => "yuyv",
            Self::Uyvy => "uyvy",
        }
    }

    /// Length of a packed frame in bytes: rows without padding, planes one after another, a chroma sample more where
    /// an edge is odd.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an edge is 0 or above [`MAX_EDGE`].
    pub fn frame_bytes(self, width: u32, height: u32) -> Result<usize> {
        check_edges(width, height)?;
        self.planes()
            .iter()
            .try_fold(0usize, |total, plane| {
                let (groups, rows) = plane.extent(width, height);
                total.checked_add(groups.checked_mul(plane.bytes)?.checked_mul(rows)?)
            })
            .ok_or_else(|| {
                Error::caller(format!(
                    "a {width}x{height} {self} frame does not fit in this machine's memory"
                ))
            })
    }

    pub(crate) fn planes(self) -> &'static [PlaneLayout] {
        const NV12: [PlaneLayout; 2] = [Y, PlaneLayout::chroma("UV", 2)];
        const NV21: [PlaneLayout; 2] = [Y, PlaneLayout::chroma("VU", 2)];
        const I420: [PlaneLayout; 3] =
            [Y, PlaneLayout::chroma("U", 1), PlaneLayout::chroma("V", 1)];
        const YV12: [PlaneLayout; 3] =
            [Y, PlaneLayout::chroma("V", 1), PlaneLayout::chroma("U", 1)];
        match self {
            Self::Rgb8 => const { &[PlaneLayout::packed("RGB", 3)] },
            Self::Bgr8 => const { &[PlaneLayout::packed("BGR", 3)] },
            Self::Rgba8 => const { &[PlaneLayout::packed("RGBA", 4)] },
            Self::Bgra8 => const { &[PlaneLayout::packed("BGRA", 4)] },
            Self::Gray8 => const { &[PlaneLayout::packed("gray", 1)] },
            Self::Nv12 => &NV12,
            Self::Nv21 => &NV21,
            Self::I420 => &I420,
            Self::Yv12 => &YV12,
            Self::Yuyv => const { &[PlaneLayout::two_pixels("YUYV")] },
            Self::Uyvy => const { &[PlaneLayout::two_pixels("UYVY")] },
        }
    }
}

/// Refuses edges of 0 and above [`MAX_EDGE`].
pub(super) fn check_edges(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 || width > MAX_EDGE || height > MAX_EDGE {
        return Err(Error::caller(format!(
            "a frame of {width}x{height}: each edge is 1 to {MAX_EDGE} pixels"
        )));
    }
    Ok(())
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PixelFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.iter().map(|format| format.as_str()).collect();
                let known = known.join(", ");
                let start: String = name.chars().take(32).collect();
                Error::caller(format!("pixel format {start:?} is none of {known}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for &format in PixelFormat::ALL {
            assert_eq!(format.as_str().parse::<PixelFormat>().unwrap(), format);
        }
        let error = "NV12".parse::<PixelFormat>().unwrap_err().to_string();
        assert!(
            error.contains("\"NV12\"") && error.contains("nv12"),
            "{error}"
        );
    }

    #[test]
    fn odd_edges_have_a_chroma_sample_more() {
        let bytes = |format: PixelFormat, width, height| format.frame_bytes(width, height).unwrap();
        for format in [
            PixelFormat::Nv12,
            PixelFormat::Nv21,
            PixelFormat::I420,
            PixelFormat::Yv12,
        ] {
            assert_eq!(bytes(format, 1, 1), 3);
            assert_eq!(bytes(format, 5, 3), 15 + 2 * 3 * 2);
            assert_eq!(bytes(format, 1920, 1080), 3_110_400);
        }
        assert_eq!(bytes(PixelFormat::Yuyv, 5, 3), 36);
        assert_eq!(bytes(PixelFormat::Bgra8, 5, 3), 60);
        for (width, height) in [(0, 1), (1, 0), (MAX_EDGE + 1, 1), (1, u32::MAX)] {
            assert!(PixelFormat::Nv12.frame_bytes(width, height).is_err());
        }
    }
}
