//! The classifier: a frame in, a decision out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bank::LabelBank;
use crate::bundle::Bundle;
use crate::calibration::{Calibration, PreprocessingMode, Promise, PromiseKind};
use crate::decision::{Abstention, Decision, Reason};
use crate::drift::{DriftMonitor, DriftOptions, DriftStatus};
use crate::encoder::ImageEncoder;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::gate::{CalibrationFit, Gate, SetBuffers};
use crate::ood::OodScores;
use crate::runtime::Runtime;
use crate::score::{Scorer, Scores};
use crate::session::SessionOptions;

/// Candidates that an answer lists unless told otherwise.
const DEFAULT_TOP_K: usize = 5;

/// Encoder, label bank, scorer and gate, fitted to each other.
///
/// A classifier is `Send` and owns one session: it answers one frame at a time (`&mut self`). To use
/// several threads, give each a classifier; they may share one [`LabelBank`] through an [`Arc`].
pub struct Classifier {
    encoder: ImageEncoder,
    bank: Arc<LabelBank>,
    scorer: Scorer,
    gate: Gate,
    /// How the pixels are made that the gate's promise is about.
    preprocessing: PreprocessingMode,
    drift: Option<DriftMonitor>,
    top_k: usize,
    scores: Scores,
    rows: Vec<usize>,
    set: SetBuffers,
}

/// What a [`Classifier`] is made of, beyond a runtime and a bundle; [`Classifier::options`] begins one.
#[derive(Default)]
pub struct ClassifierOptions {
    session: SessionOptions,
    bank: Option<Arc<LabelBank>>,
    calibration: Option<Calibration>,
    preprocessing: Option<PreprocessingMode>,
    drift: Option<Drift>,
    top_k: Option<usize>,
}

/// Whose scores frames are compared with.
enum Drift {
    Calibration(DriftOptions),
    Monitor(Box<DriftMonitor>),
}

/// The answer to one frame.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// Accept or abstain.
    pub decision: Decision,
    /// The most similar labels, best first; empty for an unusable frame.
    pub top: Vec<Candidate>,
    /// What the out-of-distribution question was answered from; `None` for an unusable frame.
    pub scores: Option<OodScores>,
    /// Whether temperature and thresholds were fitted on this label bank.
    pub calibration: CalibrationFit,
    /// What is promised of accepted answers; always [`PromiseKind::None`] where transferred, or where the frame was
    /// not decoded as [`ClassifierOptions::preprocessing`] says.
    pub promise: PromiseKind,
    /// Whether the frames still look like the calibration's images; `None` where nobody asked.
    pub drift: Option<DriftStatus>,
    /// Where the time went.
    pub timings: Timings,
}

impl Default for Classification {
    /// The answer to no frame, for [`Classifier::classify_into`] to replace: an unusable frame's, transferred and
    /// without a promise.
    fn default() -> Self {
        Self {
            decision: Decision::Abstain(Abstention::because(Reason::UnusableFrame)),
            top: Vec::new(),
            scores: None,
            calibration: CalibrationFit::Transferred,
            promise: PromiseKind::None,
            drift: None,
            timings: Timings::default(),
        }
    }
}

impl Classification {
    /// Becomes the default, but keeps its buffer.
    fn forget(&mut self) {
        let mut top = std::mem::take(&mut self.top);
        top.clear();
        *self = Self {
            top,
            ..Self::default()
        };
    }
}

/// A label near the frame.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Row of the label in its bank.
    pub index: usize,
    /// The label's name.
    pub label: Arc<str>,
    /// Calibrated probability, 0 to 1; `None` where one label leaves nothing to compare.
    pub probability: Option<f32>,
    /// Cosine, -1 to 1.
    pub similarity: f32,
}

/// Wall-clock time of each stage of one frame.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Frame to `pixel_values`.
    pub preprocess: Duration,
    /// `pixel_values` to embedding.
    pub encode: Duration,
    /// Embedding to decision.
    pub decide: Duration,
}

impl Classifier {
    /// A classifier of the bundle's own labels and calibration.
    ///
    /// # Errors
    /// See [`ClassifierOptions::open`].
    pub fn new(runtime: &Runtime, bundle: &Bundle) -> Result<Self> {
        Self::options().open(runtime, bundle)
    }

    /// Options to set before [`ClassifierOptions::open`].
    pub fn options() -> ClassifierOptions {
        ClassifierOptions::default()
    }

    /// Answers one frame.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the frame cannot be resampled;
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the graph's output is no embedding. An abstention
    /// is `Ok`.
    pub fn classify(&mut self, frame: &Frame<'_>) -> Result<Classification> {
        let mut answer = Classification::default();
        self.classify_into(frame, &mut answer)?;
        Ok(answer)
    }

    /// Answers one frame in place of an earlier answer, whose buffers it takes: after some frames, nothing is
    /// allocated here ([`Session`](crate::Session) says what `ort` allocates). After an error, `answer` says nothing
    /// of any frame.
    ///
    /// # Errors
    /// As [`classify`](Self::classify).
    pub fn classify_into(&mut self, frame: &Frame<'_>, answer: &mut Classification) -> Result<()> {
        let start = Instant::now();
        self.set.recycle(&mut answer.decision);
        answer.forget();
        let quality = self.encoder.prepare(frame)?;
        let prepared = Instant::now();
        answer.timings.preprocess = prepared - start;
        answer.calibration = self.gate.fit();
        answer.promise = self.promise_of(frame);
        if let Some(reason) = Gate::inspect(quality) {
            answer.decision = Decision::Abstain(Abstention::because(reason));
            answer.drift = self.drift();
            return Ok(());
        }
        let embedding = self.encoder.run()?;
        let encoded = Instant::now();
        answer.timings.encode = encoded - prepared;
        self.scorer.score(embedding, &self.bank, &mut self.scores)?;
        let ood = OodScores::of(&self.scores, &self.scorer);
        answer.decision = self
            .gate
            .decide_with(&self.scores, &ood, &self.bank, &mut self.set);
        if let Some(drift) = &mut self.drift {
            let rule = self.gate.ood_rule(self.scores.is_relative());
            let status = drift.observe(ood.value(rule.score).unwrap_or(f32::NAN));
            if status.is_stale() && answer.decision.accepted().is_some() {
                answer.decision = Decision::Abstain(Abstention::because(Reason::StaleCalibration));
            }
        }
        self.scores.top(self.top_k, &mut self.rows);
        let candidates = self.rows.iter().map(|&row| Candidate {
            index: row,
            label: self.bank.labels()[row].shared_name(),
            probability: self
                .scores
                .is_relative()
                .then(|| self.scores.probabilities()[row]),
            similarity: self.scores.similarities()[row],
        });
        answer.top.extend(candidates);
        answer.scores = Some(ood);
        answer.drift = self.drift();
        answer.timings.decide = encoded.elapsed();
        Ok(())
    }

    fn promise_of(&self, frame: &Frame<'_>) -> PromiseKind {
        let expected = self.preprocessing == PreprocessingMode::FastDecode;
        match frame.is_fast_decoded() == expected {
            true => self.promise().kind,
            false => PromiseKind::None,
        }
    }

    /// What encodes the frames, and which provider it runs on.
    pub fn encoder(&self) -> &ImageEncoder {
        &self.encoder
    }

    /// The labels that are told apart.
    pub fn bank(&self) -> &Arc<LabelBank> {
        &self.bank
    }

    /// The thresholds, and whether they were fitted on these labels.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What is promised of accepted answers.
    pub fn promise(&self) -> &Promise {
        self.gate.promise()
    }

    /// Whether the frames so far look like the calibration's images; `None` without [`ClassifierOptions::drift`].
    pub fn drift(&self) -> Option<DriftStatus> {
        self.drift.as_ref().map(DriftMonitor::status)
    }

    /// Forgets the drift of the frames so far, and with it the reason `stale_calibration`: see
    /// [`DriftMonitor::reset`].
    pub fn reset_drift(&mut self) {
        if let Some(drift) = &mut self.drift {
            drift.reset();
        }
    }
}

impl ClassifierOptions {
    /// Threads of the session.
    pub fn session(mut self, session: SessionOptions) -> Self {
        self.session = session;
        self
    }

    /// Labels of the user's own. Unless the calibration was fitted on them, it is transferred.
    pub fn bank(mut self, bank: impl Into<Arc<LabelBank>>) -> Self {
        self.bank = Some(bank.into());
        self
    }

    /// A calibration of the user's own.
    pub fn calibration(mut self, calibration: Calibration) -> Self {
        self.calibration = Some(calibration);
        self
    }

    /// How the frames' pixels are made, [`PreprocessingMode::Exact`] unless set. A calibration that was fitted on pixels
    /// made in another way decides as ever and promises nothing, and so it is with single frames that
    /// [`ImageDecoder`](crate::ImageDecoder) made in another way.
    pub fn preprocessing(mut self, mode: PreprocessingMode) -> Self {
        self.preprocessing = Some(mode);
        self
    }

    /// Watches the frames for drift away from the images that the calibration keeps the scores of. From the alarm
    /// on, what would be accepted is an abstention with [`Reason::StaleCalibration`] until
    /// [`Classifier::reset_drift`]; nothing else changes. Frames that show nothing are not compared.
    pub fn drift(mut self, options: DriftOptions) -> Self {
        self.drift = Some(Drift::Calibration(options));
        self
    }

    /// As [`drift`](Self::drift), beside scores of the caller's own: of frames of this very camera, say, that need no
    /// labels. The score is the one that the gate asks, `scores.value(gate.ood_rule(true).score)` (`false` for one
    /// label without negatives).
    pub fn drift_monitor(mut self, monitor: DriftMonitor) -> Self {
        self.drift = Some(Drift::Monitor(Box::new(monitor)));
        self
    }

    /// Candidates that each answer lists; 5 unless set.
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.top_k = Some(top_k);
        self
    }

    /// Loads the model, runs its self-test, and binds bank and calibration to it.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) for a damaged bundle;
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the self-test fails;
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) for a calibration of another graph, or for none, or for one
    /// that cannot tell drift though it is asked to: it keeps no scores, or those of other labels;
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) for a bank of another dimension, or for no labels.
    pub fn open(self, runtime: &Runtime, bundle: &Bundle) -> Result<Classifier> {
        let encoder = ImageEncoder::open(runtime, bundle, self.session.clone())?;
        self.open_with(encoder, bundle)
    }

    /// As [`open`](Self::open), around an encoder of the caller's, perhaps on a
    /// [`Backend`](crate::Backend) of the caller's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(self, encoder: ImageEncoder, bundle: &Bundle) -> Result<Classifier> {
        let bank = match self.bank {
            Some(bank) => bank,
            None => Arc::new(bundle.label_bank()?),
        };
        bank.check_dimension(bundle.manifest().embedding_dim)?;
        let calibration = match self.calibration {
            Some(calibration) => calibration,
            None => bundle.calibration()?,
        };
        let manifest = bundle.manifest();
        let mut executed = encoder.executed().clone();
        executed.preprocessing = self.preprocessing.unwrap_or(executed.preprocessing);
        let gate = Gate::new(calibration, &executed, &bank)?;
        let scorer = gate.scorer(manifest.logit_scale, manifest.logit_bias)?;
        let drift = match self.drift {
            None => None,
            Some(Drift::Calibration(options)) => Some(calibrated_drift(&gate, options)?),
            Some(Drift::Monitor(monitor)) => Some(*monitor),
        };
        Ok(Classifier {
            encoder,
            bank,
            scorer,
            gate,
            preprocessing: executed.preprocessing,
            drift,
            top_k: self.top_k.unwrap_or(DEFAULT_TOP_K),
            scores: Scores::default(),
            rows: Vec::new(),
            set: SetBuffers::default(),
        })
    }
}

/// A monitor beside the calibration's own images.
fn calibrated_drift(gate: &Gate, options: DriftOptions) -> Result<DriftMonitor> {
    if gate.fit() == CalibrationFit::Transferred {
        return Err(Error::policy(
            "drift cannot be told by a calibration of other labels: fit one on these",
        ));
    }
    let Some(reference) = gate.calibration().drift() else {
        return Err(Error::policy(
            "drift cannot be told by a calibration that keeps no scores: fit one on images of your own",
        ));
    };
    DriftMonitor::new(reference, options)
}
