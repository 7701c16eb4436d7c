//! What frames of one picture have in common: formats, strides, turns and regions change nothing else.

use super::*;
use crate::frame::{ColorSpace, Orientation, PixelFormat, Plane, Region};
use color::{Converter, Target};

/// Numbers without a pattern.
struct Noise(u32);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.0 >> 24) as u8
            })
            .collect()
    }
}

fn values(frame: &Frame<'_>, spec: Preprocessing) -> Vec<f32> {
    let mut values = vec![0.0; spec.pixel_values_len()];
    Preprocessor::new(spec)
        .unwrap()
        .run(frame, &mut values)
        .unwrap();
    values
}

/// The whole frame as packed RGB, converted at once.
fn rgb_of(frame: &Frame<'_>) -> Vec<u8> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let mut rgb = vec![0; width * height * 3];
    let target = Target {
        rows: 0..height,
        columns: 0..width,
        rgb: &mut rgb,
        stride: width * 3,
    };
    Converter::new(width).run(frame, target).unwrap();
    rgb
}

/// The picture that a person sees, pixel by pixel.
fn upright(rgb: &[u8], width: usize, height: usize, orientation: Orientation) -> (Vec<u8>, usize) {
    let (mut pixels, mut width): (Vec<[u8; 3]>, usize) = (rgb.as_chunks().0.to_vec(), width);
    let mut height = height;
    for _ in 0..orientation.degrees() / 90 {
        let turned = (0..width * height)
            .map(|i| pixels[(height - 1 - i % height) * width + i / height])
            .collect();
        pixels = turned;
        (width, height) = (height, width);
    }
    if orientation.is_mirrored() {
        pixels.chunks_mut(width).for_each(<[_]>::reverse);
    }
    (pixels.into_flattened(), width)
}

fn orientations() -> impl Iterator<Item = Orientation> {
    [0, 90, 180, 270].into_iter().flat_map(|degrees| {
        let turned = Orientation::clockwise(degrees).unwrap();
        [turned, turned.mirrored()]
    })
}

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
fn cutting_then_converting_is_converting_then_cutting() {
    let (width, height) = (151u32, 97u32);
    let regions = [
        [0.0, 0.0, 1.0, 1.0],
        [0.007, 0.011, 0.993, 0.99],
        [0.11, 0.3, 0.12, 0.31],
        [0.5, 0.0, 1.0, 0.33],
        [0.4, 0.45, 0.9, 1.0],
    ];
    for &format in PixelFormat::ALL {
        let bytes = Noise(7).bytes(format.frame_bytes(width, height).unwrap());
        for color in [ColorSpace::BT601_LIMITED, ColorSpace::BT709_FULL] {
            let whole = Frame::new(&bytes, width, height, format)
                .unwrap()
                .with_color(color);
            let rgb = rgb_of(&whole);
            for [left, top, right, bottom] in regions {
                let frame = whole.region(Region::new(left, top, right, bottom).unwrap());
                let view = frame.view();
                let at = (view.rows.start * width as usize + view.columns.start) * 3;
                let (cut_width, cut_height) = frame.upright_size();
                let stride = width as usize * 3;
                let cut = Frame::with_stride(
                    &rgb[at..],
                    cut_width,
                    cut_height,
                    stride,
                    PixelFormat::Rgb8,
                )
                .unwrap();
                for size in [8, 64] {
                    let spec = Preprocessing::openai(size);
                    let expected = values(&cut, spec);
                    assert_eq!(values(&frame, spec), expected, "{format}, {view:?}, {size}");
                }
            }
        }
    }
}

#[test]
fn a_turned_frame_equals_the_turned_picture_to_the_bit() {
    let specs = [
        (16, Resize::ShortestEdge, Interpolation::Bicubic),
        (33, Resize::ShortestEdge, Interpolation::Bilinear),
        (20, Resize::Squash, Interpolation::Bicubic),
    ];
    for (width, height) in [
        (1, 1),
        (1, 40),
        (61, 37),
        (34, 33),
        (33, 35),
        (20, 300),
        (300, 21),
    ] {
        let picture = Noise(width * 31 + height).bytes((width * height * 3) as usize);
        for orientation in orientations() {
            let (turned, row) = upright(&picture, width as usize, height as usize, orientation);
            let rows = turned.len() / 3 / row;
            for region in [[0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.83, 0.97]] {
                let [left, top, right, bottom] = region;
                let region = Region::new(left, top, right, bottom).unwrap();
                let actual = Frame::new(&picture, width, height, PixelFormat::Rgb8)
                    .unwrap()
                    .oriented(orientation)
                    .region(region);
                let expected = Frame::new(&turned, row as u32, rows as u32, PixelFormat::Rgb8)
                    .unwrap()
                    .region(region);
                for (size, resize, interpolation) in specs {
                    let spec = Preprocessing {
                        resize,
                        interpolation,
                        ..Preprocessing::openai(size)
                    };
                    assert_eq!(
                        values(&actual, spec),
                        values(&expected, spec),
                        "{width}x{height}, {orientation:?}, {region:?}, {spec:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn one_preprocessor_takes_frames_of_changing_kind() {
    let spec = Preprocessing::openai(24);
    let mut preprocessor = Preprocessor::new(spec).unwrap();
    let mut actual = vec![0.0; spec.pixel_values_len()];
    for (round, (width, height)) in [(90, 40), (1, 1), (40, 90), (90, 40)]
        .into_iter()
        .enumerate()
    {
        for &format in PixelFormat::ALL {
            let bytes = Noise(round as u32).bytes(format.frame_bytes(width, height).unwrap());
            for orientation in orientations() {
                let frame = Frame::new(&bytes, width, height, format)
                    .unwrap()
                    .oriented(orientation);
                preprocessor.run(&frame, &mut actual).unwrap();
                assert_eq!(actual, values(&frame, spec), "{format}, {orientation:?}");
            }
        }
    }
}

#[test]
fn a_spec_with_an_unknown_resize_or_filter_is_refused() {
    let spec = serde_json::to_value(Preprocessing::openai(64)).unwrap();
    assert_eq!(spec["resize"], "shortest_edge");
    assert_eq!(spec["interpolation"], "bicubic");
    for (field, value) in [("resize", "longest"), ("interpolation", "nearest")] {
        let mut changed = spec.clone();
        changed[field] = value.into();
        let error = serde_json::from_value::<Preprocessing>(changed).unwrap_err();
        assert!(error.to_string().contains(value), "{error}");
    }
}

#[test]
fn validate_names_the_field() {
    let good = Preprocessing::openai(64);
    let cases = [
        (Preprocessing { size: 0, ..good }, "size"),
        (
            Preprocessing {
                size: MAX_SIZE + 1,
                ..good
            },
            "size",
        ),
        (
            Preprocessing {
                mean: [f32::NAN, 0.0, 0.0],
                ..good
            },
            "mean",
        ),
        (
            Preprocessing {
                std: [1.0, 0.0, 1.0],
                ..good
            },
            "std",
        ),
        (
            Preprocessing {
                std: [1.0, -1.0, 1.0],
                ..good
            },
            "std",
        ),
        (
            Preprocessing {
                mean: [f32::MAX; 3],
                ..good
            },
            "mean",
        ),
    ];
    for (spec, field) in cases {
        let error = spec.validate().unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
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

#[test]
fn the_longest_panoramas_are_taken_by_every_rule() {
    let pixels = vec![200; crate::MAX_EDGE as usize];
    for resize in [Resize::ShortestEdge, Resize::Squash] {
        for interpolation in [Interpolation::Bicubic, Interpolation::Bilinear] {
            let spec = Preprocessing {
                resize,
                interpolation,
                ..Preprocessing::openai(224)
            };
            let mut preprocessor = Preprocessor::new(spec).unwrap();
            let mut values = vec![0.0; spec.pixel_values_len()];
            for (width, height) in [(crate::MAX_EDGE, 1), (1, crate::MAX_EDGE)] {
                let frame = Frame::new(&pixels, width, height, PixelFormat::Gray8).unwrap();
                let quality = preprocessor.run(&frame, &mut values).unwrap();
                assert_eq!(quality.luma_mean, 200.0, "{spec:?}");
            }
        }
    }
}

#[test]
fn pixel_values_of_another_length_are_refused() {
    let frame = Frame::new(&[0; 3], 1, 1, PixelFormat::Rgb8).unwrap();
    let error = Preprocessor::new(Preprocessing::openai(8))
        .unwrap()
        .run(&frame, &mut [0.0; 5]);
    assert!(error.unwrap_err().to_string().contains("192"));
}
