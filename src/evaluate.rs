//! Judging a model and its gate on labelled images: figures with intervals.
//!
//! A [`Judge`] looks at embeddings as a [`Classifier`](crate::Classifier) would and keeps what it saw of each image
//! in a [`JudgedSet`]. From one set of images that show a label (in distribution, ID) and any number of sets that
//! show none (out of distribution, OOD), [`Evaluation::of`] makes the figures, [`Plots::of`] the curves behind them,
//! and [`Paired::of`] compares two models on the same images.
//!
//! ID is the positive class everywhere, and a larger score means "more likely one of the labels".

mod figures;
mod gated;
mod paired;
mod plots;

pub use figures::{Estimate, Evaluation, IdFigures, Metric, OodFigures, ScoreFigures};
pub use gated::{GateFigures, Outcomes};
pub use paired::{Difference, Paired, PairedOod};
pub use plots::{CurvePoint, Histogram, Plots, ReliabilityBin};
