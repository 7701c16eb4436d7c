//! Compiles a graph for a provider ahead of time.

use ort::compiler::ModelCompiler;

use super::environment::overhear;
use super::{SessionOptions, Target, prepare, unprepared};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::provider::Provider;
use crate::runtime::Runtime;

/// The graph compiled for Qualcomm's NPU, as an ONNX file that holds the binary. Not a node may stay on the CPU.
///
/// # Errors
/// Naming the graph, if it is not taken; not naming it, if the plugin is not there or does not load.
pub(crate) fn compile(
    runtime: &Runtime,
    model: &Model,
    options: &SessionOptions,
) -> Result<Vec<u8>> {
    let target = Target {
        provider: Provider::Qnn,
        whole: true,
    };
    let compiler = ModelCompiler::new(prepare(runtime, options, target)?)
        .and_then(|compiler| compiler.with_embed_ep_context())
        .and_then(|compiler| compiler.with_model_from_memory(model.bytes()))
        .map_err(unprepared)?;
    let (compiled, overheard) = overhear(|| compiler.compile_to_buffer());
    let compiled = compiled.map_err(|error| {
        let what = "the NPU's compiler does not take the whole graph";
        let what = match overheard {
            Some(words) => format!("{what}: {words}"),
            None => what.to_owned(),
        };
        Error::machine(what).with_source(error).at(model.place())
    })?;
    Ok(compiled.as_slice().to_vec())
}
