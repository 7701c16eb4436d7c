//! Safetensors files whose bytes follow from their content alone.

use std::collections::BTreeMap;

use safetensors::tensor::TensorInfo;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The part of a header that has no order of its own, and what goes with it.
#[derive(Deserialize, Serialize)]
struct Header {
    #[serde(rename = "__metadata__", skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

/// Puts the metadata of a safetensors file in the order of its keys, in place; no byte of a tensor moves.
///
/// The crate `safetensors` writes them in an order that differs from run to run, so that the same content would have
/// another digest each time.
///
/// # Errors
/// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `file` has no whole header of that format.
///
/// ```
/// use std::collections::HashMap;
///
/// use safetensors::tensor::{Dtype, TensorView};
///
/// let row = TensorView::new(Dtype::U8, vec![3], &[1, 2, 3])?;
/// let metadata = ["b", "a", "c"].map(|key| (key.to_owned(), "é\"".to_owned()));
/// let mut file = safetensors::serialize([("row", row)], Some(HashMap::from(metadata)))?;
/// clipgate::tensor_file::sort_metadata(&mut file)?;
/// assert!(file[8..].starts_with(br#"{"__metadata__":{"a":"#));
/// assert_eq!(safetensors::SafeTensors::deserialize(&file)?.tensor("row")?.data(), [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sort_metadata(file: &mut [u8]) -> Result<()> {
    let refused = || Error::caller("a safetensors file without a whole header");
    let (length, rest) = file.split_first_chunk_mut().ok_or_else(refused)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| refused())?;
    let header = rest.get_mut(..length).ok_or_else(refused)?;
    let read: Header =
        serde_json::from_slice(header).map_err(|error| refused().with_source(error))?;
    let mut sorted = serde_json::to_vec(&read).map_err(|error| refused().with_source(error))?;
    // Spaces pad a header. One that another program wrote may be shorter than this one would be.
    if sorted.len() > header.len() {
        return Err(Error::caller(
            "a safetensors file whose header leaves no room for its entries in order",
        ));
    }
    sorted.resize(header.len(), b' ');
    header.copy_from_slice(&sorted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_safetensors_file_is_refused_and_left_alone() {
        for bytes in [
            &b""[..],
            b"1234567",
            b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
            b"\x09\0\0\0\0\0\0\0{}",
            b"\x02\0\0\0\0\0\0\0[]",
            b"\x08\0\0\0\0\0\0\0{\"a\":1} ",
        ] {
            let mut file = bytes.to_vec();
            assert!(sort_metadata(&mut file).is_err(), "{bytes:?}");
            assert_eq!(file, bytes);
        }
    }

    #[test]
    fn a_file_without_metadata_stays_as_it_is() {
        let mut file = b"\x08\0\0\0\0\0\0\0{}      ".to_vec();
        sort_metadata(&mut file).unwrap();
        assert_eq!(file, b"\x08\0\0\0\0\0\0\0{}      ");
    }
}
