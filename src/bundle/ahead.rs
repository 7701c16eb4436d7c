//! The image graph, read and checked while the program does something else.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::error::Result;
use crate::model::{Model, ModelMemory};

/// A graph on its way, for whoever asks next.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Option<Reading>>);

struct Reading {
    memory: ModelMemory,
    thread: JoinHandle<Result<Model>>,
}

impl Ahead {
    /// Begins to read. Where no thread can be had nothing begins, and the graph is read when it is needed.
    pub(super) fn begin(
        &self,
        memory: ModelMemory,
        read: impl FnOnce() -> Result<Model> + Send + 'static,
    ) {
        let thread = thread::Builder::new()
            .name("clipgate-read".to_owned())
            .spawn(read);
        if let Ok(thread) = thread {
            self.replace(Some(Reading { memory, thread }));
        }
    }

    /// What was read, once; `None` where nothing was, or for the other kind of memory.
    pub(super) fn take(&self, memory: ModelMemory) -> Option<Result<Model>> {
        let reading = self.replace(None)?;
        if reading.memory != memory {
            return None;
        }
        reading.thread.join().ok()
    }

    fn replace(&self, reading: Option<Reading>) -> Option<Reading> {
        let mut ahead = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *ahead, reading)
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ahead")
    }
}
