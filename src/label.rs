//! A label: the name that a user gave to what an image may show.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::distinct::repeated;
use crate::error::{Error, Result};

/// The longest name of a label, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// The most labels, and the most negatives, that one bank holds.
pub const MAX_LABELS: usize = 1 << 20;

/// A label's name and where it comes from.
///
/// ```
/// use clipgate::Label;
///
/// let label = Label::new("school bus")?;
/// assert_eq!(label.name(), "school bus");
/// assert!(Label::new("  ").is_err());
/// # Ok::<(), clipgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    name: Arc<str>,
    /// WordNet synset, where the bank's maker knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wnid: Option<Box<str>>,
    /// The texts whose embeddings were averaged.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    prompts: Box<[String]>,
}

impl Label {
    /// A label of this name, without the white space around it.
    ///
    /// # Errors
    /// [`ErrorKind::Caller`](crate::ErrorKind::Caller) if the name is empty, holds a control character
    /// or is longer than [`MAX_NAME_BYTES`].
    pub fn new(name: &str) -> Result<Self> {
        let label = Self {
            name: name.trim().into(),
            wnid: None,
            prompts: Box::default(),
        };
        label.check()?;
        Ok(label)
    }

    pub(crate) fn with_prompts(mut self, prompts: Vec<String>) -> Self {
        self.prompts = prompts.into();
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.name.trim().is_empty() {
            return Err(Error::caller("a label without a name"));
        }
        if self.name.chars().any(char::is_control) {
            return Err(Error::caller(format!(
                "label {:?} holds a control character",
                self.name.chars().take(40).collect::<String>()
            )));
        }
        if self.name.len() > MAX_NAME_BYTES {
            return Err(Error::caller(format!(
                "a label's name has {} bytes; at most {MAX_NAME_BYTES}",
                self.name.len()
            )));
        }
        Ok(())
    }

    /// The name as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// WordNet synset such as `n04146614`, where known.
    pub fn wnid(&self) -> Option<&str> {
        self.wnid.as_deref()
    }

    /// The texts whose embeddings were averaged, where known.
    pub fn prompts(&self) -> &[String] {
        &self.prompts
    }
}

/// Refuses an empty list, too long a list, bad names, and names equal up to case: CLIP's tokenizer
/// lower-cases, so such labels share an embedding and neither could ever win.
pub(crate) fn check_labels(labels: &[Label]) -> Result<()> {
    if labels.is_empty() {
        return Err(Error::caller("no labels: at least one is needed"));
    }
    if labels.len() > MAX_LABELS {
        return Err(Error::caller(format!(
            "{} labels; at most {MAX_LABELS}",
            labels.len()
        )));
    }
    for (row, label) in labels.iter().enumerate() {
        label
            .check()
            .map_err(|error| error.at(format!("label {}", row + 1)))?;
    }
    let lower = |row: usize| labels[row].name.trim().to_lowercase();
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let hashes = (0..labels.len()).map(|row| hasher.hash_one(lower(row)));
    match repeated(hashes, lower) {
        None => Ok(()),
        Some((_, later)) => Err(Error::caller(format!(
            "label {:?} occurs twice (upper and lower case count as equal)",
            labels[later].name
        ))),
    }
}
