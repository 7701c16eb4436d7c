//! One picture in memory in different ways: planes, strides, formats.

use super::{Noise, rgb_of, values};
use crate::frame::{Frame, PixelFormat, Plane};
use crate::preprocess::{Preprocessing, Preprocessor};

/// A way to hold the planes of a 4:2:0 picture.
struct Planes {
    y: Vec<u8>,
    y_stride: usize,
    u: Vec<u8>,
    v: Vec<u8>,
    width: usize,
    height: usize,
}

impl Planes {
    fn noise(width: usize, height: usize) -> Self {
        let mut noise = Noise(width as u32 * 40_503 + height as u32);
        let samples = width.div_ceil(2) * height.div_ceil(2);
        Self {
            y: noise.bytes(width * height),
            y_stride: width,
            u: noise.bytes(samples),
            v: noise.bytes(samples),
            width,
            height,
        }
    }

    fn y(&self) -> Plane<'_> {
        Plane {
            data: &self.y,
            row_stride: self.y_stride,
            pixel_stride: 1,
        }
    }

    /// U's and V's bytes in one memory: sample `i` of a row at `i * pixel_stride` after its row's begin and `offset`.
    fn spread(&self, pixel_stride: usize, row_stride: usize, [u, v]: [usize; 2]) -> Vec<u8> {
        let width = self.width.div_ceil(2);
        let rows = self.height.div_ceil(2);
        let mut bytes = vec![77; rows * row_stride + u.max(v)];
        for (offset, plane) in [(u, &self.u), (v, &self.v)] {
            for (i, value) in plane.iter().enumerate() {
                bytes[offset + i / width * row_stride + i % width * pixel_stride] = *value;
            }
        }
        bytes
    }

    fn frame<'a>(&self, planes: &[Plane<'a>], format: PixelFormat) -> Frame<'a> {
        Frame::from_planes(planes, self.width as u32, self.height as u32, format).unwrap()
    }
}

#[test]
fn layouts_of_one_yuv_picture_agree_to_the_bit() {
    for (width, height) in [(1, 1), (2, 2), (3, 5), (64, 48), (131, 75), (75, 131)] {
        let picture = Planes::noise(width, height);
        let columns = width.div_ceil(2);
        let plane = |data, row_stride, pixel_stride| Plane {
            data,
            row_stride,
            pixel_stride,
        };
        let (y, stride) = (picture.y(), columns * 2 + 6);
        let [uv, vu] = [[0, 1], [1, 0]].map(|offsets| picture.spread(2, stride, offsets));
        let reach = stride * (height.div_ceil(2) - 1) + columns * 2 - 1;
        let apart = picture.spread(3, columns * 6, [0, columns * 3 + 1]);
        let [u, v] = [&picture.u[..], &picture.v[..]].map(|data| plane(data, columns, 1));
        let spread = |bytes| plane(bytes, stride, 2);
        let frames = [
            picture.frame(&[y, u, v], PixelFormat::I420),
            picture.frame(&[y, v, u], PixelFormat::Yv12),
            picture.frame(&[y, spread(&uv)], PixelFormat::Nv12),
            picture.frame(&[y, spread(&vu)], PixelFormat::Nv21),
            // Android: each plane ends with its own last value, or where the memory does.
            picture.frame(
                &[y, spread(&uv[..reach]), spread(&uv[1..][..reach])],
                PixelFormat::I420,
            ),
            picture.frame(&[y, spread(&vu[1..]), spread(&vu)], PixelFormat::I420),
            picture.frame(
                &[y, spread(&vu[..reach]), spread(&vu[1..][..reach])],
                PixelFormat::Yv12,
            ),
            picture.frame(
                &[
                    y,
                    plane(&apart, columns * 6, 3),
                    plane(&apart[columns * 3 + 1..], columns * 6, 3),
                ],
                PixelFormat::I420,
            ),
        ];
        for (which, frame) in frames.iter().enumerate() {
            assert_eq!(
                rgb_of(frame),
                rgb_of(&frames[0]),
                "{width}x{height}, layout {which}"
            );
            let spec = Preprocessing::openai(32);
            assert_eq!(
                values(frame, spec),
                values(&frames[0], spec),
                "{width}x{height}, {which}"
            );
        }
    }
}

#[test]
fn formats_and_strides_of_one_picture_agree() {
    let (width, height) = (37u32, 23u32);
    let gray: Vec<u8> = (0..width * height)
        .map(|i| (i * 7919 % 251) as u8)
        .collect();
    let rgb: Vec<u8> = gray.iter().flat_map(|&v| [v; 3]).collect();
    let rgba: Vec<u8> = gray.iter().flat_map(|&v| [v, v, v, v ^ 0x55]).collect();
    let stride = width as usize * 3 + 5;
    let mut padded = vec![9; stride * height as usize];
    for (row, from) in padded
        .chunks_mut(stride)
        .zip(rgb.chunks(width as usize * 3))
    {
        row[..from.len()].copy_from_slice(from);
    }
    let frames = [
        Frame::new(&rgb, width, height, PixelFormat::Rgb8).unwrap(),
        Frame::new(&rgba, width, height, PixelFormat::Rgba8).unwrap(),
        Frame::new(&gray, width, height, PixelFormat::Gray8).unwrap(),
        Frame::with_stride(&padded, width, height, stride, PixelFormat::Rgb8).unwrap(),
    ];
    let spec = Preprocessing::openai(16);
    let mut preprocessor = Preprocessor::new(spec).unwrap();
    let results = frames.map(|frame| {
        let mut values = vec![0.0; spec.pixel_values_len()];
        preprocessor.run(&frame, &mut values).unwrap();
        values
    });
    for other in &results[1..] {
        assert_eq!(&results[0], other);
    }
}
