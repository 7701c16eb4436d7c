//! Runs ONNX graphs through ONNX Runtime. This file alone names `ort`.

mod attach;
pub(crate) mod available;
mod compile;
mod environment;
mod options;
mod placement;

use std::fmt;

use ort::logging::LogLevel;
use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use crate::backend::{Backend, ElementType, InputMut, TensorSpec};
use crate::error::{Error, Result};
use crate::model::{Format, Model};
use crate::provider::{Placement, Provider};
use crate::runtime::Runtime;

pub(crate) use compile::compile;
pub(crate) use environment::Environment;
use environment::overhear;
pub use options::SessionOptions;

/// The version of ONNX Runtime's C interface that `ort` asks for.
pub(crate) const API_VERSION: u32 = ort::sys::ORT_API_VERSION;

/// The most threads one session may use.
pub const MAX_THREADS: usize = 256;

/// Asks for sums that do not saturate: weights become u8, and the sums are those of every other processor. For
/// processors where [`sums_saturate`] only: on Zen 1 it costs no time, with VNNI a frame takes three times as long.
const EXACT_SUMS: &str = "session.x64quantprecision";

/// A directory that cannot exist. A graph that keeps weights in other files is refused by looking for them here:
/// nothing but the bytes whose digest was checked may decide what a graph computes.
const NO_DIRECTORY: &str = "/dev/null/weights-outside-the-graph-are-refused";

/// Makes ONNX Runtime keep an ORT-format graph where it lies, and use the weights in it without copies. Without a
/// meaning for ONNX graphs.
const IN_PLACE: [&str; 2] = [
    "session.use_ort_model_bytes_directly",
    "session.use_ort_model_bytes_for_initializers",
];

/// One graph, loaded and ready, with its input and output buffers.
///
/// `Session` is `Send` but not `Sync`: give each classifier its own and move it where it is used; two threads that run
/// the same graph need two sessions, which share nothing but the [`Runtime`].
///
/// # Execution
/// One provider, which is the CPU unless [`SessionOptions::with_providers`] says otherwise, and the CPU's kernels for what
/// that leaves; operators one after the other, all graph optimisations. The threads wait without spinning,
/// which costs some microseconds a frame and saves a core. ONNX Runtime's memory arena grows to what one run needs and
/// is kept until the session is dropped, so that later runs ask the system for no memory; a run allocates nothing here
/// (`ort` makes two small handles). A graph whose weights lie in other files is refused.
///
/// A bundle's graph in the ORT format is used where it lies, mapped or copied: see [`ModelMemory`](crate::ModelMemory).
pub struct Session {
    session: ort::session::Session,
    binding: IoBinding,
    input: TensorSpec,
    output: TensorSpec,
    input_tensor: InputTensor,
    output_tensor: Tensor<f32>,
    placement: Option<Placement>,
    overheard: Option<String>,
    // Weights are used where they lie in it, so it is dropped last.
    model: Option<Model>,
}

enum InputTensor {
    F32(Tensor<f32>),
    I64(Tensor<i64>),
}

/// Which provider is to run a graph, and whether it must run all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) provider: Provider,
    /// A graph of which a node would stay on the CPU is refused.
    pub(crate) whole: bool,
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum Unloaded {
    /// The provider is not there.
    Absent(Error),
    /// The provider, or ONNX Runtime itself, refuses.
    Refused(Error),
}

impl From<Error> for Unloaded {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Unloaded> for Error {
    fn from(unloaded: Unloaded) -> Self {
        match unloaded {
            Unloaded::Absent(error) | Unloaded::Refused(error) => error,
        }
    }
}

impl Target {
    pub(crate) const CPU: Self = Self {
        provider: Provider::Cpu,
        whole: false,
    };
}

impl Session {
    /// Loads the graph in `model`, the bytes of an ONNX or ORT-format file, for the CPU; they are not needed afterwards.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if ONNX Runtime refuses the graph, or if the graph has anything
    /// but one input (f32 or i64) and one output (f32), both of fixed shape and within [`TensorSpec::new`]'s limits:
    /// the message names the tensor. [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the options ask for another
    /// provider than the CPU: only [`ImageEncoder::open`](crate::ImageEncoder::open) can test one.
    pub fn new(runtime: &Runtime, model: &[u8], options: SessionOptions) -> Result<Self> {
        if model.is_empty() {
            return Err(Error::bundle("the graph is empty"));
        }
        if !options.providers().is_cpu() {
            return Err(Error::caller(format!(
                "a session alone cannot test the providers {}: open an image encoder with them",
                options.providers()
            )));
        }
        let mut builder = prepare(runtime, &options, Target::CPU)?;
        Self::around(None, builder.commit_from_memory(model).map_err(refused)?)
    }

    /// Loads a bundle's graph for the CPU; an ORT-format one is used where it lies.
    ///
    /// # Errors
    /// As [`new`](Self::new), or [`ErrorKind::Machine`](crate::ErrorKind::Machine) if the file changed meanwhile.
    pub(crate) fn load(runtime: &Runtime, model: Model, options: &SessionOptions) -> Result<Self> {
        Ok(Self::load_on(runtime, model, options, Target::CPU)?)
    }

    /// Loads a graph for a provider; an ORT-format one is used where it lies.
    pub(crate) fn load_on(
        runtime: &Runtime,
        model: Model,
        options: &SessionOptions,
        target: Target,
    ) -> Result<Self, Unloaded> {
        let mut builder = prepare(runtime, options, target)?;
        let in_place = model.format() == Format::Ort;
        if in_place {
            for key in IN_PLACE {
                builder = builder.with_config_entry(key, "1").map_err(unprepared)?;
            }
        }
        // From here on ONNX Runtime reads `model` until the session is dropped: so here, in `around` and `bind`, where
        // parameters are dropped in reverse order and after all else, and in `Session` the model goes last.
        let load = || model.releasing(|| builder.commit_from_memory(model.bytes()));
        let (loaded, overheard) = overhear(load);
        // What is said of a file that changed meanwhile says nothing.
        model.check()?;
        let session = loaded.map_err(refused)?;
        let placement = match is_recorded(options, target) {
            true => Some(placement::read(&session)?),
            false => None,
        };
        let mut session = Self::around(in_place.then_some(model), session)?;
        session.placement = placement;
        session.overheard = overheard;
        Ok(session)
    }

    /// Whether a provider is there to be tried; nothing of it is loaded.
    pub(crate) fn check_presence(
        provider: Provider,
        options: &SessionOptions,
    ) -> Result<(), Unloaded> {
        attach::check_presence(provider, options)
    }

    /// Which nodes run where, where it was recorded.
    pub(crate) fn placement(&self) -> Option<&Placement> {
        self.placement.as_ref()
    }

    /// The first error that ONNX Runtime logged while it loaded the graph all the same.
    pub(crate) fn overheard(&self) -> Option<&str> {
        self.overheard.as_deref()
    }

    fn around(model: Option<Model>, session: ort::session::Session) -> Result<Self> {
        let input = spec("input", session.inputs())?;
        let output = spec("output", session.outputs())?;
        if output.element() != ElementType::F32 {
            return Err(Error::bundle(format!(
                "output `{}` is {}, not f32",
                output.name(),
                output.element()
            )));
        }
        Self::bind(model, session, input, output)
            .map_err(|error| Error::machine("buffers cannot be bound").with_source(error))
    }

    fn bind(
        model: Option<Model>,
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
            placement: None,
            overheard: None,
            model,
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
        let run = self.session.run_binding(&self.binding);
        // After the run: what was computed from a file that changed before or during it is no result, nor is the error.
        if let Some(model) = &self.model {
            model.check().map_err(|error| error.at(model.place()))?;
        }
        run.map_err(|error| Error::model("the graph cannot be executed").with_source(error))?;
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

fn prepare(
    runtime: &Runtime,
    options: &SessionOptions,
    target: Target,
) -> Result<SessionBuilder, Unloaded> {
    let environment = runtime.environment();
    let mut builder = builder(environment, options).map_err(unprepared)?;
    if target.provider == Provider::Qnn {
        // Its warnings tell at every start what it does not have; what it leaves to the CPU is reported anyway.
        builder = builder
            .with_log_level(LogLevel::Error)
            .map_err(unprepared)?;
    }
    if is_recorded(options, target) {
        builder = builder
            .with_config_entry(placement::RECORD, "1")
            .map_err(unprepared)?;
    }
    if target.whole && target.provider != Provider::Cpu {
        builder = builder.with_disable_cpu_fallback().map_err(unprepared)?;
    }
    attach::attach(builder, target.provider, environment, options)
}

fn is_recorded(options: &SessionOptions, target: Target) -> bool {
    options.placement() || target.provider != Provider::Cpu
}

fn unprepared(error: impl Into<ort::Error>) -> Error {
    Error::machine("a session cannot be prepared").with_source(error.into())
}

fn refused(error: ort::Error) -> Error {
    Error::bundle("ONNX Runtime cannot load the graph").with_source(error)
}

fn builder(environment: &Environment, options: &SessionOptions) -> ort::Result<SessionBuilder> {
    let builder = ort::session::Session::builder(environment.ort())?
        .with_no_environment_execution_providers()?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_parallel_execution(false)?
        .with_intra_threads(options.threads())?
        .with_inter_threads(1)?
        .with_intra_op_spinning(options.spinning())?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(true)?
        .with_log_level(LogLevel::Warning)?
        .with_config_entry(EXACT_SUMS, if sums_saturate() { "1" } else { "0" })?
        .with_config_entry(
            "session.model_external_initializers_file_folder_path",
            NO_DIRECTORY,
        )?;
    Ok(builder)
}

/// Whether ONNX Runtime's usual kernels add products of u8 and i8 in 16 bits here, which moves embeddings to a cosine of
/// 0.99: on x86 without VNNI.
fn sums_saturate() -> bool {
    #[cfg(target_arch = "x86_64")]
    return !(is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"));
    #[cfg(not(target_arch = "x86_64"))]
    false
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
