//! The options of `clipgate evaluate`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{DecodeArgs, ModelArgs, RuleArgs};

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Images of the labels: a folder with a sub-folder a label, or a CSV file of path and label
    #[arg(
        long,
        value_name = "DIR|CSV",
        required_unless_present = "embeddings",
        conflicts_with = "embeddings"
    )]
    pub(crate) id: Option<PathBuf>,
    /// The same as embeddings made elsewhere: safetensors with image_embeds [N, D] and labels [N], rows of the bank
    #[arg(long, value_name = "FILE", conflicts_with = "reference")]
    pub(crate) embeddings: Option<PathBuf>,
    /// Leave out images whose label is not in the bank, instead of refusing them
    #[arg(long, conflicts_with = "embeddings")]
    pub(crate) only_known: bool,
    /// Images that show none of the labels, with a name for them: a folder, or safetensors with image_embeds [N, D];
    /// may be given several times
    #[arg(long, value_name = "NAME=DIR|FILE")]
    pub(crate) ood: Vec<String>,
    /// A second bundle that is shown the same images, such as the one before quantisation
    #[arg(long, value_name = "BUNDLE")]
    pub(crate) reference: Option<PathBuf>,
    /// Labels of your own, separated by commas ("school bus,goldfish"), or a file with one a line
    #[arg(long, value_name = "A,B,C|FILE", conflicts_with = "bank")]
    pub(crate) labels: Option<String>,
    /// Label bank made by `clipgate labels build`
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    /// Calibration of your own for this graph and these labels [default: the bundle's]
    #[arg(long, value_name = "FILE", conflicts_with = "fit_fraction")]
    pub(crate) calibration: Option<PathBuf>,
    /// Take --calibration for other labels than it was fitted on: confidences are a guess, nothing is promised
    #[arg(long, requires = "calibration")]
    pub(crate) transfer: bool,
    /// Fit the gate of every model anew on this share of the images, and judge all on the others
    #[arg(long, value_name = "SHARE")]
    pub(crate) fit_fraction: Option<f64>,
    #[command(flatten)]
    pub(crate) rule: RuleArgs,
    /// Chooses the random numbers of splits and intervals
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Resamples of the images that an interval is made from
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub(crate) resamples: u32,
    /// Folder to keep embeddings in, made if need be: images that the same graph has seen are not embedded again, whatever
    /// else is asked of them
    #[arg(long, value_name = "DIR", conflicts_with = "embeddings")]
    pub(crate) keep: Option<PathBuf>,
    /// HTML file to write: figures, curves, the worst mistakes, all in one file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Images that are worked on at a time [default: one a core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decode: DecodeArgs,
}
