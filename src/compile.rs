//! Compiles a bundle's image graph for an NPU, and tests what came out before anything is written.

use std::path::Path;

use crate::bundle::Bundle;
use crate::context::{self, CompiledContext};
use crate::encoder;
use crate::error::{Error, Result};
use crate::model::ModelMemory;
use crate::qnn::Driver;
use crate::runtime::Runtime;
use crate::session::{self, SessionOptions};

impl CompiledContext {
    /// Compiles the bundle's image graph for the target that `options` name, and runs the self-test on the result where
    /// this machine can run it: Linux x86-64 emulates every target.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) without a plugin and target in the options;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if the plugin is not there or refuses, or if a node would stay
    /// on the CPU; [`ErrorKind::Model`](crate::ErrorKind::Model) if the result computes wrongly.
    pub fn compile(runtime: &Runtime, bundle: &Bundle, options: &SessionOptions) -> Result<Self> {
        let missing = |what: &str| Error::caller(format!("to compile, {what}"));
        let qnn = options
            .qnn()
            .ok_or_else(|| missing("name the QNN plugin library"))?;
        let target = qnn.target().ok_or_else(|| missing("name a target"))?;
        // Before the compiler, which takes a large graph minutes.
        let driver = Driver::of(qnn)?;
        let graph = bundle.manifest().graph_digest()?;
        let file = &bundle.manifest().image_encoder.file;
        let model = bundle.model(file, ModelMemory::Private)?;
        let onnx = session::compile(runtime, &model, options)?;
        let mut compiled = Self::new(onnx, graph, target, driver, runtime.version());
        compiled.cosine = encoder::test_compiled(runtime, bundle, options, &compiled)
            .map_err(|error| error.at(format!("the graph compiled for {target}")))?;
        Ok(compiled)
    }

    /// Whether the compiled graph at `path` was made from this bundle's image graph, for the target and by the driver that
    /// `options` name; it is not run.
    ///
    /// # Errors
    /// Naming the file, and what it was made from or by otherwise.
    pub fn check(path: &Path, bundle: &Bundle, options: &SessionOptions) -> Result<()> {
        let qnn = options
            .qnn()
            .ok_or_else(|| Error::caller("no QNN plugin library was named"))?;
        let graph = bundle.manifest().graph_digest()?;
        context::read(path, graph, qnn.target(), &Driver::of(qnn)?).map(|_| ())
    }
}
