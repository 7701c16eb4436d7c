//! Classifies camera frames with CLIP on small devices, and abstains when the answer cannot be trusted.
//!
//! A [`Bundle`] holds a CLIP model as static int8 ONNX graphs, a bank of labels and a calibration that was
//! fitted on that very graph. A [`Classifier`] turns a [`Frame`] into a [`Decision`]: a label with a
//! calibrated confidence, or an abstention with its [`Reason`].
//!
#![cfg_attr(all(feature = "decode", feature = "embedded-model"), doc = "```no_run")]
#![cfg_attr(
    not(all(feature = "decode", feature = "embedded-model")),
    doc = "```ignore"
)]
//! use clipgate::{Bundle, Classifier, DecodeLimits, Decision, Runtime, decode_file};
//!
//! let runtime = Runtime::load("/usr/lib/libonnxruntime.so".as_ref())?;
//! let mut classifier = Classifier::new(&runtime, &Bundle::embedded()?)?;
//! let image = decode_file("photo.jpg".as_ref(), &DecodeLimits::default())?;
//! match classifier.classify(&image.frame()?)?.decision {
//!     Decision::Accept(prediction) => println!("{}", prediction.label),
//!     Decision::Abstain(abstention) => println!("not sure: {}", abstention.reason),
//!     _ => {}
//! }
//! # Ok::<(), clipgate::Error>(())
//! ```
//!
//! Chapters: [architecture](docs::architecture), [gating](docs::gating), [streams](docs::streams),
//! [security](docs::security), [platforms](docs::platforms), [Raspberry Pi](docs::raspberry_pi).

#[cfg(target_endian = "big")]
compile_error!(
    "clipgate reads little-endian tensors in place and supports little-endian targets only"
);

mod backend;
mod bank;
mod bank_file;
pub mod bounds;
mod bundle;
mod bytes;
pub mod calibration;
mod child;
mod choice;
mod classifier;
mod compile;
pub mod conformal;
mod context;
mod decision;
#[cfg(feature = "decode")]
mod decode;

mod device;
mod digest;
mod distinct;
pub mod drift;
mod embedding;
mod encoder;
mod error;
pub mod evaluate;
pub mod file;
#[cfg(unix)]
mod file_part;
pub mod fit;
mod frame;
mod gate;
mod label;
#[cfg(unix)]
mod mapping;
pub mod metrics;
mod model;
mod nearest;
mod negatives;
mod ood;
mod preprocess;
mod probe;
mod provider;
mod qnn;
mod runtime;
mod schema;
mod score;
mod search;
pub mod selective;
mod session;
mod stream;
mod system;
pub mod tensor_file;
mod tokenizer;

/// What the `clipgate` command shares with the library. It is no part of the interface and may change at any time.
#[doc(hidden)]
pub mod internal {
    pub use crate::child::{spawn, wait};
    pub use crate::context::places as compiled_graphs;
    pub use crate::runtime::check_library;
    pub use crate::system::{System, field};
}

/// Prose: how clipgate is built, what its decisions mean, and where it runs.
pub mod docs {
    #[doc = include_str!("docs/architecture.md")]
    pub mod architecture {}
    #[doc = include_str!("docs/gating.md")]
    pub mod gating {}
    #[doc = include_str!("docs/platforms.md")]
    pub mod platforms {}
    #[doc = include_str!("docs/quantization.md")]
    pub mod quantization {}
    #[doc = include_str!("docs/raspberry_pi.md")]
    pub mod raspberry_pi {}
    #[doc = include_str!("docs/security.md")]
    pub mod security {}
    #[doc = include_str!("docs/streams.md")]
    pub mod streams {}
}

/// The README's example, compiled with the tests.
#[cfg(all(doctest, feature = "decode", feature = "embedded-model"))]
#[doc = include_str!("../README.md")]
mod readme {}

pub use backend::{Backend, ElementType, InputMut, MAX_ELEMENTS, TensorSpec};
pub use bank::{LabelBank, MAX_DIMENSION, Rows};
pub use bank_file::MAX_BANK_BYTES;
pub use bundle::{
    BUNDLE_SCHEMA, Bundle, FileDigest, FileEntry, Manifest, SelfTest, TextEncoderEntry,
};
pub use bytes::SharedBytes;
pub use calibration::{Calibration, Promise, PromiseKind};
pub use classifier::{Candidate, Classification, Classifier, ClassifierOptions, Timings};
pub use context::CompiledContext;
pub use decision::{Abstention, Decision, Prediction, Reason, SetLabel};
#[cfg(feature = "decode")]
pub use decode::{
    DecodeLimits, DecodeOptions, DecodedImage, ImageDecoder, decode_bytes, decode_file,
};
pub use digest::Digest;
pub use drift::{DriftMonitor, DriftOptions, DriftReference, DriftStatus};
pub use embedding::Embedding;
pub use encoder::{ImageEncoder, LoadTimings, MAX_TEMPLATES, SELF_TEST_COSINE, TextEncoder};
pub use error::{Error, ErrorKind, Result};
#[cfg(unix)]
pub use file_part::FilePart;
pub use frame::{
    ColorMatrix, ColorRange, ColorSpace, Frame, MAX_EDGE, Orientation, PixelFormat, Plane, Region,
};
pub use gate::{CalibrationFit, ExecutedGraph, Gate, MIN_LUMA_DEVIATION};
pub use label::{Label, MAX_LABELS, MAX_NAME_BYTES};
pub use model::ModelMemory;
pub use nearest::{LabelSearch, Neighbor};
pub use negatives::{Lent, Mined, Miner, NOT_LENT, TOO_NEAR};
pub use ood::{NEG_LABEL_GROUP_SIZE, NEG_LABEL_GROUPS, OodScore, OodScores};
pub use preprocess::{FrameQuality, Interpolation, MAX_SIZE, Preprocessing, Preprocessor, Resize};
pub use probe::ProbeCommand;
pub use provider::{
    PlacedNode, Placement, Provider, ProviderLadder, ProviderOutcome, ProviderReport, Rung,
};
pub use qnn::{HtpTarget, QnnOptions};
pub use runtime::Runtime;
pub use score::{MAX_LOGIT_BIAS, MAX_LOGIT_SCALE, Scorer, Scores};
pub use session::{MAX_THREADS, Session, SessionOptions};
pub use stream::{
    InFlight, LiveResults, LiveStatus, LiveStream, Smoothing, Stage, SteadyDecision, StreamAnswer,
    StreamEvent, StreamOptions, Unchanged, VideoStream,
};
pub use tokenizer::{
    MAX_CONTEXT_LENGTH, MAX_TEXT_BYTES, MAX_TOKENIZER_BYTES, TextCleaning, Tokenizer,
};
