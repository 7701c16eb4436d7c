//! Embeddings of earlier runs by the digests of their image files: a second look at an image costs no inference.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clipgate::{Digest, Embedding, Error, ErrorKind, Result, Runtime};

use super::EvaluateArgs;
use super::models::Model;
use crate::labelled::{Embedded, GRAPH_SHA256, PREPROCESSING, mode_name};
use crate::output::{self, Output};
use crate::report;

/// What one model made of images, in a file like those of `clipgate embed`, whose rows are named by digests.
///
/// Images that show nothing are not in it: they cost no inference.
pub(super) struct Kept {
    path: PathBuf,
    dimension: usize,
    made_by: Vec<(&'static str, String)>,
    known: HashMap<String, Embedding>,
    fresh: Mutex<Vec<(String, Embedding)>>,
}

impl Kept {
    /// Of each model, from the folder of `--keep`, which is made if need be; none without that option.
    ///
    /// # Errors
    /// A folder that cannot be made, and a file in it that is damaged.
    pub(super) fn open(
        args: &EvaluateArgs,
        models: &[Model],
        runtime: &Runtime,
    ) -> Result<Vec<Self>> {
        let Some(folder) = &args.keep else {
            return Ok(Vec::new());
        };
        fs::create_dir_all(folder).map_err(|error| {
            Error::new(ErrorKind::Machine, "cannot be made")
                .with_source(error)
                .at(folder.display())
                .at("--keep")
        })?;
        let open = |model| Self::read(folder.join(file_name(args, model, runtime)?), model);
        models.iter().map(open).collect()
    }

    fn read(path: PathBuf, model: &Model) -> Result<Self> {
        let dimension = model.bank.dimension();
        let mut known = HashMap::new();
        if path.exists() {
            let read = Embedded::unlabelled_tensors(&path, dimension).map_err(|error| {
                Error::new(
                    ErrorKind::Caller,
                    "delete this file, and its images are embedded anew",
                )
                .with_source(error)
                .at("--keep")
            })?;
            known.extend(read.names.into_iter().zip(read.image_embeds));
        }
        Ok(Self {
            path,
            dimension,
            made_by: vec![
                (GRAPH_SHA256, model.executed.graph.to_string()),
                (PREPROCESSING, mode_name(model.executed.preprocessing)),
            ],
            known,
            fresh: Mutex::default(),
        })
    }

    pub(super) fn get(&self, image: &str) -> Option<&Embedding> {
        self.known.get(image)
    }

    pub(super) fn add(&self, image: &str, embedding: &Embedding) {
        // Whoever panicked had pushed a whole entry or none.
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.push((image.to_owned(), embedding.clone()));
    }

    /// Writes what is new beside what was there. A failure costs the next run its time, not this one its figures: it is
    /// told on stderr.
    pub(super) fn save(self) {
        let fresh = self
            .fresh
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if fresh.is_empty() {
            return;
        }
        // In the digests' order, so that the same images make the same file.
        let mut rows: Vec<(String, Embedding)> = self.known.into_iter().chain(fresh).collect();
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        rows.dedup_by(|(one, _), (other, _)| one == other);
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|(_, embedding)| embedding.as_slice())
            .copied()
            .collect();
        let shape = vec![rows.len(), self.dimension];
        let names: Vec<String> = rows.into_iter().map(|(name, _)| name).collect();
        let written = Output::at(&self.path).and_then(|output| {
            let rows = ("paths", names.as_slice());
            output::write_tensor(&output, "image_embeds", shape, &values, rows, self.made_by)
        });
        if let Err(error) = written {
            report::note(&format!(
                "--keep: {error}; these images are embedded anew next time"
            ));
        }
    }
}

/// Tells apart all that an embedding depends on beside the image: graph, pixels, library, and what executes it.
fn file_name(args: &EvaluateArgs, model: &Model, runtime: &Runtime) -> Result<String> {
    let pixels =
        serde_json::to_string(&model.bundle.manifest().preprocessing).map_err(|error| {
            Error::new(
                ErrorKind::Model,
                "preprocessing that cannot be written down",
            )
            .with_source(error)
        })?;
    let executed = &model.executed;
    let depends = format!(
        "{} {pixels} {} {} {} {}",
        executed.graph,
        mode_name(executed.preprocessing),
        runtime.version(),
        args.model.threads,
        args.model.provider.provider,
    );
    let digest = Digest::of(depends.as_bytes()).to_string();
    Ok(format!("{}.safetensors", &digest[..32]))
}
