//! Which part of a frame is looked at, and which way up.

use std::ops::Range;

use crate::error::{Error, Result};

/// What is to be done to a frame to make the picture upright: a turn, and perhaps a mirror after it.
///
/// Android's `imageInfo.rotationDegrees` is such a turn; a front camera that shows a mirror image is
/// [`mirrored`](Self::mirrored).
///
/// ```
/// use clipgate::Orientation;
///
/// let phone = Orientation::clockwise(90)?;
/// assert_eq!(phone.degrees(), 90);
/// assert!(phone.mirrored().is_mirrored());
/// assert!(Orientation::clockwise(45).is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Orientation {
    quarters: u8,
    mirrored: bool,
}

impl Orientation {
    /// The frame as it is.
    pub const UPRIGHT: Self = Self {
        quarters: 0,
        mirrored: false,
    };

    /// Turns the frame clockwise.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `degrees` is not 0, 90, 180 or 270.
    pub fn clockwise(degrees: u32) -> Result<Self> {
        match degrees {
            0 | 90 | 180 | 270 => Ok(Self {
                quarters: (degrees / 90) as u8,
                mirrored: false,
            }),
            _ => Err(Error::caller(format!(
                "a frame is turned by 0, 90, 180 or 270 degrees, not {degrees}"
            ))),
        }
    }

    /// Then swaps left and right, or no longer does.
    pub fn mirrored(self) -> Self {
        Self {
            mirrored: !self.mirrored,
            ..self
        }
    }

    /// Clockwise turn: 0, 90, 180 or 270.
    pub fn degrees(self) -> u32 {
        u32::from(self.quarters) * 90
    }

    /// Whether left and right are swapped after the turn.
    pub fn is_mirrored(self) -> bool {
        self.mirrored
    }

    /// Whether the upright picture's columns are the frame's rows.
    pub(crate) fn swaps_edges(self) -> bool {
        self.quarters % 2 == 1
    }

    /// Whether the frame's columns, and its rows, run against the upright edge that they lie on.
    pub(crate) fn reversed(self) -> Reversed {
        // Turned by 90: the frame's top row becomes the right column, so its rows run right to left and its columns
        // downwards. By 270: rows run left to right and columns upwards.
        let (columns, rows) = match self.quarters {
            0 => (false, false),
            1 => (false, true),
            2 => (true, true),
            _ => (true, false),
        };
        // The mirror reverses whichever lies on the upright picture's width.
        let (columns_mirrored, rows_mirrored) = match self.swaps_edges() {
            false => (self.mirrored, false),
            true => (false, self.mirrored),
        };
        Reversed {
            columns: columns != columns_mirrored,
            rows: rows != rows_mirrored,
        }
    }
}

/// Which of a frame's axes run against the upright picture's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reversed {
    pub(crate) columns: bool,
    pub(crate) rows: bool,
}

/// A part of the upright picture, as a person sees it: 0 is its left or upper edge, 1 its right or lower one.
///
/// Edges are rounded to the nearest pixel, halves away from 0; at least one pixel remains. Everything outside is as if
/// it were not there: the part is cut out before it is resized.
///
/// ```
/// use clipgate::{Frame, PixelFormat, Region};
///
/// let pixels = vec![0; 640 * 480];
/// let lower_half = Region::new(0.0, 0.5, 1.0, 1.0)?;
/// let frame = Frame::new(&pixels, 640, 480, PixelFormat::Gray8)?.region(lower_half);
/// assert_eq!(frame.upright_size(), (640, 240));
/// assert!(Region::new(0.5, 0.0, 0.5, 1.0).is_err());
/// assert!(Region::new(0.5, 0.0, 1.1, 1.0).is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Region {
    /// The whole picture.
    pub const WHOLE: Self = Self {
        left: 0.0,
        top: 0.0,
        right: 1.0,
        bottom: 1.0,
    };

    /// The part between four edges.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) unless `0 <= left < right <= 1` and `0 <= top < bottom <= 1`;
    /// NaN is neither.
    pub fn new(left: f32, top: f32, right: f32, bottom: f32) -> Result<Self> {
        for (low, high, low_name, high_name) in [
            (left, right, "left", "right"),
            (top, bottom, "top", "bottom"),
        ] {
            // Ranges hold no NaN.
            if !(0.0..=1.0).contains(&low) || !(0.0..=1.0).contains(&high) {
                return Err(Error::caller(format!(
                    "a region from {low_name} {low} to {high_name} {high} does not lie within 0 to 1"
                )));
            }
            if low >= high {
                return Err(Error::caller(format!(
                    "a region from {low_name} {low} to {high_name} {high} is empty"
                )));
            }
        }
        Ok(Self {
            left,
            top,
            right,
            bottom,
        })
    }

    /// Left, top, right and bottom edge, 0 to 1.
    pub fn edges(self) -> [f32; 4] {
        [self.left, self.top, self.right, self.bottom]
    }

    /// The upright picture's columns and rows that lie inside.
    fn pixels(self, width: u32, height: u32) -> (Range<u32>, Range<u32>) {
        (
            rounded(self.left, self.right, width),
            rounded(self.top, self.bottom, height),
        )
    }
}

impl Default for Region {
    /// [`WHOLE`](Self::WHOLE).
    fn default() -> Self {
        Self::WHOLE
    }
}

fn rounded(low: f32, high: f32, edge: u32) -> Range<u32> {
    let pixel = |at: f32| (f64::from(at) * f64::from(edge)).round() as u32;
    let start = pixel(low).min(edge - 1);
    start..pixel(high).clamp(start + 1, edge)
}

/// The part of a frame that is looked at, in the frame's own columns and rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) columns: Range<usize>,
    pub(crate) rows: Range<usize>,
    pub(crate) orientation: Orientation,
}

impl View {
    pub(super) fn new(width: u32, height: u32, orientation: Orientation, region: Region) -> Self {
        let along = |range: Range<u32>, edge: u32, reversed: bool| match reversed {
            false => range.start as usize..range.end as usize,
            true => (edge - range.end) as usize..(edge - range.start) as usize,
        };
        let (columns, rows) = if orientation.swaps_edges() {
            let (across, down) = region.pixels(height, width);
            (down, across)
        } else {
            region.pixels(width, height)
        };
        let reversed = orientation.reversed();
        Self {
            columns: along(columns, width, reversed.columns),
            rows: along(rows, height, reversed.rows),
            orientation,
        }
    }

    /// Width and height as a person sees the part.
    pub(crate) fn upright_size(&self) -> (u32, u32) {
        let (width, height) = (self.columns.len() as u32, self.rows.len() as u32);
        match self.orientation.swaps_edges() {
            false => (width, height),
            true => (height, width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_rounded_to_the_nearest_pixel_and_one_remains() {
        assert_eq!(rounded(0.0, 1.0, 1), 0..1);
        assert_eq!(rounded(0.1, 0.9, 1920), 192..1728);
        assert_eq!(rounded(0.25, 0.75, 2), 1..2);
        assert_eq!(rounded(0.999, 1.0, 10), 9..10);
        assert_eq!(rounded(0.5, 0.500_01, 100), 50..51);
    }

    #[test]
    fn a_region_follows_the_turn() {
        // The upright picture's upper left quarter of a 8x6 frame.
        let corner = Region::new(0.0, 0.0, 0.5, 0.5).unwrap();
        let view = |degrees, mirrored| {
            let orientation = Orientation::clockwise(degrees).unwrap();
            let orientation = if mirrored {
                orientation.mirrored()
            } else {
                orientation
            };
            let view = View::new(8, 6, orientation, corner);
            (view.columns, view.rows)
        };
        assert_eq!(view(0, false), (0..4, 0..3));
        assert_eq!(view(90, false), (0..4, 3..6));
        assert_eq!(view(180, false), (4..8, 3..6));
        assert_eq!(view(270, false), (4..8, 0..3));
        assert_eq!(view(0, true), (4..8, 0..3));
        assert_eq!(view(90, true), (0..4, 0..3));
        assert_eq!(view(180, true), (0..4, 3..6));
        assert_eq!(view(270, true), (4..8, 3..6));
    }

    #[test]
    fn regions_outside_or_empty_are_refused() {
        for (edges, part) in [
            ([-0.1, 0.0, 1.0, 1.0], "left"),
            ([0.0, 0.0, 1.01, 1.0], "right"),
            ([0.0, f32::NAN, 1.0, 1.0], "top"),
            ([0.0, 0.0, 1.0, f32::INFINITY], "bottom"),
            ([0.5, 0.0, 0.5, 1.0], "empty"),
            ([0.0, 0.9, 1.0, 0.1], "empty"),
        ] {
            let [left, top, right, bottom] = edges;
            let error = Region::new(left, top, right, bottom).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
