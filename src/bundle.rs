//! A bundle: the files of a model, its labels and its calibration. The only file that opens one.

mod ahead;
mod location;
mod manifest;

use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors};

use crate::bank::LabelBank;
use crate::bytes::SharedBytes;
use crate::calibration::Calibration;
use crate::digest::Digest;
use crate::embedding::Embedding;
use crate::error::{Error, Result};
#[cfg(unix)]
use crate::file_part::FilePart;
use crate::gate::ExecutedGraph;
use crate::model::{Model, ModelMemory};
use crate::tokenizer::Tokenizer;
use ahead::Ahead;
use location::Location;

pub use manifest::{BUNDLE_SCHEMA, FileDigest, FileEntry, Manifest, TextEncoderEntry};

const MANIFEST: &str = "manifest.json";

/// A manifest that has been checked, and where its files lie.
///
/// Files are read when they are needed, and checked against the manifest's size and SHA-256 each time.
/// What is read is a private copy, so a file that is truncated or replaced afterwards changes nothing; graphs alone can
/// be mapped, under guard: see [`ModelMemory`].
///
/// ```no_run
/// let bundle = clipgate::Bundle::open("/opt/models/my-clip")?;
/// println!("{}: {}", bundle.manifest().id, bundle.manifest().licence);
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Debug)]
pub struct Bundle {
    manifest: Arc<Manifest>,
    location: Arc<Location>,
    ahead: Ahead,
}

/// A known input and the embedding that the executed graph must give for it.
#[derive(Clone, Debug)]
pub struct SelfTest {
    /// `[1, 3, S, S]`, row-major.
    pub pixel_values: Vec<f32>,
    /// As the graph's maker computed it.
    pub image_embeds: Embedding,
    /// SHA-256 of the expected embedding's f32 bytes.
    pub digest: Digest,
}

impl Bundle {
    /// Opens a bundle directory; reads only its manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the manifest is missing, malformed, newer than this reader or
    /// breaks a rule; [`ErrorKind::Machine`](crate::ErrorKind::Machine) if it cannot be read.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        Self::open_at(Location::Directory(directory.as_ref().to_owned()))
    }

    /// Opens a bundle whose files, by their names, are parts of open files; reads only its manifest. `place` is what errors
    /// call the bundle.
    ///
    /// The assets of an Android app lie so in its package. Graphs are mapped there, as those of a directory are, but for
    /// one in the ORT format that does not begin at a multiple of 16 bytes: it is copied.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[cfg(unix)]
    pub fn from_parts(
        place: impl Into<String>,
        files: impl IntoIterator<Item = (String, FilePart)>,
    ) -> Result<Self> {
        Self::open_at(Location::Parts {
            place: place.into(),
            files: files.into_iter().collect(),
        })
    }

    fn open_at(location: Location) -> Result<Self> {
        let json = location.read(MANIFEST, manifest::MAX_MANIFEST_BYTES)?;
        let manifest = Manifest::from_json((*json).as_ref())
            .map_err(|error| error.at(location.path(MANIFEST)))?;
        Ok(Self::at(Arc::new(location), manifest))
    }

    /// The pocket bundle inside this library.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the library was built from a damaged bundle.
    #[cfg(feature = "embedded-model")]
    pub fn embedded() -> Result<Self> {
        let manifest = Manifest::from_json(include_bytes!("../models/pocket/manifest.json"))
            .map_err(|error| error.at("the embedded bundle"))?;
        let location = Location::Embedded(&[
            (
                "image_encoder.onnx",
                include_bytes!("../models/pocket/image_encoder.onnx"),
            ),
            (
                "text_encoder.onnx",
                include_bytes!("../models/pocket/text_encoder.onnx"),
            ),
            (
                "tokenizer.json",
                include_bytes!("../models/pocket/tokenizer.json"),
            ),
            (
                "labels.safetensors",
                include_bytes!("../models/pocket/labels.safetensors"),
            ),
            (
                "calibration.json",
                include_bytes!("../models/pocket/calibration.json"),
            ),
            (
                "selftest.safetensors",
                include_bytes!("../models/pocket/selftest.safetensors"),
            ),
        ]);
        Ok(Self::at(Arc::new(location), manifest))
    }

    fn at(location: Arc<Location>, manifest: impl Into<Arc<Manifest>>) -> Self {
        Self {
            manifest: manifest.into(),
            location,
            ahead: Ahead::default(),
        }
    }

    /// What the bundle says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The directory, what [`from_parts`](Self::from_parts) was told, or that the bundle is embedded.
    pub fn location(&self) -> String {
        match &*self.location {
            Location::Directory(directory) => directory.display().to_string(),
            #[cfg(unix)]
            Location::Parts { place, .. } => place.clone(),
            #[cfg(feature = "embedded-model")]
            Location::Embedded(_) => format!("{} (embedded)", self.manifest.id),
        }
    }

    /// The directory, where the bundle is one.
    pub fn directory(&self) -> Option<&Path> {
        match &*self.location {
            Location::Directory(directory) => Some(directory),
            #[cfg(any(unix, feature = "embedded-model"))]
            _ => None,
        }
    }

    /// A listed file's content, checked against size and digest.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the file is not listed, missing, or not what the manifest
    /// says; [`ErrorKind::Machine`](crate::ErrorKind::Machine) if it cannot be read.
    pub fn read(&self, name: &str) -> Result<SharedBytes> {
        let bytes = self.location.read(name, self.listed(name)?.bytes)?;
        let content = (*bytes).as_ref();
        self.check_size(name, content.len())?;
        self.check_digest(name, Digest::of(content))?;
        Ok(bytes)
    }

    /// A listed graph, checked against size and digest, for a session.
    ///
    /// # Errors
    /// As [`read`](Self::read), or [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the file's name says another
    /// format than its content.
    pub(crate) fn model(&self, name: &str, memory: ModelMemory) -> Result<Model> {
        #[cfg(not(unix))]
        let _ = memory;
        #[cfg(unix)]
        if memory == ModelMemory::Mapped
            && let Some(mapping) = self.location.mapping(name, self.listed(name)?.bytes)?
        {
            self.check_size(name, mapping.bytes().len())?;
            self.check_digest(name, mapping.digest())?;
            if let Some(model) = Model::mapped(mapping, self.path(name))? {
                return Ok(model);
            }
        }
        Model::private(self.read(name)?, self.path(name))
    }

    /// Begins to read and check the image graph on a thread of its own, for the next
    /// [`ImageEncoder::open`](crate::ImageEncoder::open) that wants it in the same memory. Loading the
    /// [`Runtime`](crate::Runtime) meanwhile costs a start no time then, where there is a second core:
    ///
    /// ```no_run
    /// use clipgate::{Bundle, Classifier, ModelMemory, Runtime};
    ///
    /// let bundle = Bundle::open("/opt/models/my-clip")?;
    /// bundle.read_ahead(ModelMemory::default());
    /// let runtime = Runtime::load("/usr/lib/libonnxruntime.so".as_ref())?;
    /// let classifier = Classifier::new(&runtime, &bundle)?;
    /// # Ok::<(), clipgate::Error>(())
    /// ```
    ///
    /// What is wrong with the graph is told by whoever opens it. Until then a mapped file cannot be written to: a writer
    /// waits up to 45 s, also one in this process, or is told to try again. So open it soon, or drop the bundle. The thread
    /// reads no environment variables, and may run while [`Runtime::load`](crate::Runtime::load) sets one.
    pub fn read_ahead(&self, memory: ModelMemory) {
        let bundle = Self::at(Arc::clone(&self.location), Arc::clone(&self.manifest));
        self.ahead.begin(memory, move || {
            bundle.model(&bundle.manifest.image_encoder.file, memory)
        });
    }

    /// The image graph for a session, read ahead or now.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub(crate) fn image_model(&self, memory: ModelMemory) -> Result<Model> {
        match self.ahead.take(memory) {
            Some(Ok(model)) => Ok(model),
            // What was wrong then need not be now.
            _ => self.model(&self.manifest.image_encoder.file, memory),
        }
    }

    fn listed(&self, name: &str) -> Result<&FileDigest> {
        self.manifest
            .files
            .get(name)
            .ok_or_else(|| Error::bundle("the manifest lists no such file").at(self.path(name)))
    }

    fn check_size(&self, name: &str, found: usize) -> Result<()> {
        let expected = self.listed(name)?.bytes;
        if found as u64 == expected {
            return Ok(());
        }
        Err(Error::bundle(format!(
            "{found} bytes, but the manifest says {expected}: the file is damaged or of another version"
        ))
        .at(self.path(name)))
    }

    fn check_digest(&self, name: &str, found: Digest) -> Result<()> {
        let expected = self.listed(name)?.sha256;
        if found == expected {
            return Ok(());
        }
        Err(Error::bundle(format!(
            "sha256 {found}, but the manifest says {expected}: the file is damaged or was replaced"
        ))
        .at(self.path(name)))
    }

    /// The image encoder's bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn image_encoder(&self) -> Result<SharedBytes> {
        self.read(&self.manifest.image_encoder.file)
    }

    /// The text encoder's entry in the manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`](crate::ErrorKind::Bundle) if the bundle has none: it knows only the labels of its banks.
    pub fn text_encoder(&self) -> Result<&TextEncoderEntry> {
        self.manifest.text_encoder.as_ref().ok_or_else(|| {
            Error::bundle("the bundle has no text encoder, so it knows only its own labels; pass a label bank instead")
                .at(self.location())
        })
    }

    /// The tokenizer that the text encoder needs.
    ///
    /// # Errors
    /// As [`text_encoder`](Self::text_encoder) and [`read`](Self::read), or if the file is no tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let entry = self.text_encoder()?;
        let json = self.read(&entry.tokenizer)?;
        let tokenizer = Tokenizer::from_json((*json).as_ref(), entry.context_length)
            .map_err(|error| self.blame(error, &entry.tokenizer))?;
        Ok(match entry.clean {
            Some(cleaning) => tokenizer.with_cleaning(cleaning),
            None => tokenizer,
        })
    }

    /// The default label bank.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the bundle has none: labels must be brought. Otherwise as
    /// [`read`](Self::read), or if the file is no bank of this model's dimension.
    pub fn label_bank(&self) -> Result<LabelBank> {
        let Some(FileEntry { file: name }) = &self.manifest.labels else {
            return Err(Error::caller(
                "the bundle has no labels of its own: name yours (`--labels a,b,c`) or pass a label bank (`--bank F`)",
            )
            .at(self.location()));
        };
        LabelBank::from_safetensors(self.read(name)?)
            .and_then(|bank| {
                bank.check_dimension(self.manifest.embedding_dim)
                    .map(|()| bank)
            })
            .map_err(|error| self.blame(error, name))
    }

    /// The calibration of the default label bank.
    ///
    /// # Errors
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the bundle has none: nothing says then when an answer can be
    /// trusted. Otherwise as [`read`](Self::read), or if the file is no calibration.
    pub fn calibration(&self) -> Result<Calibration> {
        let Some(FileEntry { file: name }) = &self.manifest.calibration else {
            return Err(Error::policy(
                "the bundle has no calibration, and thresholds are not invented: pass one that was fitted on this graph \
                 (`--calibration F`), or make the bundle again with labelled images",
            )
            .at(self.location()));
        };
        Calibration::from_json((*self.read(name)?).as_ref())
            .map_err(|error| self.blame(error, name))
    }

    /// The self-test.
    ///
    /// # Errors
    /// As [`read`](Self::read), or if the tensors have another type or shape.
    pub fn selftest(&self) -> Result<SelfTest> {
        let name = &self.manifest.selftest.file;
        let bytes = self.read(name)?;
        let tensors = SafeTensors::deserialize((*bytes).as_ref()).map_err(|error| {
            Error::bundle("not a safetensors file")
                .with_source(error)
                .at(self.path(name))
        })?;
        let values = |tensor: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let view = tensors.tensor(tensor).map_err(|error| {
                Error::bundle(format!("no tensor `{tensor}`")).with_source(error)
            })?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                return Err(Error::bundle(format!(
                    "tensor `{tensor}` is {:?} {:?}; F32 {shape:?} is needed",
                    view.dtype(),
                    view.shape()
                )));
            }
            Ok(bytemuck::pod_collect_to_vec(view.data()))
        };
        let size = self.manifest.preprocessing.size as usize;
        let read = || {
            let pixel_values = values("pixel_values", &[1, 3, size, size])?;
            let expected = values("image_embeds", &[1, self.manifest.embedding_dim])?;
            Ok(SelfTest {
                pixel_values,
                digest: Digest::of_f32(&expected),
                image_embeds: Embedding::new(&expected)?,
            })
        };
        read().map_err(|error: Error| self.blame(error, name))
    }

    /// What a calibration must be bound to.
    ///
    /// # Errors
    /// As [`selftest`](Self::selftest).
    pub fn executed_graph(&self) -> Result<ExecutedGraph> {
        self.manifest.executed_graph(&self.selftest()?)
    }

    /// Whatever is wrong inside a bundle's file is the bundle's fault.
    fn blame(&self, error: Error, name: &str) -> Error {
        Error::bundle(error.to_string())
            .with_source(error)
            .at(self.path(name))
    }

    /// Where a file lies, for errors.
    pub(crate) fn path(&self, name: &str) -> String {
        self.location.path(name)
    }
}
