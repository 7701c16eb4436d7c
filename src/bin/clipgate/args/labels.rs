//! `clipgate labels`: the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ModelArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum LabelsCommand {
    /// Turn labels in words into a bank that `classify --bank` takes
    Build(Box<BuildArgs>),
    /// Write a bank again with its rows in f32, int8 or both
    Convert(ConvertArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "A million labels of 512 values take 2 GB in f32 and 0.5 GB in int8. Commands map banks of more than \
256 MiB instead of reading them: such a file must not be changed while it is used. Replace it by renaming."
)]
pub(crate) struct ConvertArgs {
    /// Label bank made by `clipgate labels build`
    #[arg(value_name = "BANK")]
    pub(crate) bank: PathBuf,
    /// How rows are held
    #[arg(long, value_enum)]
    pub(crate) rows: RowsArg,
    /// Safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// How a bank holds the embeddings of its labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowsArg {
    /// Exact, four bytes a value
    #[default]
    F32,
    /// One byte a value; cosines are off by 0.0002 or so
    Int8,
    /// int8 rows to search in, f32 rows that make the nearest labels exact
    Both,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A file with one label a line, or labels separated by commas
    #[arg(long, value_name = "FILE|A,B,C")]
    pub(crate) labels: String,
    /// A file with one prompt template a line, each with {} for the label [default: the bundle's]
    #[arg(long, value_name = "FILE")]
    pub(crate) templates: Option<PathBuf>,
    /// A file with one text a line that shares probability with the labels and never wins, used as they are
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mine_negatives", "no_negatives"])]
    pub(crate) negatives: Option<PathBuf>,
    /// Choose negatives from a vocabulary, the words farthest from the labels: `wordnet`, a file with one word a line, or
    /// a label bank (.safetensors), whose embeddings are used as they are
    #[arg(long, value_name = "wordnet|FILE", conflicts_with = "no_negatives")]
    pub(crate) mine_negatives: Option<String>,
    /// The most negatives to choose
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "mine_negatives",
        value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) max_negatives: u32,
    /// Folder of WordNet's data.noun and data.adj [default: /usr/share/wordnet, of the Debian package wordnet-base]. With
    /// another vocabulary than `wordnet`, leaves out its proper nouns and what WordNet relates to a label
    #[arg(long, value_name = "DIR", requires = "mine_negatives")]
    pub(crate) wordnet: Option<PathBuf>,
    /// No negatives: without any of these options the bundle's own labels and negatives serve, but those that are a label
    /// here or the nearest to one
    #[arg(long)]
    pub(crate) no_negatives: bool,
    /// How the labels' rows are held: int8 is a quarter of the size, for banks of very many labels
    #[arg(long, value_enum, default_value_t)]
    pub(crate) rows: RowsArg,
    /// Safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}
