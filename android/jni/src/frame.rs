//! A frame whose pixels stay in Java's direct buffers.

use std::slice;

use clipgate::{ColorSpace, Frame, Orientation, PixelFormat, Plane, Region};
use jni::Env;
use jni::objects::{JByteArray, JByteBuffer};

use crate::failure::Failure;
use crate::wire::Reader;

/// Planes a frame can have.
pub(crate) const PLANES: usize = 3;

/// Bytes of a message: the version, three codes, width, height, turn, four edges, how many planes, and four numbers for
/// each that a frame can have.
const MESSAGE: usize = 4 + 3 * 4 + 4 * 4 + 4 + PLANES * 4 * 4;

/// In the place of a number of planes.
const PACKED: i32 = -1;

/// By their codes in `ColorSpace.kt`.
const COLORS: [ColorSpace; 4] = [
    ColorSpace::BT601_LIMITED,
    ColorSpace::BT601_FULL,
    ColorSpace::BT709_LIMITED,
    ColorSpace::BT709_FULL,
];

/// What a message says of one plane.
struct Layout {
    offset: i32,
    length: i32,
    row_stride: i32,
    pixel_stride: i32,
}

/// The frame that `message` describes, whose planes lie in `buffers`.
pub(crate) fn read<'a>(
    env: &Env<'_>,
    message: &JByteArray<'_>,
    buffers: [&'a JByteBuffer<'_>; PLANES],
) -> Result<Frame<'a>, Failure> {
    let mut bytes = [0_i8; MESSAGE];
    if message.len(env)? != MESSAGE {
        return Err(Failure::other_build("a frame's message of another length"));
    }
    message.get_region(env, 0, &mut bytes)?;
    let bytes = bytes.map(i8::cast_unsigned);
    let mut reader = Reader::new(&bytes)?;
    let format = reader.u8()?;
    let format = PixelFormat::ALL
        .get(usize::from(format))
        .copied()
        .ok_or_else(|| Failure::other_build("a pixel format that is not known"))?;
    let color = reader.u8()?;
    let color = COLORS
        .get(usize::from(color))
        .copied()
        .ok_or_else(|| Failure::other_build("a colour space that is not known"))?;
    let mirrored = reader.bool()?;
    let (width, height) = (edge(&mut reader)?, edge(&mut reader)?);
    let turn = reader.i32()?;
    let turned = u32::try_from(turn)
        .map_err(|_| Failure::caller(format!("a frame cannot be turned by {turn} degrees")))?;
    let orientation = match mirrored {
        true => Orientation::clockwise(turned)?.mirrored(),
        false => Orientation::clockwise(turned)?,
    };
    let region = Region::new(reader.f32()?, reader.f32()?, reader.f32()?, reader.f32()?)?;
    let count = reader.i32()?;
    let used = if count == PACKED { 1 } else { count };
    let mut planes = [Plane::default(); PLANES];
    for (number, (plane, buffer)) in (0..used).zip(planes.iter_mut().zip(buffers)) {
        *plane = Layout::read(&mut reader)?.plane(env, buffer, number)?;
    }
    let frame = match usize::try_from(count) {
        Ok(count @ 0..=PLANES) => Frame::from_planes(&planes[..count], width, height, format)?,
        Err(_) if count == PACKED => Frame::new(planes[0].data, width, height, format)?,
        _ => {
            return Err(Failure::caller(format!(
                "a frame has up to {PLANES} planes, not {count}"
            )));
        }
    };
    Ok(frame.with_color(color).oriented(orientation).region(region))
}

fn edge(reader: &mut Reader<'_>) -> Result<u32, Failure> {
    let edge = reader.i32()?;
    u32::try_from(edge)
        .map_err(|_| Failure::caller(format!("a frame has no edge of {edge} pixels")))
}

impl Layout {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Failure> {
        Ok(Self {
            offset: reader.i32()?,
            length: reader.i32()?,
            row_stride: reader.i32()?,
            pixel_stride: reader.i32()?,
        })
    }

    /// The plane in `buffer`, which lives as long as the reference to it.
    fn plane<'a>(
        &self,
        env: &Env<'_>,
        buffer: &'a JByteBuffer<'_>,
        number: i32,
    ) -> Result<Plane<'a>, Failure> {
        let size = |value: i32, what: &str| {
            usize::try_from(value)
                .map_err(|_| Failure::caller(format!("plane {number}: {what} is {value}")))
        };
        let (offset, length) = (
            size(self.offset, "its begin")?,
            size(self.length, "its length")?,
        );
        if buffer.is_null() {
            return Err(Failure::caller(format!(
                "plane {number}: the buffer is null"
            )));
        }
        let (Ok(start), Ok(capacity)) = (
            env.get_direct_buffer_address(buffer),
            env.get_direct_buffer_capacity(buffer),
        ) else {
            return Err(Failure::caller(format!(
                "plane {number}: the buffer lies on Java's heap, which moves: hand over a direct one \
                 (ByteBuffer.allocateDirect, or the camera's own)"
            )));
        };
        if offset.checked_add(length).is_none_or(|end| end > capacity) {
            return Err(Failure::caller(format!(
                "plane {number}: {length} bytes from {offset} on do not lie in a buffer of {capacity}"
            )));
        }
        #[expect(unsafe_code, reason = "memory of a direct buffer is read")]
        // SAFETY: the Java VM says that `capacity` bytes from `start` on are the buffer's, and keeps them for as long as
        // there is a reference to it, which `buffer` is; the range was checked to lie within. `start` is not null. The
        // bytes are only read, and the slice does not outlive the call. That nobody writes to them meanwhile, or gives
        // the camera its image back, is what `Classifier.kt` asks of the caller.
        let data = unsafe { slice::from_raw_parts(start.add(offset), length) };
        Ok(Plane {
            data,
            row_stride: size(self.row_stride, "its row stride")?,
            pixel_stride: size(self.pixel_stride, "its pixel stride")?,
        })
    }
}
