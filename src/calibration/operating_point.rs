//! How a threshold came about, and what it did on the images that set it.

use serde::{Deserialize, Serialize};

/// How the confidence threshold, or the label sets, were fitted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// [`guaranteed_selective_risk`](crate::selective::guaranteed_selective_risk).
    Sgr,
    /// [`fixed_sequence`](crate::selective::fixed_sequence).
    Ltt,
    /// [`conformal_risk`](crate::selective::conformal_risk).
    Crc,
    /// A share of the images is accepted, whatever the errors.
    AcceptRate,
    /// Label sets by [`SetScore::Lac`](crate::conformal::SetScore::Lac).
    Lac,
    /// Label sets by [`SetScore::Aps`](crate::conformal::SetScore::Aps).
    Aps,
    /// Label sets by [`SetScore::Raps`](crate::conformal::SetScore::Raps).
    Raps,
    /// The share of wrong answers is at most the target on the fitting images themselves; nothing is promised.
    Empirical,
}

/// What the thresholds did on the images that set them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// How the threshold was fitted.
    pub method: Method,
    /// The rule in words.
    pub rule: String,
    /// What the method aims at, 0 to 1: the share of wrong answers among the accepted (`sgr`, `ltt`, `empirical`), of
    /// images that are accepted and wrong (`crc`), of images that are accepted (`accept_rate`), or of label sets
    /// without the true label (`lac`, `aps`, `raps`).
    pub target: f64,
    /// Share of in-distribution images that the out-of-distribution cut was set to pass.
    pub id_pass_share: f64,
    /// Images that pass the cut, of all.
    pub passed: Share,
    /// Images that are accepted, of all: the coverage.
    pub accepted: Share,
    /// Answers that are wrong, of the accepted: the selective risk.
    pub wrong: Share,
    /// Labels in a set, on average; only where there are sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_set_size: Option<f64>,
}

/// A counted share with its two-sided 95 % interval (Wilson 1927), all 0 where nothing could be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// Lower end of the interval, 0 to 1.
    pub low: f64,
    /// Upper end of the interval, 0 to 1.
    pub high: f64,
}

impl Share {
    /// `count / of`, 0 to 1; `None` where nothing could be counted.
    ///
    /// ```
    /// use clipgate::calibration::Share;
    ///
    /// let share = Share { count: 3, of: 4, low: 0.3, high: 0.95 };
    /// assert_eq!(share.value(), Some(0.75));
    /// ```
    pub fn value(&self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }

    pub(super) fn is_valid(&self) -> bool {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        self.count <= self.of && share(self.low) && share(self.high)
    }
}
