//! Drift: notices, without labels, that a stream no longer looks like the calibration's images.

mod bets;
mod reference;

use serde::Serialize;

use crate::error::{Error, Result};
use bets::Bets;

pub use reference::{DriftReference, MAX_REFERENCE_QUANTILES, MIN_REFERENCE_SCORES};

/// The probability of a false alarm unless it is set.
const DEFAULT_FALSE_ALARM: f64 = 0.05;

/// Every how many frames one is compared unless it is set: one a second of a camera with 30 frames a second.
const DEFAULT_STRIDE: u32 = 30;

/// Share of the false-alarm probability that pays for knowing the calibration's distribution from finitely many
/// scores; the rest pays for the bets.
const BAND_SHARE: f64 = 0.5;

/// Watches a stream of scores for drift, with a stated probability that it ever raises a false alarm.
#[derive(Clone, Debug)]
pub struct DriftMonitor {
    bets: Bets,
    stride: u32,
    limit: f64,
    status: DriftStatus,
}

/// What a [`DriftMonitor`] promises and which frames it compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftOptions {
    false_alarm: f64,
    stride: u32,
}

/// What a [`DriftMonitor`] says after a frame.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DriftStatus {
    /// Scores seen.
    pub frames: u64,
    /// Scores compared with the reference: every `stride`-th that was seen, until the alarm.
    pub compared: u64,
    /// Natural logarithm of what the bets against the reference have made of a stake of 1; it stands still after the
    /// alarm.
    pub evidence: f64,
    /// The evidence that raises the alarm.
    pub limit: f64,
    /// The alarm, from the frame that raised it until [`DriftMonitor::reset`].
    pub alarm: Option<DriftAlarm>,
}

/// When and where to a stream drifted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DriftAlarm {
    /// How many scores had been seen, the one that raised the alarm included.
    pub frame: u64,
    /// On which side the stream's scores lie.
    pub direction: DriftDirection,
}

/// Where a stream's scores lie, compared with the reference's.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftDirection {
    /// Low scores are more frequent.
    Lower,
    /// High scores are more frequent.
    Higher,
}

impl DriftMonitor {
    /// A monitor that has seen nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for options out of their range;
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the reference has too few scores for so small a
    /// probability of a false alarm.
    pub fn new(reference: &DriftReference, options: DriftOptions) -> Result<Self> {
        let DriftOptions {
            false_alarm,
            stride,
        } = options;
        if !(false_alarm > 0.0 && false_alarm < 1.0) {
            return Err(Error::caller(format!(
                "a false-alarm probability of {false_alarm}: above 0 and below 1"
            )));
        }
        if stride == 0 {
            return Err(Error::caller("a drift stride of 0: at least 1"));
        }
        let radius = dkw_radius(reference.n(), BAND_SHARE * false_alarm);
        let bets = Bets::new(reference, radius);
        if bets.is_empty() {
            return Err(Error::policy(format!(
                "{} calibration scores are too few to notice drift with a false-alarm probability of {false_alarm}",
                reference.n()
            )));
        }
        let limit = -((1.0 - BAND_SHARE) * false_alarm).ln();
        Ok(Self {
            bets,
            stride,
            limit,
            status: DriftStatus {
                frames: 0,
                compared: 0,
                evidence: 0.0,
                limit,
                alarm: None,
            },
        })
    }

    /// Takes the score of the stream's next frame: the first, and then every `stride`-th, is compared.
    ///
    /// NaN counts as lower than every score. Nothing is allocated.
    pub fn observe(&mut self, score: f32) -> DriftStatus {
        let is_due = self.status.frames.is_multiple_of(u64::from(self.stride));
        self.status.frames += 1;
        if !is_due || self.status.alarm.is_some() {
            return self.status;
        }
        self.bets.settle(score);
        self.status.compared = self.bets.compared();
        self.status.evidence = self.bets.wealth().ln();
        if self.status.evidence >= self.limit {
            self.status.alarm = Some(DriftAlarm {
                frame: self.status.frames,
                direction: self.bets.direction(),
            });
        }
        self.status
    }

    /// What the last [`observe`](Self::observe) said.
    pub fn status(&self) -> DriftStatus {
        self.status
    }

    /// Forgets the stream and the alarm. Each start has the stated probability of a false alarm anew.
    pub fn reset(&mut self) {
        self.bets.reset();
        self.status = DriftStatus {
            frames: 0,
            compared: 0,
            evidence: 0.0,
            limit: self.limit,
            alarm: None,
        };
    }
}

impl DriftOptions {
    /// The probability that a stream which is distributed as the reference ever raises the alarm, however long it
    /// is; above 0 and below 1, 0.05 unless set.
    pub fn false_alarm(mut self, probability: f64) -> Self {
        self.false_alarm = probability;
        self
    }

    /// Compares every `stride`-th frame; at least 1, 30 unless set.
    pub fn stride(mut self, stride: u32) -> Self {
        self.stride = stride;
        self
    }
}

impl Default for DriftOptions {
    fn default() -> Self {
        Self {
            false_alarm: DEFAULT_FALSE_ALARM,
            stride: DEFAULT_STRIDE,
        }
    }
}

impl DriftStatus {
    /// Whether the stream has drifted, so that thresholds and promises of its calibration mean nothing any more.
    pub fn is_stale(&self) -> bool {
        self.alarm.is_some()
    }
}

/// Half-width of the band around the empirical distribution of `n` scores that holds the true one with probability
/// `1 - error` at least, for every distribution: `sqrt(ln(2 / error) / 2n)` (Dvoretzky, Kiefer and Wolfowitz 1956,
/// with the constant of Massart 1990, corollary 1).
fn dkw_radius(n: u64, error: f64) -> f64 {
    ((2.0 / error).ln() / (2.0 * n as f64)).sqrt()
}
