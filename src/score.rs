//! Scores: cosines of an image with every label, logits, and calibrated probabilities.

mod pairs;

use crate::bank::LabelBank;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::search::{QuantizedImage, TopK, cosines, rescore, top_rows};

pub(crate) use pairs::Pair;

/// The largest logit scale that is believed: CLIP clips its own at 100, SigLIP reaches 120.
pub const MAX_LOGIT_SCALE: f32 = 1000.0;

/// The largest logit bias that is believed, either way: SigLIP's begins at -10 and ends near -17.
pub const MAX_LOGIT_BIAS: f32 = 1000.0;

/// Texts whose logits are this far below the largest, or farther, have at most 0.018 of its probability: of many
/// negatives they are compared in int8 alone, which errs by 2 % of that. Of 10,000 names with CLIP ViT-B/32's photos 4 %
/// are nearer.
const RESCORED_LOGITS: f32 = 4.0;

/// Labels that are compared in f32 where the bank also has int8 rows: more than an answer lists.
const RESCORED_LABELS: usize = 64;

/// Turns an image embedding into cosines and probabilities over a bank's labels.
///
/// With cosines `c`, logits are `z = logit_scale * c / temperature` and probabilities are the softmax of
/// `z` over labels and negatives together (CLIP: Radford et al. 2021, arXiv 2103.00020, figure 3;
/// temperature scaling: Guo et al. 2017, arXiv 1706.04599, equation 9). Each of M negatives counts K / M times
/// for K labels: an image is as likely beforehand to show a label as anything else. A logit bias is the same for every
/// label, so it cancels in the softmax: models of the sigmoid loss are told apart by the same formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scorer {
    logit_scale: f32,
    logit_bias: Option<f32>,
    temperature: f32,
}

/// Cosines and probabilities of one image; its buffers are used again for the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    similarities: Vec<f32>,
    negative_similarities: Vec<f32>,
    probabilities: Vec<f32>,
    pairs: Vec<Pair>,
    quantized_image: QuantizedImage,
    nearest: TopK,
}

impl Scorer {
    /// A scorer of a model's `logit_scale` (the factor itself, not its logarithm) at a calibrated
    /// `temperature`.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if either is not a positive number, or the scale
    /// is above [`MAX_LOGIT_SCALE`].
    pub fn new(logit_scale: f32, temperature: f32) -> Result<Self> {
        if !(logit_scale > 0.0 && logit_scale <= MAX_LOGIT_SCALE) {
            return Err(Error::bundle(format!(
                "logit_scale is {logit_scale}; above 0 and at most {MAX_LOGIT_SCALE} is possible"
            )));
        }
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::bundle(format!(
                "the temperature is {temperature}; it must be a positive number"
            )));
        }
        Ok(Self {
            logit_scale,
            logit_bias: None,
            temperature,
        })
    }

    /// This scorer for a model that was trained with the sigmoid loss (Zhai et al. 2023, arXiv 2303.15343), if it
    /// was: then [`pair_probability`](Self::pair_probability) means something.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the bias is not a number from -[`MAX_LOGIT_BIAS`] to
    /// [`MAX_LOGIT_BIAS`].
    pub fn with_logit_bias(self, logit_bias: Option<f32>) -> Result<Self> {
        match logit_bias {
            Some(bias) if !(-MAX_LOGIT_BIAS..=MAX_LOGIT_BIAS).contains(&bias) => {
                Err(Error::bundle(format!(
                    "logit_bias is {bias}; -{MAX_LOGIT_BIAS} to {MAX_LOGIT_BIAS} is possible"
                )))
            }
            _ => Ok(Self { logit_bias, ..self }),
        }
    }

    /// The model's logit scale.
    pub fn logit_scale(&self) -> f32 {
        self.logit_scale
    }

    /// `sigmoid(logit_scale * cosine + logit_bias)`: the probability that this image and this text belong together,
    /// whatever the other labels, as the model was trained to say it (Zhai et al. 2023, arXiv 2303.15343, section
    /// 3.2); not calibrated. `None` for a model of the softmax loss, which was never asked that.
    ///
    /// ```
    /// let scorer = clipgate::Scorer::new(100.0, 1.0)?;
    /// assert_eq!(scorer.pair_probability(0.1), None);
    /// assert_eq!(scorer.with_logit_bias(Some(-10.0))?.pair_probability(0.1), Some(0.5));
    /// # Ok::<(), clipgate::Error>(())
    /// ```
    pub fn pair_probability(&self, cosine: f32) -> Option<f32> {
        let logit = self.logit_scale * cosine + self.logit_bias?;
        Some(1.0 / (1.0 + (-logit).exp()))
    }

    /// Scores one image embedding against the bank, into `scores`.
    ///
    /// Where the bank has int8 rows, labels are compared in int8, and where it has f32 rows too, the 64 nearest are exact:
    /// probabilities change by less than 0.001. Of 2,048 negatives and more, only those whose logits are near the largest
    /// are compared in f32, the others in int8, with the same effect. All else is compared in f32.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the bank's dimension is not the embedding's;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if the bank's mapped file was changed.
    pub fn score(&self, image: &Embedding, bank: &LabelBank, scores: &mut Scores) -> Result<()> {
        bank.check_dimension(image.dimension())?;
        let image = image.as_slice();
        compare_labels(image, bank, scores);
        let scale = self.logit_scale / self.temperature;
        let found = &mut scores.negative_similarities;
        found.resize(bank.negatives().len(), 0.0);
        match bank.quantized_negatives() {
            None => cosines(bank.negative_rows(), image, found),
            Some(negatives) => {
                scores.quantized_image.assign(image, negatives);
                negatives.cosines(&scores.quantized_image, 0, found);
                let window = RESCORED_LOGITS / scale.min(self.logit_scale);
                let nearest = largest(&scores.similarities, found) - window;
                rescore(bank.negative_rows(), image, nearest, found);
            }
        }
        softmax(
            &scores.similarities,
            &scores.negative_similarities,
            scale,
            &mut scores.probabilities,
        );
        pairs::pair(bank, scores);
        bank.check_unchanged()
    }

    /// The same image's probabilities at this scorer's temperature, from the cosines that `scores` holds: what
    /// [`score`](Self::score) would give, to the bit where no negative is compared in int8.
    ///
    /// ```
    /// use clipgate::{Embedding, Label, LabelBank, Scorer, Scores};
    ///
    /// let labels = vec![Label::new("cat")?, Label::new("dog")?];
    /// let bank = LabelBank::new(labels, vec![1.0, 0.0, 0.0, 1.0], 2)?;
    /// let image = Embedding::new(&[0.8, 0.6])?;
    /// let (mut scores, mut again) = (Scores::default(), Scores::default());
    /// Scorer::new(10.0, 1.0)?.score(&image, &bank, &mut scores)?;
    /// let other = Scorer::new(10.0, 2.0)?;
    /// other.score(&image, &bank, &mut again)?;
    /// other.rescore(&mut scores);
    /// assert_eq!(scores, again);
    /// # Ok::<(), clipgate::Error>(())
    /// ```
    pub fn rescore(&self, scores: &mut Scores) {
        let scale = self.logit_scale / self.temperature;
        softmax(
            &scores.similarities,
            &scores.negative_similarities,
            scale,
            &mut scores.probabilities,
        );
    }
}

impl Scores {
    /// Cosine of the image with each label, -1 to 1, in row order.
    pub fn similarities(&self) -> &[f32] {
        &self.similarities
    }

    /// Cosine of the image with each negative, -1 to 1, in row order.
    pub fn negative_similarities(&self) -> &[f32] {
        &self.negative_similarities
    }

    /// Calibrated probability of each label; they sum to 1 less the negatives' share.
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// What [`probabilities`](Self::probabilities) would be at `scale`, the logit scale over the temperature.
    pub(crate) fn probabilities_at(&self, scale: f32) -> Vec<f32> {
        let mut probabilities = Vec::with_capacity(self.similarities.len());
        softmax(
            &self.similarities,
            &self.negative_similarities,
            scale,
            &mut probabilities,
        );
        probabilities
    }

    /// Whether softmax has anything to compare: one label without negatives always gets 1.
    pub fn is_relative(&self) -> bool {
        self.similarities.len() + self.negative_similarities.len() > 1
    }

    /// Row of the most similar label; the first among equals.
    pub fn best(&self) -> Option<usize> {
        (0..self.similarities.len()).reduce(|best, row| {
            if self.similarities[row] > self.similarities[best] {
                row
            } else {
                best
            }
        })
    }

    /// Rows of the `n` most similar labels, best first, of equal ones the first in the bank first, into `rows`.
    pub fn top(&self, n: usize, rows: &mut Vec<usize>) {
        top_rows(&self.similarities, n, rows);
    }

    /// Near labels with near negatives; none without negatives.
    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }
}

/// The labels' cosines, into `scores`.
fn compare_labels(image: &[f32], bank: &LabelBank, scores: &mut Scores) {
    let found = &mut scores.similarities;
    found.resize(bank.labels().len(), 0.0);
    match (bank.quantized_labels(), bank.exact_labels()) {
        (None, Some(rows)) => cosines(rows, image, found),
        (Some(int8), exact) => {
            scores.quantized_image.assign(image, int8);
            int8.cosines(&scores.quantized_image, 0, found);
            let Some(rows) = exact else { return };
            let nearest = &mut scores.nearest;
            nearest.begin(RESCORED_LABELS, false);
            nearest.offer(0, found, int8.margins(&scores.quantized_image, 0));
            for candidate in nearest.candidates() {
                let row = candidate.row as usize;
                let values = &rows[row * image.len()..][..image.len()];
                cosines(values, image, &mut found[row..=row]);
            }
        }
        (None, None) => found.fill(f32::NAN),
    }
}

/// How often each of `negatives` texts counts in the probabilities of `labels` labels: K / M, so that an image is as
/// likely beforehand to show a label as anything else, however many negatives there are. A softmax in which every text
/// counts once presumes images of M things that are no label for every K that are (Bayes' rule with another prior:
/// Saerens et al. 2002).
pub(crate) fn negative_weight(labels: usize, negatives: usize) -> f64 {
    labels as f64 / negatives.max(1) as f64
}

/// Softmax of `scale * cosine` over labels and weighted negatives; only the labels' part is written.
fn softmax(labels: &[f32], negatives: &[f32], scale: f32, probabilities: &mut Vec<f32>) {
    let largest = largest(labels, negatives);
    let exponential = |cosine: &f32| (scale * (cosine - largest)).exp();
    let sum_of = |values: &[f32]| {
        values
            .iter()
            .map(|v| f64::from(exponential(v)))
            .sum::<f64>()
    };
    let sum = sum_of(labels) + negative_weight(labels.len(), negatives.len()) * sum_of(negatives);
    probabilities.clear();
    probabilities.extend(
        labels
            .iter()
            .map(|label| (f64::from(exponential(label)) / sum) as f32),
    );
}

fn largest(labels: &[f32], negatives: &[f32]) -> f32 {
    labels
        .iter()
        .chain(negatives)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests;
