//! What the bytes of a raw frame are.

use clipgate::{
    ColorSpace, Error, ErrorKind, Frame, Orientation, PixelFormat, Plane, Region, Result,
};

/// The most bytes of a raw frame: 8K in RGBA takes 133 million.
pub(super) const MAX_FRAME_BYTES: usize = 256 << 20;

/// Geometry and colours of a frame whose planes follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: PixelFormat,
    pub(super) color: ColorSpace,
    pub(super) orientation: Orientation,
    pub(super) region: Region,
    /// Bytes from a row to the next one, in the first plane.
    pub(super) row_stride: usize,
}

impl Picture {
    /// Rows and planes follow each other without gaps.
    pub(super) fn packed(width: u32, height: u32, format: PixelFormat) -> Result<Self> {
        let bytes = format.frame_bytes(width, height)?;
        if bytes > MAX_FRAME_BYTES {
            return Err(Error::new(
                ErrorKind::Caller,
                format!(
                    "a {width}x{height} {format} frame has {bytes} bytes: at most {MAX_FRAME_BYTES} are taken"
                ),
            ));
        }
        Ok(Self {
            width,
            height,
            format,
            color: ColorSpace::default(),
            orientation: Orientation::UPRIGHT,
            region: Region::WHOLE,
            row_stride: row(width, format),
        })
    }

    /// Rows of the first plane begin `stride` bytes apart, those of chroma planes as far or half as far.
    #[cfg(any(test, all(feature = "camera", target_os = "linux")))]
    pub(super) fn with_stride(
        width: u32,
        height: u32,
        format: PixelFormat,
        stride: usize,
    ) -> Result<Self> {
        let packed = Self::packed(width, height, format)?;
        let picture = Self {
            // A driver that says 0 means none.
            row_stride: stride.max(packed.row_stride),
            ..packed
        };
        match picture.bytes() {
            0..=MAX_FRAME_BYTES => Ok(picture),
            bytes => Err(Error::new(
                ErrorKind::Machine,
                format!(
                    "a {width}x{height} {format} frame with rows of {stride} bytes has {bytes}: at most \
                     {MAX_FRAME_BYTES} are taken"
                ),
            )),
        }
    }

    /// Bytes of a frame.
    pub(super) fn bytes(&self) -> usize {
        let planes = self.planes();
        planes.iter().fold(0usize, |sum, &(stride, rows)| {
            sum.saturating_add(stride.saturating_mul(rows))
        })
    }

    /// The frame at the beginning of `pixels`.
    pub(super) fn frame<'a>(&self, pixels: &'a [u8]) -> Result<Frame<'a>> {
        let mut rest = pixels;
        let mut planes = [Plane::default(); 3];
        let count = self.planes().len();
        for (index, (plane, (row_stride, rows))) in planes.iter_mut().zip(self.planes()).enumerate()
        {
            let (data, after) = rest
                .split_at_checked(row_stride * rows)
                .unwrap_or((rest, &[]));
            rest = after;
            *plane = Plane {
                data,
                row_stride,
                pixel_stride: pixel_stride(self.format, index),
            };
        }
        let frame = Frame::from_planes(&planes[..count], self.width, self.height, self.format)?;
        Ok(frame
            .with_color(self.color)
            .oriented(self.orientation)
            .region(self.region))
    }

    /// Row stride and rows of each plane.
    fn planes(&self) -> Vec<(usize, usize)> {
        let luma = (self.row_stride, self.height as usize);
        let rows = self.height.div_ceil(2) as usize;
        match self.format {
            // U and V by turns: an odd width has one column more.
            PixelFormat::Nv12 | PixelFormat::Nv21 => {
                vec![luma, (self.row_stride.next_multiple_of(2), rows)]
            }
            PixelFormat::I420 | PixelFormat::Yv12 => {
                let chroma = (self.row_stride.div_ceil(2), rows);
                vec![luma, chroma, chroma]
            }
            _ => vec![luma],
        }
    }
}

/// Bytes of a row in the first plane.
fn row(width: u32, format: PixelFormat) -> usize {
    let width = width as usize;
    match format {
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => width * 3,
        PixelFormat::Rgba8 | PixelFormat::Bgra8 => width * 4,
        PixelFormat::Yuyv | PixelFormat::Uyvy => width.next_multiple_of(2) * 2,
        _ => width,
    }
}

fn pixel_stride(format: PixelFormat, plane: usize) -> usize {
    match format {
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => 3,
        PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
        PixelFormat::Yuyv | PixelFormat::Uyvy => 2,
        PixelFormat::Nv12 | PixelFormat::Nv21 if plane == 1 => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_picture_is_the_frame_that_the_library_makes() {
        for &format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (5, 3), (64, 48)] {
                let pixels: Vec<u8> = (0..format.frame_bytes(width, height).unwrap())
                    .map(|i| i as u8)
                    .collect();
                let picture = Picture::packed(width, height, format).unwrap();
                assert_eq!(picture.bytes(), pixels.len(), "{format} {width}x{height}");
                let (own, packed) = (
                    picture.frame(&pixels).unwrap(),
                    Frame::new(&pixels, width, height, format).unwrap(),
                );
                for (one, other) in own.planes().iter().zip(packed.planes()) {
                    assert_eq!(one.data, other.data, "{format} {width}x{height}");
                    assert_eq!(one.row_stride, other.row_stride);
                    assert_eq!(one.pixel_stride, other.pixel_stride);
                }
            }
        }
    }

    #[test]
    fn gaps_between_rows_are_left_out() {
        let picture = Picture::with_stride(6, 4, PixelFormat::I420, 16).unwrap();
        assert_eq!(picture.bytes(), 16 * 4 + 8 * 2 * 2);
        let pixels: Vec<u8> = (0..picture.bytes()).map(|i| i as u8).collect();
        let frame = picture.frame(&pixels).unwrap();
        let starts: Vec<u8> = frame.planes().iter().map(|plane| plane.data[0]).collect();
        assert_eq!(starts, [0, 64, 80]);
        assert!(picture.frame(&pixels[..pixels.len() - 6]).is_err());
        let huge = Picture::with_stride(6, 30_000, PixelFormat::Gray8, 1 << 20);
        assert!(huge.unwrap_err().to_string().contains("at most"));
    }
}
