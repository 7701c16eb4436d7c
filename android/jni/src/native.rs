//! The functions that `Native.kt` declares, under the names that the Java VM looks for.

#![expect(unsafe_code, reason = "functions are exported under their own names")]

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use clipgate::{Classification, Classifier, LiveResults, LiveStatus, LiveStream, Runtime};
use jni::objects::{JByteArray, JByteBuffer, JClass, JString};
use jni::sys::{jint, jlong};
use jni::{Env, EnvUnowned};

use crate::failure::Failure;
use crate::guard::guarded;
use crate::handles::Handles;
use crate::wire::Writer;
use crate::{answer, frame, logging, request};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static CLASSIFIERS: Handles<Mutex<Option<Answering>>> = Handles::new();
static STREAMS: Handles<Live> = Handles::new();

/// A classifier, with the memory that its answers are written in.
struct Answering {
    classifier: Classifier,
    answer: Classification,
    message: Vec<u8>,
}

struct Live {
    stream: LiveStream,
    results: LiveResults,
}

/// Loads ONNX Runtime from a path, or by the name that the system's loader knows; tells its version.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_load<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    library: JString<'local>,
    level: jint,
) -> JString<'local> {
    guarded(env, |env| {
        logging::start(logging::level(level));
        let library = library.try_to_string(env)?;
        let runtime = match library.contains('/') {
            true => Runtime::load(library.as_ref())?,
            false => Runtime::load_named(&library)?,
        };
        Ok(env.new_string(RUNTIME.get_or_init(|| runtime).version())?)
    })
}

/// Opens a classifier: what it is made of, and its number.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_open<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    request: JByteArray<'local>,
) -> JByteArray<'local> {
    guarded(env, |env| {
        let runtime = RUNTIME
            .get()
            .ok_or_else(|| Failure::caller("ONNX Runtime has not been loaded"))?;
        let (classifier, bundle) = request::open(runtime, &env.convert_byte_array(&request)?)?;
        let mut message = Vec::new();
        let mut writer = Writer::new(&mut message);
        answer::description(&mut writer, runtime, &bundle, &classifier)?;
        let handle = CLASSIFIERS.open(Mutex::new(Some(Answering {
            classifier,
            answer: Classification::default(),
            message: Vec::new(),
        })));
        writer.i64(handle);
        let opened = env.byte_array_from_slice(&message);
        if opened.is_err() {
            CLASSIFIERS.close(handle);
        }
        Ok(opened?)
    })
}

/// Answers one frame.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_classify<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    layout: JByteArray<'local>,
    first: JByteBuffer<'local>,
    second: JByteBuffer<'local>,
    third: JByteBuffer<'local>,
) -> JByteArray<'local> {
    guarded(env, |env| {
        let classifier = CLASSIFIERS.get(handle)?;
        let frame = frame::read(env, &layout, [&first, &second, &third])?;
        let mut classifier = lock(&classifier);
        let answering = classifier.as_mut().ok_or(Failure::Closed)?;
        answering
            .classifier
            .classify_into(&frame, &mut answering.answer)?;
        let mut writer = Writer::new(&mut answering.message);
        answer::classification(&mut writer, &answering.answer)?;
        Ok(env.byte_array_from_slice(&answering.message)?)
    })
}

/// Forgets the drift of a classifier's frames so far.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_resetDrift<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) {
    guarded(env, |_| {
        let classifier = CLASSIFIERS.get(handle)?;
        let mut classifier = lock(&classifier);
        let answering = classifier.as_mut().ok_or(Failure::Closed)?;
        answering.classifier.reset_drift();
        Ok(())
    });
}

/// Makes a classifier a live stream, which has its own number; the classifier's is closed.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_startLive<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    options: JByteArray<'local>,
) -> jlong {
    guarded(env, |env| {
        let (options, waiting) = request::live(&env.convert_byte_array(&options)?)?;
        let classifier = CLASSIFIERS.close(handle).ok_or(Failure::Closed)?;
        // Waits for the answer that is being made.
        let answering = lock(&classifier).take().ok_or(Failure::Closed)?;
        let (stream, results) = LiveStream::channel(answering.classifier, options, waiting)?;
        Ok(STREAMS.open(Live { stream, results }))
    })
}

/// Hands a frame to a live stream; tells how that is doing.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_push<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    timestamp: jlong,
    layout: JByteArray<'local>,
    first: JByteBuffer<'local>,
    second: JByteBuffer<'local>,
    third: JByteBuffer<'local>,
) -> JByteArray<'local> {
    guarded(env, |env| {
        let live = STREAMS.get(handle)?;
        let nanos = u64::try_from(timestamp)
            .map_err(|_| Failure::caller(format!("a timestamp of {timestamp} ns is negative")))?;
        let frame = frame::read(env, &layout, [&first, &second, &third])?;
        let status = live.stream.push(&frame, Duration::from_nanos(nanos))?;
        status_message(env, &status)
    })
}

/// Waits for the next thing that a live stream has to tell; null once it has ended.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_receive<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) -> JByteArray<'local> {
    guarded(env, |env| {
        let live = STREAMS.get(handle)?;
        let Some(event) = live.results.recv() else {
            return Ok(JByteArray::null());
        };
        let mut message = Vec::new();
        answer::event(&mut Writer::new(&mut message), &event)?;
        Ok(env.byte_array_from_slice(&message)?)
    })
}

/// Asks something of a live stream: `Command` in `LiveClassifier.kt`. Tells how it is doing then.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_control<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    command: jint,
    limit: jlong,
) -> JByteArray<'local> {
    guarded(env, |env| {
        let live = STREAMS.get(handle)?;
        let limit = Duration::from_millis(u64::try_from(limit).unwrap_or(0));
        let status = match command {
            0 => live.stream.status(),
            1 => {
                live.stream.reset();
                live.stream.status()
            }
            2 => {
                live.stream.reset_drift();
                live.stream.status()
            }
            3 => live.stream.finish(limit)?,
            4 => live.stream.stop(limit)?,
            _ => return Err(Failure::other_build("a command that is not known")),
        };
        status_message(env, &status)
    })
}

/// Closes a classifier or a live stream; one that was closed before is none, which is no error.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_close<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) {
    guarded(env, |_| {
        CLASSIFIERS.close(handle);
        if let Some(live) = STREAMS.close(handle) {
            // Whoever waits for a result has the stream, too, and would wait for ever. One that could not be stopped in
            // time is left behind here as it was then.
            let _ = live.stream.stop(Duration::ZERO);
        }
        Ok(())
    });
}

/// How many classifiers and live streams are open.
#[unsafe(no_mangle)]
extern "system" fn Java_io_clipgate_Native_openHandles<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
) -> jint {
    guarded(env, |_| {
        Ok(jint::try_from(CLASSIFIERS.count() + STREAMS.count()).unwrap_or(jint::MAX))
    })
}

/// How a live stream is doing, for Java.
fn status_message<'local>(
    env: &mut Env<'local>,
    status: &LiveStatus,
) -> Result<JByteArray<'local>, Failure> {
    let mut message = Vec::new();
    answer::status(&mut Writer::new(&mut message), status);
    Ok(env.byte_array_from_slice(&message)?)
}

/// A panic under the lock leaves a classifier that is fit for the next frame.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
