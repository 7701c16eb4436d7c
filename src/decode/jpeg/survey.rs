//! A walk along a JPEG's markers (ITU-T T.81, B.1.1), before anything is decoded.

use image::metadata::Orientation;
use memchr::memchr;

use crate::error::{Error, Result};

/// What the markers tell.
#[derive(Debug)]
pub(super) struct Survey {
    /// Width and height of the frame, where one is announced before the first scan.
    pub(super) dimensions: Option<(u32, u32)>,
    /// Scans, of which a progressive file has several.
    pub(super) scans: usize,
    /// How the picture is to be turned; upright where no EXIF block says otherwise.
    pub(super) orientation: Orientation,
}

impl Survey {
    /// Walks segments by their length, and scans up to the next marker that is neither stuffing nor a restart.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if there is no end-of-image marker: decoders fill what is
    /// missing with grey and may report success.
    pub(super) fn of(bytes: &[u8]) -> Result<Self> {
        const STUFFING: u8 = 0x00;
        const FILL: u8 = 0xFF;
        const TEM: u8 = 0x01;
        const SOI: u8 = 0xD8;
        const EOI: u8 = 0xD9;
        const SOS: u8 = 0xDA;
        const APP1: u8 = 0xE1;
        let mut survey = Self {
            dimensions: None,
            scans: 0,
            orientation: Orientation::NoTransforms,
        };
        let mut rest = bytes;
        while let Some(at) = memchr(0xFF, rest) {
            let Some((&marker, after)) = rest[at + 1..].split_first() else {
                break;
            };
            rest = match marker {
                EOI => return Ok(survey),
                FILL => &rest[at + 1..],
                STUFFING | TEM | SOI | 0xD0..=0xD7 => after,
                _ => {
                    let Some(length) = after.first_chunk::<2>() else {
                        break;
                    };
                    let length = usize::from(u16::from_be_bytes(*length));
                    let Some((segment, next)) = after.split_at_checked(length) else {
                        break;
                    };
                    match marker {
                        SOS => survey.scans += 1,
                        APP1 if survey.scans == 0 => survey.read_exif(segment),
                        // SOF0 to SOF15, among which DHT, JPG and DAC have their numbers.
                        0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                            survey.read_frame(segment);
                        }
                        _ => {}
                    }
                    next
                }
            };
        }
        Err(Error::caller(
            "a truncated JPEG: it has no end-of-image marker",
        ))
    }

    /// Segment: length (2 bytes), precision (1), height (2), width (2), ...
    fn read_frame(&mut self, segment: &[u8]) {
        if let ([_, _, _, h1, h0, w1, w0, ..], None, 0) = (segment, self.dimensions, self.scans) {
            let edge = |high, low| u32::from(u16::from_be_bytes([high, low]));
            self.dimensions = Some((edge(*w1, *w0), edge(*h1, *h0)));
        }
    }

    /// A damaged block must not cost the picture: without one, it counts as upright.
    fn read_exif(&mut self, segment: &[u8]) {
        if let Some(chunk) = segment
            .get(2..)
            .and_then(|content| content.strip_prefix(b"Exif\0\0"))
        {
            self.orientation =
                Orientation::from_exif_chunk(chunk).unwrap_or(Orientation::NoTransforms);
        }
    }
}
