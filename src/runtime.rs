//! ONNX Runtime's shared library: found by path, checked before it is trusted, loaded once for the process.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

use crate::error::{Error, Result};
use crate::session::{API_VERSION, Environment, available};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod elf;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod environ;
#[cfg(unix)]
mod named;

/// The oldest ONNX Runtime 1.x that is accepted: 1.27.0 computed wrong results on some Arm cores.
const MIN_MINOR: u32 = 28;

const ADVICE: &str = "install ONNX Runtime 1.28 or newer (the PyPI package `onnxruntime` holds its library) and pass \
     that library's path; the clipgate command takes it from the environment variable ORT_DYLIB_PATH";

/// A loaded ONNX Runtime, the only one of the process; cloning it is cheap.
///
/// `Runtime` is `Send` and `Sync`: one serves every [`Session`](crate::Session) of every thread. The library stays
/// loaded until the process ends.
///
/// # What is checked
/// That the file exists and is a regular file; on Linux and Android that it is an ELF shared library for this
/// architecture and not cut short; that it exports `OrtGetApiBase` and is version 1.28 or newer. On macOS and Windows,
/// which are untested, the system's loader alone judges the file. None of this is a defence: a library runs its own
/// code as soon as it is loaded, so load only what you trust.
///
/// # Telemetry
/// Microsoft's builds for Linux, macOS and Android from 1.29 on send usage data unless `ORT_DISABLE_TELEMETRY=1` is in
/// the environment when the runtime starts; the switch in the API comes after the first event. [`Runtime::load`]
/// therefore sets that variable for the process, once, and uses the switch as well. On Linux and Android other threads
/// may read the environment meanwhile. Elsewhere that is safe only while none does so through C's `getenv`: load the
/// runtime before you start such threads.
///
/// # Log
/// Warnings and errors of ONNX Runtime go to the [`log`] facade under the target `onnxruntime`. They name nodes and
/// tensors of the graph, never the content of an input.
///
/// ```
/// use clipgate::{ErrorKind, Runtime};
///
/// let error = Runtime::load("/no/such/libonnxruntime.so".as_ref()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Machine);
/// assert!(error.to_string().starts_with("/no/such/libonnxruntime.so"));
/// ```
#[derive(Clone)]
pub struct Runtime(Arc<Loaded>);

struct Loaded {
    path: PathBuf,
    version: String,
    environment: Environment,
}

/// What this process has loaded. The library is chosen once: its environment cannot be made a second time.
struct Process {
    library: Option<PathBuf>,
    runtime: Option<Runtime>,
}

static PROCESS: Mutex<Process> = Mutex::new(Process {
    library: None,
    runtime: None,
});

impl Runtime {
    /// Loads the library at `path`. Loading the same file again gives the same runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine), naming the file, if a check fails (see
    /// [above](Runtime#what-is-checked)), if it cannot be loaded, or if this process has loaded another library before.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_checked(path).map_err(|error| error.at(path.display()))
    }

    /// Loads the library that the system's loader knows by `name`: `libonnxruntime.so` of an Android app, which may lie
    /// inside the app's package and have no path of its own. Where it has no file, its form is left to the loader.
    ///
    /// # Errors
    /// As [`load`](Self::load), naming the library.
    #[cfg(unix)]
    pub fn load_named(name: &str) -> Result<Self> {
        let load = || {
            // Open until the environment holds it, so that it is not loaded twice.
            let (_library, path) = named::open(name)?;
            if path.is_file() {
                Self::load(&path)
            } else {
                Self::load_at(path)
            }
        };
        load().map_err(|error| error.at(name))
    }

    /// Loads the first library of `candidates` that can be loaded. Files before it that cannot are told to the log, as warnings.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if none can: the message lists every candidate with the
    /// reason and says what to do; the source is the first failure of a file that exists.
    pub fn load_first(candidates: &[PathBuf]) -> Result<Self> {
        let mut missing = Vec::new();
        let mut failures: Vec<Error> = Vec::new();
        for candidate in candidates {
            if is_missing(candidate) {
                missing.push(candidate.display().to_string());
                continue;
            }
            match Self::load(candidate) {
                Ok(runtime) => {
                    for failure in &failures {
                        log::warn!(
                            "{}: {} is taken instead",
                            failure.report(),
                            runtime.path().display()
                        );
                    }
                    return Ok(runtime);
                }
                Err(error) => failures.push(error),
            }
        }

        let mut message = format!("no usable ONNX Runtime 1.{MIN_MINOR} or newer was found");
        for failure in &failures {
            message.push_str(&format!("\n  {}", failure.report()));
        }
        if !missing.is_empty() {
            message.push_str(&format!("\n  not there: {}", missing.join(", ")));
        }
        message.push_str(&format!("\n  to do: {ADVICE}"));
        let error = Error::machine(message);
        Err(match failures.into_iter().next() {
            Some(first) => error.with_source(first),
            None => error,
        })
    }

    /// The version the library states, such as `1.31.1`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The library's file: absolute, with symbolic links resolved.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The execution providers that the library was built with, as ONNX Runtime spells them, its favourite first:
    /// `["CPUExecutionProvider"]` for one that has no other. That one is built in says nothing of its device being there.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if the library does not say.
    pub fn providers(&self) -> Result<Vec<String>> {
        available::providers()
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    fn load_checked(path: &Path) -> Result<Self> {
        let path = path
            .canonicalize()
            .map_err(|error| Error::machine("cannot be opened").with_source(error))?;
        check_library(&path)?;
        Self::load_at(path)
    }

    /// Loads the library at an absolute path, which need not be a file's.
    fn load_at(path: PathBuf) -> Result<Self> {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        match &process.library {
            Some(library) if *library != path => {
                return Err(Error::machine(format!(
                    "another ONNX Runtime is loaded, {}: a process can have one",
                    library.display()
                )));
            }
            _ => {}
        }
        if let Some(runtime) = &process.runtime {
            return Ok(runtime.clone());
        }

        let (library, version) = probe(&path)?;
        forbid_telemetry();
        process.library = Some(path.clone());
        let environment = Environment::create(&path)?;
        // The environment holds the library from here on.
        drop(library);
        let runtime = Self(Arc::new(Loaded {
            path,
            version,
            environment,
        }));
        process.runtime = Some(runtime.clone());
        Ok(runtime)
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("path", &self.0.path)
            .field("version", &self.0.version)
            .finish()
    }
}

fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == IoErrorKind::NotFound)
}

/// Checks, without running any of it, that a file is a shared library for this process.
///
/// # Errors
/// What it is instead, or that it is cut short or cannot be read; the file is not named.
pub fn check_library(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| Error::machine("cannot be read").with_source(error))?;
    if !metadata.is_file() {
        return Err(Error::machine("is no regular file"));
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    elf::check(path)?;
    Ok(())
}

/// The part of ONNX Runtime's C interface that never changes (`OrtApiBase` in onnxruntime_c_api.h).
#[repr(C)]
struct ApiBase {
    get_api: Option<unsafe extern "system" fn(version: u32) -> *const c_void>,
    get_version_string: Option<unsafe extern "system" fn() -> *const c_char>,
}

/// Opens the library and asks its version; what it answers is what `ort` would panic about.
fn probe(path: &Path) -> Result<(Library, String)> {
    #[expect(
        unsafe_code,
        reason = "a shared library is loaded and asked its version"
    )]
    // SAFETY: loading runs the library's initialisers, which is what the caller asked for by naming the file; the
    // file was found whole. The symbol has the type that onnxruntime_c_api.h declares, in every version, and it and
    // the two function pointers are called only where they are not null and while `library` is open. The version is
    // a static, NUL-terminated string by the same declaration; it is copied.
    let (library, version, has_api) = unsafe {
        let library = Library::new(path)
            .map_err(|error| Error::machine("cannot be loaded").with_source(error))?;
        let base = {
            let get_base = library
                .get::<unsafe extern "system" fn() -> *const ApiBase>(b"OrtGetApiBase")
                .map_err(|error| {
                    Error::machine("is not ONNX Runtime: it does not export OrtGetApiBase")
                        .with_source(error)
                })?;
            get_base()
        };
        let (Some(get_api), Some(get_version_string)) = (match base.as_ref() {
            Some(base) => (base.get_api, base.get_version_string),
            None => (None, None),
        }) else {
            return Err(Error::machine(
                "is not ONNX Runtime: OrtGetApiBase gives nothing",
            ));
        };
        let version = get_version_string();
        if version.is_null() {
            return Err(Error::machine("is not ONNX Runtime: it states no version"));
        }
        let version = CStr::from_ptr(version).to_string_lossy().into_owned();
        // An old library writes to stderr when it is asked for an interface it lacks, so its version comes first.
        let has_api = is_supported(&version) && !get_api(API_VERSION).is_null();
        (library, version, has_api)
    };
    if !is_supported(&version) {
        let known = known_flaw(&version).map_or(String::new(), |flaw| format!("; this one {flaw}"));
        let version: String = version.chars().take(32).collect();
        return Err(Error::machine(format!(
            "is ONNX Runtime {version:?}: 1.{MIN_MINOR} or a newer 1.x is needed{known}"
        )));
    }
    if !has_api {
        return Err(Error::machine(format!(
            "is ONNX Runtime {version}, but lacks version {API_VERSION} of its interface"
        )));
    }
    Ok((library, version))
}

fn is_supported(version: &str) -> bool {
    let mut parts = version.split('.');
    let major = parts.next();
    let minor = parts.next().and_then(|minor| minor.parse::<u32>().ok());
    major == Some("1") && minor.is_some_and(|minor| minor >= MIN_MINOR)
}

/// What is known to be wrong with a version that is too old, for those who have it.
fn known_flaw(version: &str) -> Option<&'static str> {
    let mut parts = version.split('.').map(str::parse::<u32>);
    let mut part = || parts.next()?.ok();
    match (part()?, part()?, part().unwrap_or(0)) {
        (1, 23, _) | (1, 24, 0) => {
            Some("ends the process on some new Arm chips (illegal instruction)")
        }
        (1, 27, 0) => Some("computes wrong results on some new Arm chips"),
        _ => None,
    }
}

/// Sets the only switch that is read before the first event is sent. Done once a process at most.
fn forbid_telemetry() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    environ::set(c"ORT_DISABLE_TELEMETRY=1");
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    #[expect(unsafe_code, reason = "the environment is written to")]
    // SAFETY: races only with threads that read the environment through C, which the documentation of `Runtime` asks
    // the caller not to have yet; Rust's own readers are locked out by the standard library.
    unsafe {
        std::env::set_var("ORT_DISABLE_TELEMETRY", "1");
    }
}
