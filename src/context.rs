//! Graphs that were compiled ahead of time for an NPU, and what they fit.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::file::{Replacement, read_file};
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
    /// [`ErrorKind::Machine`](crate::ErrorKind::Machine), naming the file, if one of the two cannot be written; the graph
    /// that is there stays then.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(&self.record)
            .map_err(|error| Error::machine("the record cannot be written").with_source(error))?;
        let record = record_of(path);
        let graph = Replacement::write(path, &self.onnx)?;
        let record = Replacement::write(&record, &json)?;
        // The record first. Whatever ends this process in between leaves one that does not fit what lies beside it, and the
        // graph is compiled anew; a graph without a record would be taken for a file of somebody else's.
        record.take_place()?;
        graph.take_place()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn compiled(onnx: &[u8]) -> CompiledContext {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("plugin.so");
        let qnn = QnnOptions::new(&plugin);
        for path in [&plugin, &qnn.backend()] {
            fs::write(path, "library").unwrap();
        }
        let driver = Driver::of(&qnn).unwrap();
        let target = "htp-v75".parse().unwrap();
        CompiledContext::new(onnx.to_vec(), Digest::of(b"graph"), target, driver, "1.31")
    }

    #[test]
    fn graph_and_record_are_both_written_or_neither() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let path = folder.path().join("graph.onnx");
        let record = record_of(&path);
        fs::create_dir(&record).unwrap();
        let error = compiled(b"first").write(&path).unwrap_err();
        assert!(error.to_string().contains("graph.onnx.json"), "{error}");
        assert_eq!(names(), ["graph.onnx.json"]);

        fs::remove_dir(&record).unwrap();
        compiled(b"first").write(&path).unwrap();
        assert_eq!(names(), ["graph.onnx", "graph.onnx.json"]);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert!(CompiledContext::has_record(&path));
    }
}
