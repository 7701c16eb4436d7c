//! What commands read: bundles, banks, label lists, images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clipgate::{
    Bundle, Calibration, DecodeLimits, DecodeOptions, Error, ErrorKind, Frame, ImageDecoder,
    LabelBank, ModelMemory, Preprocessing, Result, Runtime, SessionOptions, TextEncoder,
};

use clipgate::calibration::PreprocessingMode;
use indicatif::ProgressBar;

use crate::args::{DecodeArgs, Format, MemoryArg, ModelArgs};
use crate::exit_code::Outcome;
use crate::report;

/// The largest text file of labels or templates, in bytes.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Banks of more bytes are mapped: below, a private copy takes little memory and cannot be pulled away.
const MAPPED_FROM: u64 = 256 << 20;

/// The bundle that the user named, or the embedded one.
pub(crate) fn bundle(directory: Option<&Path>) -> Result<Bundle> {
    match directory {
        Some(directory) => Bundle::open(directory),
        #[cfg(feature = "embedded-model")]
        None => Bundle::embedded(),
        #[cfg(not(feature = "embedded-model"))]
        None => Err(Error::new(
            ErrorKind::Caller,
            "this clipgate was built without a model: pass --bundle DIR",
        )),
    }
}

impl ModelArgs {
    pub(crate) fn session(&self) -> Result<SessionOptions> {
        let memory = match self.model_memory {
            MemoryArg::Mapped => "mapped",
            MemoryArg::Private => "private",
        };
        let model = [
            format!("--threads={}", self.threads),
            format!("--model-memory={memory}"),
        ];
        let options = self.on_cpu()?;
        self.provider.apply(options, self.bundle.as_ref(), &model)
    }

    /// For a command that runs the text graph alone.
    pub(crate) fn text_session(&self) -> Result<SessionOptions> {
        self.provider
            .refuse_without_images("text graphs run on the CPU, and no other is run here")?;
        self.on_cpu()
    }

    /// The same without the options about providers.
    pub(crate) fn on_cpu(&self) -> Result<SessionOptions> {
        let memory = match self.model_memory {
            MemoryArg::Mapped => ModelMemory::Mapped,
            MemoryArg::Private => ModelMemory::Private,
        };
        Ok(SessionOptions::default()
            .with_threads(self.threads.into())?
            .with_model_memory(memory))
    }
}

impl DecodeArgs {
    /// The first option that the user gave, by its name.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            (self.max_megapixels.is_some(), "--max-megapixels"),
            (self.max_megabytes.is_some(), "--max-megabytes"),
            (self.fast_decode, "--fast-decode"),
        ];
        let (_, name) = options.into_iter().find(|(given, _)| *given)?;
        Some(name)
    }

    pub(crate) fn limits(&self) -> DecodeLimits {
        let mut limits = DecodeLimits::default();
        let million = |count: u32| u64::from(count) * 1_000_000;
        limits.max_pixels = self.max_megapixels.map_or(limits.max_pixels, million);
        limits.max_file_bytes = self.max_megabytes.map_or(limits.max_file_bytes, million);
        limits
    }

    /// How files are decoded for models of these preprocessings.
    pub(crate) fn options(&self, models: &[&Preprocessing]) -> DecodeOptions {
        let largest = models.iter().map(|preprocessing| preprocessing.size).max();
        DecodeOptions::default()
            .with_limits(self.limits())
            .with_fast_for(largest.filter(|_| self.fast_decode))
    }

    /// What a calibration of pixels that were decoded so is bound to.
    pub(crate) fn mode(&self) -> PreprocessingMode {
        if self.fast_decode {
            PreprocessingMode::FastDecode
        } else {
            PreprocessingMode::Exact
        }
    }
}

/// Hands each image that decodes to `answer`, with its place in the list; an image that fails is reported and the rest goes on.
pub(crate) fn each_image(
    images: &[PathBuf],
    decode: DecodeOptions,
    format: Format,
    progress: &ProgressBar,
    mut answer: impl FnMut(usize, &Path, &Frame<'_>) -> Result<Outcome>,
) -> Outcome {
    let mut decoder = ImageDecoder::new(decode);
    let mut outcome = Outcome::Answered;
    for (place, path) in images.iter().enumerate() {
        let result = decoder.decode_file(path).and_then(|image| {
            image
                .frame()
                .and_then(|frame| answer(place, path, &frame))
                .map_err(|error| error.at(path.display()))
        });
        outcome = outcome.and(result.unwrap_or_else(|error| {
            progress.suspend(|| {
                report::failed_input("image", &path.display().to_string(), &error, format);
            });
            Outcome::Failed
        }));
        progress.inc(1);
    }
    progress.finish_and_clear();
    outcome
}

/// The bank that `--labels` or `--bank` names, the bundle's where neither was given: see [`own_bank`].
pub(crate) fn own_or_bundles_bank(
    labels: Option<&str>,
    bank: Option<&Path>,
    runtime: &Runtime,
    bundle: &Bundle,
    session: SessionOptions,
) -> Result<Arc<LabelBank>> {
    match own_bank(labels, bank, runtime, bundle, session)? {
        Some(bank) => Ok(bank),
        None => bundle.label_bank().map(Arc::new),
    }
}

/// The bank that `--labels` or `--bank` names, if either was given; labels in words with the bundle's texts as negatives.
pub(crate) fn own_bank(
    labels: Option<&str>,
    bank: Option<&Path>,
    runtime: &Runtime,
    bundle: &Bundle,
    session: SessionOptions,
) -> Result<Option<Arc<LabelBank>>> {
    if let Some(path) = bank {
        let bank = self::bank(path).and_then(|bank| {
            bank.check_dimension(bundle.manifest().embedding_dim)
                .map_err(|error| error.at(path.display()))?;
            Ok(bank)
        })?;
        return Ok(Some(Arc::new(bank)));
    }
    let Some(labels) = labels else {
        return Ok(None);
    };
    let bank = labels_in_words(labels, runtime, bundle, session)?;
    Ok(Some(Arc::new(match lender(bundle)? {
        Some(lender) => bank.with_negatives_of(&lender)?.0,
        None => bank,
    })))
}

/// The bank of labels in words, without negatives.
pub(crate) fn labels_in_words(
    labels: &str,
    runtime: &Runtime,
    bundle: &Bundle,
    session: SessionOptions,
) -> Result<LabelBank> {
    let names = label_names(labels)?;
    TextEncoder::open(runtime, bundle, session)?
        .label_bank(&names, &[], |_| ())
        .map_err(|error| error.at("--labels"))
}

/// The bundle's own bank, whose texts can be negatives of the user's labels.
pub(crate) fn lender(bundle: &Bundle) -> Result<Option<LabelBank>> {
    match bundle.manifest().labels {
        Some(_) => bundle.label_bank().map(Some),
        None => Ok(None),
    }
}

/// A label bank's file: read, or mapped where it is large.
pub(crate) fn bank(path: &Path) -> Result<LabelBank> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAPPED_FROM => LabelBank::open_mapped(path),
        _ => LabelBank::open(path),
    }
}

/// A calibration file of the user's own.
pub(crate) fn calibration(path: &Path) -> Result<Calibration> {
    let bytes =
        clipgate::file::read_file(path, clipgate::calibration::MAX_CALIBRATION_BYTES as u64)?;
    Calibration::from_json((*bytes).as_ref()).map_err(|error| error.at(path.display()))
}

/// Why a calibration is not taken for these labels.
pub(crate) fn foreign_labels() -> Error {
    Error::new(
        ErrorKind::Policy,
        "the calibration was fitted on other labels than these: calibrate on these, or say --transfer to take it as a \
         guess. Labels in words are embedded anew each time, on another machine a little differently: `labels build` \
         makes a bank that stays the same",
    )
}

/// Labels from a file with one a line, or from the argument itself, separated by commas.
pub(crate) fn label_names(argument: &str) -> Result<Vec<String>> {
    let path = Path::new(argument);
    let refused = |why: &str| Err(Error::new(ErrorKind::Caller, format!("{argument}: {why}")));
    if path.is_file() {
        return lines(path);
    }
    if path.is_dir() {
        return refused("a folder, not a file with one label a line");
    }
    if argument.ends_with(".txt") || argument.ends_with(".csv") {
        return refused("no such file (labels in words are separated by commas)");
    }
    Ok(split_names(argument))
}

/// The lines of a text file that hold something.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>> {
    let bytes = clipgate::file::read_file(path, MAX_LIST_BYTES)?;
    let text = std::str::from_utf8((*bytes).as_ref()).map_err(|error| {
        Error::new(
            ErrorKind::Caller,
            format!("{}: not UTF-8 text", path.display()),
        )
        .with_source(error)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Commas separate labels; a trailing comma names none.
fn split_names(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
