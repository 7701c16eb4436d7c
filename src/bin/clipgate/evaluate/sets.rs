//! What is judged: images of the labels, and sets of others by name.

use std::path::{Path, PathBuf};

use clipgate::{Error, ErrorKind, ExecutedGraph, LabelBank, Result};

use super::EvaluateArgs;
use crate::labelled::{Embedded, ImageList};
use crate::output::Output;
use crate::report;

/// The most sets of other images: a report of more would be unreadable.
const MAX_SETS: usize = 32;

/// The longest name of a set, in bytes.
const MAX_NAME: usize = 80;

/// A set before the model has seen it.
pub(super) struct Set {
    pub(super) name: String,
    pub(super) source: Source,
    /// What file names are told from, in a report that may be handed on.
    pub(super) root: PathBuf,
}

/// Where a set's embeddings come from.
pub(super) enum Source {
    /// The model must see these.
    Images(ImageList),
    /// A model has seen them elsewhere.
    Embeddings(Embedded),
}

/// The images of the labels, first, and the other sets.
///
/// # Errors
/// `Caller` naming the argument or file that cannot be used; nothing has been computed then.
pub(super) fn read(args: &EvaluateArgs, bank: &LabelBank) -> Result<Vec<Set>> {
    let others = args
        .ood
        .iter()
        .map(|argument| named(argument))
        .collect::<Result<Vec<_>>>()?;
    if others.len() > MAX_SETS {
        return Err(refused(format!("{} sets; at most {MAX_SETS}", others.len())).at("--ood"));
    }
    for (place, (name, _)) in others.iter().enumerate() {
        if others[..place].iter().any(|(other, _)| other == name) {
            return Err(refused(format!("{name:?} names two sets")).at("--ood"));
        }
    }
    let mut sets = vec![Set {
        name: "images of the labels".to_owned(),
        source: labelled(args, bank)?,
        root: match &args.id {
            Some(folder) if folder.is_dir() => folder.clone(),
            Some(list) => list.parent().map(Path::to_owned).unwrap_or_default(),
            None => PathBuf::new(),
        },
    }];
    for (name, path) in others {
        let source = if path.is_dir() {
            if args.embeddings.is_some() {
                return Err(refused(format!(
                    "{}: a folder of images beside --embeddings: embed both with the same model (`clipgate embed`)",
                    path.display()
                ))
                .at(format!("--ood {name}")));
            }
            Source::Images(ImageList::unlabelled(&path)?)
        } else {
            Source::Embeddings(Embedded::unlabelled_tensors(&path, bank.dimension())?)
        };
        sets.push(Set {
            name,
            source,
            root: path,
        });
    }
    Ok(sets)
}

fn labelled(args: &EvaluateArgs, bank: &LabelBank) -> Result<Source> {
    if let Some(path) = &args.embeddings {
        return Embedded::labelled_tensors(path, bank).map(Source::Embeddings);
    }
    let path = args.id.as_deref().unwrap_or(Path::new("."));
    let (list, unknown) = ImageList::only_known(path, bank)?;
    if unknown.is_empty() {
        return Ok(Source::Images(list));
    }
    if !args.only_known {
        return match ImageList::labelled(path, bank) {
            Ok(list) => Ok(Source::Images(list)),
            Err(error) => Err(Error::new(
                error.kind(),
                format!("{error}; --only-known leaves them out"),
            )),
        };
    }
    if list.paths().is_empty() {
        return Err(refused("no image of a label of the bank".to_owned()).at(path.display()));
    }
    report::note(&format!(
        "{}: left out {} labels that are not in the bank",
        path.display(),
        unknown.len()
    ));
    Ok(Source::Images(list))
}

/// `NAME=PATH`; a path may hold further equals signs.
fn named(argument: &str) -> Result<(String, PathBuf)> {
    let wrong = |why: &str| Err(refused(format!("{argument:?}: {why}")).at("--ood"));
    let Some((name, path)) = argument.split_once('=') else {
        return wrong("a name and a folder are needed: NAME=DIR");
    };
    let name = name.trim();
    if name.is_empty() || name.len() > MAX_NAME || path.is_empty() {
        return wrong("a name of 1 to 80 bytes and a folder are needed: NAME=DIR");
    }
    let path = PathBuf::from(path);
    match path.exists() {
        true => Ok((name.to_owned(), path)),
        false => wrong("no such folder or file"),
    }
}

/// Embeddings are of one model.
pub(super) fn refused_beside_reference(name: &str) -> Error {
    refused("embeddings are of one model; beside --reference give a folder of images".to_owned())
        .at(format!("--ood {name}"))
}

impl Set {
    /// Refuses an output that is one of the images.
    pub(super) fn spared_by(&self, output: &Output) -> Result<()> {
        match &self.source {
            Source::Images(list) => output.spares(list.paths()),
            Source::Embeddings(_) => output.spares([&self.root]),
        }
    }

    /// Where the images lie, if they are files that this run reads.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        matches!(self.source, Source::Images(_)).then(|| self.root.clone())
    }

    /// Whether these are embeddings that do not say what made them.
    pub(super) fn is_of_unknown_graph(&self) -> bool {
        match &self.source {
            Source::Images(_) => false,
            Source::Embeddings(embedded) => embedded.graph_sha256.is_none(),
        }
    }

    /// Refuses embeddings that say that another graph made them, or from pixels that were made in another way.
    pub(super) fn check_origin(&self, executed: &ExecutedGraph) -> Result<()> {
        let Source::Embeddings(embedded) = &self.source else {
            return Ok(());
        };
        let graph = executed.graph;
        embedded
            .check_mode(executed.preprocessing)
            .map_err(|error| error.at(&self.name))?;
        match &embedded.graph_sha256 {
            Some(other) if *other != graph.to_string() => Err(refused(format!(
                "made by the graph {other}, but the bundle's is {graph}"
            ))
            .at(&self.name)),
            _ => Ok(()),
        }
    }
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Caller, why)
}
