//! Calibration without bins: the smooth expected calibration error.

use super::{check_probabilities, check_same_rows};
use crate::error::Result;

/// Bandwidths are multiples of `2^-STEPS`, found by as many halvings.
const STEPS: u32 = 10;

/// No bandwidth below this is asked for: a smaller error is as good as none.
const RESOLUTION: f64 = 0.001;

/// The fewest points at which the smoothed curves are read.
const MIN_MESH: usize = 200;

/// Twice the fewest cells that confidences are rounded to, with their weight shared by two neighbours.
const MIN_GRID: usize = 2000;

/// What is added to the density at every point, so that it is nowhere 0.
const DENSITY_FLOOR: f64 = 1e-4;

/// Beyond so many bandwidths a Gaussian is below 1e-16 of its peak.
const REACH: f64 = 8.6;

/// The smooth expected calibration error: the gap between confidence and correctness, smoothed by a Gaussian that is
/// reflected at 0 and 1, averaged in absolute value over the smoothed density of confidences; its bandwidth is the one
/// that the error itself equals (Błasiok and Nakkiran 2023, arXiv 2309.12236, section 3).
///
/// 0 to 1. Unlike the binned errors it changes continuously with the confidences and needs no number of bins.
///
/// Computed as the authors' package `relplot` 1.0.3 does, which strays from the formula in three ways. A confidence of
/// exactly 0 or 1 counts half, because the grid's end cells are mirrored but not doubled. The Gaussian ends half a unit
/// from its centre, so errors above some 0.2 come out too large, on a few images by far. Bandwidths are halved down to
/// 1/512 and curves live on a grid, which moves the result by some 0.001.
///
/// ```
/// use clipgate::metrics::smooth_ece;
///
/// // Always 70 % sure, and right half of the time.
/// let error = smooth_ece(&[0.7; 100], &[[true, false]; 50].concat())?;
/// assert!((error - 0.2).abs() < 0.001);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows, if the lengths differ, or for a confidence that is
/// not 0 to 1.
pub fn smooth_ece(confidences: &[f32], correct: &[bool]) -> Result<f64> {
    check_same_rows("confidences", confidences.len(), "answers", correct.len())?;
    check_probabilities("confidences", confidences)?;
    let gaps: Vec<(f64, f64)> = confidences
        .iter()
        .zip(correct)
        .map(|(confidence, right)| {
            let confidence = f64::from(*confidence);
            (confidence, confidence - f64::from(*right))
        })
        .collect();

    let mut error = error_at(&gaps, 1.0);
    if 1.0 < error {
        return Ok(error);
    }
    // The error falls with the bandwidth more slowly than the bandwidth itself: they meet once.
    let (mut wide, mut narrow) = (1.0, 0.0);
    for _ in 0..STEPS {
        let middle = f64::midpoint(wide, narrow);
        let found = error_at(&gaps, middle);
        if middle < RESOLUTION || middle < found {
            narrow = middle;
        } else {
            (wide, error) = (middle, found);
        }
    }
    Ok(error)
}

/// Gap and density of one cell, or of one point.
type Curves = [f64; 2];

/// The error at one bandwidth, from pairs of confidence and gap.
fn error_at(gaps: &[(f64, f64)], bandwidth: f64) -> f64 {
    let mesh = MIN_MESH.max((10.0 / bandwidth).round() as usize);
    let grid = MIN_GRID.max((20.0 / bandwidth).round() as usize) / 2 + 1;
    let kernel = gaussian(grid, bandwidth);
    let sources = reflected(&on_grid(gaps, grid));
    let reach = (REACH * bandwidth * (grid - 1) as f64).ceil() as usize;

    let smoothed = |cell: usize| -> Curves {
        let first = cell + grid / 2;
        let centre = first + grid / 2;
        let from = first.max(centre.saturating_sub(reach));
        let to = (first + grid).min(centre + reach);
        let near = sources.partition_point(|source| source.0 < from);
        let mut sum = [0.0; 2];
        for (position, [gap, weight]) in sources[near..].iter().take_while(|s| s.0 < to) {
            let share = kernel[position - first];
            sum[0] += share * gap;
            sum[1] += share * weight;
        }
        sum
    };

    let (mut gap, mut density) = (0.0, 0.0);
    for point in 0..mesh {
        let place = point as f64 / (mesh - 1) as f64 * (grid - 1) as f64;
        let cell = (place as usize).min(grid - 2);
        let (left, right) = (smoothed(cell), smoothed(cell + 1));
        let between = |curve: usize| {
            let share = place - cell as f64;
            left[curve] * (1.0 - share) + right[curve] * share
        };
        gap += between(0).abs();
        density += between(1) + DENSITY_FLOOR;
    }
    gap / density
}

/// The kernel at `grid` points over a unit interval around its centre.
fn gaussian(grid: usize, bandwidth: f64) -> Vec<f64> {
    let scale = (2.0 * std::f64::consts::PI).sqrt() * bandwidth;
    (0..grid)
        .map(|cell| cell as f64 / (grid - 1) as f64 - 0.5)
        .map(|t| (-t * t / (2.0 * bandwidth * bandwidth)).exp() / scale)
        .collect()
}

/// Sums of gaps and counts per cell, each image shared between its two nearest cells.
fn on_grid(gaps: &[(f64, f64)], grid: usize) -> Vec<Curves> {
    let mut cells = vec![[0.0; 2]; grid];
    for (confidence, gap) in gaps {
        let place = confidence * (grid - 1) as f64;
        let cell = (place as usize).min(grid - 2);
        let share = place - cell as f64;
        for (at, weight) in [(cell, 1.0 - share), (cell + 1, share)] {
            cells[at][0] += weight * gap;
            cells[at][1] += weight;
        }
    }
    cells
}

/// The cells that hold something, with their places in three copies of the grid: mirrored, as it is, mirrored.
fn reflected(cells: &[Curves]) -> Vec<(usize, Curves)> {
    let last = cells.len() - 1;
    (0..=3 * last)
        .map(|place| {
            let from_first = place.abs_diff(last);
            let cell = from_first.min(2 * last - from_first);
            (place, cells[cell])
        })
        .filter(|(_, [_, weight])| *weight != 0.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sure_and_right_answer_has_no_error() {
        assert_eq!(smooth_ece(&[1.0; 3], &[true; 3]).unwrap(), 0.0);
    }

    #[test]
    fn a_sure_and_wrong_answer_is_wholly_off() {
        assert!(smooth_ece(&[1.0; 3], &[false; 3]).unwrap() > 0.99);
    }
}
