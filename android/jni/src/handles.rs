//! Owns what Java holds a number of. A number is never used twice, so one that was closed is known to be, and none leads
//! to memory that is gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

/// 0 is nothing's: Java's default.
static NEXT: AtomicI64 = AtomicI64::new(1);

/// Everything of one kind that is open.
///
/// What is closed while it is used lives on until the last call that uses it returns.
pub(crate) struct Handles<T>(Mutex<BTreeMap<i64, Arc<T>>>);

impl<T> Handles<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Keeps `value`, and tells its number.
    pub(crate) fn open(&self, value: T) -> i64 {
        let handle = NEXT.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(handle, Arc::new(value));
        handle
    }

    /// # Errors
    /// [`Failure::Closed`] if there is none of this number.
    pub(crate) fn get(&self, handle: i64) -> Result<Arc<T>, Failure> {
        self.lock().get(&handle).cloned().ok_or(Failure::Closed)
    }

    /// What had this number, which nothing has from here on; `None` where it was closed before.
    pub(crate) fn close(&self, handle: i64) -> Option<Arc<T>> {
        self.lock().remove(&handle)
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_lives_until_its_last_use_ends() {
        let handles = Handles::new();
        let handle = handles.open("value");
        let in_use = handles.get(handle).ok().unwrap();
        assert!(handles.close(handle).is_some());
        assert!(handles.close(handle).is_none());
        assert!(matches!(handles.get(handle), Err(Failure::Closed)));
        assert_eq!((*in_use, handles.count()), ("value", 0));
        assert_ne!(handles.open("another"), handle);
        assert!(handles.get(0).is_err());
    }
}
