//! Files of label banks: small ones are read, large ones may be mapped.

use std::path::Path;
#[cfg(unix)]
use std::sync::Arc;

use crate::bank::LabelBank;
use crate::error::Result;
use crate::file::read_file;
#[cfg(unix)]
use crate::mapping::Mapping;

/// The largest label bank, in bytes: a million labels of 512 values are 2 GB in f32 and half a GB in int8.
pub const MAX_BANK_BYTES: u64 = 4 << 30;

impl LabelBank {
    /// Reads a bank's file into private memory: see [`from_safetensors`](Self::from_safetensors).
    ///
    /// # Errors
    /// As [`read_file`] and [`from_safetensors`](Self::from_safetensors), naming the file.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = read_file(path, MAX_BANK_BYTES)?;
        Self::from_safetensors(bytes).map_err(|error| error.at(path.display()))
    }

    /// Maps a bank's file: only the names are copied, and rows take no memory that cannot be given back. All rows are read
    /// twice here, for the file's digest and for the checks.
    ///
    /// A file that is truncated or written to as long as the bank lives gives an error of
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) in place of the next answer, and never ends the process;
    /// replacing it by a rename is harmless. Not noticed is who writes through a shared writable mapping of the same file,
    /// or to a network share from another machine: use [`open`](Self::open) there. Where a mapping cannot be watched (see
    /// [the chapter on security](crate::docs::security)), the file is read as by [`open`](Self::open) too.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_mapped(path: &Path) -> Result<Self> {
        #[cfg(unix)]
        if let Some(mapping) = Mapping::open(path, MAX_BANK_BYTES)? {
            let mapping = Arc::new(mapping);
            let bank = Self::from_safetensors(Arc::clone(&mapping) as _);
            // Before its verdict: what is wrong may be that the file changed.
            mapping.check().map_err(|error| error.at(path.display()))?;
            let bank = bank.map_err(|error| error.at(path.display()))?;
            return bank.kept_in(vec![mapping]);
        }
        Self::open(path)
    }
}
