//! What Java asks to be opened or started.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clipgate::file::read_file;
use clipgate::{
    Bundle, Calibration, Classifier, DriftOptions, FilePart, LabelBank, ModelMemory, QnnOptions,
    Runtime, SessionOptions, Smoothing, StreamOptions, TextEncoder, Unchanged,
};

use crate::failure::Failure;
use crate::wire::Reader;

/// The largest calibration, in bytes: it is read whole.
const MAX_CALIBRATION_BYTES: u64 = 16 << 20;

/// Opens the classifier that a message of `ClassifierOptions.kt` and `BundleSource.kt` describes.
pub(crate) fn open(runtime: &Runtime, message: &[u8]) -> Result<(Classifier, Bundle), Failure> {
    let mut reader = Reader::new(message)?;
    let session = session(&mut reader)?;
    let labels = Labels::read(&mut reader)?;
    let mut options = Classifier::options().session(session.clone());
    if let Some(path) = reader.optional(Reader::text)? {
        options = options.calibration(calibration(path.as_ref())?);
    }
    if let Some(drift) = reader.optional(drift)? {
        options = options.drift(drift);
    }
    if let Some(top) = reader.optional(Reader::i32)? {
        let top = usize::try_from(top)
            .map_err(|_| Failure::caller(format!("an answer cannot list {top} candidates")))?;
        options = options.top_k(top);
    }
    let bundle = bundle(&mut reader)?;
    if let Some(bank) = labels.bank(runtime, &bundle, session)? {
        options = options.bank(bank);
    }
    Ok((options.open(runtime, &bundle)?, bundle))
}

fn bundle(reader: &mut Reader<'_>) -> Result<Bundle, Failure> {
    let place = reader.text()?;
    let parts = reader.optional(|reader| reader.list(|reader| part(reader, place)))?;
    Ok(match parts {
        None => Bundle::open(place)?,
        Some(parts) => Bundle::from_parts(place, parts)?,
    })
}

/// A file of the bundle that is a part of a file which Java has open.
fn part(reader: &mut Reader<'_>, place: &str) -> Result<(String, FilePart), Failure> {
    let name = reader.text()?;
    let (descriptor, offset, length) = (reader.i32()?, reader.i64()?, reader.i64()?);
    let place = format!("{place}/{name}");
    let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else {
        return Err(Failure::caller(format!(
            "{place}: {length} bytes from {offset} on are no part of a file"
        )));
    };
    if descriptor < 0 {
        return Err(Failure::caller(format!("{place}: its file is not open")));
    }
    #[expect(unsafe_code, reason = "a descriptor of Java's is copied")]
    // SAFETY: it is not -1, and borrowed for this call alone, during which `Classifier.kt` keeps it open. One that is
    // not open all the same is refused by the system.
    let file = unsafe { BorrowedFd::borrow_raw(descriptor) }
        .try_clone_to_owned()
        .map_err(|error| {
            Failure::caller(format!("{place}: its file is not open any more: {error}"))
        })?;
    Ok((
        name.to_owned(),
        FilePart::new(File::from(file), offset, length, place)?,
    ))
}

fn session(reader: &mut Reader<'_>) -> Result<SessionOptions, Failure> {
    let mut session = SessionOptions::default().with_providers(reader.text()?.parse()?);
    if let Some(threads) = reader.optional(Reader::i32)? {
        // A negative number is none that is allowed either.
        session = session.with_threads(usize::try_from(threads).unwrap_or(0))?;
    }
    if reader.bool()? {
        session = session.with_model_memory(ModelMemory::Private);
    }
    if let Some(plugin) = reader.optional(Reader::text)? {
        session = session.with_qnn(QnnOptions::new(plugin));
    }
    if let Some(directory) = reader.optional(Reader::text)? {
        session = session.with_provider_cache(PathBuf::from(directory));
    }
    Ok(session)
}

/// What is told apart: the labels of a file, words, or else the bundle's own.
struct Labels<'a> {
    bank: Option<&'a str>,
    names: Option<Vec<&'a str>>,
    templates: Vec<String>,
}

impl<'a> Labels<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Failure> {
        Ok(Self {
            bank: reader.optional(Reader::text)?,
            names: reader.optional(|reader| reader.list(Reader::text))?,
            templates: reader.list(|reader| reader.text().map(str::to_owned))?,
        })
    }

    fn bank(
        &self,
        runtime: &Runtime,
        bundle: &Bundle,
        session: SessionOptions,
    ) -> Result<Option<LabelBank>, Failure> {
        if let Some(bank) = self.bank {
            return Ok(Some(LabelBank::open(bank.as_ref())?));
        }
        let Some(names) = &self.names else {
            return Ok(None);
        };
        let mut encoder = TextEncoder::open(runtime, bundle, session)?;
        let bank = encoder.label_bank(names, &self.templates, |_| {})?;
        // As the command has it: without texts beside them, one of a few labels always looks likely.
        Ok(Some(match bundle.manifest().labels {
            Some(_) => bank.with_negatives_of(&bundle.label_bank()?)?.0,
            None => bank,
        }))
    }
}

fn calibration(path: &Path) -> Result<Calibration, Failure> {
    let json = read_file(path, MAX_CALIBRATION_BYTES)?;
    Ok(Calibration::from_json((*json).as_ref()).map_err(|error| error.at(path.display()))?)
}

fn drift(reader: &mut Reader<'_>) -> Result<DriftOptions, Failure> {
    let mut drift = DriftOptions::default();
    if let Some(probability) = reader.optional(Reader::f64)? {
        drift = drift.false_alarm(probability);
    }
    if let Some(stride) = reader.optional(Reader::i32)? {
        // 0 is refused with its own words.
        drift = drift.stride(u32::try_from(stride).unwrap_or(0));
    }
    Ok(drift)
}

/// How a live stream answers, and how many results wait: a message of `LiveOptions.kt`.
pub(crate) fn live(message: &[u8]) -> Result<(StreamOptions, usize), Failure> {
    let mut reader = Reader::new(message)?;
    let smoothing = reader.optional(smoothing)?;
    let unchanged = reader.optional(unchanged)?;
    let mut options = StreamOptions::default()
        .smoothing(smoothing)
        .unchanged(unchanged);
    if let Some(deadline) = reader.optional(millis)? {
        options = options.deadline(deadline);
    }
    if let Some(bytes) = reader.optional(Reader::i64)? {
        let bytes = u64::try_from(bytes)
            .map_err(|_| Failure::caller(format!("a frame cannot have {bytes} bytes at most")))?;
        // More than this machine has addresses for is no limit.
        options = options.max_frame_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let waiting = usize::try_from(reader.i32()?).unwrap_or(0);
    Ok((options, waiting))
}

fn smoothing(reader: &mut Reader<'_>) -> Result<Smoothing, Failure> {
    let mut smoothing = Smoothing::default();
    if let Some(constant) = reader.optional(millis)? {
        smoothing = smoothing.time_constant(constant);
    }
    if let Some(hold) = reader.optional(millis)? {
        smoothing = smoothing.hold(hold);
    }
    if let Some(gap) = reader.optional(millis)? {
        smoothing = smoothing.max_gap(gap);
    }
    if let Some(confidence) = reader.optional(Reader::f32)? {
        smoothing = smoothing.confidence(confidence);
    }
    Ok(smoothing)
}

fn unchanged(reader: &mut Reader<'_>) -> Result<Unchanged, Failure> {
    let mut unchanged = Unchanged::default();
    if let Some(difference) = reader.optional(Reader::f32)? {
        unchanged = unchanged.difference(difference);
    }
    if let Some(area) = reader.optional(Reader::f32)? {
        unchanged = unchanged.area(area);
    }
    if let Some(longest) = reader.optional(millis)? {
        unchanged = unchanged.longest(longest);
    }
    Ok(unchanged)
}

/// A span of time in milliseconds.
pub(crate) fn millis(reader: &mut Reader<'_>) -> Result<Duration, Failure> {
    let millis = reader.i64()?;
    u64::try_from(millis)
        .map(Duration::from_millis)
        .map_err(|_| Failure::caller(format!("a time of {millis} ms is negative")))
}
