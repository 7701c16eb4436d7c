//! What was found out about providers, kept for the next start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::file::{read_file, replace_file};
use crate::provider::{Provider, ProviderReport};
use crate::qnn::Driver;

/// The number of this file's layout.
const SCHEMA: u32 = 1;

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// How long a measurement counts in which a provider failed: what made it fail (memory, another program on the NPU) may
/// have passed.
const FAULTS_COUNT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a finding is about: of anything else it says nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) clipgate: String,
    /// The machine.
    pub(crate) device: String,
    pub(crate) onnxruntime: String,
    pub(crate) onnxruntime_bytes: u64,
    /// Qualcomm's plugin, where one was named.
    pub(crate) driver: Option<Driver>,
    /// What is loaded along with it.
    pub(crate) installation: Option<Digest>,
    /// The session's options that a provider may depend on.
    pub(crate) options: String,
    pub(crate) graph: Digest,
}

/// The findings of one [`Subject`], in a file of their own. Reading and writing never fail: the worst that happens is
/// that something is found out again.
pub(crate) struct ProviderCache {
    place: Option<(PathBuf, Subject)>,
    findings: Findings,
}

#[derive(Default, Serialize, Deserialize)]
struct Findings {
    /// Providers that passed their probe.
    survived: Vec<Provider>,
    /// What `auto` measured; empty where it did not.
    reports: Vec<ProviderReport>,
    /// When it did.
    measured: Option<SystemTime>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    schema: u32,
    subject: Subject,
    findings: Findings,
}

impl ProviderCache {
    /// A cache that keeps nothing.
    pub(crate) fn none() -> Self {
        Self {
            place: None,
            findings: Findings::default(),
        }
    }

    /// The cache in `directory`.
    pub(crate) fn open(directory: &Path, subject: Subject) -> Self {
        let key = serde_json::to_vec(&subject).unwrap_or_default();
        let name: String = Digest::of(&key).to_string().chars().take(32).collect();
        let path = directory.join(format!("{name}.json"));
        let findings = read(&path, &subject).unwrap_or_else(|error| {
            log::warn!("{}; what it held is found out again", error.report());
            Findings::default()
        });
        Self {
            place: Some((path, subject)),
            findings,
        }
    }

    /// What `auto` measured, the chosen one among it, if that counts still.
    pub(crate) fn reports(&self) -> Option<&[ProviderReport]> {
        let Findings {
            reports, measured, ..
        } = &self.findings;
        let has_fault = reports.iter().any(|report| report.outcome.is_fault());
        // A time to come is that of a clock which was wrong: of it nothing is known.
        let age = measured.and_then(|time| time.elapsed().ok());
        let counts = !has_fault || age.is_some_and(|age| age < FAULTS_COUNT);
        (!reports.is_empty() && counts).then_some(reports.as_slice())
    }

    /// Keeps what `auto` measured.
    pub(crate) fn keep(&mut self, reports: &[ProviderReport]) {
        self.findings.reports = reports.to_vec();
        self.findings.measured = Some(SystemTime::now());
        self.write();
    }

    /// Whether the provider passed its probe before.
    pub(crate) fn has_survived(&self, provider: Provider) -> bool {
        self.findings.survived.contains(&provider)
    }

    /// Keeps that the provider passed its probe.
    pub(crate) fn keep_survivor(&mut self, provider: Provider) {
        self.findings.survived.push(provider);
        self.write();
    }

    fn write(&self) {
        let Some((path, subject)) = &self.place else {
            return;
        };
        let written = write(path, subject, &self.findings);
        if let Err(error) = written {
            log::warn!(
                "{}; what was found out about providers is not kept",
                error.report()
            );
        }
    }
}

fn read(path: &Path, subject: &Subject) -> Result<Findings> {
    if !path.exists() {
        return Ok(Findings::default());
    }
    let bytes = read_file(path, MAX_BYTES)?;
    let entry: Entry = serde_json::from_slice((*bytes).as_ref()).map_err(|error| {
        Error::machine("is damaged")
            .with_source(error)
            .at(path.display())
    })?;
    if entry.schema != SCHEMA || entry.subject != *subject {
        return Err(Error::machine("is about something else").at(path.display()));
    }
    Ok(entry.findings)
}

fn write(path: &Path, subject: &Subject, findings: &Findings) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| {
            Error::machine("cannot be made")
                .with_source(error)
                .at(directory.display())
        })?;
    }
    // By reference, as `Entry` would be.
    let entry = serde_json::json!({ "schema": SCHEMA, "subject": subject, "findings": findings });
    replace_file(path, entry.to_string().as_bytes())
}
