//! What is fitted, and how.

use crate::calibration::Method;
use crate::error::{Error, Result};
use crate::ood::OodScore;

/// The fewest images that fit a temperature and a cut, however weak the promise.
pub const MIN_FIT_IMAGES: usize = 10;

/// The share of the images that fit unless it is set. Fewer leave more to certify with, which decides the coverage;
/// more make temperature and cut steadier.
pub const DEFAULT_FIT_FRACTION: f64 = 0.3;

/// The share of in-distribution images that the out-of-distribution cut passes unless it is set. The next five in a
/// hundred would cost dearly: with *pocket* and five labels of one's own, passing 95 rather than 90 passes twice as many
/// textures, hand signs and blood cells.
pub const DEFAULT_ID_PASS_SHARE: f64 = 0.9;

/// What is fitted, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// The rule of the confidence threshold, or of the label sets.
    pub method: Method,
    /// What the method aims at: see [`OperatingPoint::target`](crate::calibration::OperatingPoint::target).
    pub target: f64,
    /// The probability with which a promise of high probability is to hold; above 0, below 1.
    pub confidence: f64,
    /// The share of in-distribution images that the out-of-distribution cut passes; above 0, at most 1.
    pub id_pass_share: f64,
    /// The share of images in the first split; above 0, below 1.
    pub fit_fraction: f64,
    /// Seed of the split.
    pub seed: u64,
    /// The out-of-distribution score, unless another tells images of other things apart better beyond chance.
    pub score: OodScore,
    /// Where the images come from, in words.
    pub source: String,
}

impl FitOptions {
    /// `method` at `target`, with 95 % confidence; MSP as the out-of-distribution score.
    pub fn new(method: Method, target: f64) -> Self {
        Self {
            method,
            target,
            confidence: 0.95,
            id_pass_share: DEFAULT_ID_PASS_SHARE,
            fit_fraction: DEFAULT_FIT_FRACTION,
            seed: 0,
            score: OodScore::Msp,
            source: String::new(),
        }
    }

    /// Whether all options are in their ranges; [`fit`](super::fit) asks the same.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) naming the option that is not.
    pub fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("the target", self.target, 1.0f64.next_down()),
            ("the confidence", self.confidence, 1.0f64.next_down()),
            ("the share that passes the cut", self.id_pass_share, 1.0),
            ("the share that fits", self.fit_fraction, 1.0f64.next_down()),
        ] {
            // Written so that NaN is refused.
            let valid = value > 0.0 && value <= most;
            if !valid {
                let end = if most < 1.0 { "below 1" } else { "at most 1" };
                return Err(Error::caller(format!(
                    "{name} is {value}; it must be above 0 and {end} (5 % is 0.05)"
                )));
            }
        }
        if self.method == Method::Empirical {
            return Err(Error::caller(
                "`empirical` is no rule to fit by: take accept_rate where nothing is to be promised",
            ));
        }
        Ok(())
    }
}
