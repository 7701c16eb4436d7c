//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Classify images with CLIP on this machine, and say so when the answer cannot be trusted.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit status: 0 every input was answered, accepted or abstained; 1 a check that was asked for \
failed; 2 an error (the other inputs are still answered).\n\nONNX Runtime is found through ORT_DYLIB_PATH, beside \
the executable, in the user's cache directory or in the system's library directories: see `clipgate doctor`."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// More log on stderr: -v info, -vv debug, -vvv trace (RUST_LOG overrides)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// How results are printed on stdout
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) format: Format,
}

/// One file of `src/bin/clipgate` each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what each image shows, or why it cannot be said
    Classify(ClassifyArgs),
    /// Write the pixel_values that the model would see
    Preprocess(PreprocessArgs),
    /// Write the embeddings of images or texts
    Embed(EmbedArgs),
    /// Work with label banks
    #[command(subcommand)]
    Labels(LabelsCommand),
    /// Judge a model and its gate on labelled images, and write a report
    Evaluate(EvaluateArgs),
    /// Show what a bundle holds: model, licence, labels, calibration
    Inspect(InspectArgs),
    /// Check a bundle: digests, graphs, self-test, calibration
    Verify(InspectArgs),
    /// Show what this machine has, and what to do about what is missing
    Doctor,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// JSON Lines, for machines
    Json,
}

/// Which model, and how it runs.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Bundle directory [default: the embedded pocket model]
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Threads that one inference uses
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
}

/// How much of an image file is believed.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// Largest image that is decoded, in millions of pixels [default: 67]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1073))]
    pub(crate) max_megapixels: Option<u32>,
    /// Largest image file that is read, in megabytes [default: 67]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) max_megabytes: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// Image files
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// Labels of your own, separated by commas ("school bus,goldfish"), or a file with one a line
    #[arg(long, value_name = "A,B,C|FILE", conflicts_with = "bank")]
    pub(crate) labels: Option<String>,
    /// Label bank made by `clipgate labels build`
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    /// Calibration of your own for this graph
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// Nearest labels that each answer lists
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) top_k: usize,
    /// Exit with 1 if any image is abstained on
    #[arg(long)]
    pub(crate) fail_on_abstain: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decode: DecodeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PreprocessArgs {
    /// Image files
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// Safetensors file to write: pixel_values [N, 3, S, S], paths in the metadata
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Bundle whose preprocessing is followed [default: the embedded pocket model]
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) decode: DecodeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    /// Image files
    #[arg(
        required_unless_present = "text",
        conflicts_with = "text",
        value_name = "IMAGE"
    )]
    pub(crate) images: Vec<PathBuf>,
    /// Texts instead of images, as they stand: no template is added
    #[arg(long, value_name = "TEXT", num_args = 1..)]
    pub(crate) text: Vec<String>,
    /// Safetensors file to write: image_embeds or text_embeds [N, D], paths or texts in the metadata
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decode: DecodeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabelsCommand {
    /// Turn labels in words into a bank that `classify --bank` takes
    Build(BuildArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A file with one label a line, or labels separated by commas
    #[arg(long, value_name = "FILE|A,B,C")]
    pub(crate) labels: String,
    /// A file with one prompt template a line, each with {} for the label [default: the bundle's]
    #[arg(long, value_name = "FILE")]
    pub(crate) templates: Option<PathBuf>,
    /// A file with one text a line that shares probability with the labels and never wins
    #[arg(long, value_name = "FILE")]
    pub(crate) negatives: Option<PathBuf>,
    /// Safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

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
    /// Calibration of your own for this graph [default: the bundle's]
    #[arg(long, value_name = "FILE", conflicts_with = "fit_fraction")]
    pub(crate) calibration: Option<PathBuf>,
    /// Fit the gate anew on this share of the images, and judge it on the others
    #[arg(long, value_name = "SHARE")]
    pub(crate) fit_fraction: Option<f64>,
    /// Chooses the random numbers of splits and intervals
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Resamples of the images that an interval is made from
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub(crate) resamples: u32,
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

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Bundle directory [default: the embedded pocket model]
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: Option<PathBuf>,
}
