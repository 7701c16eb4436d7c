//! Runs ONNX graphs through ONNX Runtime. This file alone names `ort`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ort::ep;
use ort::logging::LogLevel;
use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use crate::backend::{Backend, ElementType, InputMut, TensorSpec};
use crate::error::{Error, Result};
use crate::runtime::Runtime;

/// The version of ONNX Runtime's C interface that `ort` asks for.
pub(crate) const API_VERSION: u32 = ort::sys::ORT_API_VERSION;

/// The most threads one session may use.
pub const MAX_THREADS: usize = 256;

/// A directory that cannot exist. A graph that keeps weights in other files is refused by looking for them here:
/// nothing but the bytes whose digest was checked may decide what a graph computes.
const NO_DIRECTORY: &str = "/dev/null/weights-outside-the-graph-are-refused";

/// ONNX Runtime's environment: one a process, kept by [`Runtime`].
pub(crate) struct Environment(ort::environment::Environment);

impl Environment {
    /// Hands the library at `path` to `ort` and starts it.
    ///
    /// `ort` panics or takes another library if this one is not there, has no interface of [`API_VERSION`] or is named
    /// by a relative path, and it keeps the first library it gets: [`Runtime`] has made sure of all four.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let environment = ort::init_from(path)
            .map_err(|error| Error::machine("cannot be loaded").with_source(error))?
            .with_name("clipgate")
            .with_telemetry(false)
            .with_logger(Arc::new(forward_log))
            .build()
            .map_err(|error| Error::machine("cannot be started").with_source(error))?;
        environment.set_log_level(LogLevel::Warning);
        Ok(Self(environment))
    }
}

/// Passes a line of ONNX Runtime's log on. Below warnings there is only noise, from before the level is set.
fn forward_log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    let level = match level {
        LogLevel::Verbose | LogLevel::Info => return,
        LogLevel::Warning => log::Level::Warn,
        LogLevel::Error | LogLevel::Fatal => log::Level::Error,
    };
    log::log!(target: "onnxruntime", level, "{message} ({location})");
}

/// How a [`Session`] executes its graph.
///
/// ```
/// use clipgate::SessionOptions;
///
/// assert_eq!(SessionOptions::default().threads(), 1);
/// assert_eq!(SessionOptions::default().with_threads(4)?.threads(), 4);
/// assert!(SessionOptions::default().with_threads(0).is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    threads: usize,
}

impl Default for SessionOptions {
    /// One thread, the caller's own: no pool, the same sums in the same order on every run, and the least energy a
    /// frame. More threads answer sooner where cores are idle.
    fn default() -> Self {
        Self { threads: 1 }
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
}

/// One graph, loaded and ready, with its input and output buffers.
///
/// `Session` is `Send` but not `Sync`: give each classifier its own and move it where it is used; two threads that run
/// the same graph need two sessions, which share nothing but the [`Runtime`].
///
/// # Execution
/// The CPU provider alone, operators one after the other, all graph optimisations. The threads wait without spinning,
/// which costs some microseconds a frame and saves a core. ONNX Runtime's memory arena grows to what one run needs and
/// is kept until the session is dropped, so that later runs ask the system for no memory; a run allocates nothing here
/// (`ort` makes two small handles). A graph whose weights lie in other files is refused.
pub struct Session {
    session: ort::session::Session,
    binding: IoBinding,
    input: TensorSpec,
    output: TensorSpec,
    input_tensor: InputTensor,
    output_tensor: Tensor<f32>,
}

enum InputTensor {
    F32(Tensor<f32>),
    I64(Tensor<i64>),
}

impl Session {
    /// Loads the graph in `model`, the bytes of an ONNX or ORT-format file; they are not needed afterwards.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if ONNX Runtime refuses the graph, or if the graph has anything
    /// but one input (f32 or i64) and one output (f32), both of fixed shape and within [`TensorSpec::new`]'s limits:
    /// the message names the tensor.
    pub fn new(runtime: &Runtime, model: &[u8], options: SessionOptions) -> Result<Self> {
        if model.is_empty() {
            return Err(Error::bundle("the graph is empty"));
        }
        let session = builder(runtime, options)
            .map_err(|error| Error::machine("a session cannot be prepared").with_source(error))?
            .commit_from_memory(model)
            .map_err(|error| {
                Error::bundle("ONNX Runtime cannot load the graph").with_source(error)
            })?;
        let input = spec("input", session.inputs())?;
        let output = spec("output", session.outputs())?;
        if output.element() != ElementType::F32 {
            return Err(Error::bundle(format!(
                "output `{}` is {}, not f32",
                output.name(),
                output.element()
            )));
        }
        Self::bind(session, input, output)
            .map_err(|error| Error::machine("buffers cannot be bound").with_source(error))
    }

    fn bind(
        session: ort::session::Session,
        input: TensorSpec,
        output: TensorSpec,
    ) -> ort::Result<Self> {
        // Tensors that `ort` allocates are zeroed, and bound without a copy.
        let allocator = Allocator::default();
        let mut binding = session.create_binding()?;
        let input_tensor = match input.element() {
            ElementType::F32 => {
                let tensor = Tensor::<f32>::new(&allocator, input.shape())?;
                binding.bind_input(input.name(), &tensor)?;
                InputTensor::F32(tensor)
            }
            ElementType::I64 => {
                let tensor = Tensor::<i64>::new(&allocator, input.shape())?;
                binding.bind_input(input.name(), &tensor)?;
                InputTensor::I64(tensor)
            }
        };
        let mut output_tensor = Tensor::<f32>::new(&allocator, output.shape())?;
        binding.bind_output(output.name(), &mut output_tensor)?;
        Ok(Self {
            session,
            binding,
            input,
            output,
            input_tensor,
            output_tensor,
        })
    }
}

impl Backend for Session {
    fn input(&self) -> &TensorSpec {
        &self.input
    }

    fn output(&self) -> &TensorSpec {
        &self.output
    }

    fn input_mut(&mut self) -> InputMut<'_> {
        match &mut self.input_tensor {
            InputTensor::F32(tensor) => InputMut::F32(tensor.extract_tensor_mut().1),
            InputTensor::I64(tensor) => InputMut::I64(tensor.extract_tensor_mut().1),
        }
    }

    fn run(&mut self) -> Result<&[f32]> {
        self.session
            .run_binding(&self.binding)
            .map_err(|error| Error::model("the graph cannot be executed").with_source(error))?;
        Ok(self.output_tensor.extract_tensor().1)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("input", &self.input)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

fn builder(runtime: &Runtime, options: SessionOptions) -> ort::Result<SessionBuilder> {
    let cpu = ep::CPU::default()
        .with_arena_allocator(true)
        .build()
        .error_on_failure();
    let builder = ort::session::Session::builder(&runtime.environment().0)?
        .with_no_environment_execution_providers()?
        .with_execution_providers([cpu])?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_parallel_execution(false)?
        .with_intra_threads(options.threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(true)?
        .with_log_level(LogLevel::Warning)?
        .with_config_entry(
            "session.model_external_initializers_file_folder_path",
            NO_DIRECTORY,
        )?;
    Ok(builder)
}

/// The one tensor among `outlets`, which are the graph's inputs or its outputs.
fn spec(role: &str, outlets: &[Outlet]) -> Result<TensorSpec> {
    let [outlet] = outlets else {
        let names: Vec<&str> = outlets.iter().map(Outlet::name).take(8).collect();
        return Err(Error::bundle(format!(
            "the graph has {} {role}s {names:?}, not one",
            outlets.len()
        )));
    };
    let name = outlet.name();
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(Error::bundle(format!(
            "{role} {name:?} is {}, not a tensor",
            outlet.dtype()
        )));
    };
    let element = match ty {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Int64 => ElementType::I64,
        other => {
            return Err(Error::bundle(format!(
                "{role} {name:?} is of {other}, not of f32 or i64"
            )));
        }
    };
    let shape = shape
        .iter()
        .map(|&dimension| usize::try_from(dimension))
        .collect::<std::result::Result<Vec<usize>, _>>()
        .map_err(|_| {
            Error::bundle(format!(
                "{role} {name:?} has no fixed shape: {}",
                outlet.dtype()
            ))
        })?;
    TensorSpec::new(name, element, &shape)
}
