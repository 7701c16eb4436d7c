//! Pixel formats to packed RGB, a row at a time.

use std::ops::Range;

use crate::frame::{Frame, PixelFormat};

/// Writes columns `columns` of row `y` as packed RGB into the beginning of `rgb`.
pub(super) fn rgb_row(frame: &Frame<'_>, y: u32, columns: Range<usize>, rgb: &mut [u8]) {
    let bytes = frame.format().bytes_per_pixel();
    let row = &frame.row(y)[columns.start * bytes..columns.end * bytes];
    let rgb = &mut rgb[..columns.len() * 3];
    match frame.format() {
        PixelFormat::Rgb8 => rgb.copy_from_slice(row),
        PixelFormat::Rgba8 => {
            for (to, from) in rgb.chunks_exact_mut(3).zip(row.chunks_exact(4)) {
                to.copy_from_slice(&from[..3]);
            }
        }
        PixelFormat::Gray8 => {
            for (to, &from) in rgb.chunks_exact_mut(3).zip(row) {
                to.fill(from);
            }
        }
    }
}
