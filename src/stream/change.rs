//! Whether a frame shows what the last answered one showed: a cheap difference of sampled luma.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Frame, PixelFormat, View};

/// Cells along each edge of the frame. One cell of 1,024 is a 30th of an edge; a thing that covers less does not decide
/// what a whole image shows.
const EDGE: usize = 32;

/// The most pixels side by side that are read in a cell: half a line of the processor's cache.
const RUN: usize = 32;

/// Pixels that are read in a cell, where it has so many. Their mean has an eighth of their noise.
const PIXELS: usize = 64;

/// Which frames are skipped because they show what the last answered frame showed.
///
/// 1,024 cells of 64 pixels, evenly spread over the part that is looked at, have their mean luma compared with those of
/// the last frame that was *answered*, so that a slow change adds up until it is noticed. In a
/// view of less than 256 pixels along an edge a cell may have fewer pixels, and of less than 32 there are fewer cells: one
/// for each pixel along that edge. A cell has changed if it differs by more than
/// [`difference`](Self::difference); the frame has changed if more than [`area`](Self::area) of the cells have, or if
/// size, format or anything else about the frame is different. After [`longest`](Self::longest) without an answer the
/// model is asked anyway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unchanged {
    difference: f32,
    area: f32,
    longest: Duration,
}

impl Unchanged {
    /// Units of luma, 0 to 255, by which the mean of an unchanged cell may differ; 6 unless set.
    pub fn difference(mut self, difference: f32) -> Self {
        self.difference = difference;
        self
    }

    /// Share of the cells, 0 to 1, that may differ by more; 0.01 unless set.
    pub fn area(mut self, area: f32) -> Self {
        self.area = area;
        self
    }

    /// The longest time without an answer; 1 s unless set.
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        // Ranges hold no NaN.
        if !(0.0..=255.0).contains(&self.difference) {
            return Err(Error::caller(format!(
                "an unchanged difference of {}: 0 to 255 units of luma",
                self.difference
            )));
        }
        if !(0.0..=1.0).contains(&self.area) {
            return Err(Error::caller(format!(
                "an unchanged area of {}: a share of the frame, 0 to 1",
                self.area
            )));
        }
        Ok(())
    }
}

impl Default for Unchanged {
    fn default() -> Self {
        Self {
            difference: 6.0,
            area: 0.01,
            longest: Duration::from_secs(1),
        }
    }
}

/// The last answered frame's cells and the newest frame's.
#[derive(Debug)]
pub(super) struct ChangeDetector {
    options: Unchanged,
    answered: Look,
    newest: Look,
}

/// What a frame looks like from afar.
#[derive(Debug, Default)]
struct Look {
    geometry: Option<Geometry>,
    /// Mean luma of each cell, in 256ths of a unit.
    cells: Vec<u16>,
}

/// Everything about a frame but its pixels.
#[derive(Debug, PartialEq)]
struct Geometry {
    width: u32,
    height: u32,
    format: PixelFormat,
    color: ColorSpace,
    view: View,
}

impl ChangeDetector {
    pub(super) fn new(options: Unchanged) -> Self {
        Self {
            options,
            answered: Look::default(),
            newest: Look::default(),
        }
    }

    /// Looks at a frame, and tells whether it can be skipped `age` after the last answered one.
    pub(super) fn is_unchanged(&mut self, frame: &Frame<'_>, age: Duration) -> bool {
        self.look(frame);
        if age >= self.options.longest || self.newest.geometry != self.answered.geometry {
            return false;
        }
        let difference = (self.options.difference * 256.0) as u16;
        let changed = self
            .newest
            .cells
            .iter()
            .zip(&self.answered.cells)
            .filter(|(new, old)| new.abs_diff(**old) > difference)
            .count();
        changed as f32 <= self.options.area * self.newest.cells.len() as f32
    }

    /// Looks at a frame that is not skipped anyway.
    pub(super) fn look(&mut self, frame: &Frame<'_>) {
        self.newest.take(frame);
    }

    /// The frame that was looked at last has been answered.
    pub(super) fn keep(&mut self) {
        std::mem::swap(&mut self.answered, &mut self.newest);
    }
}

impl Look {
    fn take(&mut self, frame: &Frame<'_>) {
        let view = frame.view();
        self.cells.clear();
        match frame.format() {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => self.sample::<3, 3>(frame, &view, 0),
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => self.sample::<4, 3>(frame, &view, 0),
            PixelFormat::Yuyv => self.sample::<2, 1>(frame, &view, 0),
            PixelFormat::Uyvy => self.sample::<2, 1>(frame, &view, 1),
            PixelFormat::Gray8
            | PixelFormat::Nv12
            | PixelFormat::Nv21
            | PixelFormat::I420
            | PixelFormat::Yv12 => self.sample::<1, 1>(frame, &view, 0),
        }
        self.geometry = Some(Geometry {
            width: frame.width(),
            height: frame.height(),
            format: frame.format(),
            color: frame.color(),
            view,
        });
    }

    /// Cells of the part that is looked at. A pixel takes `STEP` bytes; the mean of the first `CHANNELS`, from `offset`
    /// on, is its luma, or serves for it.
    fn sample<const STEP: usize, const CHANNELS: usize>(
        &mut self,
        frame: &Frame<'_>,
        view: &View,
        offset: usize,
    ) {
        let [plane, ..] = frame.planes() else {
            return;
        };
        let (width, height) = (view.columns.len(), view.rows.len());
        let (columns, rows) = (EDGE.min(width), EDGE.min(height));
        let run = RUN.min(width / columns);
        let lines = PIXELS.div_ceil(run).min(height / rows);
        let count = (run * lines * CHANNELS) as u32;
        for row in 0..rows {
            let mut sums = [0u32; EDGE];
            let top = view.rows.start + row * height / rows + (height / rows - lines) / 2;
            for y in top..top + lines {
                let luma = &plane.data[y * plane.row_stride + offset..];
                for (column, sum) in sums.iter_mut().enumerate().take(columns) {
                    let x = view.columns.start + column * width / columns;
                    // UYVY's last pixel ends with its luma.
                    let last = (x + run - 1) * STEP + CHANNELS;
                    *sum += sum_of::<STEP, CHANNELS>(&luma[x * STEP..last]);
                }
            }
            let means = sums[..columns].iter().map(|sum| (sum * 256 / count) as u16);
            self.cells.extend(means);
        }
    }
}

/// The sum of the first `CHANNELS` of every `STEP` bytes, 16 bytes at a time, as processors have instructions for.
fn sum_of<const STEP: usize, const CHANNELS: usize>(pixels: &[u8]) -> u32 {
    const { assert!(STEP == CHANNELS || 16 % STEP == 0) };
    let mask: [u8; 16] = const {
        let mut mask = [0; 16];
        let mut byte = 0;
        while byte < 16 {
            mask[byte] = if byte % STEP < CHANNELS { 255 } else { 0 };
            byte += 1;
        }
        mask
    };
    let masked = |bytes: &[u8]| -> u32 {
        let bytes = bytes.iter().zip(&mask);
        bytes.map(|(value, mask)| u32::from(value & mask)).sum()
    };
    let (sixteens, rest) = pixels.as_chunks::<16>();
    sixteens.iter().map(|bytes| masked(bytes)).sum::<u32>() + masked(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_leave_out_what_is_no_luma() {
        let bytes: Vec<u8> = (0..64).map(|i| i * 3 + 1).collect();
        let plain = |step: usize, channels: usize, length: usize| -> u32 {
            let kept = bytes[..length].iter().enumerate();
            kept.filter(|(i, _)| i % step < channels)
                .map(|(_, &value)| u32::from(value))
                .sum()
        };
        for length in [1, 2, 15, 16, 31, 48, 63, 64] {
            assert_eq!(sum_of::<1, 1>(&bytes[..length]), plain(1, 1, length));
            assert_eq!(sum_of::<2, 1>(&bytes[..length]), plain(2, 1, length));
            assert_eq!(sum_of::<3, 3>(&bytes[..length]), plain(3, 3, length));
            assert_eq!(sum_of::<4, 3>(&bytes[..length]), plain(4, 3, length));
        }
    }
}
