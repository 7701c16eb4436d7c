//! Drift: notices, without labels, that a stream no longer looks like the calibration's images.
//!
//! A [`DriftReference`] keeps the distribution of the calibration images' scores. A [`DriftMonitor`] takes the score
//! of every frame of a stream and bets that the two differ; once the bets have won enough, the calibration is stale.
//!
//! ```
//! use clipgate::{DriftMonitor, DriftOptions, DriftReference};
//!
//! let calibration: Vec<f32> = (0..200).map(|i| 0.5 + i as f32 * 0.002).collect();
//! let reference = DriftReference::from_scores(&calibration)?;
//! let options = DriftOptions::default().false_alarm(0.01).stride(1);
//! let mut monitor = DriftMonitor::new(&reference, options)?;
//!
//! // As in the calibration: nothing, however long it lasts.
//! for i in 0..10_000 {
//!     assert!(!monitor.observe(calibration[i * 71 % 200]).is_stale());
//! }
//! // Every frame scores below the calibration's median: an alarm within a hundred frames.
//! let frames = (0..100).find(|i| monitor.observe(calibration[i * 71 % 100]).is_stale());
//! assert!(frames.is_some());
//! # Ok::<(), clipgate::Error>(())
//! ```
//!
//! # Why a false alarm is as rare as stated
//!
//! Let `F` be the distribution function that the calibration's `n` scores were drawn from, independently, `F_n` their
//! empirical one, and `α` the stated probability, of which one half `δ` pays for the band and the other for the bets.
//!
//! 1. *The band.* With probability `1 - δ`, `|F - F_n| <= ε` everywhere, `ε` being [`dkw_epsilon`]`(n, δ)`: true for
//!    every `F`, with or without ties. A test that took `F_n` for `F` itself would be sure to raise a false alarm in
//!    the end, since an endless stream shows every difference between the two.
//! 2. *One bet.* For a quantile `c` the event "the score is at most `c`" has, for every distribution in the band, at
//!    most the probability `p = F_n(c) + ε`; "the score is above `c`" has at most `p = 1 - F_n(c) + ε`. A bet against
//!    an alternative `q > p` multiplies its stake by `q / p` if the event happens, else by `(1 - q) / (1 - p)`. If the
//!    event's probability is `r`, the expected factor is `r q / p + (1 - r) (1 - q) / (1 - p)`, which grows with `r`
//!    and is 1 at `r = p`. So it is at most 1 for every distribution in the band: no rounding, no ties, no p-value.
//! 3. *All bets.* A stake of 1 is divided among all quantiles, both sides and some alternatives, and among all frames
//!    at which a bet may begin, with shares that are fixed beforehand and sum to 1; what has not begun is kept. The
//!    total is a sum of nonnegative supermartingales, and so itself one, with expectation at most 1.
//! 4. *The alarm* is raised when the total reaches `1 / δ`. By Ville's inequality (Ville 1939, "Étude critique de la
//!    notion de collectif") this ever happens with probability at most `δ`, over the whole endless stream and at every
//!    moment at which one may look.
//!
//! Together: a stream whose compared frames are distributed as the calibration's raises an alarm with probability at
//! most `2 δ = α`.
//!
//! A martingale that compares a stream with a fixed reference, and stays valid because it accounts for the error of the
//! reference's distribution, is proposed by Shaer, Bar, Prinster and Romano (2026, arXiv 2602.13848). Bets on each
//! quantile from one side are as in tests of stochastic dominance (Arnold, Choe, Scarsini and Tsetlin 2026, arXiv
//! 2604.21851), betting as such as in Waudby-Smith and Ramdas (2024, arXiv 2010.09686). Bets that begin at every frame
//! are as in e-detectors (Shin, Ramdas and Rinaldo 2022, arXiv 2203.03532), but with shares that sum to 1, which bound
//! an alarm's probability instead of the mean time between alarms.
//!
//! # What has to hold
//!
//! Frames of one scene are alike, so the bets would win on them without any drift. Only every `stride`-th frame is
//! compared, and the bound holds if compared frames are as good as independent: precisely, if each one's distribution,
//! given all compared before it, lies in the band. It says nothing of frames that stay alike for longer than the
//! stride.

mod bets;
mod reference;

use serde::Serialize;

use crate::bounds::dkw_epsilon;
use crate::error::{Error, Result};
use bets::Bets;

pub use reference::{DriftReference, MAX_REFERENCE_QUANTILES, MIN_REFERENCE_SCORES};

/// The probability of a false alarm unless it is set.
const DEFAULT_FALSE_ALARM: f64 = 0.05;

/// The smallest probability of a false alarm: the band of the fewest scores still leaves room for bets.
const MIN_FALSE_ALARM: f64 = 1e-12;

/// Every how many frames one is compared unless it is set: one a second of a camera with 30 frames a second.
const DEFAULT_STRIDE: u32 = 30;

/// Share of the false-alarm probability that pays for the band; the rest pays for the bets.
const BAND_SHARE: f64 = 0.5;

/// Watches a stream of scores, with a stated probability that it ever raises a false alarm. The module's page has an
/// example and the argument.
///
/// Its memory does not grow with the stream: one number for each bet, of which there are fewer than 200.
#[derive(Clone, Debug)]
pub struct DriftMonitor {
    bets: Bets,
    stride: u32,
    status: DriftStatus,
}

/// What a [`DriftMonitor`] promises and which frames it compares.
///
/// ```
/// use clipgate::DriftOptions;
///
/// // A camera with 10 frames a second whose scene changes within a minute.
/// let options = DriftOptions::default().false_alarm(0.01).stride(600);
/// # let _ = options;
/// ```
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
    /// Natural logarithm of what the bets have made of a stake of 1; it stands still after the alarm.
    pub evidence: f64,
    /// The evidence that raises the alarm.
    pub limit: f64,
    /// The alarm, from the frame that raised it until [`DriftMonitor::reset`].
    pub alarm: Option<DriftAlarm>,
}

/// When a stream was found to have drifted, and where to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DriftAlarm {
    /// How many scores had been seen, the one that raised the alarm included.
    pub frame: u64,
    /// The side whose bets had won more.
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
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for options out of their range.
    pub fn new(reference: &DriftReference, options: DriftOptions) -> Result<Self> {
        let DriftOptions {
            false_alarm,
            stride,
        } = options;
        if !(MIN_FALSE_ALARM..1.0).contains(&false_alarm) {
            return Err(Error::caller(format!(
                "a false-alarm probability of {false_alarm}: from {MIN_FALSE_ALARM} to below 1"
            )));
        }
        if stride == 0 {
            return Err(Error::caller("a drift stride of 0: at least 1"));
        }
        let radius = dkw_epsilon(reference.n(), BAND_SHARE * false_alarm)?;
        let limit = -((1.0 - BAND_SHARE) * false_alarm).ln();
        Ok(Self {
            bets: Bets::new(reference, radius),
            stride,
            status: DriftStatus::unseen(limit),
        })
    }

    /// Takes the score of the stream's next frame. The first is compared, and every `stride`-th after it.
    ///
    /// NaN counts as lower than every score. Nothing is allocated.
    pub fn observe(&mut self, score: f32) -> DriftStatus {
        let is_due = self.status.frames.is_multiple_of(u64::from(self.stride));
        self.status.frames += 1;
        if !is_due || self.status.is_stale() {
            return self.status;
        }
        self.bets.settle(score);
        self.status.compared = self.bets.settled();
        self.status.evidence = self.bets.wealth().ln();
        if self.status.evidence >= self.status.limit {
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

    /// Forgets the stream and the alarm, and begins anew with the same reference. Each beginning has the stated
    /// probability of a false alarm. A new calibration needs a new monitor.
    pub fn reset(&mut self) {
        self.bets.reset();
        self.status = DriftStatus::unseen(self.status.limit);
    }
}

impl DriftOptions {
    /// The probability that a stream which is distributed as the reference ever raises the alarm, however long it
    /// is: from 1e-12 to below 1, 0.05 unless set.
    pub fn false_alarm(mut self, probability: f64) -> Self {
        self.false_alarm = probability;
        self
    }

    /// Compares every `stride`-th frame: at least 1, 30 unless set, which is one a second of a usual camera. Choose it
    /// so that two compared frames no longer show the same thing; 1 for photos that are independent of each other.
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
    fn unseen(limit: f64) -> Self {
        Self {
            frames: 0,
            compared: 0,
            evidence: 0.0,
            limit,
            alarm: None,
        }
    }

    /// Whether the stream has drifted, so that the calibration's thresholds and promise no longer speak of it.
    pub fn is_stale(&self) -> bool {
        self.alarm.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn calibration() -> Vec<f32> {
        (0..200).map(|i| i as f32 / 200.0).collect()
    }

    fn monitor(options: DriftOptions) -> Result<DriftMonitor> {
        DriftMonitor::new(&DriftReference::from_scores(&calibration())?, options)
    }

    /// Scores that raise an alarm, or none within a thousand.
    fn until_alarm(score: impl Fn(usize) -> f32) -> Option<DriftAlarm> {
        let mut monitor = monitor(DriftOptions::default().stride(1)).unwrap();
        (0..1000).find_map(|i| monitor.observe(score(i)).alarm)
    }

    #[test]
    fn each_side_is_told_and_nan_is_the_lowest_score() {
        let spread = |i: usize| (i * 71 % 200) as f32 / 200.0;
        assert_eq!(until_alarm(spread), None);
        for (score, direction) in [
            (-1.0, DriftDirection::Lower),
            (f32::NEG_INFINITY, DriftDirection::Lower),
            (f32::NAN, DriftDirection::Lower),
            (2.0, DriftDirection::Higher),
            (f32::INFINITY, DriftDirection::Higher),
        ] {
            let alarm = until_alarm(|_| score).unwrap();
            assert_eq!(alarm.direction, direction, "{score}");
            assert!(alarm.frame < 20, "{score}: {alarm:?}");
        }
        let half = |i| if i % 2 == 0 { f32::NAN } else { spread(i) };
        assert!(until_alarm(half).is_some());
    }

    #[test]
    fn an_alarm_stays_until_reset() {
        let mut monitor = monitor(DriftOptions::default().stride(1)).unwrap();
        while !monitor.observe(-1.0).is_stale() {}
        let raised = monitor.status();
        for i in 0..1000 {
            monitor.observe(calibration()[i * 71 % 200]);
        }
        let later = monitor.status();
        assert_eq!(later.alarm, raised.alarm);
        assert_eq!(later.evidence, raised.evidence);
        assert_eq!(later.frames, raised.frames + 1000);
        monitor.reset();
        assert_eq!(monitor.status(), DriftStatus::unseen(raised.limit));
        while !monitor.observe(-1.0).is_stale() {}
        assert_eq!(monitor.status(), raised);
    }

    #[test]
    fn only_every_stride_th_frame_is_compared() {
        let mut thinned = monitor(DriftOptions::default().stride(3)).unwrap();
        let mut whole = monitor(DriftOptions::default().stride(1)).unwrap();
        for i in 0..90 {
            let score = calibration()[i * 71 % 200];
            let status = thinned.observe(score);
            if i % 3 == 0 {
                whole.observe(score);
            }
            assert_eq!(status.frames, i as u64 + 1);
            assert_eq!(status.compared, i as u64 / 3 + 1);
            assert_eq!(status.evidence, whole.status().evidence);
        }
    }

    #[test]
    fn options_out_of_their_range_are_refused() {
        let options = DriftOptions::default();
        for refused in [
            options.false_alarm(0.0),
            options.false_alarm(1.0),
            options.false_alarm(f64::NAN),
            options.stride(0),
        ] {
            assert_eq!(monitor(refused).unwrap_err().kind(), ErrorKind::Caller);
        }
    }

    #[test]
    fn the_fewest_scores_and_the_smallest_probability_still_notice() {
        let few = DriftReference::from_scores(&calibration()[..MIN_REFERENCE_SCORES]).unwrap();
        let options = DriftOptions::default()
            .false_alarm(MIN_FALSE_ALARM)
            .stride(1);
        let mut monitor = DriftMonitor::new(&few, options).unwrap();
        while !monitor.observe(-1.0).is_stale() {}
        assert!(monitor.status().frames < 500, "{:?}", monitor.status());
    }

    #[test]
    fn equal_calibration_scores_leave_something_to_compare() {
        let reference = DriftReference::from_scores(&[0.5; 100]).unwrap();
        let mut monitor = DriftMonitor::new(&reference, DriftOptions::default().stride(1)).unwrap();
        for _ in 0..1000 {
            assert!(!monitor.observe(0.5).is_stale());
        }
        for _ in 0..100 {
            monitor.observe(0.4);
        }
        assert!(monitor.status().is_stale());
    }
}
