//! `clipgate watch`: what a camera, a stream of raw frames or a folder shows, as it comes.

mod args;
#[cfg(any(test, all(feature = "camera", target_os = "linux")))]
mod camera;
mod capture;
mod control;
mod folder;
mod lines;
mod picture;
mod pipe;
mod screen;
mod teller;
#[cfg(all(feature = "camera", target_os = "linux"))]
mod v4l_device;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use clipgate::{Classifier, DecodeOptions, Error, ErrorKind, LiveStream, Result, VideoStream};

use crate::args::Format;
use crate::exit_code::Outcome;
use crate::output::Output;
use capture::{Pace, Source, capture};
use control::Control;
use folder::Folder;
use pipe::{Clock, Pipe};
use teller::Teller;

pub(crate) use args::WatchArgs;

/// How often the interrupts are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long what is at work may take to end once the user has asked for that.
const PATIENCE: Duration = Duration::from_secs(1);

/// What SOURCE names.
enum Kind {
    Stdin,
    Camera,
    Files,
}

pub(crate) fn run(args: &WatchArgs, format: Format) -> Result<Outcome> {
    let source = args.source()?;
    let kind = kind(source);
    let is_files = matches!(kind, Kind::Files);
    args.check(matches!(kind, Kind::Stdin), is_files)?;
    // What can be refused at once is refused before a model is loaded.
    check_source(args, &kind, source)?;
    check_output(args, &kind, source)?;
    let (classifier, decode) = args.answer.open(&args.decode)?;
    let opened = open(args, &kind, source, decode)?;
    args.check_deadline(opened.is_live)?;
    let teller = Teller::new(args, source, format, is_files, &classifier)?;
    let teller = Arc::new(Mutex::new(teller));
    // Interrupts end the program as always until there is something to end cleanly: opening a pipe waits for its reader.
    let control = Arc::new(Control::default());
    control.heed_interrupts()?;
    let of_thread = (Arc::clone(&teller), Arc::clone(&control));
    let options = args.stream_options(is_files)?;
    let is_live = opened.is_live;
    let mut source = opened.source;
    let pace = pace(classifier, options, is_live, &teller, &control)?;
    let spawned = thread::Builder::new()
        .name("clipgate-capture".to_owned())
        .spawn(move || {
            let (teller, control) = of_thread;
            let ended = capture(&mut *source, pace, &teller, &control);
            control.finish(ended);
        });
    spawned.map_err(|error| {
        Error::new(ErrorKind::Machine, "no thread can be started").with_source(error)
    })?;
    let ended = control.wait(LOOK, PATIENCE);
    match lock_within(&teller, PATIENCE) {
        Some(mut teller) => teller.close(ended, &control),
        // Whoever holds it waits for a reader that does not read.
        None => ended,
    }
}

struct Opened {
    source: Box<dyn Source + Send>,
    /// Whether frames that nobody has time for are dropped.
    is_live: bool,
}

fn kind(source: &Path) -> Kind {
    if source == Path::new("-") {
        return Kind::Stdin;
    }
    let name = source.to_string_lossy();
    match name.strip_prefix("/dev/video") {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => Kind::Camera,
        _ => Kind::Files,
    }
}

fn check_source(args: &WatchArgs, kind: &Kind, source: &Path) -> Result<()> {
    match kind {
        Kind::Stdin if io::stdin().is_terminal() => Err(Error::new(
            ErrorKind::Caller,
            "-: standard input is a terminal: pipe raw frames into it, see `clipgate watch --help`",
        )),
        Kind::Stdin => args.picture().map(|_| ()),
        Kind::Files => folder::listed(source).map(|_| ()),
        Kind::Camera => Ok(()),
    }
}

fn open(args: &WatchArgs, kind: &Kind, source: &Path, decode: DecodeOptions) -> Result<Opened> {
    match kind {
        Kind::Stdin => {
            let stdin = io::stdin();
            let is_file = pipe::is_a_file(&stdin);
            let clock = Clock::new(args.fps.or(is_file.then_some(args::DEFAULT_FPS)));
            Ok(Opened {
                source: Box::new(Pipe::new(stdin, args.picture()?, clock)?),
                is_live: !args.every_frame && !is_file,
            })
        }
        Kind::Files => Ok(Opened {
            source: Box::new(Folder::new(source, args, decode)?),
            is_live: false,
        }),
        Kind::Camera => Ok(Opened {
            source: camera(args, source)?,
            is_live: !args.every_frame,
        }),
    }
}

/// Refuses an output that could not be written, or that is an input.
fn check_output(args: &WatchArgs, kind: &Kind, source: &Path) -> Result<()> {
    let Some(path) = &args.output else {
        return Ok(());
    };
    let output = Output::at(path)?;
    match kind {
        Kind::Stdin => output.spares(["/dev/stdin"]),
        Kind::Files => output.spares(folder::listed(source)?),
        Kind::Camera => output.spares([source]),
    }
}

#[cfg(all(feature = "camera", target_os = "linux"))]
fn camera(args: &WatchArgs, path: &Path) -> Result<Box<dyn Source + Send>> {
    let device = v4l_device::V4lDevice::open(path, args)?;
    let clock = Clock::new(args.fps);
    Ok(Box::new(camera::Camera::new(path, device, clock)?))
}

#[cfg(not(all(feature = "camera", target_os = "linux")))]
fn camera(_: &WatchArgs, path: &Path) -> Result<Box<dyn Source + Send>> {
    Err(Error::new(
        ErrorKind::Caller,
        format!(
            "{}: this clipgate was built without cameras: build it on Linux with --features camera, or pipe raw frames \
             into `clipgate watch -`",
            path.display()
        ),
    ))
}

/// Who answers: every frame in turn, or the newest.
fn pace(
    classifier: Classifier,
    options: clipgate::StreamOptions,
    is_live: bool,
    teller: &Arc<Mutex<Teller>>,
    control: &Arc<Control>,
) -> Result<Pace> {
    if !is_live {
        return Ok(Pace::EveryFrame(Box::new(VideoStream::new(
            classifier, options,
        )?)));
    }
    let (teller, control) = (Arc::clone(teller), Arc::clone(control));
    let stream = LiveStream::start(classifier, options, move |event| {
        teller::lock(&teller).tell(event, &control);
    })?;
    Ok(Pace::Newest(Box::new(stream)))
}

/// The teller, unless someone holds it for longer than `limit`.
fn lock_within(teller: &Mutex<Teller>, limit: Duration) -> Option<MutexGuard<'_, Teller>> {
    let start = Instant::now();
    loop {
        match teller.try_lock() {
            Ok(teller) => return Some(teller),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if start.elapsed() > limit => return None,
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
}
