//! The options of `clipgate bench`.

use std::path::PathBuf;

use clap::Args;
use clipgate::PixelFormat;

use crate::args::{DecodeArgs, ModelArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Times are wall-clock milliseconds, of frames that follow each other without a pause. A start is a \
process of its own, from before it is started to its first decision, digests and self-test included.\n\n\
--compare sets each median beside the earlier one with their ratio and an interval of 95 %, from resampling the medians \
of twenty consecutive parts of either run. It says faster or slower only where the interval leaves out 1 and the change \
is above 3 %. Two runs differ by more than one run shows, by temperature or other work: repeat what looks like a change."
)]
pub(crate) struct BenchArgs {
    /// Image file that is read, decoded and classified again and again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["size", "pixel_format"])]
    pub(crate) image: Option<PathBuf>,
    /// Size of the camera frames that are drawn where no image is named
    #[arg(long, value_name = "WxH", default_value = "1920x1080", value_parser = crate::args::size)]
    pub(crate) size: (u32, u32),
    /// Their pixel format: nv21, nv12, i420, yv12, yuyv, uyvy, rgb, bgr, rgba, bgra, gray
    #[arg(long, value_name = "P", default_value = "nv21")]
    pub(crate) pixel_format: PixelFormat,
    /// Frames to measure, in place of a time
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) iterations: Option<u32>,
    /// How long to measure, at least twenty frames; some minutes show whether a small machine throttles
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Processes that are started to measure the first decision and the memory
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) starts: u32,
    /// Label bank made by `clipgate labels build` [default: the bundle's]
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    /// Calibration of your own for this graph [default: the bundle's]
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// JSON of an earlier run, to print the change beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Compare with a run of another bundle, input, label count or number of threads, too
    #[arg(long, requires = "compare")]
    pub(crate) across: bool,
    /// JSON file to write, for a later --compare
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Make one decision and print how it came about
    #[arg(long, hide = true)]
    pub(crate) first_decision: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) decode: DecodeArgs,
}
