//! Qualcomm's NPU: where its plugin lies, and what graphs are compiled for.

mod driver;
mod installation;

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) use driver::Driver;
pub(crate) use installation::installation;

/// Where Qualcomm's QNN plugin for ONNX Runtime lies, and what it is told.
///
/// The library is called `libonnxruntime_providers_qnn.so`; the PyPI package `onnxruntime-qnn` holds it for
/// Linux and Windows. It is native code that runs with the process's rights: load only what you trust. A process loads
/// one plugin.
///
/// ```
/// use clipgate::{HtpTarget, QnnOptions, SessionOptions};
///
/// let qnn = QnnOptions::new("/opt/qnn/libonnxruntime_providers_qnn.so").with_target("htp-v75".parse::<HtpTarget>()?);
/// assert!(qnn.backend().starts_with("/opt/qnn"));
/// let options = SessionOptions::default().with_providers("qnn,cpu".parse()?).with_qnn(qnn);
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QnnOptions {
    library: PathBuf,
    backend: Option<PathBuf>,
    target: Option<HtpTarget>,
    context: Option<PathBuf>,
    context_directory: Option<PathBuf>,
}

impl QnnOptions {
    /// The plugin at `library`.
    pub fn new(library: impl Into<PathBuf>) -> Self {
        Self {
            library: library.into(),
            backend: None,
            target: None,
            context: None,
            context_directory: None,
        }
    }

    /// The library of the HTP backend; `libQnnHtp.so` beside the plugin unless set.
    pub fn with_backend(mut self, backend: impl Into<PathBuf>) -> Self {
        self.backend = Some(backend.into());
        self
    }

    /// The NPU that graphs are compiled for; the one in the machine unless set.
    pub fn with_target(mut self, target: HtpTarget) -> Self {
        self.target = Some(target);
        self
    }

    /// A graph compiled ahead of time ([`CompiledContext`](crate::CompiledContext)), and no other. It is used where it
    /// fits; where it does not, or is not there, a warning says so and the graph is compiled at the start.
    pub fn with_context(mut self, context: impl Into<PathBuf>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Where a graph compiled ahead of time is looked for under its [`file_name`](HtpTarget::file_name), unless
    /// [`with_context`](Self::with_context) names one; the bundle's directory unless set. Without a target, one that lies
    /// there is taken whatever it was compiled for: the NPU refuses what is not its own. Several are none.
    pub fn with_context_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.context_directory = Some(directory.into());
        self
    }

    /// The plugin's file.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The file of the HTP backend.
    pub fn backend(&self) -> PathBuf {
        match &self.backend {
            Some(backend) => backend.clone(),
            None => self
                .library
                .with_file_name(format!("{DLL_PREFIX}QnnHtp{DLL_SUFFIX}")),
        }
    }

    /// What graphs are compiled for, where it was set.
    pub fn target(&self) -> Option<HtpTarget> {
        self.target
    }

    /// The compiled graph that was named.
    pub fn context(&self) -> Option<&Path> {
        self.context.as_deref()
    }

    /// Where compiled graphs are looked for, where it was set.
    pub fn context_directory(&self) -> Option<&Path> {
        self.context_directory.as_deref()
    }
}

/// A version of Qualcomm's Hexagon Tensor Processor, written `htp-v75`.
///
/// ```
/// use clipgate::HtpTarget;
///
/// let target: HtpTarget = "htp-v75".parse()?;
/// assert_eq!((target.version(), target.to_string().as_str()), (75, "htp-v75"));
/// assert!("htp-v74".parse::<HtpTarget>().is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HtpTarget(u8);

impl HtpTarget {
    /// The versions that the plugin knows; it takes any other for its default, and does not fail.
    const KNOWN: [u8; 6] = [68, 69, 73, 75, 79, 81];

    /// Those that the plugin knows, the oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::KNOWN.into_iter().map(Self)
    }

    /// The number in its name.
    pub fn version(self) -> u8 {
        self.0
    }

    /// What a graph compiled for it is called beside its bundle.
    pub fn file_name(self) -> String {
        format!("image_encoder.{self}.onnx")
    }
}

impl fmt::Display for HtpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "htp-v{}", self.0)
    }
}

impl FromStr for HtpTarget {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller), naming `text`, if it is none of the targets.
    fn from_str(text: &str) -> Result<Self> {
        Self::all()
            .find(|known| known.to_string() == text)
            .ok_or_else(|| {
                let names: Vec<String> = Self::all().map(|known| known.to_string()).collect();
                Error::unknown(text, "target", &names)
            })
    }
}

impl TryFrom<String> for HtpTarget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<HtpTarget> for String {
    fn from(target: HtpTarget) -> Self {
        target.to_string()
    }
}
