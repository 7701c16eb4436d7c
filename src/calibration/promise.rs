//! What is promised of accepted answers, and when.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bounds::binomial_at_most;
use crate::error::{Error, Result};

/// How far a count may miss a bound by the rounding of numbers written as text.
const ROUNDING: f64 = 1e-9;

/// What is promised of accepted answers, on which evidence, and under which conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// The kind of promise.
    pub kind: PromiseKind,
    /// The share that the promise keeps small: of accepted answers that are wrong, of images that are accepted and
    /// wrong, or of label sets without the true label, as the kind says. `None` where nothing is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// The probability with which a promise of high probability holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Images that the promise rests on: the accepted ones for a promise of high probability, all that could have
    /// been counted otherwise.
    #[serde(default)]
    pub images: u64,
    /// Errors among them.
    #[serde(default)]
    pub errors: u64,
    /// In words.
    pub conditions: String,
}

/// How strong a promise is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseKind {
    /// With the stated confidence, at most the target share of accepted answers is wrong.
    HighProbability,
    /// On average over calibrations like this one, at most the target share of all images is accepted and wrong.
    Expectation,
    /// On average over calibrations like this one, the set of labels lacks the true one for at most the target share
    /// of images.
    MarginalCoverage,
    /// Nothing is promised: the thresholds are an estimate.
    None,
}

impl Promise {
    /// No promise, and why.
    pub fn none(conditions: impl Into<String>) -> Self {
        Self {
            kind: PromiseKind::None,
            target: None,
            confidence: None,
            images: 0,
            errors: 0,
            conditions: conditions.into(),
        }
    }

    /// Whether the promise follows from its own counts: a file that says more than its evidence is refused.
    pub(super) fn check(&self) -> Result<()> {
        let refused = |why: &str| Err(Error::policy(format!("`promise`: {why}")));
        if self.errors > self.images {
            return refused("more errors than images");
        }
        if self.kind == PromiseKind::None {
            return Ok(());
        }
        let is_share = |value: &f64| *value > 0.0 && *value < 1.0;
        let Some(target) = self.target.filter(is_share) else {
            return refused("`target` must be above 0 and below 1");
        };
        let (images, errors) = (self.images as f64, self.errors as f64);
        let shown = match self.kind {
            PromiseKind::HighProbability => {
                let Some(confidence) = self.confidence.filter(is_share) else {
                    return refused("`confidence` must be above 0 and below 1");
                };
                let tail = binomial_at_most(self.errors as usize, self.images as usize, target)
                    .map_err(|error| Error::policy(error.to_string()).at("`promise`"))?;
                tail <= 1.0 - confidence + ROUNDING
            }
            PromiseKind::Expectation | PromiseKind::MarginalCoverage => {
                errors + 1.0 <= target * (images + 1.0) + ROUNDING
            }
            PromiseKind::None => true,
        };
        if shown {
            Ok(())
        } else {
            refused("its counts do not show what it promises")
        }
    }
}

/// One sentence without the conditions: "at most 5 % of accepted answers are wrong, with 95 % confidence (...)".
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: Option<f64>| Percent(share.unwrap_or(f64::NAN));
        let (target, images, errors) = (percent(self.target), self.images, self.errors);
        match self.kind {
            PromiseKind::HighProbability => write!(
                f,
                "at most {target} of accepted answers are wrong, with {} confidence (shown by {images} accepted \
                 images, {errors} of them wrong)",
                percent(self.confidence)
            ),
            PromiseKind::Expectation => write!(
                f,
                "on average over such calibrations, at most {target} of all images are accepted and wrong (shown by \
                 {images} images, {errors} of them accepted and wrong)"
            ),
            PromiseKind::MarginalCoverage => write!(
                f,
                "on average over such calibrations, the label set lacks the true label for at most {target} of the \
                 images that pass the out-of-distribution cut (shown by {images} images, {errors} of them without it)"
            ),
            PromiseKind::None => f.write_str("none"),
        }
    }
}

/// A share as percent, with as many digits as it has: 5 %, 0.5 %, 99.9 %.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: f64 = 1e4;
        write!(f, "{} %", (self.0 * 100.0 * DIGITS).round() / DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(kind: PromiseKind, images: u64, errors: u64) -> Promise {
        Promise {
            kind,
            target: Some(0.05),
            confidence: Some(0.95),
            images,
            errors,
            conditions: "…".into(),
        }
    }

    #[test]
    fn a_promise_that_its_counts_do_not_show_is_refused() {
        for (kind, images, errors, shown) in [
            (PromiseKind::HighProbability, 59, 0, true),
            (PromiseKind::HighProbability, 58, 0, false),
            (PromiseKind::HighProbability, 93, 1, true),
            (PromiseKind::HighProbability, 93, 2, false),
            (PromiseKind::HighProbability, 0, 0, false),
            (PromiseKind::Expectation, 19, 0, true),
            (PromiseKind::Expectation, 18, 0, false),
            (PromiseKind::MarginalCoverage, 99, 4, true),
            (PromiseKind::MarginalCoverage, 99, 5, false),
            (PromiseKind::None, 1, 2, false),
        ] {
            let checked = promise(kind, images, errors).check();
            assert_eq!(checked.is_ok(), shown, "{kind:?} {errors} of {images}");
        }
        let mut without = promise(PromiseKind::HighProbability, 100, 0);
        without.confidence = None;
        assert!(without.check().is_err());
    }

    #[test]
    fn a_promise_speaks_in_percent() {
        let mut promise = promise(PromiseKind::HighProbability, 208, 3);
        promise.target = Some(0.005);
        let said = promise.to_string();
        assert!(
            said.starts_with("at most 0.5 % of accepted answers are wrong, with 95 % confidence")
        );
        assert_eq!(Promise::none("because").to_string(), "none");
    }
}
