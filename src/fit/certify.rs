//! The second split: one threshold, certified or refused.

use crate::calibration::{Method, Promise, PromiseKind, Share};
use crate::conformal::{SetRule, conformal_quantile};
use crate::error::{Error, Result};
use crate::metrics::wilson;
use crate::selective::{
    Answers, Certified, conformal_risk, fixed_sequence, guaranteed_selective_risk,
};

use super::{Development, FitOptions, LabelledImage, refusal};

/// Confidence of the intervals around what was measured.
const INTERVAL: f64 = 0.95;

/// Images of a split at the temperature and cut of the first.
pub(super) struct Certifying {
    /// All images of the split.
    images: usize,
    /// Those that pass the cut.
    passing: Vec<Passing>,
}

struct Passing {
    label: usize,
    best: usize,
    probabilities: Vec<f32>,
}

/// What a rule found.
pub(super) struct Certificate {
    pub(super) confidence: f32,
    pub(super) sets: Option<SetRule>,
    pub(super) rule: String,
    pub(super) promise: Promise,
}

/// What the thresholds do on the certifying images.
pub(super) struct Point {
    pub(super) passed: Share,
    pub(super) accepted: Share,
    pub(super) wrong: Share,
    pub(super) mean_set_size: Option<f64>,
}

impl Passing {
    fn confidence(&self) -> f32 {
        self.probabilities[self.best]
    }

    fn is_right(&self) -> bool {
        self.best == self.label
    }
}

impl Certifying {
    pub(super) fn new(images: &[LabelledImage], development: &Development) -> Self {
        let passing = images.iter().filter_map(|image| {
            let seen = image.seen.as_ref()?;
            let best = seen.scores.best()?;
            development.ood.passes(&seen.ood).then(|| Passing {
                label: image.label,
                best,
                probabilities: seen.scores.probabilities_at(development.scale),
            })
        });
        Self {
            images: images.len(),
            passing: passing.collect(),
        }
    }

    pub(super) fn passed(&self) -> usize {
        self.passing.len()
    }

    pub(super) fn answers(&self) -> Result<Answers> {
        let confidences: Vec<f32> = self.passing.iter().map(Passing::confidence).collect();
        let correct: Vec<bool> = self.passing.iter().map(Passing::is_right).collect();
        Answers::new(&confidences, &correct)
    }

    pub(super) fn probabilities(&self) -> (Vec<Vec<f32>>, Vec<usize>) {
        let row = |image: &Passing| (image.probabilities.clone(), image.label);
        self.passing.iter().map(row).unzip()
    }

    /// The threshold of `options.method`, with what it promises. `all_images` are those of both splits.
    pub(super) fn certify(
        &self,
        development: &Development,
        all_images: usize,
        options: &FitOptions,
    ) -> Result<Certificate> {
        if self.passing.is_empty() {
            return Err(Error::policy(format!(
                "of the {} images left to certify the threshold none passes the out-of-distribution cut: bring more images",
                self.images
            )));
        }
        if !self.passing.iter().any(Passing::is_right) {
            return Err(Error::policy(format!(
                "every answer on the {} images that were to certify the threshold is wrong: are the labels right, and \
                 does this model know them?",
                self.passing.len()
            )));
        }
        let answers = self.answers()?;
        let (target, delta) = (options.target, 1.0 - options.confidence);
        let refused = || refusal::uncertified(&answers, self.images, all_images, options);
        match options.method {
            Method::Sgr => guaranteed_selective_risk(&answers, target, delta)?
                .map(|found| high_probability(found.certified, SGR_RULE, options))
                .map_or_else(|| Err(refused()?), Ok),
            Method::Ltt => fixed_sequence(&answers, &development.path, target, delta)?
                .map(|found| high_probability(found, LTT_RULE, options))
                .map_or_else(|| Err(refused()?), Ok),
            Method::Crc => self.risk_control(&answers, options),
            Method::AcceptRate => Ok(self.accept_rate(&answers, target)),
            _ => self.sets(development, options),
        }
    }

    fn risk_control(&self, answers: &Answers, options: &FitOptions) -> Result<Certificate> {
        let Some(confidence) = conformal_risk(answers, self.images, options.target)? else {
            return Err(refusal::too_few_certify(self.images, options));
        };
        Ok(Certificate {
            confidence,
            sets: None,
            rule: CRC_RULE.to_owned(),
            promise: Promise {
                kind: PromiseKind::Expectation,
                target: Some(options.target),
                confidence: None,
                images: self.images as u64,
                errors: answers.at(confidence).wrong as u64,
                conditions: format!("{CRC_SCOPE} {CONDITIONS}"),
            },
        })
    }

    fn accept_rate(&self, answers: &Answers, rate: f64) -> Certificate {
        let count = (rate * self.images as f64).ceil() as usize;
        Certificate {
            confidence: answers.threshold_accepting(count),
            sets: None,
            rule: ACCEPT_RATE_RULE.to_owned(),
            promise: Promise::none(NO_PROMISE),
        }
    }

    fn sets(&self, development: &Development, options: &FitOptions) -> Result<Certificate> {
        let score = development
            .sets
            .ok_or_else(|| Error::caller("this method makes no label sets"))?;
        let of_true_label = |image: &Passing| score.of(&image.probabilities, image.label);
        let mut scores: Vec<f32> = self.passing.iter().filter_map(of_true_label).collect();
        let Some(threshold) = conformal_quantile(&mut scores, options.target)? else {
            return Err(refusal::too_few_certify(scores.len(), options));
        };
        let outside = scores.iter().filter(|score| **score > threshold).count();
        Ok(Certificate {
            confidence: 0.0,
            sets: Some(SetRule { score, threshold }),
            rule: SETS_RULE.to_owned(),
            promise: Promise {
                kind: PromiseKind::MarginalCoverage,
                target: Some(options.target),
                confidence: None,
                images: scores.len() as u64,
                errors: outside as u64,
                conditions: format!("{SETS_SCOPE} {CONDITIONS}"),
            },
        })
    }

    pub(super) fn operating_point(&self, confidence: f32, sets: Option<&SetRule>) -> Result<Point> {
        let (mut accepted, mut wrong, mut set_sizes) = (0, 0, 0);
        let mut rows = Vec::new();
        for image in &self.passing {
            let mut is_accepted = image.confidence() >= confidence;
            if let Some(sets) = sets {
                sets.labels(&image.probabilities, &mut rows);
                set_sizes += rows.len();
                is_accepted &= rows.len() == 1;
            }
            accepted += usize::from(is_accepted);
            wrong += usize::from(is_accepted && !image.is_right());
        }
        let passed = self.passing.len();
        Ok(Point {
            passed: share(passed, self.images)?,
            accepted: share(accepted, self.images)?,
            wrong: share(wrong, accepted)?,
            mean_set_size: sets
                .filter(|_| passed > 0)
                .map(|_| set_sizes as f64 / passed as f64),
        })
    }
}

fn high_probability(found: Certified, rule: &str, options: &FitOptions) -> Certificate {
    Certificate {
        confidence: found.threshold,
        sets: None,
        rule: rule.to_owned(),
        promise: Promise {
            kind: PromiseKind::HighProbability,
            target: Some(options.target),
            confidence: Some(options.confidence),
            images: found.accepted as u64,
            errors: found.wrong as u64,
            conditions: format!("{RISK_SCOPE} {CONDITIONS}"),
        },
    }
}

fn share(count: usize, of: usize) -> Result<Share> {
    if of == 0 {
        return Ok(Share::default());
    }
    let interval = wilson(count, of, INTERVAL)?;
    Ok(Share {
        count: count as u64,
        of: of as u64,
        low: interval.low,
        high: interval.high,
    })
}

const LTT_RULE: &str = "The confidence threshold is the last of a sequence that the first split declared (downwards \
    from the threshold with the best prospects) up to which each threshold is certified on the second split by the \
    exact binomial tail: Learn-then-Test, fixed sequence, arXiv 2110.01052.";
const SGR_RULE: &str = "The confidence threshold is the lowest that a binary search over the second split's \
    confidences certifies by the exact binomial bound, its confidence shared among the steps: selection with \
    guaranteed risk, arXiv 1705.08500.";
const CRC_RULE: &str = "The confidence threshold is the lowest at which, of the second split and one image more, at \
    most the target share would be accepted and wrong: conformal risk control, arXiv 2208.02814.";
const ACCEPT_RATE_RULE: &str = "The confidence threshold is the highest at which the target share of the second split is accepted.";
const SETS_RULE: &str = "An image is accepted if its label set holds one label. A set holds the labels whose score is \
    at most the threshold, the ceil((n + 1)(1 - target))-th smallest score of a true label among the second split's \
    images that pass the out-of-distribution cut: split conformal prediction.";

const RISK_SCOPE: &str = "It speaks of the share of wrong labels among accepted images.";
const CRC_SCOPE: &str = "It speaks of all images, also those that are abstained on, so the share of wrong labels among \
    the accepted ones can be larger; and of the average over many calibrations, not of this one.";
const SETS_SCOPE: &str = "It speaks of the label sets of images that pass the out-of-distribution cut, on the average \
    over many calibrations; the share of wrong labels among accepted images, whose set holds one label, can be larger.";
const CONDITIONS: &str = "It holds for single frames that are exchangeable with the labelled images: the same task, \
    camera and mix of labels, each frame drawn independently. It covers images of these labels alone: nothing is \
    promised of images that show something else, nor after the task has changed, nor of decisions that are smoothed \
    over a video's frames.";
const NO_PROMISE: &str = "The threshold only sets how many images are accepted, right or wrong.";
