//! Why a call failed, and the code that its exception has.

use std::collections::TryReserveError;
use std::error::Error as StdError;
use std::{fmt, io};

use clipgate::ErrorKind;
use jni::errors::{Error as JavaError, JniError};

/// What a native function fails with.
#[derive(Debug)]
pub(crate) enum Failure {
    /// clipgate refuses.
    Clipgate(clipgate::Error),
    /// The handle is of something that was closed, or of nothing.
    Closed,
    /// Both halves of the library do not fit together, or one of them is wrong.
    Internal(String),
    /// The Java VM refuses.
    Java(JavaError),
}

/// The codes of `ErrorCode.kt` that come from here. None is ever given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    Machine = 1,
    Bundle = 2,
    Caller = 3,
    Policy = 4,
    Model = 5,
    Closed = 6,
    Internal = 7,
    OutOfMemory = 9,
}

impl Failure {
    /// Whoever calls breaks a rule of this library.
    pub(crate) fn caller(message: impl Into<String>) -> Self {
        Self::Clipgate(clipgate::Error::new(ErrorKind::Caller, message))
    }

    pub(crate) fn other_build(what: impl fmt::Display) -> Self {
        Self::Internal(format!(
            "libclipgate_jni.so and the classes of io.clipgate are not of one build: {what}. Take both from one \
             version of the library"
        ))
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Clipgate(error) => code_of(error),
            Self::Closed => Code::Closed,
            Self::Java(JavaError::JniCall(JniError::NoMemory)) => Code::OutOfMemory,
            Self::Internal(_) | Self::Java(_) => Code::Internal,
        }
    }
}

/// The one place where clipgate's errors get their code.
pub(crate) fn code_of(error: &clipgate::Error) -> Code {
    match error.kind() {
        _ if is_out_of_memory(error) => Code::OutOfMemory,
        ErrorKind::Machine => Code::Machine,
        ErrorKind::Bundle => Code::Bundle,
        ErrorKind::Caller => Code::Caller,
        ErrorKind::Policy => Code::Policy,
        ErrorKind::Model => Code::Model,
        _ => Code::Internal,
    }
}

/// Whether memory was asked for and refused, somewhere below: for a frame's copy, or for a file.
fn is_out_of_memory(error: &clipgate::Error) -> bool {
    std::iter::successors(error.source(), |error| (*error).source()).any(|cause| {
        cause.is::<TryReserveError>()
            || cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::OutOfMemory)
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clipgate(error) => f.write_str(&error.report()),
            Self::Closed => f.write_str(
                "it was closed: open another one, and close it only when nothing is asked of it any more",
            ),
            Self::Internal(message) => f.write_str(message),
            Self::Java(JavaError::JniCall(reason)) => write!(f, "the Java VM refused a call: {reason}"),
            Self::Java(error) => write!(f, "the Java VM refused a call: {error}"),
        }
    }
}

impl From<clipgate::Error> for Failure {
    fn from(error: clipgate::Error) -> Self {
        Self::Clipgate(error)
    }
}

impl From<JavaError> for Failure {
    fn from(error: JavaError) -> Self {
        Self::Java(error)
    }
}
