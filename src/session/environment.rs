//! ONNX Runtime's environment, and the plugin that it has loaded.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::logging::LogLevel;

use crate::error::{Error, Result};
use crate::provider::Provider;

/// The most characters of a logged error that are kept.
const MOST_OVERHEARD: usize = 400;

/// One a process, kept by [`Runtime`](crate::Runtime).
pub(crate) struct Environment {
    environment: ort::environment::Environment,
    plugin: Mutex<Option<PathBuf>>,
}

impl Environment {
    /// Hands the library at `path` to `ort` and starts it.
    ///
    /// `ort` panics or takes another library if this one is not there, has no interface of
    /// [`API_VERSION`](super::API_VERSION) or is named by a relative path, and it keeps the first library it gets:
    /// [`Runtime`](crate::Runtime) has made sure of all four.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let environment = ort::init_from(path)
            .map_err(|error| Error::machine("cannot be loaded").with_source(error))?
            .with_name("clipgate")
            .with_telemetry(false)
            .with_logger(Arc::new(forward_log))
            .build()
            .map_err(|error| Error::machine("cannot be started").with_source(error))?;
        environment.set_log_level(LogLevel::Warning);
        Ok(Self {
            environment,
            plugin: Mutex::new(None),
        })
    }

    pub(super) fn ort(&self) -> &ort::environment::Environment {
        &self.environment
    }

    /// Loads QNN's plugin library, which was found whole. Loading the same file again does nothing.
    ///
    /// # Errors
    /// Naming the file: it is no plugin, or another one was loaded before.
    pub(super) fn load_plugin(&self, path: &Path) -> Result<()> {
        self.load_plugin_checked(path)
            .map_err(|error| error.at(path.display()))
    }

    fn load_plugin_checked(&self, path: &Path) -> Result<()> {
        let path = path
            .canonicalize()
            .map_err(|error| Error::machine("cannot be opened").with_source(error))?;
        let mut plugin = self.plugin.lock().unwrap_or_else(PoisonError::into_inner);
        match &*plugin {
            Some(loaded) if *loaded == path => return Ok(()),
            Some(loaded) => {
                return Err(Error::machine(format!(
                    "another plugin is loaded, {}: a process can have one",
                    loaded.display()
                )));
            }
            None => {}
        }
        self.environment
            .register_ep_library(Provider::Qnn.onnxruntime_name(), &path)
            .map_err(|error| {
                Error::machine("cannot be loaded as a provider plugin").with_source(error)
            })?;
        *plugin = Some(path);
        Ok(())
    }
}

thread_local! {
    /// The first error that ONNX Runtime logged on this thread, while somebody listens.
    static FIRST_ERROR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does `work`, and tells the first error that ONNX Runtime logged meanwhile: what keeps a provider from running anything
/// is said nowhere else. Sessions are made on the thread that asks for them.
pub(super) fn overhear<T>(work: impl FnOnce() -> T) -> (T, Option<String>) {
    FIRST_ERROR.take();
    let done = work();
    (done, FIRST_ERROR.take())
}

/// Passes a line of ONNX Runtime's log on. Below warnings there is only noise, from before the level is set.
fn forward_log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    let level = match level {
        LogLevel::Verbose | LogLevel::Info => return,
        LogLevel::Warning => log::Level::Warn,
        LogLevel::Error | LogLevel::Fatal => log::Level::Error,
    };
    if level == log::Level::Error {
        // Not while the thread ends, when there is nowhere to keep it.
        let _ = FIRST_ERROR.try_with(|first| {
            first
                .borrow_mut()
                .get_or_insert_with(|| message.trim().chars().take(MOST_OVERHEARD).collect());
        });
    }
    log::log!(target: "onnxruntime", level, "{message} ({location})");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_of_the_work_is_overheard() {
        let say = |level, message: &str| forward_log(level, "", "", "", message);
        say(LogLevel::Error, "before");
        let (done, overheard) = overhear(|| {
            say(LogLevel::Warning, "a warning");
            say(LogLevel::Error, " the cause\n");
            say(LogLevel::Error, "what followed");
            1
        });
        assert_eq!((done, overheard.as_deref()), (1, Some("the cause")));
        assert_eq!(overhear(|| ()).1, None);
        let long = overhear(|| say(LogLevel::Fatal, &"x".repeat(1000))).1;
        assert_eq!(long.unwrap().len(), MOST_OVERHEARD);
    }
}
