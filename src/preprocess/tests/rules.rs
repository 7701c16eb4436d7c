//! What a preprocessing may say, and what is refused.

use crate::frame::{Frame, PixelFormat};
use crate::preprocess::{Interpolation, MAX_SIZE, Preprocessing, Preprocessor, Resize};

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
