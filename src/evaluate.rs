//! Judging a model and its gate on labelled images: figures with intervals.
//!
//! A [`Judge`] looks at embeddings as a [`Classifier`](crate::Classifier) would and keeps what it saw of each image
//! in a [`JudgedSet`]. From one set of images that show a label (in distribution, ID) and any number of sets that
//! show none (out of distribution, OOD), [`Measurement::of`] makes the figures, [`Plots::of`] the curves behind them,
//! and [`Paired::of`] compares two models on the same images.
//!
//! ID is the positive class everywhere, and a larger score means "more likely one of the labels".

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
