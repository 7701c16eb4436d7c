//! Image and text encoders: a graph, what prepares its input, and the embedding that comes out.

mod opening;
mod text;

use std::time::{Duration, Instant};

use crate::backend::{Backend, ElementType, InputMut};
use crate::bundle::{Bundle, Manifest, SelfTest};
use crate::embedding::Embedding;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::gate::ExecutedGraph;
use crate::preprocess::{FrameQuality, Preprocessor};
use crate::provider::{Provider, ProviderReport};
use crate::runtime::Runtime;
use crate::session::SessionOptions;

pub(crate) use opening::test_compiled;
pub use text::{MAX_TEMPLATES, TextEncoder};

/// The least cosine between a self-test's embedding and the one computed here.
///
/// Int8 kernels differ: Arm cores against x86 give 0.9994 and more, and graphs of the ORT format that were made with VNNI
/// give 0.990 on x86 without (there 16-bit sums saturate). A kernel that computes wrongly lands far below.
pub const SELF_TEST_COSINE: f32 = 0.98;

/// Frames to embeddings, through a bundle's image graph.
///
/// Send but used by one thread at a time (`&mut self`): give each thread an encoder of its own.
pub struct ImageEncoder {
    preprocessor: Preprocessor,
    backend: Box<dyn Backend>,
    embedding: Embedding,
    executed: ExecutedGraph,
    load_timings: LoadTimings,
    reports: Vec<ProviderReport>,
}

/// Wall-clock time of what [`ImageEncoder::open`] did.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTimings {
    /// Reading graph and self-test and checking their digests, or waiting for what
    /// [`Bundle::read_ahead`](crate::Bundle::read_ahead) began; zero for a backend of the caller's.
    pub read: Duration,
    /// Making the session; zero for a backend of the caller's.
    pub session: Duration,
    /// Running the self-test, the graph's first run.
    pub self_test: Duration,
}

impl ImageEncoder {
    /// Loads the bundle's image graph on the first provider of `options` that can be trusted with it, and runs its
    /// self-test there. A provider that is passed over is reported ([`provider_reports`](Self::provider_reports)) and
    /// told of in the log.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the graph has other inputs or outputs than the
    /// manifest says; [`ErrorKind::Model`](crate::ErrorKind::Model) if the self-test fails;
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine) if a required provider cannot run the whole graph, or runs it
    /// wrongly.
    pub fn open(runtime: &Runtime, bundle: &Bundle, options: SessionOptions) -> Result<Self> {
        opening::open(runtime, bundle, &options)
    }

    /// An encoder on a backend of the caller's, which must pass the same checks and self-test.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_backend(
        backend: Box<dyn Backend>,
        manifest: &Manifest,
        selftest: &SelfTest,
    ) -> Result<Self> {
        let mut encoder = Self::untested(backend, manifest, selftest)?;
        let start = Instant::now();
        passes(encoder.test(selftest)?)?;
        encoder.load_timings.self_test = start.elapsed();
        Ok(encoder)
    }

    fn untested(
        backend: Box<dyn Backend>,
        manifest: &Manifest,
        selftest: &SelfTest,
    ) -> Result<Self> {
        let size = manifest.preprocessing.size as usize;
        check_interface(
            &*backend,
            ("pixel_values", ElementType::F32, &[1, 3, size, size]),
            ("image_embeds", &[1, manifest.embedding_dim]),
        )?;
        Ok(Self {
            preprocessor: Preprocessor::new(manifest.preprocessing)?,
            backend,
            embedding: Embedding::with_dimension(manifest.embedding_dim),
            executed: manifest.executed_graph(selftest)?,
            load_timings: LoadTimings::default(),
            reports: Vec::new(),
        })
    }

    /// Writes a frame into the graph's input and tells how much it shows.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the frame cannot be resampled.
    pub fn prepare(&mut self, frame: &Frame<'_>) -> Result<FrameQuality> {
        let pixel_values = float_input(&mut *self.backend)?;
        self.preprocessor.run(frame, pixel_values)
    }

    /// Runs the graph on what [`prepare`](Self::prepare) wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the output is not finite or has no direction.
    pub fn run(&mut self) -> Result<&Embedding> {
        let output = self.backend.run()?;
        self.embedding.assign(output)?;
        Ok(&self.embedding)
    }

    /// [`prepare`](Self::prepare) and [`run`](Self::run).
    ///
    /// # Errors
    /// As those.
    pub fn encode(&mut self, frame: &Frame<'_>) -> Result<&Embedding> {
        self.prepare(frame)?;
        self.run()
    }

    /// What runs here: a calibration must have been fitted on it.
    pub fn executed(&self) -> &ExecutedGraph {
        &self.executed
    }

    /// Where the time until it was ready went.
    pub fn load_timings(&self) -> LoadTimings {
        self.load_timings
    }

    /// What executes the graph; `None` for a backend of the caller's.
    pub fn provider(&self) -> Option<Provider> {
        self.reports
            .iter()
            .find(|report| report.is_chosen())
            .map(|report| report.provider)
    }

    /// What came of each provider that was tried, the one that executes the graph among them; empty for a backend of the
    /// caller's.
    pub fn provider_reports(&self) -> &[ProviderReport] {
        &self.reports
    }

    /// The cosine of the embedding computed here to the expected one.
    fn test(&mut self, selftest: &SelfTest) -> Result<f32> {
        let pixel_values = float_input(&mut *self.backend)?;
        if pixel_values.len() != selftest.pixel_values.len() {
            return Err(Error::bundle(
                "the self-test's input has another size than the graph's",
            ));
        }
        pixel_values.copy_from_slice(&selftest.pixel_values);
        self.run()
            .and_then(|embedding| embedding.cosine(&selftest.image_embeds))
            .map_err(|error| error.at("self-test"))
    }
}

/// Whether a self-test's cosine shows that the graph was computed rightly.
fn passes(cosine: f32) -> Result<f32> {
    // A range holds no NaN.
    if (SELF_TEST_COSINE..).contains(&cosine) {
        return Ok(cosine);
    }
    Err(Error::model(format!(
        "self-test: the embedding computed here has cosine {cosine:.4} to the expected one; at least \
         {SELF_TEST_COSINE} is needed. The graph is damaged or a kernel computes wrongly on this machine"
    )))
}

fn float_input(backend: &mut dyn Backend) -> Result<&mut [f32]> {
    match backend.input_mut() {
        InputMut::F32(values) => Ok(values),
        _ => Err(Error::bundle("`pixel_values` is not f32")),
    }
}

fn check_interface(
    backend: &dyn Backend,
    (input, element, input_shape): (&str, ElementType, &[usize]),
    (output, output_shape): (&str, &[usize]),
) -> Result<()> {
    for (role, found, name, element, shape) in [
        ("input", backend.input(), input, element, input_shape),
        (
            "output",
            backend.output(),
            output,
            ElementType::F32,
            output_shape,
        ),
    ] {
        if found.name() != name || found.element() != element || found.shape() != shape {
            return Err(Error::bundle(format!(
                "the graph's {role} is `{}` {:?} {:?}; the manifest needs `{name}` {element:?} {shape:?}",
                found.name(),
                found.element(),
                found.shape()
            )));
        }
    }
    Ok(())
}
