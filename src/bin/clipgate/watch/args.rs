//! The arguments of `clipgate watch`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use clipgate::{
    ColorMatrix, ColorRange, ColorSpace, Error, ErrorKind, Orientation, PixelFormat, Region,
    Result, Smoothing, StreamOptions, Unchanged,
};

use super::picture::Picture;
use crate::args::{AnswerArgs, DecodeArgs};

/// Frames a second of a recording that is read frame by frame, unless the user says otherwise.
pub(super) const DEFAULT_FPS: f64 = 30.0;

/// What is done with raw frames and cameras unless the user says otherwise.
const DEFAULT_SMOOTH: Duration = Duration::from_millis(500);
const DEFAULT_LONGEST_SKIP: Duration = Duration::from_secs(1);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);

/// The longest time that an option takes: a day.
const MAX_SECONDS: f64 = 86_400.0;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rpicam-vid -t 0 --width 640 --height 480 --codec yuv420 -o - | clipgate watch - --size 640x480 --pixel-format i420
  ffmpeg -i film.mp4 -f rawvideo -pix_fmt nv12 -s 640x360 - | clipgate watch - --size 640x360 --pixel-format nv12 --every-frame --fps 25
  clipgate watch incoming/ -o decisions.jsonl
  clipgate watch 'incoming/*.jpg' --once

Raw frames carry no header: every --size and --pixel-format takes the bytes as they come. If the sender's are others, the \
picture is sheared or in false colours, and only a stream that ends inside a frame is noticed. A pipe is taken for a \
camera: the newest frame is answered and others are dropped; --every-frame answers all and makes the sender wait. A file \
(`< frames.yuv`) is read frame by frame.

A folder's files are answered in the order of their names, then new and changed ones as they appear, once they have stopped \
growing. Files are independent pictures: nothing is smoothed or skipped unless --smooth is given.

The steady decision is smoothed over time and promises nothing; in JSON the raw one of each frame stands beside it. Ctrl-C \
ends the stream with a summary.")]
pub(crate) struct WatchArgs {
    /// A folder or a quoted pattern of image files, `-` for raw frames on standard input, or a camera (/dev/video0)
    #[arg(required = true, value_name = "SOURCE")]
    source: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    #[command(flatten)]
    pub(crate) decode: DecodeArgs,
    /// Write a JSON line for each frame to this file, too: each as soon as it is decided, none by halves, synced at the
    /// end. An existing file is emptied first
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// For files: end when all that are there have been answered
    #[arg(long)]
    pub(crate) once: bool,
    /// Width and height of raw frames
    #[arg(long, value_name = "WxH", value_parser = crate::args::size, help_heading = "Raw frames and cameras")]
    size: Option<(u32, u32)>,
    /// Their format: rgb, bgr, rgba, bgra, gray, nv12, nv21, i420, yv12, yuyv or uyvy
    #[arg(long, value_name = "P", value_parser = str::parse::<PixelFormat>, help_heading = "Raw frames and cameras")]
    pixel_format: Option<PixelFormat>,
    /// How Y, U and V become colours [default: bt601]
    #[arg(long, value_enum, help_heading = "Raw frames and cameras")]
    color_matrix: Option<MatrixArg>,
    /// The values that Y, U and V take [default: limited]
    #[arg(long, value_enum, help_heading = "Raw frames and cameras")]
    color_range: Option<RangeArg>,
    /// Degrees clockwise that make the picture upright
    #[arg(
        long,
        value_name = "0|90|180|270",
        default_value_t = 0,
        help_heading = "Raw frames and cameras"
    )]
    rotate: u32,
    /// Swap left and right after that
    #[arg(long, help_heading = "Raw frames and cameras")]
    mirror: bool,
    /// The part of the upright picture to look at, each edge 0 to 1
    #[arg(long, value_name = "LEFT,TOP,RIGHT,BOTTOM", value_parser = region, help_heading = "Raw frames and cameras")]
    region: Option<Region>,
    /// Frames a second, for timestamps [default: when frames arrive; 30 for a file]
    #[arg(long, value_name = "N", value_parser = rate, help_heading = "Raw frames and cameras")]
    pub(super) fps: Option<f64>,
    /// Answer every frame, however long the sender has to wait
    #[arg(long, help_heading = "Raw frames and cameras")]
    pub(super) every_frame: bool,
    /// Seconds over which probabilities are averaged; 0 takes every frame for itself [default: 0.5, files 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Steadiness")]
    smooth: Option<Duration>,
    /// Seconds for which something new must hold before it is told [default: 0.3]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Steadiness")]
    hold: Option<Duration>,
    /// Seconds without a frame after which smoothing begins anew [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds, help_heading = "Steadiness")]
    max_gap: Option<Duration>,
    /// Seconds for which unchanged frames are skipped before one is answered again; 0 skips none [default: 1, files 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Steadiness")]
    longest_skip: Option<Duration>,
    /// Of a live stream: seconds that one frame may take before that is reported [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds, help_heading = "Steadiness")]
    deadline: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum MatrixArg {
    /// Standard definition, JPEG, most cameras
    #[default]
    Bt601,
    /// High definition video
    Bt709,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum RangeArg {
    /// Y from 16 to 235
    #[default]
    Limited,
    /// Y from 0 to 255
    Full,
}

impl WatchArgs {
    pub(super) fn source(&self) -> Result<&Path> {
        match self.source.as_slice() {
            [source] => Ok(source),
            many => Err(refused(format!(
                "{} sources: watch takes one. If a pattern was meant, quote it, so that the shell leaves it alone: \
                 clipgate watch 'folder/*.jpg'",
                many.len()
            ))),
        }
    }

    /// Refuses what says nothing of this kind of source.
    pub(super) fn check(&self, is_stdin: bool, is_files: bool) -> Result<()> {
        let raw = [
            (self.size.is_some(), "--size"),
            (self.pixel_format.is_some(), "--pixel-format"),
            (self.color_matrix.is_some(), "--color-matrix"),
            (self.color_range.is_some(), "--color-range"),
            (self.every_frame, "--every-frame"),
            (self.rotate != 0, "--rotate"),
            (self.mirror, "--mirror"),
            (self.region.is_some(), "--region"),
        ];
        if let Some((_, name)) = raw.iter().find(|(given, _)| *given && is_files) {
            return Err(refused(format!(
                "{name} is for raw frames (`-`) and cameras, not for image files"
            )));
        }
        if let Some(name) = self.decode.given().filter(|_| !is_files) {
            return Err(refused(format!("{name} is for image files")));
        }
        let steady = [
            (self.hold.is_some(), "--hold"),
            (self.max_gap.is_some(), "--max-gap"),
        ];
        if let Some((_, name)) = steady.iter().find(|(given, _)| *given)
            && !self.is_smoothed(is_files)
        {
            return Err(refused(format!(
                "{name} is for smoothed decisions, and nothing is smoothed here: say --smooth SECONDS"
            )));
        }
        if self.once && !is_files {
            return Err(refused("--once is for folders and patterns".to_owned()));
        }
        if is_stdin && (self.size.is_none() || self.pixel_format.is_none()) {
            return Err(refused(
                "raw frames carry no header: say --size WxH and --pixel-format P".to_owned(),
            ));
        }
        Ok(())
    }

    /// What a raw frame is.
    pub(super) fn picture(&self) -> Result<Picture> {
        let (width, height) = self.wanted_size().unwrap_or((640, 480));
        let format = self.pixel_format.unwrap_or(PixelFormat::Rgb8);
        self.seen(Picture::packed(width, height, format)?)
    }

    /// A picture with colours, orientation and region as the user says.
    pub(super) fn seen(&self, picture: Picture) -> Result<Picture> {
        let matrix = match self.color_matrix.unwrap_or_default() {
            MatrixArg::Bt601 => ColorMatrix::Bt601,
            MatrixArg::Bt709 => ColorMatrix::Bt709,
        };
        let range = match self.color_range.unwrap_or_default() {
            RangeArg::Limited => ColorRange::Limited,
            RangeArg::Full => ColorRange::Full,
        };
        let turned = Orientation::clockwise(self.rotate).map_err(|error| error.at("--rotate"))?;
        Ok(Picture {
            color: ColorSpace::new(matrix, range),
            orientation: if self.mirror {
                turned.mirrored()
            } else {
                turned
            },
            region: self.region.unwrap_or_default(),
            ..picture
        })
    }

    pub(super) fn wanted_size(&self) -> Option<(u32, u32)> {
        self.size
    }

    #[cfg(all(feature = "camera", target_os = "linux"))]
    pub(super) fn wanted_format(&self) -> Option<PixelFormat> {
        self.pixel_format
    }

    /// Refuses a deadline where every frame is answered: nothing else goes on meanwhile that could tell of it.
    pub(super) fn check_deadline(&self, is_live: bool) -> Result<()> {
        match self.deadline {
            Some(_) if !is_live => Err(refused(
                "--deadline is for live streams (a pipe without --every-frame, a camera)"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Whether what is told of a frame hangs on the frames before it.
    pub(super) fn is_smoothed(&self, is_files: bool) -> bool {
        !self.time_constant(is_files).is_zero()
    }

    fn time_constant(&self, is_files: bool) -> Duration {
        self.smooth.unwrap_or(match is_files {
            true => Duration::ZERO,
            false => DEFAULT_SMOOTH,
        })
    }

    pub(super) fn stream_options(&self, is_files: bool) -> Result<StreamOptions> {
        let smooth = self.time_constant(is_files);
        let skip = self.longest_skip.unwrap_or(match is_files {
            true => Duration::ZERO,
            false => DEFAULT_LONGEST_SKIP,
        });
        let smoothing = (!smooth.is_zero()).then(|| {
            let smoothing = Smoothing::default().time_constant(smooth);
            let smoothing = self.hold.map_or(smoothing, |hold| smoothing.hold(hold));
            self.max_gap.map_or(smoothing, |gap| smoothing.max_gap(gap))
        });
        Ok(StreamOptions::default()
            .smoothing(smoothing)
            .unchanged((!skip.is_zero()).then(|| Unchanged::default().longest(skip)))
            .deadline(self.deadline.unwrap_or(DEFAULT_DEADLINE))
            .max_frame_bytes(super::picture::MAX_FRAME_BYTES))
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Caller, message)
}

fn region(text: &str) -> Result<Region, String> {
    let edges: Option<Vec<f32>> = text
        .split(',')
        .map(|edge| edge.trim().parse().ok())
        .collect();
    match edges.as_deref() {
        Some(&[left, top, right, bottom]) => {
            Region::new(left, top, right, bottom).map_err(|error| error.to_string())
        }
        _ => Err("four numbers, like 0.25,0,0.75,1".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("frames a second, 0.001 to 1000".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("seconds, 0 to {MAX_SECONDS}")),
    }
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(seconds) if seconds.is_zero() => Err("seconds, above 0".to_owned()),
        seconds => seconds,
    }
}
