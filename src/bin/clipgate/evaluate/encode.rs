//! Many images through one or two models, on several threads with one progress bar.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clipgate::{
    DecodeLimits, DecodeOptions, Digest, Embedding, Error, Gate, ImageDecoder, ImageEncoder,
    Result, file,
};
use indicatif::ProgressBar;

use super::kept::Kept;
use crate::args::Format;
use crate::labelled::{Embedded, ImageList, Unusable};
use crate::report;

/// What one thread owns: an encoder of each model.
pub(super) type Worker = Vec<ImageEncoder>;

/// What a model each made of one image; `None` if it shows nothing.
type Seen = Option<Vec<Embedding>>;

/// Embeds every image of every list by every model. The result has an entry a list, and in it one a model, with the
/// same images in the same order. Images that cannot be read are told on stderr, in the lists' order, and counted.
/// What `kept` has of every model is taken from there, and what it lacks is added; it is empty or has one a model.
pub(super) fn encode(
    workers: &mut [Worker],
    kept: &[Kept],
    lists: &[&ImageList],
    decode: DecodeOptions,
    format: Format,
) -> Vec<Vec<Embedded>> {
    let jobs: Vec<(usize, usize)> = lists
        .iter()
        .enumerate()
        .flat_map(|(list, images)| (0..images.paths().len()).map(move |place| (list, place)))
        .collect();
    let progress = report::progress(jobs.len(), "embedding");
    let seen = all(workers, kept, lists, &jobs, decode, &progress);
    progress.finish_and_clear();

    let models = workers.first().map_or(0, Vec::len);
    let mut embedded: Vec<Vec<Embedded>> = lists
        .iter()
        .map(|list| {
            (0..models)
                .map(|model| empty(workers, model, list))
                .collect()
        })
        .collect();
    for list in lists {
        for (path, error) in list.strays() {
            report::failed_input("image", &path.display().to_string(), error, format);
        }
    }
    for ((list, place), seen) in jobs.into_iter().zip(seen) {
        let path = &lists[list].paths()[place];
        let (name, label) = (path.display().to_string(), lists[list].label(place));
        let models = &mut embedded[list];
        match seen {
            Ok(Some(image_embeds)) => {
                for (set, embedding) in models.iter_mut().zip(image_embeds) {
                    set.image_embeds.push(embedding);
                    set.labels.extend(label);
                    set.names.push(name.clone());
                }
            }
            Ok(None) => models.iter_mut().for_each(|set| {
                set.unusable.push(Unusable {
                    name: name.clone(),
                    label,
                });
            }),
            Err(error) => {
                report::failed_input("image", &name, &error, format);
                models.iter_mut().for_each(|set| set.failed += 1);
            }
        }
    }
    embedded
}

fn empty(workers: &[Worker], model: usize, list: &ImageList) -> Embedded {
    let encoder = workers.first().and_then(|worker| worker.get(model));
    Embedded {
        image_embeds: Vec::with_capacity(list.paths().len()),
        labels: Vec::new(),
        names: Vec::new(),
        unusable: Vec::new(),
        failed: list.strays().len(),
        graph_sha256: encoder.map(|encoder| encoder.executed().graph.to_string()),
        preprocessing: None,
    }
}

/// Every job's result in the jobs' order: each thread takes the next job that none has taken.
fn all(
    workers: &mut [Worker],
    kept: &[Kept],
    lists: &[&ImageList],
    jobs: &[(usize, usize)],
    decode: DecodeOptions,
    progress: &ProgressBar,
) -> Vec<Result<Seen>> {
    let next = AtomicUsize::new(0);
    let take = || {
        let job = next.fetch_add(1, Ordering::Relaxed);
        jobs.get(job)
            .map(|(list, place)| (job, &lists[*list].paths()[*place]))
    };
    let mut results: Vec<(usize, Result<Seen>)> = thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(|| {
                    let mut decoder = ImageDecoder::new(decode);
                    let mut done = Vec::new();
                    while let Some((job, path)) = take() {
                        let seen = see_file(worker, kept, &mut decoder, decode.limits(), path);
                        done.push((job, seen));
                        progress.inc(1);
                    }
                    done
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let done = thread.join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    });
    results.sort_unstable_by_key(|(job, _)| *job);
    results.into_iter().map(|(_, seen)| seen).collect()
}

fn see_file(
    worker: &mut Worker,
    kept: &[Kept],
    decoder: &mut ImageDecoder,
    limits: &DecodeLimits,
    path: &Path,
) -> Result<Seen> {
    let at = |error: Error| error.at(path.display());
    if kept.is_empty() {
        return see(worker, decoder.decode_file(path)?).map_err(at);
    }
    let bytes = file::read_file(path, limits.max_file_bytes)?;
    let image = Digest::of((*bytes).as_ref()).to_string();
    let known: Option<Vec<Embedding>> = kept.iter().map(|kept| kept.get(&image).cloned()).collect();
    if known.is_some() {
        return Ok(known);
    }
    let seen = see(worker, decoder.decode_bytes((*bytes).as_ref()).map_err(at)?).map_err(at)?;
    for (kept, embedding) in kept.iter().zip(seen.iter().flatten()) {
        kept.add(&image, embedding);
    }
    Ok(seen)
}

/// Whether an image shows anything is asked of the first model's input, so that all models are judged on the same
/// images.
fn see(worker: &mut Worker, image: &clipgate::DecodedImage) -> Result<Seen> {
    let frame = image.frame()?;
    let mut image_embeds = Vec::with_capacity(worker.len());
    for encoder in worker.iter_mut() {
        let quality = encoder.prepare(&frame)?;
        if image_embeds.is_empty() && Gate::inspect(quality).is_some() {
            return Ok(None);
        }
        image_embeds.push(encoder.run()?.clone());
    }
    Ok(Some(image_embeds))
}
