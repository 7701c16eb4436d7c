//! Puts one execution provider into what a session is made from.

use std::num::NonZeroUsize;
use std::path::Path;

use ort::device::Device;
use ort::ep::{self, ExecutionProvider};
use ort::session::builder::SessionBuilder;

use super::environment::Environment;
use super::options::SessionOptions;
use super::{Unloaded, unprepared};
use crate::error::Error;
use crate::provider::Provider;
use crate::qnn::QnnOptions;
use crate::runtime::check_library;

/// Attaches `provider`. The CPU's kernels take what it leaves.
pub(super) fn attach(
    builder: SessionBuilder,
    provider: Provider,
    environment: &Environment,
    options: &SessionOptions,
) -> Result<SessionBuilder, Unloaded> {
    check_presence(provider, options)?;
    let built_in = match provider {
        Provider::Qnn => return qnn(builder, environment, options),
        Provider::Cpu => return cpu(builder, environment),
        Provider::Xnnpack => {
            let threads = NonZeroUsize::new(options.threads()).unwrap_or(NonZeroUsize::MIN);
            ep::XNNPACK::default()
                .with_intra_op_num_threads(threads)
                .build()
        }
        Provider::Acl => ep::ACL::default().build(),
        // Without this, NNAPI runs on its own slow CPU kernels what no accelerator takes, and says nothing.
        Provider::Nnapi => ep::NNAPI::default().with_disable_cpu(true).build(),
        Provider::CoreMl => ep::CoreML::default().build(),
    };
    let attached = builder.with_execution_providers([built_in.error_on_failure()]);
    Ok(attached.map_err(unprepared)?)
}

/// Whether a provider is in the library, and its plugin's files where they should be; none of it is loaded.
pub(super) fn check_presence(provider: Provider, options: &SessionOptions) -> Result<(), Unloaded> {
    let is_built_in = match provider {
        Provider::Cpu => true,
        Provider::Xnnpack => ep::XNNPACK::is_available().map_err(unprepared)?,
        Provider::Acl => ep::ACL::is_available().map_err(unprepared)?,
        Provider::Nnapi => ep::NNAPI::is_available().map_err(unprepared)?,
        Provider::CoreMl => ep::CoreML::is_available().map_err(unprepared)?,
        Provider::Qnn => return check_plugin(options),
    };
    if is_built_in {
        return Ok(());
    }
    Err(Unloaded::absent(
        "this ONNX Runtime was built without it: bring a library that holds it",
    ))
}

/// Names the CPU by its device: without one, ONNX Runtime chooses among all, and once a plugin is loaded that is an NPU.
fn cpu(builder: SessionBuilder, environment: &Environment) -> Result<SessionBuilder, Unloaded> {
    let arena = ep::CPU::default().with_arena_allocator(true).build();
    let builder = builder
        .with_execution_providers([arena.error_on_failure()])
        .map_err(unprepared)?;
    Ok(builder
        .with_devices(first_device(environment, Provider::Cpu), None)
        .map_err(unprepared)?)
}

fn first_device(environment: &Environment, provider: Provider) -> Option<Device<'_>> {
    let name = provider.onnxruntime_name();
    environment
        .ort()
        .devices()
        .find(|device| device.ep().is_ok_and(|provider| provider == name))
}

fn check_plugin(options: &SessionOptions) -> Result<(), Unloaded> {
    let Some(qnn) = options.qnn() else {
        return Err(Unloaded::absent("no QNN plugin library was named"));
    };
    check_file(qnn.library())?;
    // Before its neighbour is asked for: a file that is no plugin has none.
    check_library(qnn.library())
        .map_err(|error| Unloaded::Absent(error.at(qnn.library().display())))?;
    let backend = qnn.backend();
    check_file(&backend)?;
    match backend.to_str() {
        Some(_) => Ok(()),
        None => Err(Unloaded::absent(format!(
            "{} is no path in UTF-8, and the plugin is told of it in no other way: move the package",
            backend.display()
        ))),
    }
}

fn check_file(file: &Path) -> Result<(), Unloaded> {
    if file.is_file() {
        return Ok(());
    }
    let what = if file.exists() {
        "no file"
    } else {
        "not there"
    };
    Err(Unloaded::absent(format!("{} is {what}", file.display())))
}

fn qnn(
    builder: SessionBuilder,
    environment: &Environment,
    options: &SessionOptions,
) -> Result<SessionBuilder, Unloaded> {
    let Some(qnn) = options.qnn() else {
        return Err(Unloaded::absent("no QNN plugin library was named"));
    };
    let backend = qnn.backend();
    environment
        .load_plugin(qnn.library())
        .map_err(Unloaded::Absent)?;
    let Some(device) = first_device(environment, Provider::Qnn) else {
        return Err(Unloaded::absent(format!(
            "{} finds no device here",
            qnn.library().display()
        )));
    };
    let name = Provider::Qnn.onnxruntime_name();
    let entries = entries(qnn, &backend)
        .map(|(key, value)| (format!("{name}.{key}"), value))
        .collect::<Vec<_>>();
    Ok(builder
        .with_devices([device], Some(&entries))
        .map_err(unprepared)?)
}

/// What the plugin is told, by its own names.
fn entries(qnn: &QnnOptions, backend: &Path) -> impl Iterator<Item = (&'static str, String)> {
    let target = qnn.target().into_iter().flat_map(|target| {
        [
            ("htp_arch", target.version().to_string()),
            ("soc_model", "0".to_owned()),
        ]
    });
    [
        ("backend_path", backend.display().to_string()),
        // The first QuantizeLinear and the last DequantizeLinear stay on the NPU: otherwise no graph runs there whole.
        ("offload_graph_io_quantization", "0".to_owned()),
    ]
    .into_iter()
    .chain(target)
}

impl Unloaded {
    fn absent(reason: impl Into<String>) -> Self {
        Self::Absent(Error::machine(reason))
    }
}
