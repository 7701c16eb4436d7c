//! How a session executes its graph.

use std::path::{Path, PathBuf};

use super::MAX_THREADS;
use crate::error::{Error, Result};
use crate::model::ModelMemory;
use crate::probe::ProbeCommand;
use crate::provider::ProviderLadder;
use crate::qnn::QnnOptions;

/// How a [`Session`](crate::Session) executes its graph.
///
/// ```
/// use clipgate::SessionOptions;
///
/// let options = SessionOptions::default();
/// assert_eq!((options.threads(), options.spinning()), (1, false));
/// assert_eq!(options.with_threads(4)?.threads(), 4);
/// assert!(SessionOptions::default().with_threads(0).is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    threads: usize,
    spinning: bool,
    model_memory: ModelMemory,
    providers: ProviderLadder,
    qnn: Option<QnnOptions>,
    probe: Option<ProbeCommand>,
    provider_cache: Option<PathBuf>,
    placement: bool,
}

impl Default for SessionOptions {
    /// One thread, the caller's own: no pool, the same sums in the same order on every run, and the least energy a
    /// frame. More threads answer sooner where cores are idle. Processor time a frame on Zen 1, at 50 ms between frames:
    /// for ViT-B/32 in int8 237 ms on one thread, 270 ms on two, 393 ms on two that spin; for *pocket* 25, 25 and 55 ms.
    fn default() -> Self {
        Self {
            threads: 1,
            spinning: false,
            model_memory: ModelMemory::default(),
            providers: ProviderLadder::default(),
            qnn: None,
            probe: None,
            provider_cache: None,
            placement: false,
        }
    }
}

impl SessionOptions {
    /// Executes each operator on `threads` threads, the calling one among them.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if `threads` is 0 or above [`MAX_THREADS`].
    pub fn with_threads(mut self, threads: usize) -> Result<Self> {
        if !(1..=MAX_THREADS).contains(&threads) {
            return Err(Error::caller(format!(
                "a session runs on 1 to {MAX_THREADS} threads, not {threads}"
            )));
        }
        self.threads = threads;
        Ok(self)
    }

    /// How many threads execute an operator.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Whether the further threads wait for the next operator in a busy loop, which answers some microseconds sooner and
    /// keeps cores awake between frames. Without a meaning for one thread; off by default.
    pub fn with_spinning(mut self, spinning: bool) -> Self {
        self.spinning = spinning;
        self
    }

    /// Whether the further threads wait in a busy loop.
    pub fn spinning(&self) -> bool {
        self.spinning
    }

    /// Where the bytes of a bundle's model lie; mapped by default.
    pub fn with_model_memory(mut self, memory: ModelMemory) -> Self {
        self.model_memory = memory;
        self
    }

    /// Where the bytes of a bundle's model lie.
    pub fn model_memory(&self) -> ModelMemory {
        self.model_memory
    }

    /// What may execute the image graph; the CPU alone by default.
    ///
    /// [`ImageEncoder::open`](crate::ImageEncoder::open) tries one provider after the other and runs the bundle's
    /// self-test on each; [`provider_reports`](crate::ImageEncoder::provider_reports) says what came of it. Text graphs
    /// stay on the CPU, because no self-test could tell whether another provider computes them rightly.
    pub fn with_providers(mut self, providers: ProviderLadder) -> Self {
        self.providers = providers;
        self
    }

    /// What may execute the image graph.
    pub fn providers(&self) -> &ProviderLadder {
        &self.providers
    }

    /// Where Qualcomm's plugin lies: without it, [`Provider::Qnn`](crate::Provider::Qnn) is absent.
    pub fn with_qnn(mut self, qnn: QnnOptions) -> Self {
        self.qnn = Some(qnn);
        self
    }

    /// Qualcomm's plugin.
    pub fn qnn(&self) -> Option<&QnnOptions> {
        self.qnn.as_ref()
    }

    /// Tries each provider but the CPU in a process of its own first, so that one that crashes does not end this one.
    pub fn with_probe(mut self, probe: ProbeCommand) -> Self {
        self.probe = Some(probe);
        self
    }

    /// The command that tries a provider first.
    pub fn probe(&self) -> Option<&ProbeCommand> {
        self.probe.as_ref()
    }

    /// A directory that keeps what was found out about providers: which one `auto` chose with what it passed over, and which
    /// ones passed their [`ProbeCommand`]. It is made where it is missing. An entry counts for one machine, ONNX Runtime,
    /// plugin and files beside it, graph, set of options and version of clipgate; anything else is found out again, and so,
    /// after a day, is a choice of `auto` that passed over a provider which crashed, refused the graph or computed wrongly.
    /// Delete the directory to measure at once. One that cannot be used costs a warning and nothing more. Without one,
    /// nothing is kept.
    pub fn with_provider_cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.provider_cache = Some(directory.into());
        self
    }

    /// The directory that keeps what was found out about providers.
    pub fn provider_cache(&self) -> Option<&Path> {
        self.provider_cache.as_deref()
    }

    /// Whether the CPU's nodes are recorded too, which makes loading a little slower; see
    /// [`ProviderReport::placement`](crate::ProviderReport::placement). Off by default.
    pub fn with_placement(mut self, placement: bool) -> Self {
        self.placement = placement;
        self
    }

    /// Whether the CPU's nodes are recorded too.
    pub fn placement(&self) -> bool {
        self.placement
    }
}
