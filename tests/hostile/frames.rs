//! Frames whose geometry cannot be: each an error of the caller's that names the plane or the edge.

use clipgate::{
    ErrorKind, Frame, MAX_EDGE, Orientation, PixelFormat, Plane, Preprocessing, Preprocessor,
    Region,
};

const WIDTH: u32 = 6;
const HEIGHT: u32 = 4;

/// Planes of an I420 frame of 6x4 pixels as they should be.
fn planes(bytes: &[u8]) -> [Plane<'_>; 3] {
    [(24, 6), (6, 3), (6, 3)].map(|(length, row_stride)| Plane {
        data: &bytes[..length],
        row_stride,
        pixel_stride: 1,
    })
}

#[test]
fn impossible_planes_are_refused_by_name() {
    type Change = fn(&mut [Plane<'_>; 3]);
    let cases: [(&str, &str, Change); 11] = [
        ("Y", "row stride of 5", |p| p[0].row_stride = 5),
        ("Y", "row stride of 0", |p| p[0].row_stride = 0),
        ("U", "row stride of 2", |p| p[1].row_stride = 2),
        ("V", "row stride of", |p| p[2].row_stride = usize::MAX),
        ("Y", "fit in 23 bytes", |p| p[0].data = &p[0].data[..23]),
        ("U", "fit in 5 bytes", |p| p[1].data = &p[1].data[..5]),
        ("V", "fit in 0 bytes", |p| p[2].data = &[]),
        ("Y", "pixel stride", |p| p[0].pixel_stride = 2),
        ("U", "pixel stride", |p| p[1].pixel_stride = 0),
        ("V", "pixel stride", |p| p[2].pixel_stride = usize::MAX),
        ("U", "row stride of 3", |p| p[1].pixel_stride = 2),
    ];
    let bytes = [0; 24];
    assert!(Frame::from_planes(&planes(&bytes), WIDTH, HEIGHT, PixelFormat::I420).is_ok());
    for (plane, part, change) in cases {
        let mut planes = planes(&bytes);
        change(&mut planes);
        let error = Frame::from_planes(&planes, WIDTH, HEIGHT, PixelFormat::I420).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Caller);
        let message = error.to_string();
        let name = format!("plane {plane}");
        assert!(
            message.contains(&name) && message.contains(part),
            "{message}"
        );
    }
}

#[test]
fn another_number_of_planes_is_refused() {
    let bytes = [0; 64];
    for (format, count, names) in [
        (PixelFormat::I420, 2, "Y, U, V"),
        (PixelFormat::Yv12, 0, "Y, V, U"),
        (PixelFormat::Nv21, 3, "Y, VU"),
        (PixelFormat::Rgb8, 3, "RGB"),
    ] {
        let error =
            Frame::from_planes(&planes(&bytes)[..count], WIDTH, HEIGHT, format).unwrap_err();
        assert!(error.to_string().contains(names), "{error}");
    }
    let error = Frame::with_stride(&bytes, 4, 4, 4, PixelFormat::Nv12).unwrap_err();
    assert!(error.to_string().contains("from_planes"), "{error}");
}

#[test]
fn edges_and_lengths_that_cannot_be_are_refused() {
    for (width, height) in [(0, 4), (4, 0), (MAX_EDGE + 1, 1), (u32::MAX, u32::MAX)] {
        for &format in PixelFormat::ALL {
            for error in [
                Frame::new(&[], width, height, format).unwrap_err(),
                Frame::from_planes(&[], width, height, format).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Caller);
                let edges = format!("{width}x{height}");
                assert!(error.to_string().contains(&edges), "{error}");
            }
        }
    }
    for &format in PixelFormat::ALL {
        let right = format.frame_bytes(WIDTH, HEIGHT).unwrap();
        for length in [0, right - 1, right + 1] {
            let bytes = vec![0; length];
            let error = Frame::new(&bytes, WIDTH, HEIGHT, format).unwrap_err();
            assert!(error.to_string().contains(&right.to_string()), "{error}");
        }
    }
}

/// The smallest planes that pass, with every stride a little too large, are read to the end and no further.
#[test]
fn whatever_passes_is_read_without_a_panic() {
    let spec = Preprocessing::openai(8);
    let mut preprocessor = Preprocessor::new(spec).unwrap();
    let mut values = vec![0.0; spec.pixel_values_len()];
    let bytes = vec![90; 1 << 14];
    for (width, height) in [(1, 1), (1, 2), (2, 1), (3, 3), (33, 5), (5, 33), (64, 2)] {
        let (columns, rows) = (width as usize, height as usize);
        let chroma = (columns.div_ceil(2), rows.div_ceil(2));
        for pad in [0, 1, 7] {
            for pixel_stride in [1, 2, 3] {
                for shift in [0, 1, 2] {
                    let plane = |from: usize, (columns, rows): (usize, usize), pixel_stride| {
                        let row = (columns - 1) * pixel_stride + 1;
                        let row_stride = row + pad;
                        Plane {
                            data: &bytes[from..from + row_stride * (rows - 1) + row],
                            row_stride,
                            pixel_stride,
                        }
                    };
                    let planes = [
                        plane(0, (columns, rows), 1),
                        plane(shift, chroma, pixel_stride),
                        plane(1, chroma, pixel_stride),
                    ];
                    let frame = Frame::from_planes(&planes, width, height, PixelFormat::I420);
                    for degrees in [0, 90] {
                        let frame = frame
                            .as_ref()
                            .unwrap()
                            .oriented(Orientation::clockwise(degrees).unwrap());
                        let quality = preprocessor.run(&frame, &mut values).unwrap();
                        assert!(quality.luma_deviation < 0.5);
                    }
                }
            }
        }
    }
}

#[test]
fn regions_of_a_single_pixel_work() {
    let bytes = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]].concat();
    let spec = Preprocessing::openai(4);
    let mut preprocessor = Preprocessor::new(spec).unwrap();
    let mut values = vec![0.0; spec.pixel_values_len()];
    let corner = Region::new(0.99, 0.99, 1.0, 1.0).unwrap();
    let frame = Frame::new(&bytes, 2, 2, PixelFormat::Rgb8)
        .unwrap()
        .region(corner);
    assert_eq!(frame.upright_size(), (1, 1));
    preprocessor.run(&frame, &mut values).unwrap();
    let expected = (10.0 / 255.0 - spec.mean[0]) / spec.std[0];
    assert!(values[..16].iter().all(|&value| value == expected));
}
