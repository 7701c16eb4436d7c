//! The command line.

mod labels;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clipgate::HtpTarget;

use crate::bench::BenchArgs;
use crate::doctor::DoctorArgs;
use crate::evaluate::EvaluateArgs;
use crate::provider::{ProbeArgs, ProviderArgs};
use crate::watch::WatchArgs;
pub(crate) use labels::{BuildArgs, ConvertArgs, LabelsCommand, RowsArg};

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
    /// Say what a camera, a stream of raw frames or a folder shows, as it comes
    Watch(Box<WatchArgs>),
    /// Fit thresholds to labelled images of your own, with a promise about wrong answers
    Calibrate(CalibrateArgs),
    /// Judge a model and its gate on labelled images, alone or beside another model
    Evaluate(EvaluateArgs),
    /// Measure a frame's stages, a start and the memory on this machine
    Bench(BenchArgs),
    /// Show what a bundle holds: model, licence, labels, calibration
    Inspect(Box<ShowArgs>),
    /// Check a bundle: digests, graphs, self-test, calibration
    Verify(InspectArgs),
    /// Compile a bundle's image graph for an NPU, so that it starts sooner there
    Compile(CompileArgs),
    /// Show what this machine has, and what to do about what is missing
    Doctor(DoctorArgs),
    /// Load a model on a provider, for a process that waits to see whether this one survives it
    #[command(hide = true)]
    ProbeProvider(Box<ProbeArgs>),
    /// Write the man pages and shell completions of all commands
    #[cfg(feature = "pages")]
    #[command(hide = true)]
    Pages(crate::pages::PagesArgs),
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
    /// Where a model's bytes lie while it runs. A mapped file needs less memory; choose a private copy for files on a
    /// network share, and for those that another program may write to in place
    #[arg(long, value_enum, value_name = "WHERE", default_value_t)]
    pub(crate) model_memory: MemoryArg,
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,
}

/// [`ModelMemory`](clipgate::ModelMemory) by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemoryArg {
    /// The file is mapped
    #[default]
    Mapped,
    /// The file is copied into the process's memory
    Private,
}

/// How image files are read.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// Largest image that is decoded, in millions of pixels [default: 67]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1073))]
    pub(crate) max_megapixels: Option<u32>,
    /// Largest image file that is read, in megabytes [default: 67]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) max_megabytes: Option<u32>,
    /// Decode JPEGs at a half, a quarter or an eighth where the model sees no more than half of that: large photos take
    /// half the time, and nearly the same pixels result. What a calibration promises holds if it was made with the same
    /// option; otherwise nothing is promised
    #[arg(long)]
    pub(crate) fast_decode: bool,
}

/// What answers: labels, calibration, model.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// Labels of your own, separated by commas ("school bus,goldfish"), or a file with one a line
    #[arg(long, value_name = "A,B,C|FILE", conflicts_with = "bank")]
    pub(crate) labels: Option<String>,
    /// Label bank made by `clipgate labels build`
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    /// Without the bundle's own labels and negatives beside --labels: a frame of anything else is then accepted far more
    /// often
    #[arg(long, requires = "labels")]
    pub(crate) no_negatives: bool,
    /// Calibration of your own for this graph and these labels
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// Take --calibration for other labels than it was fitted on: confidences are a guess, nothing is promised
    #[arg(long, requires = "calibration")]
    pub(crate) transfer: bool,
    /// Nearest labels that each answer lists
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) top_k: usize,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// Image files
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    /// Exit with 1 if any image is abstained on
    #[arg(long)]
    pub(crate) fail_on_abstain: bool,
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

#[derive(Debug, Args)]
#[command(
    after_help = "The images are split in two: one part fits temperature and out-of-distribution cut, the other \
certifies the confidence threshold. Choose the options before you see a result: whoever tries until a promise comes \
out has none.\n\nMethods: ltt and sgr promise with high probability that few accepted answers are wrong (ltt accepts \
more); crc promises on average that few of all images are accepted and wrong; accept-rate promises nothing; lac, aps \
and raps promise that a set of labels holds the true one, and abstain as `ambiguous` where it holds several."
)]
pub(crate) struct CalibrateArgs {
    /// Labelled images: a folder with a sub-folder a label, or a CSV file of path and label
    #[arg(
        long,
        value_name = "DIR|CSV",
        required_unless_present = "embeddings",
        conflicts_with = "embeddings"
    )]
    pub(crate) images: Option<PathBuf>,
    /// The same as embeddings of this bundle's image encoder: safetensors with image_embeds [N, D] and labels [N],
    /// rows of the bank
    #[arg(long, value_name = "FILE")]
    pub(crate) embeddings: Option<PathBuf>,
    /// Labels of your own, separated by commas ("school bus,goldfish"), or a file with one a line
    #[arg(long, value_name = "A,B,C|FILE", conflicts_with = "bank")]
    pub(crate) labels: Option<String>,
    /// Label bank made by `clipgate labels build`
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) rule: RuleArgs,
    /// Images that show none of the labels, to choose the out-of-distribution score by: a folder, or safetensors with
    /// image_embeds [N, D] [default: the bundle's score]
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) ood: Option<PathBuf>,
    /// Share of the images that fits temperature and cut; the others certify
    #[arg(long, value_name = "SHARE", default_value_t = clipgate::fit::DEFAULT_FIT_FRACTION)]
    pub(crate) fit_fraction: f64,
    /// Chooses the split; stored in the calibration
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Calibration file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decode: DecodeArgs,
}

/// What a gate is fitted to.
#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct RuleArgs {
    /// How the threshold is fitted, and what is promised [default: ltt]
    #[arg(long, value_enum)]
    pub(crate) method: Option<MethodArg>,
    /// Share that may be wrong: of accepted answers (ltt, sgr), of all images (crc) [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    pub(crate) target_risk: Option<f64>,
    /// Probability with which the promise holds (ltt, sgr) [default: 0.95]
    #[arg(long, value_name = "SHARE")]
    pub(crate) confidence: Option<f64>,
    /// Share of images to accept (accept-rate)
    #[arg(long, value_name = "SHARE")]
    pub(crate) accept_rate: Option<f64>,
    /// Share of label sets that may lack the true label (lac, aps, raps) [default: 0.1]
    #[arg(long, value_name = "SHARE")]
    pub(crate) miscoverage: Option<f64>,
    /// Share of images of the labels that the out-of-distribution cut lets pass [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    pub(crate) id_pass: Option<f64>,
}

/// How a gate is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodArg {
    /// Learn-then-Test, fixed sequence: high probability
    Ltt,
    /// Selection with guaranteed risk: high probability
    Sgr,
    /// Conformal risk control: on average
    Crc,
    /// A share of images is accepted: no promise
    AcceptRate,
    /// Label sets, least ambiguous
    Lac,
    /// Label sets, adaptive
    Aps,
    /// Label sets, adaptive and regularised
    Raps,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Bundle directory [default: the embedded pocket model]
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Calibration of your own for it, in place of the bundle's
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) inspected: InspectArgs,
    /// Show which provider runs which nodes of the image graph, and why others were passed over; needs ONNX Runtime
    #[arg(long)]
    pub(crate) placement: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Needs Qualcomm's plugin for Linux x86-64 (`pip install onnxruntime-qnn==2.7.0`; read its licence), which \
compiles for every target and emulates it. The result lies in the bundle's directory, in the user's cache for the embedded \
model, or where -o says, with a record in JSON beside it. `--provider qnn` uses it where it fits: graph and driver are \
compared, and the target with `--qnn-target TARGET`. Elsewhere `--qnn-context FILE` names it."
)]
pub(crate) struct CompileArgs {
    /// Bundle directory [default: the embedded pocket model]
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: Option<PathBuf>,
    /// NPU to compile for: htp-v68, htp-v69, htp-v73, htp-v75, htp-v79 or htp-v81
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: HtpTarget,
    /// Qualcomm's plugin, libonnxruntime_providers_qnn.so [default: what CLIPGATE_QNN_LIBRARY names]
    #[arg(long, value_name = "FILE")]
    pub(crate) qnn_library: Option<PathBuf>,
    /// ONNX file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Width and height of a frame in pixels, written `640x480`.
pub(crate) fn size(text: &str) -> Result<(u32, u32), String> {
    let edges = text.split_once(['x', 'X']);
    let edges = edges.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    match edges {
        Some((width, height))
            if (1..=clipgate::MAX_EDGE).contains(&width)
                && (1..=clipgate::MAX_EDGE).contains(&height) =>
        {
            Ok((width, height))
        }
        _ => Err(format!(
            "width and height in pixels, like 640x480, each 1 to {}",
            clipgate::MAX_EDGE
        )),
    }
}
