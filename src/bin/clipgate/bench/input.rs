//! What is classified again and again: an image file, or frames that are drawn here.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clipgate::{
    DecodeOptions, Digest, Error, ErrorKind, Frame, ImageDecoder, PixelFormat, Preprocessing,
    Result, decode_file,
};
use serde::{Deserialize, Serialize};

use super::args::BenchArgs;
use crate::report;

/// Bands of a drawn frame: far apart enough to survive the shrinking, so that the gate does not take it for covered.
const BANDS: usize = 12;

/// How an input is told from another, in a run's JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Described {
    Image {
        path: String,
        sha256: String,
        width: u32,
        height: u32,
        fast_decode: bool,
    },
    Frames {
        pixel_format: String,
        width: u32,
        height: u32,
    },
}

/// Where frames come from.
pub(super) enum Input {
    File(PathBuf, DecodeOptions, Box<ImageDecoder>),
    Drawn {
        frames: Vec<Vec<u8>>,
        width: u32,
        height: u32,
        format: PixelFormat,
    },
}

/// What came of one frame.
pub(super) struct Shown<T> {
    /// How long the file took to read and decode; `None` for a frame that was there.
    pub(super) decode: Option<Duration>,
    pub(super) answer: T,
}

impl Input {
    /// The image that was named, for a model of this preprocessing, or `count` different frames.
    pub(super) fn new(
        args: &BenchArgs,
        preprocessing: &Preprocessing,
        count: usize,
    ) -> Result<Self> {
        if let Some(path) = &args.image {
            let options = args.decode.options(&[preprocessing]);
            let decoder = Box::new(ImageDecoder::new(options));
            return Ok(Self::File(path.clone(), options, decoder));
        }
        if let Some(name) = args.decode.given() {
            return Err(Error::new(
                ErrorKind::Caller,
                format!("{name} is for image files: name one with --image"),
            ));
        }
        let ((width, height), format) = (args.size, args.pixel_format);
        let bytes = format.frame_bytes(width, height)?;
        Ok(Self::Drawn {
            frames: (0..count).map(|number| drawn(bytes, number)).collect(),
            width,
            height,
            format,
        })
    }

    /// What the run's JSON says of it.
    pub(super) fn described(&self) -> Result<Described> {
        Ok(match self {
            Self::File(path, options, _) => {
                let bytes = clipgate::file::read_file(path, options.limits().max_file_bytes)?;
                let image = decode_file(path, options.limits())?;
                Described::Image {
                    path: report::path(path),
                    sha256: Digest::of((*bytes).as_ref()).to_string(),
                    width: image.width(),
                    height: image.height(),
                    fast_decode: options.fast_for().is_some(),
                }
            }
            Self::Drawn {
                width,
                height,
                format,
                ..
            } => Described::Frames {
                pixel_format: format.to_string(),
                width: *width,
                height: *height,
            },
        })
    }

    /// Hands the frame with this number to `answer`.
    pub(super) fn show<T>(
        &mut self,
        number: usize,
        answer: impl FnOnce(&Frame<'_>) -> Result<T>,
    ) -> Result<Shown<T>> {
        match self {
            Self::File(path, _, decoder) => {
                let start = Instant::now();
                let image = decoder.decode_file(path)?;
                let decode = Some(start.elapsed());
                let answer = image
                    .frame()
                    .and_then(|frame| answer(&frame))
                    .map_err(|error| error.at(path.display()))?;
                Ok(Shown { decode, answer })
            }
            Self::Drawn {
                frames,
                width,
                height,
                format,
            } => {
                let frame = Frame::new(&frames[number % frames.len()], *width, *height, *format)?;
                Ok(Shown {
                    decode: None,
                    answer: answer(&frame)?,
                })
            }
        }
    }
}

/// Bands of bytes around two levels, whatever they mean in the frame's format.
fn drawn(bytes: usize, number: usize) -> Vec<u8> {
    let band = bytes.div_ceil(BANDS).max(1);
    (0..bytes)
        .map(|place| {
            let level = if (place / band).is_multiple_of(2) {
                70
            } else {
                150
            };
            level + ((place + 17 * number) % 61) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_frames_differ_and_none_is_flat() {
        assert_ne!(drawn(1000, 0), drawn(1000, 1));
        for bytes in [1, 3, 1000] {
            assert_eq!(drawn(bytes, 0).len(), bytes);
        }
        let frame = drawn(3 * 64 * 64, 2);
        let (dark, bright) = (frame.iter().min(), frame.iter().max());
        assert!(dark < Some(&100) && bright > Some(&180));
    }
}
