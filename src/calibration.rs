//! A calibration: temperature and thresholds, fitted on one executed graph and one label bank.

mod operating_point;
mod promise;

use serde::{Deserialize, Serialize};

use crate::conformal::SetRule;
use crate::digest::Digest;
use crate::drift::DriftReference;
use crate::error::{Error, ErrorKind, Result};
use crate::ood::{OodScore, OodScores};
use crate::schema;

pub use operating_point::{Method, OperatingPoint, Share};
pub use promise::{Promise, PromiseKind};

/// The schema that this reader writes, and the newest that it reads.
pub const CALIBRATION_SCHEMA: u32 = 1;

/// The smallest temperature that is believed, and the inverse of the largest.
const MIN_TEMPERATURE: f32 = 1e-3;

/// The largest calibration file, in bytes.
pub const MAX_CALIBRATION_BYTES: usize = 1 << 20;

/// Temperature and thresholds with what they were fitted on.
///
/// A calibration holds for one graph: [`Gate::new`](crate::Gate::new) refuses it for another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    schema: u32,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(flatten)]
    thresholds: Thresholds,
    operating_point: OperatingPoint,
    promise: Promise,
    fitted_on: FittedOn,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drift: Option<DriftReference>,
}

/// What the gate compares with, and what that holds for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// What the numbers hold for.
    pub bound_to: Binding,
    /// What divides the logits.
    pub temperature: f32,
    /// The out-of-distribution cut.
    pub ood: OodRule,
    /// The confidence threshold.
    pub confidence: ConfidenceRule,
    /// The cut for one label, and for every bank that the calibration was not fitted on.
    pub absolute: SimilarityRule,
    /// The label sets, where there are any: then more than one label in the set is an abstention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets: Option<SetRule>,
}

/// What decides a score: change one, and a threshold means nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// SHA-256 of the executed image encoder.
    pub graph_sha256: Digest,
    /// [`LabelBank::digest`](crate::LabelBank::digest).
    pub bank_sha256: Digest,
    /// How pixels were made.
    pub preprocessing: PreprocessingMode,
    /// SHA-256 of the self-test's expected embedding, f32 little-endian.
    pub selftest_sha256: Digest,
}

/// How pixels reach the model's input.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreprocessingMode {
    /// As the reference does, bit for bit from the same decoded pixels.
    Exact,
    /// The same from JPEGs that were decoded at a half, a quarter or an eighth for the model (`DecodeOptions::fast`).
    FastDecode,
}

/// Below `threshold`, the frame is out of distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OodRule {
    /// The score that is compared.
    pub score: OodScore,
    /// For the bank that the calibration was fitted on.
    pub threshold: f32,
}

impl OodRule {
    /// Whether an image of these scores is taken for in-distribution; never by a score that is not there.
    pub fn passes(&self, scores: &OodScores) -> bool {
        scores
            .value(self.score)
            .is_some_and(|value| value >= self.threshold)
    }
}

/// Below `threshold`, a calibrated probability is too low.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceRule {
    /// 0 to 1.
    pub threshold: f32,
}

/// Below `similarity_threshold`, a label of another bank is not near. A cosine, because softmax scores
/// change with the number of labels, and with one label always say 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarityRule {
    /// -1 to 1.
    pub similarity_threshold: f32,
}

/// How many images fitted what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedOn {
    /// Where the images come from.
    pub source: String,
    /// Images that set the temperature.
    pub temperature: u64,
    /// Images that set the thresholds.
    pub thresholds: u64,
    /// Images of other things that chose the out-of-distribution score.
    #[serde(default)]
    pub others: u64,
    /// How the images were split in these two, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// How images were split: the same images, share and seed give the same split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Share of each label's images that fit temperature, score and cut; above 0, below 1.
    pub fit_fraction: f64,
    /// Seed of the shuffling.
    pub seed: u64,
}

impl Calibration {
    /// Reads `calibration.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`] if the text is no calibration, is of a newer
    /// schema, requires what this reader does not know, or holds a number out of its range.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.len() > MAX_CALIBRATION_BYTES {
            return Err(Error::policy(format!(
                "a calibration of {} bytes; at most {MAX_CALIBRATION_BYTES}",
                json.len()
            )));
        }
        schema::check(json, "calibration", CALIBRATION_SCHEMA, ErrorKind::Policy)?;
        let calibration: Self = serde_json::from_slice(json)
            .map_err(|error| Error::policy("not a calibration of schema 1").with_source(error))?;
        calibration.check()?;
        Ok(calibration)
    }

    /// A calibration that was just fitted.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`] if a number is out of its range, or the promise does not follow from its counts.
    pub fn new(
        thresholds: Thresholds,
        operating_point: OperatingPoint,
        promise: Promise,
        fitted_on: FittedOn,
        drift: Option<DriftReference>,
    ) -> Result<Self> {
        let calibration = Self {
            schema: CALIBRATION_SCHEMA,
            requires: Vec::new(),
            thresholds,
            operating_point,
            promise,
            fitted_on,
            drift,
        };
        calibration.check()?;
        Ok(calibration)
    }

    /// The bytes of the file that [`from_json`](Self::from_json) reads, with the very same thresholds.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`] if a number is lost on the way.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let refused = |error| Error::policy("not writable as JSON").with_source(error);
        let mut json = serde_json::to_vec_pretty(self).map_err(refused)?;
        json.push(b'\n');
        if Self::from_json(&json)?.thresholds != self.thresholds {
            return Err(Error::policy(
                "a threshold changes when it is written as JSON",
            ));
        }
        Ok(json)
    }

    /// Whether the promise is of the kind that the method makes, and about what was counted.
    fn check_promise(&self) -> Result<()> {
        let (point, promise) = (&self.operating_point, &self.promise);
        let made = match point.method {
            Method::Ltt | Method::Sgr => PromiseKind::HighProbability,
            Method::Crc => PromiseKind::Expectation,
            Method::Lac | Method::Aps | Method::Raps => PromiseKind::MarginalCoverage,
            Method::AcceptRate | Method::Empirical => PromiseKind::None,
        };
        let counted = match promise.kind {
            PromiseKind::HighProbability => {
                (promise.images, promise.errors) == (point.accepted.count, point.wrong.count)
            }
            _ => true,
        };
        let makes_sets = made == PromiseKind::MarginalCoverage;
        for (holds, why) in [
            (
                promise.kind == made || promise.kind == PromiseKind::None,
                "`promise.kind` is not what `operating_point.method` promises",
            ),
            (
                promise.kind == PromiseKind::None || promise.target == Some(point.target),
                "`promise.target` is not `operating_point.target`",
            ),
            (
                counted,
                "`promise` counts other images than `operating_point`",
            ),
            (
                self.thresholds.sets.is_some() == makes_sets,
                "`sets` and `operating_point.method` do not belong together",
            ),
        ] {
            if !holds {
                return Err(Error::policy(why));
            }
        }
        promise.check()
    }

    fn check(&self) -> Result<()> {
        let Thresholds {
            temperature,
            ood,
            confidence,
            absolute,
            sets,
            ..
        } = &self.thresholds;
        let point = &self.operating_point;
        let is_temperature = (MIN_TEMPERATURE..=MIN_TEMPERATURE.recip()).contains(temperature);
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        for (name, valid, value) in [
            ("temperature", is_temperature, *temperature),
            ("ood.threshold", ood.threshold.is_finite(), ood.threshold),
            (
                "confidence.threshold",
                // One step above 1 accepts nothing.
                (0.0..=1.0f32.next_up()).contains(&confidence.threshold),
                confidence.threshold,
            ),
            (
                "absolute.similarity_threshold",
                (-1.0..=1.0f32.next_up()).contains(&absolute.similarity_threshold),
                absolute.similarity_threshold,
            ),
            (
                "sets.threshold",
                sets.is_none_or(|sets| sets.is_valid()),
                sets.map_or(0.0, |sets| sets.threshold),
            ),
            (
                "operating_point.target",
                is_share(point.target),
                point.target as f32,
            ),
            (
                "operating_point.id_pass_share",
                is_share(point.id_pass_share),
                point.id_pass_share as f32,
            ),
        ] {
            if !valid {
                return Err(Error::policy(format!(
                    "`{name}` is {value}, out of its range"
                )));
            }
        }
        for (name, share) in [
            ("passed", point.passed),
            ("accepted", point.accepted),
            ("wrong", point.wrong),
        ] {
            if !share.is_valid() {
                return Err(Error::policy(format!(
                    "`operating_point.{name}` is no share: {share:?}"
                )));
            }
        }
        self.check_promise()
    }

    /// What this calibration holds for.
    pub fn binding(&self) -> &Binding {
        &self.thresholds.bound_to
    }

    /// What divides the logits.
    pub fn temperature(&self) -> f32 {
        self.thresholds.temperature
    }

    /// The out-of-distribution cut.
    pub fn ood(&self) -> OodRule {
        self.thresholds.ood
    }

    /// The confidence threshold.
    pub fn confidence(&self) -> ConfidenceRule {
        self.thresholds.confidence
    }

    /// The cut for one label, and for every bank that the calibration was not fitted on.
    pub fn absolute(&self) -> SimilarityRule {
        self.thresholds.absolute
    }

    /// The label sets, where there are any.
    pub fn sets(&self) -> Option<SetRule> {
        self.thresholds.sets
    }

    /// What the thresholds did on the images that set them.
    pub fn operating_point(&self) -> &OperatingPoint {
        &self.operating_point
    }

    /// What is promised.
    pub fn promise(&self) -> &Promise {
        &self.promise
    }

    /// How many images fitted what.
    pub fn fitted_on(&self) -> &FittedOn {
        &self.fitted_on
    }

    /// The certifying images' out-of-distribution scores, to notice drift by; images that show nothing have none.
    pub fn drift(&self) -> Option<&DriftReference> {
        self.drift.as_ref()
    }
}
