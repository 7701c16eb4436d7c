//! Fits a calibration to labelled images of one's own.
//!
//! The images are split in two. The first split fits whatever orders or excludes images: temperature, the
//! out-of-distribution score and its cut, the parameters and the path of the rule. The second certifies one number, the
//! confidence threshold (or the threshold of label sets), among its images that pass the cut. Fitting the temperature
//! on the certifying images too would void the promise: it reorders them.
//!
//! ```
//! use clipgate::calibration::Method;
//! use clipgate::fit::{FitOptions, LabelledImage, fit};
//! use clipgate::{Embedding, Label, LabelBank, OodScore, Scorer};
//! # use clipgate::{Digest, ExecutedGraph, calibration::PreprocessingMode};
//!
//! let labels = vec![Label::new("up")?, Label::new("right")?];
//! let bank = LabelBank::new(labels, vec![0.0, 1.0, 1.0, 0.0], 2)?;
//! let scorer = Scorer::new(20.0, 1.0)?;
//! let images = (0..200)
//!     .map(|i| {
//!         let angle = i as f32 / 200.0 * std::f32::consts::FRAC_PI_2;
//!         let embedding = Embedding::new(&[angle.cos(), angle.sin()])?;
//!         LabelledImage::measure(&embedding, usize::from(i < 100), &bank, &scorer)
//!     })
//!     .collect::<Result<Vec<_>, _>>()?;
//! # let executed = ExecutedGraph {
//! #     graph: Digest::of(b""), preprocessing: PreprocessingMode::Exact, selftest: Digest::of(b""),
//! # };
//! let options = FitOptions { score: OodScore::Msp, ..FitOptions::new(Method::Ltt, 0.05) };
//! let calibration = fit(&images, &[], &scorer, executed.binding(&bank), &options)?;
//! println!("{}", calibration.promise());
//! # Ok::<(), clipgate::Error>(())
//! ```

mod certify;
mod cut;
mod options;
mod refusal;
mod split;
mod temperature;

use std::collections::HashSet;
use std::sync::Arc;

use crate::bank::LabelBank;
use crate::calibration::{
    Binding, Calibration, ConfidenceRule, FittedOn, Method, OodRule, OperatingPoint, PromiseKind,
    SimilarityRule, Split, Thresholds,
};
use crate::conformal::{SetScore, fit_raps};
use crate::drift::{DriftReference, MIN_REFERENCE_SCORES};
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::ood::{OodScore, OodScores};
use crate::score::{Scorer, Scores};
use crate::selective::declare_path;

pub use options::{DEFAULT_FIT_FRACTION, DEFAULT_ID_PASS_SHARE, FitOptions, MIN_FIT_IMAGES};
pub use split::stratified;
pub use temperature::{PRIOR_ERRORS, fit_temperature};

use certify::{Certificate, Certifying};

/// A labelled image as the model sees it, before anything is fitted. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct LabelledImage {
    label: usize,
    seen: Option<Seen>,
}

/// What the gate decides from, but for the temperature.
#[derive(Clone, Debug)]
struct Seen {
    scores: Arc<Scores>,
    ood: OodScores,
}

impl LabelledImage {
    /// An image of the label in row `label` of `bank`, scored at the model's own logit scale.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the bank has no such row, or is of another dimension.
    pub fn measure(
        embedding: &Embedding,
        label: usize,
        bank: &LabelBank,
        scorer: &Scorer,
    ) -> Result<Self> {
        if label >= bank.labels().len() {
            return Err(Error::caller(format!(
                "label row {label}; the bank has {}",
                bank.labels().len()
            )));
        }
        let mut scores = Scores::default();
        scorer.score(embedding, bank, &mut scores)?;
        let ood = OodScores::of(&scores, scorer);
        let seen = Some(Seen {
            scores: Arc::new(scores),
            ood,
        });
        Ok(Self { label, seen })
    }

    /// An image of a label that shows nothing: an abstention, whatever is fitted.
    pub fn unusable(label: usize) -> Self {
        Self { label, seen: None }
    }

    /// The row of its label.
    pub fn label(&self) -> usize {
        self.label
    }

    fn with_label(&self) -> Option<(&Scores, usize)> {
        Some((&*self.seen.as_ref()?.scores, self.label))
    }
}

/// A calibration for the graph and the bank that `bound_to` names, from `images` of the bank's labels, scored by a
/// `scorer` of the model's logit scale. `others` are the scores of images of anything else; with them, another
/// out-of-distribution score than `options` names is taken where it surely tells both apart better on the first split.
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if an option is out of its range;
/// [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the images allow no calibration, or not the promise that was
/// asked for; the message says what is missing.
pub fn fit(
    images: &[LabelledImage],
    others: &[OodScores],
    scorer: &Scorer,
    bound_to: Binding,
    options: &FitOptions,
) -> Result<Calibration> {
    options.check()?;
    check_labels(images)?;
    let labels: Vec<usize> = images.iter().map(LabelledImage::label).collect();
    let (fits, certifies) = split::stratified(&labels, options.fit_fraction, options.seed);
    let pick = |rows: &[usize]| {
        rows.iter()
            .map(|&row| images[row].clone())
            .collect::<Vec<_>>()
    };
    let (fits, certifies) = (pick(&fits), pick(&certifies));
    let development = Development::fit(&fits, others, scorer, options, certifies.len())?;
    let certifying = Certifying::new(&certifies, &development);
    let Certificate {
        confidence,
        sets,
        rule,
        mut promise,
    } = certifying.certify(&development, images.len(), options)?;
    if promise.kind != PromiseKind::None {
        promise.conditions.push_str(&without_images(images));
    }
    let point = certifying.operating_point(confidence, sets.as_ref())?;
    let thresholds = Thresholds {
        bound_to,
        temperature: development.temperature,
        ood: development.ood,
        confidence: ConfidenceRule {
            threshold: confidence,
        },
        absolute: SimilarityRule {
            similarity_threshold: development.similarity_threshold,
        },
        sets,
    };
    let operating_point = OperatingPoint {
        method: options.method,
        rule,
        target: options.target,
        id_pass_share: options.id_pass_share,
        passed: point.passed,
        accepted: point.accepted,
        wrong: point.wrong,
        mean_set_size: point.mean_set_size,
    };
    let fitted_on = FittedOn {
        source: options.source.clone(),
        temperature: fits.len() as u64,
        thresholds: certifies.len() as u64,
        others: others.len() as u64,
        split: Some(Split {
            fit_fraction: options.fit_fraction,
            seed: options.seed,
        }),
    };
    let drift = drift_reference(&certifies, development.ood.score)?;
    Calibration::new(thresholds, operating_point, promise, fitted_on, drift)
}

/// What the first split fixes.
struct Development {
    temperature: f32,
    ood: OodRule,
    similarity_threshold: f32,
    /// Divides the logits by the temperature.
    scale: f32,
    /// Thresholds to test in this order (Learn-then-Test only).
    path: Vec<f32>,
    /// The score of label sets, where the method makes sets.
    sets: Option<SetScore>,
}

impl Development {
    fn fit(
        images: &[LabelledImage],
        others: &[OodScores],
        scorer: &Scorer,
        options: &FitOptions,
        certifying: usize,
    ) -> Result<Self> {
        let usable = || images.iter().filter_map(LabelledImage::with_label);
        let ood: Vec<OodScores> = images
            .iter()
            .filter_map(|image| Some(image.seen.as_ref()?.ood))
            .collect();
        if ood.len() < MIN_FIT_IMAGES {
            return Err(refusal::too_few_fit(ood.len(), options)?);
        }
        let temperature = fit_temperature(images, scorer, PRIOR_ERRORS);
        let score = if others.is_empty() {
            options.score
        } else {
            cut::choose_score(&ood, others, options.score, options.seed)?
        };
        let mut development = Self {
            temperature,
            ood: cut::cut(&ood, score, options.id_pass_share)?,
            similarity_threshold: cut::similarity_threshold(usable()),
            scale: scorer.logit_scale() / temperature,
            path: Vec::new(),
            sets: None,
        };
        let passing = Certifying::new(images, &development);
        match options.method {
            Method::Ltt => {
                // As many answers as will pass the cut, as far as this split can tell.
                let expected = certifying * passing.passed() / images.len();
                let delta = 1.0 - options.confidence;
                development.path =
                    declare_path(&passing.answers()?, expected, options.target, delta)?;
            }
            Method::Lac => development.sets = Some(SetScore::Lac),
            Method::Aps => development.sets = Some(SetScore::Aps),
            Method::Raps => {
                let (probabilities, labels) = passing.probabilities();
                development.sets = Some(fit_raps(&probabilities, &labels, options.target)?);
            }
            _ => {}
        }
        Ok(development)
    }
}

/// Which labels no promise speaks of, as a further condition.
fn without_images(images: &[LabelledImage]) -> String {
    let labels = images
        .iter()
        .find_map(|image| Some(image.seen.as_ref()?.scores.similarities().len()));
    let labels = labels.unwrap_or_default();
    let shown: HashSet<usize> = images.iter().map(LabelledImage::label).collect();
    match labels.saturating_sub(shown.len()) {
        0 => String::new(),
        without => format!(
            " {without} of the {labels} labels had no image: nothing is promised of images that show these."
        ),
    }
}

fn check_labels(images: &[LabelledImage]) -> Result<()> {
    let Some(first) = images.first() else {
        return Err(Error::policy("no image to calibrate on"));
    };
    if images.iter().all(|image| image.label == first.label) {
        return Err(Error::policy(
            "all images are of one label: whether an answer is right cannot be seen without images of the others",
        ));
    }
    Ok(())
}

/// The scores that the gate will compare, of the images that certified it; `None` if there are too few.
fn drift_reference(images: &[LabelledImage], score: OodScore) -> Result<Option<DriftReference>> {
    let scores: Vec<f32> = images
        .iter()
        .filter_map(|image| image.seen.as_ref()?.ood.value(score))
        .collect();
    if scores.len() < MIN_REFERENCE_SCORES {
        return Ok(None);
    }
    DriftReference::from_scores(&scores).map(Some)
}
