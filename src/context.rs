//! Graphs that were compiled ahead of time for an NPU, and what they fit.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::file::{read_file, replace_file};
use crate::model::Model;
use crate::qnn::{Driver, HtpTarget, QnnOptions};

/// The number of the record's layout.
const SCHEMA: u32 = 1;

/// The largest record that is read.
const MAX_RECORD_BYTES: u64 = 64 << 10;

/// The largest compiled graph: a protobuf holds no more.
const MAX_CONTEXT_BYTES: u64 = 2 << 30;

/// A bundle's image graph, compiled for an NPU by [`CompiledContext::compile`].
///
/// It is an ONNX file of one node that holds the NPU's binary. Beside it lies a record in JSON that says which graph it
/// was compiled from, for which target and by which driver: of anything else it is refused.
#[derive(Debug)]
pub struct CompiledContext {
    onnx: Vec<u8>,
    record: Record,
    pub(crate) cosine: f32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    schema: u32,
    clipgate: String,
    onnxruntime: String,
    target: HtpTarget,
    graph_sha256: Digest,
    driver: Driver,
    context_bytes: u64,
    context_sha256: Digest,
}

impl CompiledContext {
    pub(crate) fn new(
        onnx: Vec<u8>,
        graph: Digest,
        target: HtpTarget,
        driver: Driver,
        onnxruntime: &str,
    ) -> Self {
        let record = Record {
            schema: SCHEMA,
            clipgate: env!("CARGO_PKG_VERSION").to_owned(),
            onnxruntime: onnxruntime.to_owned(),
            target,
            graph_sha256: graph,
            driver,
            context_bytes: onnx.len() as u64,
            context_sha256: Digest::of(&onnx),
        };
        Self {
            onnx,
            record,
            cosine: f32::NAN,
        }
    }

    /// What it was compiled for.
    pub fn target(&self) -> HtpTarget {
        self.record.target
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.record.context_bytes
    }

    /// Cosine of the self-test's embedding, computed by it, to the expected one.
    pub fn cosine(&self) -> f32 {
        self.cosine
    }

    pub(crate) fn onnx(&self) -> &[u8] {
        &self.onnx
    }

    /// Whether a record lies beside `path`, as beside every file that [`write`](Self::write) wrote.
    pub fn has_record(path: &Path) -> bool {
        record_of(path).is_file()
    }

    /// Writes it to `path`, and its record to the same path with `.json` behind it, each whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine), naming the file, if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let record = serde_json::to_vec_pretty(&self.record)
            .map_err(|error| Error::machine("the record cannot be written").with_source(error))?;
        // The record last: until it is there, what lies under its name does not fit the new file and is refused.
        replace_file(path, &self.onnx)?;
        replace_file(&record_of(path), &record)
    }
}

/// The compiled graphs that may be meant: the one that the options name, or those that lie in the directory for their
/// target, or for any where they name none.
pub fn places(qnn: &QnnOptions, bundle: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = qnn.context() {
        return vec![path.to_owned()];
    }
    let Some(directory) = qnn.context_directory().or(bundle) else {
        return Vec::new();
    };
    HtpTarget::all()
        .filter(|target| qnn.target().is_none_or(|only| only == *target))
        .map(|target| directory.join(target.file_name()))
        .filter(|path| path.exists())
        .collect()
}

/// The compiled graph at `path`, if it was made from this graph, for the options' target where they name one, by this
/// driver.
///
/// # Errors
/// Naming the file, if it was made from or by anything else, if it is damaged or has no record.
pub(crate) fn read(
    path: &Path,
    graph: Digest,
    target: Option<HtpTarget>,
    driver: &Driver,
) -> Result<Model> {
    if !path.exists() {
        return Err(Error::caller("is not there").at(path.display()));
    }
    let record = record_of(path);
    if !record.exists() {
        let what = "was not compiled by clipgate, or its record was left behind";
        return Err(
            Error::caller(format!("{what}: {} is not there", record.display())).at(path.display()),
        );
    }
    let json = read_file(&record, MAX_RECORD_BYTES)?;
    let record: Record = serde_json::from_slice((*json).as_ref()).map_err(|error| {
        Error::machine("is no record of a compiled graph")
            .with_source(error)
            .at(record.display())
    })?;
    record
        .check(graph, target, driver)
        .map_err(|error| error.at(path.display()))?;
    let onnx = read_file(path, MAX_CONTEXT_BYTES)?;
    let bytes = (*onnx).as_ref();
    if bytes.len() as u64 != record.context_bytes || Digest::of(bytes) != record.context_sha256 {
        return Err(Error::machine("is not the file that its record describes").at(path.display()));
    }
    Model::private(onnx, path.display().to_string())
}

impl Record {
    fn check(&self, graph: Digest, target: Option<HtpTarget>, driver: &Driver) -> Result<()> {
        let refused = |what: String| Err(Error::machine(what));
        if self.schema != SCHEMA {
            return refused(format!(
                "its record has schema {}, not {SCHEMA}",
                self.schema
            ));
        }
        if self.graph_sha256 != graph {
            return refused("was compiled from another graph".to_owned());
        }
        if let Some(target) = target.filter(|target| *target != self.target) {
            return refused(format!("was compiled for {}, not {target}", self.target));
        }
        // One made on another architecture was made by another build in any case: there the NPU's own check of versions
        // and the self-test decide.
        if *driver != self.driver && driver.arch == self.driver.arch {
            return refused("was compiled by another driver".to_owned());
        }
        Ok(())
    }
}

fn record_of(path: &Path) -> PathBuf {
    let mut record = path.as_os_str().to_owned();
    record.push(".json");
    PathBuf::from(record)
}
