//! The model under measurement: how it is opened, and where the time of one frame goes.

use std::time::{Duration, Instant};

use clipgate::{
    Bundle, Calibration, Classifier, Error, ErrorKind, Frame, Gate, ImageEncoder, LabelBank,
    Preprocessing, Reason, Result, Runtime,
};
use serde::{Deserialize, Serialize};

use super::args::BenchArgs;
use crate::{inputs, runtime_search};

/// A model, open, with what its run's JSON says of it.
pub(super) struct Opened {
    model: Model,
    pub(super) runtime: Runtime,
    /// What executes the graph.
    pub(super) provider: String,
    pub(super) preprocessing: Preprocessing,
    pub(super) parts: Parts,
}

enum Model {
    Classifier(Box<Classifier>),
    /// A bundle without labels or calibration makes no decision; its encoder is measured all the same.
    Encoder(Box<ImageEncoder>),
}

/// Where the time until a model is ready goes, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Parts {
    /// Finding, checking and starting ONNX Runtime.
    pub(super) library: f64,
    /// Reading manifest, graph, labels, calibration and self-test, digests included, as far as it takes longer than the
    /// library, which is loaded meanwhile.
    pub(super) bundle: f64,
    /// ONNX Runtime's session.
    pub(super) session: f64,
    /// The self-test.
    pub(super) self_test: f64,
}

impl Parts {
    pub(super) fn sum(&self) -> f64 {
        self.library + self.bundle + self.session + self.self_test
    }
}

/// Where the time of one frame went.
pub(super) struct Stages {
    pub(super) preprocess: Duration,
    pub(super) encode: Duration,
    pub(super) decide: Option<Duration>,
}

impl Opened {
    pub(super) fn new(args: &BenchArgs) -> Result<Self> {
        let start = Instant::now();
        let session = args.model.session()?;
        let bundle = inputs::bundle(args.model.bundle.as_deref())?;
        bundle.read_ahead(session.model_memory());
        let mut read = start.elapsed();

        let start = Instant::now();
        let runtime = runtime_search::load()?;
        let library = start.elapsed();

        let start = Instant::now();
        let decides = labels_and_thresholds(args, &bundle)?;
        read += start.elapsed();

        let start = Instant::now();
        let encoder = ImageEncoder::open(&runtime, &bundle, session)?;
        let opened = start.elapsed();
        let provider = encoder.provider().map_or_else(String::new, String::from);
        let timings = encoder.load_timings();
        read += opened.saturating_sub(timings.session + timings.self_test);

        let start = Instant::now();
        let model = match decides {
            Some((bank, calibration)) => Model::Classifier(Box::new(
                Classifier::options()
                    .bank(bank)
                    .calibration(calibration)
                    .preprocessing(args.decode.mode())
                    .open_with(encoder, &bundle)?,
            )),
            None => Model::Encoder(Box::new(encoder)),
        };
        read += start.elapsed();
        Ok(Self {
            model,
            parts: Parts {
                library: milliseconds(library),
                bundle: milliseconds(read),
                session: milliseconds(timings.session),
                self_test: milliseconds(timings.self_test),
            },
            runtime,
            provider,
            preprocessing: bundle.manifest().preprocessing,
        })
    }

    pub(super) fn answer(&mut self, frame: &Frame<'_>) -> Result<Stages> {
        match &mut self.model {
            Model::Classifier(classifier) => {
                let answer = classifier.classify(frame)?;
                if answer.decision.reason() == Some(Reason::UnusableFrame) {
                    return Err(shows_nothing());
                }
                Ok(Stages {
                    preprocess: answer.timings.preprocess,
                    encode: answer.timings.encode,
                    decide: Some(answer.timings.decide),
                })
            }
            Model::Encoder(encoder) => {
                let start = Instant::now();
                let quality = encoder.prepare(frame)?;
                let preprocess = start.elapsed();
                if Gate::inspect(quality).is_some() {
                    return Err(shows_nothing());
                }
                let start = Instant::now();
                encoder.run()?;
                Ok(Stages {
                    preprocess,
                    encode: start.elapsed(),
                    decide: None,
                })
            }
        }
    }
}

/// Labels and thresholds, where there are both.
pub(super) fn labels_and_thresholds(
    args: &BenchArgs,
    bundle: &Bundle,
) -> Result<Option<(LabelBank, Calibration)>> {
    let manifest = bundle.manifest();
    if manifest.labels.is_none() && args.bank.is_none()
        || manifest.calibration.is_none() && args.calibration.is_none()
    {
        return Ok(None);
    }
    let bank = match &args.bank {
        Some(path) => inputs::bank(path)?,
        None => bundle.label_bank()?,
    };
    let calibration = match &args.calibration {
        Some(path) => inputs::calibration(path)?,
        None => bundle.calibration()?,
    };
    Ok(Some((bank, calibration)))
}

/// The gate turns such a frame away before the model runs, so there is nothing to measure.
fn shows_nothing() -> Error {
    Error::new(
        ErrorKind::Caller,
        "the frame shows nothing (dark, flat or covered), so the model is not run on it: take another",
    )
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
