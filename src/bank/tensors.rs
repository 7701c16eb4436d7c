//! The tensors of a safetensors file that may be written to while it is read.

use std::collections::HashMap;

use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, TensorView};

/// The longest header, as the format's own reader has it.
const MAX_HEADER_BYTES: usize = 100_000_000;

/// What a file's header says, and the bytes of its tensors, where they lie.
///
/// The header is parsed from a private copy: text that changes while it is parsed would not be a `str`. The bytes of
/// tensors are numbers of any value.
pub(super) struct Tensors<'a> {
    header: Metadata,
    data: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// Refuses what `SafeTensors::deserialize` refuses.
    pub(super) fn read(content: &'a [u8]) -> Result<Self, SafeTensorError> {
        let (length, rest) = content
            .split_first_chunk()
            .ok_or(SafeTensorError::HeaderTooSmall)?;
        let length = usize::try_from(u64::from_le_bytes(*length))
            .ok()
            .filter(|length| *length <= MAX_HEADER_BYTES)
            .ok_or(SafeTensorError::HeaderTooLarge)?;
        let (header, data) = rest
            .split_at_checked(length)
            .ok_or(SafeTensorError::InvalidHeaderLength)?;
        let copy = header.to_vec();
        let header: Metadata =
            serde_json::from_slice(&copy).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
        if header.data_len() != data.len() {
            return Err(SafeTensorError::MetadataIncompleteBuffer);
        }
        Ok(Self { header, data })
    }

    /// The header's texts.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        self.header.metadata().clone().unwrap_or_default()
    }

    pub(super) fn tensor(&self, name: &str) -> Result<TensorView<'a>, SafeTensorError> {
        let missing = || SafeTensorError::TensorNotFound(name.to_owned());
        let info = self.header.info(name).ok_or_else(missing)?;
        let (start, end) = info.data_offsets;
        let data = self.data.get(start..end).ok_or_else(missing)?;
        TensorView::new(info.dtype, info.shape.clone(), data)
    }
}
