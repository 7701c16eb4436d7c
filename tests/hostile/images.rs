//! Image files that are broken or lie about themselves.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clipgate::{DecodeLimits, DecodeOptions, ErrorKind, ImageDecoder, decode_bytes, decode_file};

use crate::support::data_path;
use crate::support::png::huge_png;

const SMALL: [&str; 12] = [
    "jpeg_odd.jpg",
    "jpeg_exif_6.jpg",
    "jpeg_cmyk.jpg",
    "jpeg_progressive.jpg",
    "two_by_three.png",
    "palette_16.png",
    "gray_16.png",
    "webp_lossy.webp",
    "webp_alpha.webp",
    "gif.gif",
    "bmp_palette.bmp",
    "tiff_gray.tiff",
];

/// Positions that cover headers densely and long data sparsely.
fn positions(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |&at| at < 96 || length - at < 32 || at % (length / 96 + 1) == 0)
}

fn limits() -> DecodeLimits {
    DecodeLimits {
        max_pixels: 1 << 18,
        ..DecodeLimits::default()
    }
}

/// Exact, and so that even small JPEGs come smaller.
fn decoders() -> [ImageDecoder; 2] {
    [None, Some(4)].map(|fast_for| {
        ImageDecoder::new(
            DecodeOptions::default()
                .with_limits(limits())
                .with_fast_for(fast_for),
        )
    })
}

fn image(name: &str) -> Vec<u8> {
    fs::read(data_path("preprocess/images").join(name)).unwrap()
}

#[test]
fn a_truncated_file_is_an_error_or_the_whole_picture() {
    let mut failed = Vec::new();
    for name in SMALL {
        let whole = image(name);
        for mut decoder in decoders() {
            let picture = decoder.decode_bytes(&whole).unwrap().clone();
            for length in positions(whole.len()) {
                if decoder
                    .decode_bytes(&whole[..length])
                    .is_ok_and(|other| *other != picture)
                {
                    failed.push(format!("{name} cut to {length} of {} bytes", whole.len()));
                }
            }
        }
    }
    assert!(
        failed.is_empty(),
        "another picture came out:\n{}",
        failed.join("\n")
    );
}

#[test]
fn a_changed_byte_never_panics_nor_breaks_the_limits() {
    for name in SMALL {
        let mut bytes = image(name);
        let mut decoders = decoders();
        for at in positions(bytes.len()) {
            for (mask, decoder) in [(0x01, 0), (0x80, 1), (0xFF, 0), (0xFF, 1)] {
                bytes[at] ^= mask;
                match decoders[decoder].decode_bytes(&bytes) {
                    Ok(picture) => {
                        let pixels = u64::from(picture.width()) * u64::from(picture.height());
                        assert!(pixels <= limits().max_pixels, "{name} byte {at}");
                        assert_eq!(
                            picture.pixels().len() as u64,
                            pixels * 3,
                            "{name} byte {at}"
                        );
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Caller, "{name}: {error}"),
                }
                bytes[at] ^= mask;
            }
        }
    }
}

#[test]
fn each_unusable_path_is_named_with_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let jpeg = image("jpeg_q75.jpg");
    let png = image("landscape.png");
    let cases = [
        (write("empty.jpg", b""), ErrorKind::Caller, "empty"),
        (
            write("half.jpg", &jpeg[..jpeg.len() / 2]),
            ErrorKind::Caller,
            "truncated JPEG",
        ),
        (
            write("half.png", &png[..png.len() / 2]),
            ErrorKind::Caller,
            "PNG",
        ),
        (
            write("text.png", b"not a picture at all, only text"),
            ErrorKind::Caller,
            "known format",
        ),
        (
            write("huge.png", &huge_png()),
            ErrorKind::Caller,
            "100000x100000",
        ),
        (folder.path().to_path_buf(), ErrorKind::Caller, "directory"),
        (
            folder.path().join("missing.jpg"),
            ErrorKind::Caller,
            "cannot be read",
        ),
        (
            Path::new("/dev/zero").to_path_buf(),
            ErrorKind::Caller,
            "regular file",
        ),
    ];
    for (path, kind, rule) in cases {
        if path.starts_with("/dev") && !path.exists() {
            continue;
        }
        let start = Instant::now();
        let error = decode_file(&path, &DecodeLimits::default()).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(1), "{error}");
        assert_eq!(error.kind(), kind, "{error}");
        let message = error.to_string();
        assert!(
            message.starts_with(&path.display().to_string()),
            "{message}"
        );
        assert!(message.contains(rule), "{message}");
    }
}

#[test]
fn limits_can_be_lowered_and_raised() {
    let bytes = image("landscape.png");
    let rules = [
        (
            DecodeLimits {
                max_pixels: 100,
                ..DecodeLimits::default()
            },
            "max_pixels",
        ),
        (
            DecodeLimits {
                max_edge: 100,
                ..DecodeLimits::default()
            },
            "max_edge",
        ),
        (
            DecodeLimits {
                max_file_bytes: 100,
                ..DecodeLimits::default()
            },
            "max_file_bytes",
        ),
    ];
    for (limits, rule) in rules {
        let error = decode_bytes(&bytes, &limits).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
    }
    let raised = DecodeLimits {
        max_file_bytes: u64::MAX,
        max_pixels: u64::MAX,
        max_edge: u32::MAX,
    };
    assert!(decode_bytes(&bytes, &raised).is_ok());
    assert!(
        decode_bytes(&huge_png(), &raised)
            .unwrap_err()
            .to_string()
            .contains("max_edge")
    );
}

#[test]
fn the_name_does_not_decide_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.txt");
    fs::write(&path, image("gif.gif")).unwrap();
    assert!(decode_file(&path, &DecodeLimits::default()).is_ok());
}

#[test]
fn a_jpeg_that_claims_to_be_huge_is_refused_by_its_header() {
    for name in ["jpeg_odd.jpg", "jpeg_progressive.jpg", "jpeg_cmyk.jpg"] {
        let mut bytes = image(name);
        let frame = bytes
            .windows(2)
            .position(|marker| matches!(marker, [0xFF, 0xC0 | 0xC2]))
            .unwrap();
        // Marker, length, precision, then height and width.
        bytes[frame + 5..frame + 9].copy_from_slice(&[0x7F, 0xFF, 0x7F, 0xFF]);
        for mut decoder in decoders() {
            let error = decoder.decode_bytes(&bytes).unwrap_err().to_string();
            assert!(error.contains("32767x32767 pixels"), "{name}: {error}");
        }
    }
}

#[test]
fn a_decoder_goes_on_after_a_file_that_fails() {
    let whole = image("jpeg_q75.jpg");
    for mut decoder in decoders() {
        let first = decoder.decode_bytes(&whole).unwrap().clone();
        assert!(decoder.decode_bytes(&whole[..whole.len() / 2]).is_err());
        assert!(decoder.decode_bytes(b"no picture").is_err());
        assert!(decoder.decode_bytes(&image("gray_16.png")).is_ok());
        assert_eq!(*decoder.decode_bytes(&whole).unwrap(), first);
    }
}
