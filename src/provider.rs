//! What executes a graph's nodes: the execution providers of ONNX Runtime that clipgate knows.

mod ladder;
mod outcome;
mod placement;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use ladder::{ProviderLadder, Rung};
pub use outcome::{ProviderOutcome, ProviderReport};
pub use placement::{PlacedNode, Placement};

/// An execution provider of ONNX Runtime.
///
/// Which ones are there is the library's matter: the stock Linux libraries hold the CPU's alone, and
/// [`Qnn`](Self::Qnn) comes as a plugin beside them. See [the chapter](crate::docs::platforms#providers).
///
/// ```
/// use clipgate::Provider;
///
/// assert_eq!("xnnpack".parse::<Provider>()?, Provider::Xnnpack);
/// assert_eq!(Provider::Qnn.to_string(), "qnn");
/// # Ok::<(), clipgate::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Provider {
    /// ONNX Runtime's own kernels; in every library.
    Cpu,
    /// XNNPACK's kernels, on the CPU.
    Xnnpack,
    /// Arm Compute Library's kernels, on the CPU.
    Acl,
    /// Android's Neural Networks API: whatever accelerator the phone's maker wrote a driver for.
    Nnapi,
    /// Apple's Core ML: GPU and Neural Engine.
    CoreMl,
    /// Qualcomm's AI Engine Direct: the Hexagon NPU (HTP), through a plugin library.
    Qnn,
}

impl Provider {
    /// All of them, those that compute farthest from the CPU first.
    pub const ALL: [Self; 6] = [
        Self::Qnn,
        Self::Nnapi,
        Self::CoreMl,
        Self::Acl,
        Self::Xnnpack,
        Self::Cpu,
    ];

    /// The name in lists and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Xnnpack => "xnnpack",
            Self::Acl => "acl",
            Self::Nnapi => "nnapi",
            Self::CoreMl => "coreml",
            Self::Qnn => "qnn",
        }
    }

    /// The name that ONNX Runtime gives it.
    pub(crate) fn onnxruntime_name(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Xnnpack => "XnnpackExecutionProvider",
            Self::Acl => "ACLExecutionProvider",
            Self::Nnapi => "NnapiExecutionProvider",
            Self::CoreMl => "CoreMLExecutionProvider",
            Self::Qnn => "QNNExecutionProvider",
        }
    }

    /// Whether it computes on another chip than the CPU. Every node that it leaves there costs two transfers, so that a
    /// few of them can make the whole graph slower than the CPU alone.
    pub fn is_accelerator(self) -> bool {
        matches!(self, Self::Nnapi | Self::CoreMl | Self::Qnn)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller), naming `text`, if it is none of the names.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name() == text)
            .ok_or_else(|| {
                let names: Vec<String> = Self::ALL.iter().rev().map(Self::to_string).collect();
                Error::unknown(text, "provider", &names)
            })
    }
}

impl TryFrom<String> for Provider {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Provider> for String {
    fn from(provider: Provider) -> Self {
        provider.name().to_owned()
    }
}
