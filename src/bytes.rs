//! Bytes that are shared, and numbers that are used in place inside them.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;

use crate::error::Result;

/// Bytes that a bank may keep: a private copy of a file, a mapped file, or data in the program itself.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Where shared bytes come from, if that may change under them.
pub(crate) trait Source: Send + Sync {
    /// Whether all that was read from the bytes so far is what they were when they were checked.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if it may have been anything else: nothing that came of it is
    /// to be used.
    fn check_unchanged(&self) -> Result<()>;
}

/// Numbers that are owned, or lie inside shared bytes.
pub(crate) enum Values<T> {
    Owned(Vec<T>),
    Shared {
        bytes: SharedBytes,
        range: Range<usize>,
    },
}

impl<T: Pod> Values<T> {
    /// `data`, a part of `bytes`, in place where it is aligned and copied where it is not.
    pub(crate) fn place(bytes: &SharedBytes, data: &[u8]) -> Self {
        if bytemuck::try_cast_slice::<u8, T>(data).is_err() {
            return Self::Owned(bytemuck::pod_collect_to_vec(data));
        }
        let start = data.as_ptr().addr() - (**bytes).as_ref().as_ptr().addr();
        Self::Shared {
            bytes: Arc::clone(bytes),
            range: start..start + data.len(),
        }
    }

    pub(crate) fn is_owned(&self) -> bool {
        matches!(self, Self::Owned(_))
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            Self::Shared { bytes, range } => {
                bytemuck::cast_slice(&(**bytes).as_ref()[range.clone()])
            }
        }
    }
}
