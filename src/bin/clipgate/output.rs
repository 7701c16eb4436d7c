//! Output files that appear whole or not at all.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clipgate::file::{folder, replace_file};
use clipgate::{Error, ErrorKind, Result};
use safetensors::tensor::{Dtype, TensorView};

use crate::report;

/// Where results go: checked before the work, written after it.
pub(crate) struct Output {
    path: PathBuf,
    destination: Destination,
}

enum Destination {
    /// A regular file, existing or not: replaced as a whole.
    File,
    /// A device or pipe, such as /dev/stdout: written to, because replacing it would remove it.
    Stream,
}

impl Output {
    /// Fails at once where `path` could not be written after the work is done.
    pub(crate) fn at(path: &Path) -> Result<Self> {
        let refused = |why: &str| {
            Err(Error::new(
                ErrorKind::Caller,
                format!("{}: {why}", path.display()),
            ))
        };
        // A link is followed, so that the link stays and what it points to is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let destination = match fs::metadata(&target) {
            Ok(metadata) if metadata.is_dir() => {
                return refused("is a folder, not a file to write");
            }
            Ok(metadata) if !metadata.is_file() => Destination::Stream,
            _ => Destination::File,
        };
        if matches!(destination, Destination::File) {
            if !folder(&target).is_dir() {
                return refused("its folder does not exist");
            }
            // Gone again at once; what is to be written will need one too.
            tempfile::tempfile_in(folder(&target)).map_err(|error| {
                let refused = format!("{}: its folder cannot be written to", path.display());
                Error::new(ErrorKind::Machine, refused).with_source(error)
            })?;
        }
        Ok(Self {
            path: target,
            destination,
        })
    }

    /// Refuses to replace one of `inputs` by what is made of them; one that is no file is none of them.
    pub(crate) fn spares(&self, inputs: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<()> {
        let is_target = |input: &Path| fs::canonicalize(input).is_ok_and(|path| path == self.path);
        match self.destination {
            Destination::File if inputs.into_iter().any(|input| is_target(input.as_ref())) => {
                Err(Error::new(
                    ErrorKind::Caller,
                    format!(
                        "{}: is an input and would be replaced: name another output",
                        self.name()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The path, of a file; an error for a device or pipe, where a second file could not lie beside it.
    pub(crate) fn file(self) -> Result<PathBuf> {
        match self.destination {
            Destination::File => Ok(self.path),
            Destination::Stream => Err(Error::new(
                ErrorKind::Caller,
                format!("{}: is no file", self.name()),
            )),
        }
    }

    /// The path, for messages.
    pub(crate) fn name(&self) -> String {
        report::path(&self.path)
    }

    /// Writes everything or nothing: to a temporary file beside the target, which is synced and renamed.
    pub(crate) fn write(&self, content: &[u8]) -> Result<()> {
        match self.destination {
            Destination::File => replace_file(&self.path, content),
            Destination::Stream => OpenOptions::new()
                .write(true)
                .open(&self.path)
                .and_then(|mut stream| stream.write_all(content))
                .map_err(|error| {
                    Error::new(ErrorKind::Machine, "cannot be written")
                        .with_source(error)
                        .at(self.path.display())
                }),
        }
    }
}

/// Writes one f32 tensor, row by row, with a JSON list in the metadata that names the rows, and one entry more.
pub(crate) fn write_tensor(
    output: &Output,
    tensor: &str,
    shape: Vec<usize>,
    values: &[f32],
    rows: (&str, &[String]),
    more: Vec<(&str, String)>,
) -> Result<()> {
    let refused = |error: safetensors::SafeTensorError| {
        Error::new(
            ErrorKind::Caller,
            format!("{}: cannot be written", output.name()),
        )
        .with_source(error)
    };
    let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).map_err(refused)?;
    let names = serde_json::Value::from(rows.1.to_vec()).to_string();
    let mut metadata = HashMap::from([(rows.0.to_owned(), names)]);
    metadata.extend(
        more.into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    let mut bytes = safetensors::serialize([(tensor, view)], Some(metadata)).map_err(refused)?;
    clipgate::tensor_file::sort_metadata(&mut bytes)?;
    output.write(&bytes)
}
