//! Calibration over bins: does a confidence of 0.8 mean 80 % right answers?

use serde::Serialize;

use super::{check_probabilities, check_same_rows};
use crate::error::{Error, Result};

/// How many bins are usual (Guo et al. 2017, arXiv 1706.04599, section 5).
pub const DEFAULT_BINS: usize = 15;

/// The most bins that are made.
pub const MAX_BINS: usize = 10_000;

/// Where one bin of confidences ends and the next begins. A confidence on an edge belongs to the bin below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binning {
    /// Edges at `m / bins`: (0, 1/bins], ... (1 - 1/bins, 1]; a confidence of 0 joins the first bin (Guo et al. 2017,
    /// arXiv 1706.04599, section 2).
    EqualWidth,
    /// The sorted confidences cut into parts of equal size, the first `n mod bins` of them one larger, edges halfway
    /// between neighbours; equal confidences stay together, in the lower part, so ties leave fewer bins (Kumar, Liang
    /// and Ma 2019, arXiv 1909.10155, section 4; their package `uncertainty-calibration`). Never more bins than
    /// images.
    EqualMass,
}

/// One bin that is not empty: a point of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The bin's lower edge, 0 to 1, itself not part of it except at 0.
    pub low: f64,
    /// The bin's upper edge, 0 to 1, itself part of it.
    pub high: f64,
    /// How many images have a confidence in the bin; at least 1.
    pub count: usize,
    /// Their mean confidence, 0 to 1.
    pub confidence: f64,
    /// The share of them that is right, 0 to 1.
    pub accuracy: f64,
}

/// The bins that hold an image, lowest first: the points of a reliability diagram (DeGroot and Fienberg 1983).
///
/// ```
/// use clipgate::metrics::{Binning, reliability_bins};
///
/// let bins = reliability_bins(&[0.5, 0.9, 0.7], &[false, true, true], Binning::EqualWidth, 2)?;
/// // 0.5 lies on the edge and belongs to the bin below.
/// assert_eq!((bins[0].count, bins[0].high, bins[0].accuracy), (1, 0.5, 0.0));
/// assert_eq!((bins[1].count, bins[1].high, bins[1].accuracy), (2, 1.0, 1.0));
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without rows, if the lengths differ, for a confidence that is not 0
/// to 1, or if there are no bins or more than [`MAX_BINS`].
pub fn reliability_bins(
    confidences: &[f32],
    correct: &[bool],
    binning: Binning,
    bins: usize,
) -> Result<Vec<ReliabilityBin>> {
    check_same_rows("confidences", confidences.len(), "answers", correct.len())?;
    check_probabilities("confidences", confidences)?;
    if bins == 0 || bins > MAX_BINS {
        return Err(Error::caller(format!(
            "{bins} bins; 1 to {MAX_BINS} are possible"
        )));
    }
    let mut rows: Vec<(f64, bool)> = confidences
        .iter()
        .zip(correct)
        .map(|(confidence, right)| (f64::from(*confidence), *right))
        .collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let edges = match binning {
        Binning::EqualWidth => (1..=bins).map(|m| m as f64 / bins as f64).collect(),
        Binning::EqualMass => equal_mass_edges(&rows, bins),
    };
    let mut filled = Vec::new();
    let (mut low, mut rest) = (0.0, rows.as_slice());
    for high in edges {
        let (inside, above) = rest.split_at(rest.partition_point(|row| row.0 <= high));
        if !inside.is_empty() {
            filled.push(bin(low, high, inside));
        }
        (low, rest) = (high, above);
    }
    Ok(filled)
}

/// The expected calibration error: `Σ_b n_b / N · |accuracy_b - confidence_b|` over bins, an ℓ1 norm (Naeini, Cooper
/// and Hauskrecht 2015; Guo et al. 2017, arXiv 1706.04599, equation 3).
///
/// 0 to 1. It is biased upward: a perfectly calibrated classifier has one above 0 on a finite sample, the more so with
/// more bins; see [`debiased_calibration_error`] and [`smooth_ece`](super::smooth_ece).
///
/// Other packages differ at edges. netcal puts a confidence on an edge into the bin above, and its bins of equal mass
/// end at interpolated quantiles; torchmetrics does the former.
///
/// ```
/// use clipgate::metrics::{Binning, DEFAULT_BINS, expected_calibration_error};
///
/// let (confidences, correct) = ([0.95, 0.95, 0.55, 0.55], [true, true, true, false]);
/// let ece = expected_calibration_error(&confidences, &correct, Binning::EqualWidth, DEFAULT_BINS)?;
/// assert!((ece - 0.05).abs() < 1e-7);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`reliability_bins`].
pub fn expected_calibration_error(
    confidences: &[f32],
    correct: &[bool],
    binning: Binning,
    bins: usize,
) -> Result<f64> {
    let filled = reliability_bins(confidences, correct, binning, bins)?;
    let gap = |bin: &ReliabilityBin| bin.count as f64 * (bin.accuracy - bin.confidence).abs();
    Ok(filled.iter().map(gap).sum::<f64>() / correct.len() as f64)
}

/// The debiased calibration error in the ℓ2 norm: the root of
/// `Σ_b n_b / N · ((accuracy_b - confidence_b)² - accuracy_b (1 - accuracy_b) / (n_b - 1))`, 0 where the sum is
/// negative (Kumar, Liang and Ma 2019, arXiv 1909.10155, section 5).
///
/// 0 to 1. What is subtracted is how far the accuracy of so few images strays by chance. A bin of one image tells
/// nothing about that and adds 0, as in the authors' package. The paper takes bins of equal mass. This is no debiased
/// [`expected_calibration_error`]: the norm is another, and the ℓ2 error is never the smaller of the two.
///
/// ```
/// use clipgate::metrics::{Binning, debiased_calibration_error};
///
/// let (confidences, correct) = ([0.5; 4], [true, false, true, false]);
/// assert_eq!(debiased_calibration_error(&confidences, &correct, Binning::EqualMass, 15)?, 0.0);
/// # Ok::<(), clipgate::Error>(())
/// ```
///
/// # Errors
/// As [`reliability_bins`].
pub fn debiased_calibration_error(
    confidences: &[f32],
    correct: &[bool],
    binning: Binning,
    bins: usize,
) -> Result<f64> {
    let filled = reliability_bins(confidences, correct, binning, bins)?;
    let square = |bin: &ReliabilityBin| {
        if bin.count < 2 {
            return 0.0;
        }
        let count = bin.count as f64;
        let chance = bin.accuracy * (1.0 - bin.accuracy) / (count - 1.0);
        count * ((bin.accuracy - bin.confidence).powi(2) - chance)
    };
    let mean = filled.iter().map(square).sum::<f64>() / correct.len() as f64;
    Ok(mean.max(0.0).sqrt())
}

/// The upper edges; `rows` are sorted and not empty.
fn equal_mass_edges(rows: &[(f64, bool)], bins: usize) -> Vec<f64> {
    let parts = bins.min(rows.len());
    let (size, larger) = (rows.len() / parts, rows.len() % parts);
    let mut edges: Vec<f64> = (1..parts)
        .map(|part| part * size + part.min(larger))
        .map(|cut| f64::midpoint(rows[cut - 1].0, rows[cut].0))
        .collect();
    edges.push(1.0);
    edges.dedup();
    edges
}

fn bin(low: f64, high: f64, rows: &[(f64, bool)]) -> ReliabilityBin {
    let count = rows.len() as f64;
    let right = rows.iter().filter(|row| row.1).count();
    ReliabilityBin {
        low,
        high,
        count: rows.len(),
        confidence: rows.iter().map(|row| row.0).sum::<f64>() / count,
        accuracy: right as f64 / count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_confidence_of_zero_is_in_the_first_bin() {
        let bins = reliability_bins(&[0.0], &[true], Binning::EqualWidth, 10).unwrap();
        assert_eq!((bins[0].low, bins[0].high, bins[0].count), (0.0, 0.1, 1));
    }

    #[test]
    fn bins_of_equal_mass_keep_equal_confidences_together() {
        let confidences = [0.2, 0.5, 0.5, 0.5, 0.5, 0.8];
        let bins = reliability_bins(&confidences, &[true; 6], Binning::EqualMass, 3).unwrap();
        let counts: Vec<_> = bins.iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [5, 1]);
        assert_eq!((bins[0].low, bins[1].high), (0.0, 1.0));
    }

    #[test]
    fn a_single_image_fills_one_bin() {
        for binning in [Binning::EqualWidth, Binning::EqualMass] {
            let ece = expected_calibration_error(&[0.75], &[true], binning, 15).unwrap();
            assert_eq!(ece, 0.25);
            let debiased = debiased_calibration_error(&[0.75], &[true], binning, 15).unwrap();
            assert_eq!(debiased, 0.0);
        }
    }

    #[test]
    fn no_bins_and_too_many_are_refused() {
        for bins in [0, MAX_BINS + 1] {
            let error = reliability_bins(&[0.5], &[true], Binning::EqualWidth, bins).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Caller);
        }
    }
}
