//! Files of label banks: small ones are read, large ones may be mapped.

use std::path::Path;

use crate::bank::LabelBank;
use crate::error::Result;
use crate::file::{map_file, read_file};

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
    /// once here, for the checks and the digest.
    ///
    /// **The file must not change as long as the bank lives**: one that is truncated kills the process with SIGBUS. See
    /// [`map_file`].
    ///
    /// # Errors
    /// As [`map_file`] and [`from_safetensors`](Self::from_safetensors), naming the file.
    pub fn open_mapped(path: &Path) -> Result<Self> {
        let bytes = map_file(path, MAX_BANK_BYTES)?;
        Self::from_safetensors(bytes).map_err(|error| error.at(path.display()))
    }
}
