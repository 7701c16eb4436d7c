//! A region and a turn of the frame give what the cut and turned picture gives.

use super::{Noise, rgb_of, values};
use crate::frame::{ColorSpace, Frame, Orientation, PixelFormat, Region};
use crate::preprocess::{Interpolation, Preprocessing, Preprocessor, Resize};

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
