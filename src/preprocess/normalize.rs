//! 8-bit pixels to normalised planes, and what the pixels say about the frame.

/// Brightness of what the model sees: the resized crop's luma in 0 to 255 (Rec. 601, as Pillow's `L`).
///
/// A frame whose luma hardly deviates shows nothing: a covered lens, a white wall, a dark room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameQuality {
    /// Mean luma.
    pub luma_mean: f32,
    /// Standard deviation of the luma over the crop's pixels.
    pub luma_deviation: f32,
}

/// A square of packed RGB, perhaps with its rows and columns swapped.
pub(super) struct Square<'a> {
    pub(super) rgb: &'a [u8],
    /// Edge in pixels.
    pub(super) size: usize,
    /// Bytes from row to row.
    pub(super) stride: usize,
    /// Whether the picture's rows are the square's columns.
    pub(super) swapped: bool,
}

impl<'a> Square<'a> {
    /// The pixels of the picture's row `y`.
    fn row(&self, y: usize) -> impl Iterator<Item = &'a [u8; 3]> {
        let (start, step) = match self.swapped {
            false => (y * self.stride, 3),
            true => (y * 3, self.stride),
        };
        let pixels = self.rgb[start..].chunks(step).take(self.size);
        pixels.filter_map(|pixel| pixel.first_chunk())
    }
}

/// `(v / 255 - mean) / std` for the 256 values of each channel.
///
/// A table gives the very f32 that torch computes, at the cost of a load.
#[derive(Debug)]
pub(super) struct Normalizer([[f32; 256]; 3]);

impl Normalizer {
    pub(super) fn new(mean: &[f32; 3], std: &[f32; 3]) -> Self {
        Self([0, 1, 2].map(|channel| {
            std::array::from_fn(|value| (value as f32 / 255.0 - mean[channel]) / std[channel])
        }))
    }

    /// Writes the square as three planes that share `pixel_values` evenly.
    pub(super) fn run(&self, square: &Square<'_>, pixel_values: &mut [f32]) -> FrameQuality {
        let plane = pixel_values.len() / 3;
        let (red, rest) = pixel_values.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let [reds, greens, blues] = &self.0;
        let (mut sum, mut squares) = (0u64, 0u64);
        let rows = red
            .chunks_exact_mut(square.size)
            .zip(green.chunks_exact_mut(square.size))
            .zip(blue.chunks_exact_mut(square.size));
        for (y, ((red, green), blue)) in rows.enumerate() {
            let values = red.iter_mut().zip(green).zip(blue);
            for (((r, g), b), pixel) in values.zip(square.row(y)) {
                *r = reds[usize::from(pixel[0])];
                *g = greens[usize::from(pixel[1])];
                *b = blues[usize::from(pixel[2])];
                let luma = luma(pixel[0], pixel[1], pixel[2]);
                sum += u64::from(luma);
                squares += u64::from(luma * luma);
            }
        }
        let count = plane.max(1) as f64;
        let mean = sum as f64 / count;
        let variance = (squares as f64 / count - mean * mean).max(0.0);
        FrameQuality {
            luma_mean: mean as f32,
            luma_deviation: variance.sqrt() as f32,
        }
    }
}

/// Rec. 601 luma with the 16-bit weights of Pillow's `convert("L")`.
fn luma(red: u8, green: u8, blue: u8) -> u32 {
    (u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + (1 << 15))
        >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_black_half_white_deviates_by_half_the_range() {
        let rgb = [[0u8; 3], [255; 3], [255; 3], [0; 3]].concat();
        let square = Square {
            rgb: &rgb,
            size: 2,
            stride: 6,
            swapped: false,
        };
        let mut values = [9.0; 12];
        let quality = Normalizer::new(&[0.0; 3], &[1.0; 3]).run(&square, &mut values);
        assert_eq!(values, [[0.0, 1.0, 1.0, 0.0]; 3].concat()[..]);
        assert_eq!((quality.luma_mean, quality.luma_deviation), (127.5, 127.5));
    }

    #[test]
    fn luma_weighs_green_most_and_keeps_grey() {
        assert_eq!(luma(255, 0, 0), 76);
        assert_eq!(luma(0, 255, 0), 150);
        assert_eq!(luma(0, 0, 255), 29);
        assert!((0..=255).all(|v| luma(v, v, v) == u32::from(v)));
    }
}
