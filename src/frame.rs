//! A frame: borrowed, validated pixels.

mod color_space;
mod format;
mod view;

use crate::error::{Error, Result};
use format::{PlaneLayout, check_edges};

pub use color_space::{ColorMatrix, ColorRange, ColorSpace};
pub use format::PixelFormat;
pub(crate) use view::View;
pub use view::{Orientation, Region};

/// The largest width or height of a frame, in pixels.
pub const MAX_EDGE: u32 = 1 << 15;

/// The largest distance of two rows, in bytes.
const MAX_STRIDE: usize = i32::MAX as usize;

/// The largest distance of two neighbours in a row, in bytes.
const MAX_PIXEL_STRIDE: usize = 64;

/// One plane of a [`Frame`], as a camera hands it over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane<'a> {
    /// From the first row's first byte on. The last row may end with its last value.
    pub data: &'a [u8],
    /// Bytes from a row's begin to the next one's.
    pub row_stride: usize,
    /// Bytes from a value to the next one of its kind: 1 for the Y of every planar format, 3 for RGB, 4 for RGBA, 2
    /// for YUYV and for the UV of NV12. U and V of their own have 1, or what the camera says (Android: 2).
    pub pixel_stride: usize,
}

/// Borrowed 8-bit pixels whose geometry has been checked.
///
/// RGB and grey are sRGB. YUV is [BT.601 of limited range](ColorSpace::BT601_LIMITED) unless
/// [`with_color`](Self::with_color) says otherwise; a chroma sample is that of all pixels which share it.
///
/// ```
/// use clipgate::{ColorSpace, Frame, Orientation, PixelFormat, Region};
///
/// let pixels = vec![127; PixelFormat::Nv21.frame_bytes(640, 480)?];
/// let frame = Frame::new(&pixels, 640, 480, PixelFormat::Nv21)?
///     .with_color(ColorSpace::BT601_FULL)
///     .oriented(Orientation::clockwise(90)?)
///     .region(Region::new(0.0, 0.25, 1.0, 0.75)?);
/// assert_eq!((frame.width(), frame.height()), (640, 480));
/// assert_eq!(frame.upright_size(), (480, 320));
/// assert!(Frame::new(&pixels, 642, 480, PixelFormat::Nv21).is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    planes: [Plane<'a>; 3],
    width: u32,
    height: u32,
    format: PixelFormat,
    color: ColorSpace,
    orientation: Orientation,
    region: Region,
    fast_decoded: bool,
}

impl<'a> Frame<'a> {
    /// A packed frame: rows follow each other without a gap, and so do planes.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an edge is 0 or above [`MAX_EDGE`], or if
    /// `pixels` is not exactly [`frame_bytes`](PixelFormat::frame_bytes) long.
    pub fn new(pixels: &'a [u8], width: u32, height: u32, format: PixelFormat) -> Result<Self> {
        let expected = format.frame_bytes(width, height)?;
        if pixels.len() != expected {
            return Err(Error::caller(format!(
                "a {width}x{height} {format} frame has {expected} bytes, not {}",
                pixels.len()
            )));
        }
        let mut planes = [Plane::default(); 3];
        let mut rest = pixels;
        for (plane, layout) in planes.iter_mut().zip(format.planes()) {
            let (groups, rows) = layout.extent(width, height);
            let row_stride = groups * layout.bytes;
            let data;
            (data, rest) = rest.split_at(row_stride * rows);
            *plane = Plane {
                data,
                row_stride,
                pixel_stride: layout.pixel_stride,
            };
        }
        Ok(Self::of(planes, width, height, format))
    }

    /// A frame of one plane whose rows begin `stride` bytes apart, as cameras deliver them.
    ///
    /// # Errors
    /// As [`from_planes`](Self::from_planes); a format of several planes needs that.
    pub fn with_stride(
        pixels: &'a [u8],
        width: u32,
        height: u32,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self> {
        let [layout] = format.planes() else {
            return Err(Error::caller(format!(
                "a {format} frame has {} planes with strides of their own: use Frame::from_planes",
                format.planes().len()
            )));
        };
        let plane = Plane {
            data: pixels,
            row_stride: stride,
            pixel_stride: layout.pixel_stride,
        };
        Self::from_planes(&[plane], width, height, format)
    }

    /// A frame of planes wherever they lie, in the format's order.
    ///
    /// | format | planes |
    /// |---|---|
    /// | NV12, NV21 | Y; U and V by turns (NV21: V and U) |
    /// | I420 | Y; U; V |
    /// | YV12 | Y; V; U |
    /// | others | one |
    ///
    /// Android's `YUV_420_888` is I420 as it comes, three planes Y, U and V with their row and pixel strides. Where U
    /// and V lie side by side in one memory (pixel stride 2) it is as fast as NV12 and NV21.
    ///
    /// ```
    /// use clipgate::{Frame, PixelFormat, Plane};
    ///
    /// // 6x4 pixels, rows padded to 8 bytes; V and U by turns, so that U begins a byte after V.
    /// let (luma, chroma) = (vec![90; 8 * 4], vec![128; 8 * 2]);
    /// let y = Plane { data: &luma, row_stride: 8, pixel_stride: 1 };
    /// let u = Plane { data: &chroma[1..], row_stride: 8, pixel_stride: 2 };
    /// let v = Plane { data: &chroma[..15], row_stride: 8, pixel_stride: 2 };
    /// let frame = Frame::from_planes(&[y, u, v], 6, 4, PixelFormat::I420)?;
    ///
    /// let short = Plane { data: &chroma[..8], ..u };
    /// let error = Frame::from_planes(&[y, short, v], 6, 4, PixelFormat::I420).unwrap_err();
    /// assert!(error.to_string().contains("plane U"));
    /// # Ok::<(), clipgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller), naming the plane, if an edge is 0 or above [`MAX_EDGE`], if
    /// there are more or fewer planes than the format has, if a row stride is shorter than a row, if a plane ends
    /// before its last row does, or if a pixel stride is 0, above 64 or not the format's own: U and V of their own may
    /// have any other.
    pub fn from_planes(
        planes: &[Plane<'a>],
        width: u32,
        height: u32,
        format: PixelFormat,
    ) -> Result<Self> {
        check_edges(width, height)?;
        let layouts = format.planes();
        if planes.len() != layouts.len() {
            let names: Vec<&str> = layouts.iter().map(|layout| layout.name).collect();
            return Err(Error::caller(format!(
                "a {format} frame has {} planes ({}), not {}",
                names.len(),
                names.join(", "),
                planes.len()
            )));
        }
        let mut own = [Plane::default(); 3];
        for ((own, plane), layout) in own.iter_mut().zip(planes).zip(layouts) {
            check_plane(plane, layout, width, height).map_err(|error| {
                error.at(format_args!(
                    "a {width}x{height} {format} frame, plane {}",
                    layout.name
                ))
            })?;
            *own = *plane;
        }
        Ok(Self::of(own, width, height, format))
    }

    fn of(planes: [Plane<'a>; 3], width: u32, height: u32, format: PixelFormat) -> Self {
        Self {
            planes,
            width,
            height,
            format,
            color: ColorSpace::default(),
            orientation: Orientation::UPRIGHT,
            region: Region::WHOLE,
            fast_decoded: false,
        }
    }

    /// The pixels come from a decoder that may decode files smaller.
    pub(crate) fn fast_decoded(self, fast_decoded: bool) -> Self {
        Self {
            fast_decoded,
            ..self
        }
    }

    pub(crate) fn is_fast_decoded(&self) -> bool {
        self.fast_decoded
    }

    /// What Y, U and V mean; RGB and grey frames are sRGB whatever is said here.
    pub fn with_color(self, color: ColorSpace) -> Self {
        Self { color, ..self }
    }

    /// What is to be done to make the picture upright.
    ///
    /// `pixel_values` are those of the turned picture, to the bit; the frame itself is not copied.
    pub fn oriented(self, orientation: Orientation) -> Self {
        Self {
            orientation,
            ..self
        }
    }

    /// The part of the upright picture that is looked at; another call replaces it.
    pub fn region(self, region: Region) -> Self {
        Self { region, ..self }
    }

    /// Width in pixels, at least 1, as the frame lies in memory.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1, as the frame lies in memory.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width and height of what is looked at: turned upright, cut to the region.
    pub fn upright_size(&self) -> (u32, u32) {
        self.view().upright_size()
    }

    /// Layout of the bytes.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// What Y, U and V mean.
    pub fn color(&self) -> ColorSpace {
        self.color
    }

    /// What makes the picture upright.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// The part of the upright picture that is looked at.
    pub(crate) fn looked_at(&self) -> Region {
        self.region
    }

    /// The format's planes, in its order.
    pub fn planes(&self) -> &[Plane<'a>] {
        &self.planes[..self.format.planes().len()]
    }

    /// What is looked at, in the frame's own columns and rows.
    pub(crate) fn view(&self) -> View {
        View::new(self.width, self.height, self.orientation, self.region)
    }
}

fn check_plane(plane: &Plane<'_>, layout: &PlaneLayout, width: u32, height: u32) -> Result<()> {
    let pixel_stride = plane.pixel_stride;
    let fits = match layout.loose {
        true => (1..=MAX_PIXEL_STRIDE).contains(&pixel_stride),
        false => pixel_stride == layout.pixel_stride,
    };
    if !fits {
        let expected = match layout.loose {
            true => format!("1 to {MAX_PIXEL_STRIDE}"),
            false => layout.pixel_stride.to_string(),
        };
        return Err(Error::caller(format!(
            "the pixel stride is {expected}, not {pixel_stride}"
        )));
    }
    let (groups, rows) = layout.extent(width, height);
    let row = match layout.loose {
        true => (groups - 1) * pixel_stride + layout.bytes,
        false => groups * layout.bytes,
    };
    if plane.row_stride < row || plane.row_stride > MAX_STRIDE {
        return Err(Error::caller(format!(
            "a row stride of {} bytes is not between a row of {row} and {MAX_STRIDE}",
            plane.row_stride
        )));
    }
    let needed = plane
        .row_stride
        .checked_mul(rows - 1)
        .and_then(|bytes| bytes.checked_add(row));
    if needed.is_none_or(|needed| plane.data.len() < needed) {
        return Err(Error::caller(format!(
            "{rows} rows of {row} bytes with a row stride of {} do not fit in {} bytes",
            plane.row_stride,
            plane.data.len()
        )));
    }
    Ok(())
}
