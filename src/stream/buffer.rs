//! A frame that owns its pixels, and is used again for the next one.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Frame, Orientation, PixelFormat, Plane, Region};

/// A copy of a frame whose planes lie as they did. Its memory grows to the largest frame's.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    shape: Option<Shape>,
}

/// Everything about a frame but its pixels, and where these are.
#[derive(Debug)]
struct Shape {
    planes: [PlaneShape; 3],
    count: usize,
    width: u32,
    height: u32,
    format: PixelFormat,
    color: ColorSpace,
    orientation: Orientation,
    region: Region,
    fast_decoded: bool,
}

#[derive(Clone, Debug, Default)]
struct PlaneShape {
    bytes: Range<usize>,
    row_stride: usize,
    pixel_stride: usize,
}

impl FrameBuffer {
    /// Copies a frame of at most `limit` bytes.
    pub(super) fn fill(&mut self, frame: &Frame<'_>, limit: usize) -> Result<()> {
        let shape = Shape::of(frame);
        let bytes = shape.as_ref().map_or(usize::MAX, Shape::bytes);
        let Some(shape) = shape.filter(|_| bytes <= limit) else {
            return Err(Error::caller(format!(
                "a {}x{} {} frame of {bytes} bytes: this stream takes at most {limit} (StreamOptions::max_frame_bytes)",
                frame.width(),
                frame.height(),
                frame.format()
            )));
        };
        if let Some(more) = bytes.checked_sub(self.bytes.len()) {
            // As large as the camera's frames, and a small device's memory may be nearly full.
            self.bytes.try_reserve_exact(more).map_err(|error| {
                Error::machine(format!("no memory for a frame of {bytes} bytes")).with_source(error)
            })?;
            self.bytes.resize(bytes, 0);
        }
        for (plane, shape) in frame.planes().iter().zip(&shape.planes) {
            let from = &plane.data[..shape.bytes.len()];
            self.bytes[shape.bytes.clone()].copy_from_slice(from);
        }
        self.shape = Some(shape);
        Ok(())
    }

    /// The frame that was copied.
    pub(super) fn frame(&self) -> Result<Frame<'_>> {
        let Some(shape) = &self.shape else {
            return Err(Error::caller("no frame was taken yet"));
        };
        let planes = shape.planes.each_ref().map(|plane| Plane {
            data: &self.bytes[plane.bytes.clone()],
            row_stride: plane.row_stride,
            pixel_stride: plane.pixel_stride,
        });
        let planes = &planes[..shape.count];
        let frame = Frame::from_planes(planes, shape.width, shape.height, shape.format)?;
        Ok(frame
            .with_color(shape.color)
            .oriented(shape.orientation)
            .region(shape.region)
            .fast_decoded(shape.fast_decoded))
    }
}

impl Shape {
    /// One plane after the other; but two whose bytes lie by turns in one memory, as U and V do on Android, stay so.
    /// `None` if they are more bytes than can be counted: planes of one memory may be, where an address has 32 bits.
    fn of(frame: &Frame<'_>) -> Option<Self> {
        let mut planes: [PlaneShape; 3] = Default::default();
        let mut end = 0_usize;
        for ((shape, plane), needed) in planes.iter_mut().zip(frame.planes()).zip(needed(frame)) {
            let begin = end;
            end = begin.checked_add(needed)?;
            *shape = PlaneShape {
                bytes: begin..end,
                row_stride: plane.row_stride,
                pixel_stride: plane.pixel_stride,
            };
        }
        if let [_, one, other] = frame.planes() {
            let [_, first, second] = &mut planes;
            let (at, other_at) = (one.data.as_ptr().addr(), other.data.as_ptr().addr());
            let (length, other_length) = (first.bytes.len(), second.bytes.len());
            if at < other_at.saturating_add(other_length) && other_at < at.saturating_add(length) {
                let begin = first.bytes.start;
                let least = at.min(other_at);
                let (from, other_from) = (begin + (at - least), begin + (other_at - least));
                first.bytes = from..from + length;
                second.bytes = other_from..other_from + other_length;
            }
        }
        Some(Self {
            planes,
            count: frame.planes().len(),
            width: frame.width(),
            height: frame.height(),
            format: frame.format(),
            color: frame.color(),
            orientation: frame.orientation(),
            region: frame.looked_at(),
            fast_decoded: frame.is_fast_decoded(),
        })
    }

    fn bytes(&self) -> usize {
        let ends = self.planes.iter().map(|plane| plane.bytes.end);
        ends.max().unwrap_or(0)
    }
}

/// Bytes of each plane up to its last row's last value.
fn needed(frame: &Frame<'_>) -> impl Iterator<Item = usize> {
    let layouts = frame.format().planes().iter();
    layouts.zip(frame.planes()).map(|(layout, plane)| {
        let (groups, rows) = layout.extent(frame.width(), frame.height());
        plane.row_stride * (rows - 1)
            + (groups - 1) * plane.pixel_stride.max(layout.bytes)
            + layout.bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ColorMatrix;

    const ANY: usize = usize::MAX;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 7 % 251) as u8).collect()
    }

    fn planes_of(frame: &Frame<'_>) -> Vec<Vec<u8>> {
        let planes = frame.planes().iter().zip(needed(frame));
        planes
            .map(|(plane, needed)| plane.data[..needed].to_vec())
            .collect()
    }

    #[test]
    fn every_format_is_kept_to_the_byte_with_all_that_is_known_of_it() {
        let mut buffer = FrameBuffer::default();
        for &format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (7, 5), (64, 48)] {
                let pixels = bytes(format.frame_bytes(width, height).unwrap());
                let frame = Frame::new(&pixels, width, height, format)
                    .unwrap()
                    .with_color(ColorSpace::BT709_FULL)
                    .oriented(Orientation::clockwise(90).unwrap().mirrored())
                    .region(Region::new(0.25, 0.0, 1.0, 0.5).unwrap());
                buffer.fill(&frame, pixels.len()).unwrap();
                let copy = buffer.frame().unwrap();
                assert_eq!(
                    planes_of(&copy),
                    planes_of(&frame),
                    "{format} {width}x{height}"
                );
                assert_eq!(copy.color().matrix, ColorMatrix::Bt709);
                assert_eq!(copy.view(), frame.view());
                assert_eq!(copy.format(), format);
            }
        }
    }

    #[test]
    fn planes_by_turns_stay_so_and_gaps_are_kept() {
        let (luma, chroma) = (bytes(8 * 4), bytes(8 * 2));
        let y = Plane {
            data: &luma,
            row_stride: 8,
            pixel_stride: 1,
        };
        for (u_first, format) in [(true, PixelFormat::I420), (false, PixelFormat::Yv12)] {
            let [mut u, mut v] = [&chroma[..15], &chroma[1..]].map(|data| Plane {
                data,
                row_stride: 8,
                pixel_stride: 2,
            });
            if !u_first {
                std::mem::swap(&mut u, &mut v);
            }
            let frame = Frame::from_planes(&[y, u, v], 6, 4, format).unwrap();
            let mut buffer = FrameBuffer::default();
            buffer.fill(&frame, ANY).unwrap();
            let copy = buffer.frame().unwrap();
            assert_eq!(planes_of(&copy), planes_of(&frame));
            let distance = |frame: &Frame<'_>| {
                let [_, one, other] = frame.planes() else {
                    panic!("three planes");
                };
                one.data.as_ptr().addr() as isize - other.data.as_ptr().addr() as isize
            };
            assert_eq!(distance(&copy), distance(&frame));
        }
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_and_a_smaller_one_taken() {
        let pixels = bytes(12 * 12);
        let mut buffer = FrameBuffer::default();
        let large = Frame::new(&pixels, 12, 12, PixelFormat::Gray8).unwrap();
        assert!(buffer.fill(&large, 143).is_err());
        buffer.fill(&large, 144).unwrap();
        let small = Frame::new(&pixels[..4], 2, 2, PixelFormat::Gray8).unwrap();
        buffer.fill(&small, 143).unwrap();
        assert_eq!(planes_of(&buffer.frame().unwrap()), [&pixels[..4]]);
    }
}
