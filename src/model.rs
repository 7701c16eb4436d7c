//! A graph's file on its way to a session.

use crate::bytes::SharedBytes;
use crate::error::{Error, Result};
#[cfg(unix)]
use crate::mapping::Mapping;

/// The four bytes that tell an ORT-format file, behind the four of the root table's offset.
const ORT_IDENTIFIER: &[u8] = b"ORTM";

/// What the numbers of an ORT-format file are aligned to, if the file itself is.
#[cfg(unix)]
const ORT_ALIGNMENT: usize = 16;

/// Where the bytes of a model's file lie while its session needs them.
///
/// An ONNX file is read once and then released, whichever is chosen. Weights of an ORT-format file are used where they
/// lie until the session is dropped, but for those that ONNX Runtime packs anew for its kernels, which are most.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelMemory {
    /// The file is mapped: its pages are the system's, shared between processes, and given back as soon as they have
    /// been read.
    ///
    /// A file that is truncated or written to while it is mapped gives an error of
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) at the next run, never an answer and never the end of the
    /// process; replacing it by a rename is harmless. Not noticed is who writes through a shared writable mapping of the
    /// same file, or to a network share from another machine: choose [`Private`](Self::Private) there. What this rests on, and where a private copy is made all the
    /// same, stands in [the chapter on security](crate::docs::security).
    #[default]
    Mapped,
    /// The file is read into memory of the process: nothing outside can change it, at the price of its size in memory
    /// until the session is dropped (ORT format) or loaded (ONNX).
    Private,
}

/// A graph whose digest was checked.
pub(crate) struct Model {
    bytes: Bytes,
    format: Format,
    place: String,
}

enum Bytes {
    #[cfg(unix)]
    Mapped(Mapping),
    Private(SharedBytes),
}

/// How a graph is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A protobuf that is parsed and optimised at every start.
    Onnx,
    /// ONNX Runtime's flatbuffer of a graph that was optimised when it was made.
    Ort,
}

impl Model {
    /// A model in the process's own memory, from a file at `place`.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the name says another format than the content.
    pub(crate) fn private(bytes: SharedBytes, place: String) -> Result<Self> {
        let format = Format::of((*bytes).as_ref());
        format.check_name(&place)?;
        Ok(Self {
            bytes: Bytes::Private(bytes),
            format,
            place,
        })
    }

    /// A model in a mapped file at `place`. `None` where it has to be copied: where the weights of an ORT-format file
    /// would not be aligned, since that file is a part of another one.
    ///
    /// # Errors
    /// As [`private`](Self::private), or if the file cannot be read.
    #[cfg(unix)]
    pub(crate) fn mapped(mapping: Mapping, place: String) -> Result<Option<Self>> {
        let mut start = [0; 8];
        let known = start.len().min(mapping.bytes().len());
        mapping.start(&mut start[..known])?;
        let format = Format::of(&start[..known]);
        format.check_name(&place)?;
        let is_aligned = mapping
            .bytes()
            .as_ptr()
            .addr()
            .is_multiple_of(ORT_ALIGNMENT);
        if format == Format::Ort && !is_aligned {
            return Ok(None);
        }
        Ok(Some(Self {
            bytes: Bytes::Mapped(mapping.divided()),
            format,
            place,
        }))
    }

    /// Where the file lies, for errors.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The file's content, for ONNX Runtime alone: what is mapped may change under it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            #[cfg(unix)]
            Bytes::Mapped(mapping) => mapping.bytes(),
            Bytes::Private(bytes) => (**bytes).as_ref(),
        }
    }

    /// Runs `load`, which reads all of [`bytes`](Self::bytes) once, in as little memory as may be.
    pub(crate) fn releasing<T>(&self, load: impl FnOnce() -> T) -> T {
        match &self.bytes {
            #[cfg(unix)]
            Bytes::Mapped(mapping) => mapping.releasing(load),
            Bytes::Private(_) => load(),
        }
    }

    /// Whether all that was read from [`bytes`](Self::bytes) so far is what the digest was checked of.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if it may have been anything else.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.bytes {
            #[cfg(unix)]
            Bytes::Mapped(mapping) => mapping.check(),
            Bytes::Private(_) => Ok(()),
        }
    }
}

impl Format {
    fn of(start: &[u8]) -> Self {
        match start.get(4..8) {
            Some(ORT_IDENTIFIER) => Self::Ort,
            _ => Self::Onnx,
        }
    }

    /// Refuses an ONNX graph that is called `.ort`, or the other way round: whoever renamed it meant something else.
    fn check_name(self, place: &str) -> Result<()> {
        let (wrong, is, needs) = match self {
            Self::Onnx => (
                ".ort",
                "not of the ORT format that its name says",
                "make it anew with `clipgate-export ort-format`, or list it under a name in .onnx if it is ONNX",
            ),
            Self::Ort => (
                ".onnx",
                "of ONNX Runtime's own format (ORT), not ONNX as its name says",
                "list it in the manifest under a name in .ort",
            ),
        };
        if place.to_ascii_lowercase().ends_with(wrong) {
            return Err(Error::bundle(format!("the graph is {is}: {needs}")).at(place));
        }
        Ok(())
    }
}
