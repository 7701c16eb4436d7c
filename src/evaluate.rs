//! Judging a model and its gate on labelled images: figures with intervals.
//!
//! A [`Judge`] looks at embeddings as a [`Classifier`](crate::Classifier) would and keeps what it saw of each image
//! in a [`JudgedSet`]. From one set of images that show a label (in distribution, ID) and any number of sets that
//! show none (out of distribution, OOD), [`Measurement::of`] makes the figures, [`Plots::of`] the curves behind them,
//! and [`Paired::of`] compares two models on the same images.
//!
//! ID is the positive class everywhere, and a larger score means "more likely one of the labels".
//!
//! ```
//! use clipgate::evaluate::{Judge, Measurement, Metric};
//! use clipgate::metrics::Resampling;
//! use clipgate::{Embedding, Label, LabelBank, Scorer};
//!
//! let labels = vec![Label::new("up")?, Label::new("right")?];
//! let bank = LabelBank::new(labels, vec![0.0, 1.0, 1.0, 0.0], 2)?;
//! let judge = Judge::new(&bank, Scorer::new(20.0, 1.0)?, None);
//! let ours = [Embedding::new(&[0.1, 1.0])?, Embedding::new(&[0.9, 0.2])?, Embedding::new(&[0.6, 0.5])?];
//! let others = [Embedding::new(&[-1.0, -0.9])?];
//! let id = judge.set("ours", &ours, Some(&[0, 1, 0]), 0)?;
//! let ood = [judge.set("others", &others, None, 0)?];
//!
//! let measured = Measurement::of(&id, &ood, None, &Resampling::seeded(1))?;
//! let accuracy = measured.evaluation().id.metrics[&Metric::Accuracy];
//! assert_eq!(accuracy.value, 2.0 / 3.0);
//! assert!(accuracy.low < 0.3 && accuracy.high > 0.9, "three images say little");
//! # Ok::<(), clipgate::Error>(())
//! ```

mod figures;
mod gated;
mod judge;
mod measure;
mod paired;
mod plots;
mod ranking;
mod sampled;

pub use figures::{Estimate, Evaluation, IdFigures, Metric, OodFigures, ScoreFigures};
pub use gated::{GateFigures, Outcomes};
pub use judge::{Judge, JudgedSet, Judgement, Verdict};
pub use measure::Measurement;
pub use paired::{Difference, Paired, PairedOod, Test};
pub use plots::{Histogram, Plots};

#[cfg(test)]
mod tests;
