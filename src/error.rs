//! One error type: who is at fault, what happened to which thing, and what caused it.

use std::error::Error as StdError;
use std::fmt;

/// What a fallible clipgate function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act on an [`Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The machine: ONNX Runtime is missing or too old, a disk is full, a file cannot be read.
    Machine,
    /// The bundle: a file of it is missing, damaged, newer than this reader, or breaks a rule.
    Bundle,
    /// The caller: an image, frame, label or argument that cannot be used.
    Caller,
    /// The policy: a calibration that was fitted on another graph, or that says nothing about this case.
    Policy,
    /// The model: it ran and computed something that is no embedding.
    Model,
}

/// Why something failed: the culprit and the rule in words, its [`ErrorKind`], and its source.
///
/// An abstention is not an error: see [`Decision`](crate::Decision).
///
/// ```
/// use clipgate::{Embedding, ErrorKind};
///
/// let error = Embedding::new(&[f32::NAN, 1.0]).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Model);
/// assert!(error.to_string().contains("not finite"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of the caller's own, for a [`Backend`](crate::Backend) or a program around clipgate.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn machine(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Machine, message)
    }

    pub(crate) fn bundle(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bundle, message)
    }

    /// `text`, of which no more than its start is shown, is none of the `names` of what there is.
    pub(crate) fn unknown(text: &str, what: &str, names: &[String]) -> Self {
        let shown: String = text.chars().take(32).collect();
        Self::caller(format!(
            "{shown:?} is no {what}: there are {}",
            names.join(", ")
        ))
    }

    pub(crate) fn caller(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Caller, message)
    }

    pub(crate) fn policy(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Policy, message)
    }

    pub(crate) fn model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Model, message)
    }

    /// Keeps what caused this error.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts the culprit (a file, a tensor, a label) before the message.
    pub fn at(mut self, culprit: impl fmt::Display) -> Self {
        self.0.message = format!("{culprit}: {}", self.0.message);
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message and the messages of all sources, joined by `: `.
    ///
    /// ```
    /// let error = clipgate::Bundle::open("/no/such/bundle").unwrap_err();
    /// assert!(error.report().starts_with("/no/such/bundle"));
    /// ```
    pub fn report(&self) -> String {
        let mut report = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let cause_message = cause.to_string();
            if !report.contains(&cause_message) {
                report.push_str(": ");
                report.push_str(&cause_message);
            }
            source = cause.source();
        }
        report
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
