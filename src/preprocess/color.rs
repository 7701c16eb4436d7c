//! Pixel formats to packed RGB, some rows and columns at a time.
//!
//! `yuv` does the arithmetic: 13 fractional bits, one chroma sample for all pixels that share it (as OpenCV). It is
//! handed whole strides, since it leaves out a row that ends before its stride does. What it does not read as it lies
//! in memory is first copied to rows of its own: the last rows of a frame, U and V with gaps between, and YUYV, which
//! `yuv` itself converts with 6 fractional bits.

use std::ops::Range;

use yuv::{
    YuvBiPlanarImage, YuvConversionMode, YuvError, YuvGrayImage, YuvPlanarImage, YuvRange,
    YuvStandardMatrix, bgr_to_rgb, bgra_to_rgb, rgba_to_rgb, yuv_nv12_to_rgb, yuv_nv16_to_rgb,
    yuv_nv21_to_rgb, yuv400_to_rgb, yuv420_to_rgb,
};

use crate::error::{Error, Result};
use crate::frame::{ColorMatrix, ColorRange, ColorSpace, Frame, PixelFormat, Plane};

/// 13 fractional bits: half a level at most is lost.
const MODE: YuvConversionMode = YuvConversionMode::Balanced;

/// Converts frames to RGB, at most so many columns at a time as it was made for.
#[derive(Debug)]
pub(super) struct Converter {
    /// Three rows of single bytes.
    scratch: Vec<u8>,
}

/// What is converted, beginning at an even row and column as chroma samples do, and where to.
pub(super) struct Target<'a> {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// The beginning of the first row; rows are a whole stride long.
    pub(super) rgb: &'a mut [u8],
    /// Bytes from a row to the next.
    pub(super) stride: usize,
}

impl<'a> Target<'a> {
    fn width(&self) -> u32 {
        self.columns.len() as u32
    }

    fn height(&self) -> u32 {
        self.rows.len() as u32
    }

    /// The same up to `row`, and from there on; each only if it has rows.
    fn split(self, row: usize) -> [Option<Self>; 2] {
        let row = row.clamp(self.rows.start, self.rows.end);
        let at = (row - self.rows.start) * self.stride;
        let (before, after) = self.rgb.split_at_mut(at);
        let part = |rows: Range<usize>, rgb| {
            (!rows.is_empty()).then(|| Self {
                rows,
                columns: self.columns.clone(),
                rgb,
                stride: self.stride,
            })
        };
        [
            part(self.rows.start..row, before),
            part(row..self.rows.end, after),
        ]
    }

    /// The bytes of its rows, and nothing after them.
    fn rgb(&mut self) -> &mut [u8] {
        &mut self.rgb[..self.rows.len() * self.stride]
    }

    /// Each row with what is written there.
    fn into_rows(self) -> impl Iterator<Item = (usize, &'a mut [u8])> {
        let bytes = self.columns.len() * 3;
        let rows = self.rgb.chunks_mut(self.stride);
        self.rows.zip(rows.map(move |row| &mut row[..bytes]))
    }
}

/// Where Y, U and V of a frame lie that has one U and one V for 2x2 pixels.
struct Planes<'a> {
    y: Plane<'a>,
    u: Plane<'a>,
    v: Plane<'a>,
}

impl Converter {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            scratch: vec![0; 3 * columns.next_multiple_of(2)],
        }
    }

    /// Writes packed RGB; nothing if there are no rows.
    pub(super) fn run(&mut self, frame: &Frame<'_>, target: Target<'_>) -> Result<()> {
        if target.rows.is_empty() {
            return Ok(());
        }
        let format = frame.format();
        let meaning = meaning(frame.color());
        match (format, frame.planes()) {
            (PixelFormat::Yuyv | PixelFormat::Uyvy, [plane]) => {
                self.yuv422(format, plane, meaning, target)
            }
            (_, [plane]) => packed(format, plane, target),
            (_, &[y, chroma]) => {
                let second = Plane {
                    data: &chroma.data[1..],
                    ..chroma
                };
                let (u, v) = match format {
                    PixelFormat::Nv21 => (second, chroma),
                    _ => (chroma, second),
                };
                self.yuv420(&Planes { y, u, v }, meaning, target)
            }
            (PixelFormat::Yv12, &[y, v, u]) | (_, &[y, u, v]) => {
                self.yuv420(&Planes { y, u, v }, meaning, target)
            }
            _ => Ok(()),
        }
        .map_err(|error| {
            Error::caller(format!("a {format} frame cannot be converted")).with_source(error)
        })
    }

    /// Two pixels in four bytes: their Y and their chroma are copied apart.
    fn yuv422(
        &mut self,
        format: PixelFormat,
        plane: &Plane<'_>,
        (matrix, range): Meaning,
        target: Target<'_>,
    ) -> Result<(), YuvError> {
        let (width, first) = (target.width(), target.columns.start);
        let bytes = target.columns.len().next_multiple_of(2);
        let (y, chroma) = self.scratch.split_at_mut(bytes);
        let chroma = &mut chroma[..bytes];
        for (row, rgb) in target.into_rows() {
            let start = row * plane.row_stride + first * 2;
            let (pairs, _) = plane.data[start..start + bytes * 2].as_chunks::<2>();
            let (even, odd): (&mut [u8], &mut [u8]) = match format {
                PixelFormat::Uyvy => (chroma, y),
                _ => (y, chroma),
            };
            for ((even, odd), pair) in even.iter_mut().zip(odd).zip(pairs) {
                [*even, *odd] = *pair;
            }
            let image = YuvBiPlanarImage {
                y_plane: y,
                y_stride: bytes as u32,
                uv_plane: chroma,
                uv_stride: bytes as u32,
                width,
                height: 1,
            };
            yuv_nv16_to_rgb(&image, rgb, width * 3, range, matrix, MODE)?;
        }
        Ok(())
    }

    fn yuv420(
        &mut self,
        planes: &Planes<'_>,
        meaning: Meaning,
        target: Target<'_>,
    ) -> Result<(), YuvError> {
        if planes.u.pixel_stride == 1 && planes.v.pixel_stride == 1 {
            return planar(planes, meaning, target);
        }
        let row = target.columns.end.next_multiple_of(2);
        let (chroma, order) = match planes.side_by_side() {
            Some((chroma, order)) if chroma.row_stride >= row => (chroma, order),
            _ => return self.gathered(planes, meaning, target),
        };
        // Rows whose strides lie in the planes wholly.
        let luma_rows = luma_from(&planes.y, &target).len() / planes.y.row_stride;
        let chroma_rows = chroma_from(&chroma, &target).len() / chroma.row_stride;
        let whole = (luma_rows / 2).min(chroma_rows) * 2;
        let first = target.rows.start;
        let [whole, rest] = target.split(first + whole);
        if let Some(whole) = whole {
            let image = YuvBiPlanarImage {
                y_plane: &luma_from(&planes.y, &whole)[..whole.rows.len() * planes.y.row_stride],
                y_stride: planes.y.row_stride as u32,
                uv_plane: &chroma_from(&chroma, &whole)
                    [..whole.rows.len().div_ceil(2) * chroma.row_stride],
                uv_stride: chroma.row_stride as u32,
                width: whole.width(),
                height: whole.height(),
            };
            side_by_side(&image, order, meaning, whole)?;
        }
        match rest {
            Some(rest) => self.gathered(planes, meaning, rest),
            None => Ok(()),
        }
    }

    /// Planes of any strides: two rows at a time are copied together.
    fn gathered(
        &mut self,
        planes: &Planes<'_>,
        meaning: Meaning,
        target: Target<'_>,
    ) -> Result<(), YuvError> {
        let width = target.columns.len();
        let bytes = width.next_multiple_of(2);
        let (y, chroma) = self.scratch.split_at_mut(2 * bytes);
        let chroma = &mut chroma[..bytes];
        let mut rest = Some(target);
        while let Some(target) = rest {
            let next = target.rows.start + 2;
            let [Some(two_rows), after] = target.split(next) else {
                break;
            };
            rest = after;
            let from = luma_from(&planes.y, &two_rows).chunks(planes.y.row_stride);
            for (y, from) in y.chunks_mut(bytes).zip(from).take(two_rows.rows.len()) {
                y[..width].copy_from_slice(&from[..width]);
            }
            let us = chroma_from(&planes.u, &two_rows).iter();
            let vs = chroma_from(&planes.v, &two_rows).iter();
            let us = us.step_by(planes.u.pixel_stride);
            let vs = vs.step_by(planes.v.pixel_stride);
            for ((pair, u), v) in chroma.as_chunks_mut().0.iter_mut().zip(us).zip(vs) {
                *pair = [*u, *v];
            }
            let image = YuvBiPlanarImage {
                y_plane: &y[..two_rows.rows.len() * bytes],
                y_stride: bytes as u32,
                uv_plane: chroma,
                uv_stride: bytes as u32,
                width: two_rows.width(),
                height: two_rows.height(),
            };
            side_by_side(&image, Order::Uv, meaning, two_rows)?;
        }
        Ok(())
    }
}

impl<'a> Planes<'a> {
    /// U and V as one plane, if they are that: pixel strides of 2, and one a byte after the other in memory.
    fn side_by_side(&self) -> Option<(Plane<'a>, Order)> {
        let (u, v) = (self.u, self.v);
        let alike = u.pixel_stride == 2 && v.pixel_stride == 2 && u.row_stride == v.row_stride;
        let follows = |a: &[u8], b: &[u8]| a.as_ptr().wrapping_add(1) == b.as_ptr();
        if alike && follows(u.data, v.data) {
            Some((u, Order::Uv))
        } else if alike && follows(v.data, u.data) {
            Some((v, Order::Vu))
        } else {
            None
        }
    }
}

/// U and V by turns.
#[derive(Clone, Copy)]
enum Order {
    Uv,
    Vu,
}

type Meaning = (YuvStandardMatrix, YuvRange);

fn meaning(color: ColorSpace) -> Meaning {
    let matrix = match color.matrix {
        ColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
        ColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
    };
    let range = match color.range {
        ColorRange::Limited => YuvRange::Limited,
        ColorRange::Full => YuvRange::Full,
    };
    (matrix, range)
}

/// From the target's first value on, of a plane that has one for each pixel.
fn luma_from<'a>(y: &Plane<'a>, target: &Target<'_>) -> &'a [u8] {
    &y.data[target.rows.start * y.row_stride + target.columns.start * y.pixel_stride..]
}

/// From the target's first value on, of a plane that has one for 2x2 pixels.
fn chroma_from<'a>(chroma: &Plane<'a>, target: &Target<'_>) -> &'a [u8] {
    let (row, column) = (target.rows.start / 2, target.columns.start / 2);
    &chroma.data[row * chroma.row_stride + column * chroma.pixel_stride..]
}

fn planar(
    Planes { y, u, v }: &Planes<'_>,
    (matrix, range): Meaning,
    mut target: Target<'_>,
) -> Result<(), YuvError> {
    let image = YuvPlanarImage {
        y_plane: luma_from(y, &target),
        y_stride: y.row_stride as u32,
        u_plane: chroma_from(u, &target),
        u_stride: u.row_stride as u32,
        v_plane: chroma_from(v, &target),
        v_stride: v.row_stride as u32,
        width: target.width(),
        height: target.height(),
    };
    let stride = target.stride as u32;
    yuv420_to_rgb(&image, target.rgb(), stride, range, matrix)
}

fn side_by_side(
    image: &YuvBiPlanarImage<'_, u8>,
    order: Order,
    (matrix, range): Meaning,
    mut target: Target<'_>,
) -> Result<(), YuvError> {
    let stride = target.stride as u32;
    match order {
        Order::Uv => yuv_nv12_to_rgb(image, target.rgb(), stride, range, matrix, MODE),
        Order::Vu => yuv_nv21_to_rgb(image, target.rgb(), stride, range, matrix, MODE),
    }
}

/// Formats that are RGB or grey already.
fn packed(format: PixelFormat, plane: &Plane<'_>, target: Target<'_>) -> Result<(), YuvError> {
    let (width, columns) = (target.width(), target.columns.clone());
    let bytes = width * plane.pixel_stride as u32;
    for (row, rgb) in target.into_rows() {
        let start = row * plane.row_stride;
        let from = &plane.data[start + columns.start * plane.pixel_stride..][..bytes as usize];
        match format {
            PixelFormat::Bgr8 => bgr_to_rgb(from, bytes, rgb, width * 3, width, 1)?,
            PixelFormat::Rgba8 => rgba_to_rgb(from, bytes, rgb, width * 3, width, 1)?,
            PixelFormat::Bgra8 => bgra_to_rgb(from, bytes, rgb, width * 3, width, 1)?,
            PixelFormat::Gray8 => {
                let image = YuvGrayImage {
                    y_plane: from,
                    y_stride: bytes,
                    width,
                    height: 1,
                };
                let (range, matrix) = (YuvRange::Full, YuvStandardMatrix::Bt601);
                yuv400_to_rgb(&image, rgb, width * 3, range, matrix)?;
            }
            _ => rgb.copy_from_slice(from),
        }
    }
    Ok(())
}
