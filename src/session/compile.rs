//! Compiles a graph for a provider ahead of time.

use ort::compiler::ModelCompiler;

use super::{SessionOptions, Target, prepare, unprepared};
use crate::error::{Error, Result};
use crate::provider::Provider;
use crate::runtime::Runtime;

/// The graph compiled for Qualcomm's NPU, as an ONNX file that holds the binary. Not a node may stay on the CPU.
pub(crate) fn compile(
    runtime: &Runtime,
    model: &[u8],
    options: &SessionOptions,
) -> Result<Vec<u8>> {
    let target = Target {
        provider: Provider::Qnn,
        whole: true,
    };
    let compiler = ModelCompiler::new(prepare(runtime, options, target)?)
        .and_then(|compiler| compiler.with_embed_ep_context())
        .and_then(|compiler| compiler.with_model_from_memory(model))
        .map_err(unprepared)?;
    let compiled = compiler.compile_to_buffer().map_err(|error| {
        Error::machine("the NPU's compiler does not take the whole graph").with_source(error)
    })?;
    Ok(compiled.as_slice().to_vec())
}
