//! A calibration: temperature and thresholds, fitted on one executed graph and one label bank.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::ood::OodScore;
use crate::schema;

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
    bound_to: Binding,
    temperature: f32,
    ood: OodRule,
    confidence: ConfidenceRule,
    absolute: SimilarityRule,
    operating_point: OperatingPoint,
    promise: Promise,
    fitted_on: FittedOn,
}

/// What decides a score: change one, and a threshold means nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// SHA-256 of the executed image encoder.
    pub graph_sha256: Digest,
    /// [`LabelBank::digest`](crate::LabelBank::digest).
    pub bank_sha256: Digest,
    /// How pixels were resampled.
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
}

/// Below `threshold`, the frame is out of distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OodRule {
    /// The score that is compared.
    pub score: OodScore,
    /// For the bank that the calibration was fitted on.
    pub threshold: f32,
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

/// What the thresholds did on the images that set them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The rule in words.
    pub rule: String,
    /// Share of accepted answers that may be wrong, 0 to 1.
    pub target_risk: f32,
    /// Share of in-distribution images that pass the out-of-distribution cut.
    pub id_pass_share: f32,
    /// Share of images accepted.
    pub coverage: f32,
    /// Share of accepted answers that were wrong.
    pub selective_risk: f32,
}

/// What is promised of accepted answers, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The kind of promise.
    pub kind: PromiseKind,
    /// In words.
    pub conditions: String,
}

/// How strong a promise is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseKind {
    /// Nothing is promised: the thresholds are an estimate.
    None,
}

/// How many images fitted what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FittedOn {
    /// Where the images come from.
    pub source: String,
    /// Images that set the temperature.
    pub temperature: u64,
    /// Images that set the thresholds.
    pub thresholds: u64,
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

    fn check(&self) -> Result<()> {
        let temperature = |value: f32| (MIN_TEMPERATURE..=MIN_TEMPERATURE.recip()).contains(&value);
        let cosine = |value: f32| (-1.0..=1.0).contains(&value);
        let share = |value: f32| (0.0..=1.0).contains(&value);
        for (name, valid, value) in [
            (
                "temperature",
                temperature(self.temperature),
                self.temperature,
            ),
            (
                "ood.threshold",
                cosine(self.ood.threshold),
                self.ood.threshold,
            ),
            (
                "confidence.threshold",
                share(self.confidence.threshold),
                self.confidence.threshold,
            ),
            (
                "absolute.similarity_threshold",
                cosine(self.absolute.similarity_threshold),
                self.absolute.similarity_threshold,
            ),
        ] {
            if !valid {
                return Err(Error::policy(format!(
                    "`{name}` is {value}, out of its range"
                )));
            }
        }
        Ok(())
    }

    /// What this calibration holds for.
    pub fn binding(&self) -> &Binding {
        &self.bound_to
    }

    /// What divides the logits.
    pub fn temperature(&self) -> f32 {
        self.temperature
    }

    /// The out-of-distribution cut.
    pub fn ood(&self) -> OodRule {
        self.ood
    }

    /// The confidence threshold.
    pub fn confidence(&self) -> ConfidenceRule {
        self.confidence
    }

    /// The cut for one label, and for every bank that the calibration was not fitted on.
    pub fn absolute(&self) -> SimilarityRule {
        self.absolute
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
}
