//! What every JSON document of clipgate begins with: its schema, and what a reader must know to use it.

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// Read before the rest, so that a newer document is refused for its own reason and not for a field.
#[derive(Deserialize)]
struct Versioned {
    schema: u32,
    #[serde(default)]
    requires: Vec<String>,
}

/// Refuses a document that is newer than `newest` or that requires a feature: this reader knows none yet.
/// Unknown fields are no concern here; they are optional by definition.
pub(crate) fn check(json: &[u8], document: &str, newest: u32, kind: ErrorKind) -> Result<()> {
    let versioned: Versioned = serde_json::from_slice(json).map_err(|error| {
        Error::new(
            kind,
            format!("not a {document}: no JSON object with a `schema`"),
        )
        .with_source(error)
    })?;
    if versioned.schema == 0 {
        return Err(Error::new(
            kind,
            format!("{document} schema 0 does not exist; they count from 1"),
        ));
    }
    if versioned.schema > newest {
        return Err(Error::new(
            kind,
            format!(
                "{document} schema {}; this clipgate reads 1 to {newest}: update it",
                versioned.schema
            ),
        ));
    }
    match versioned.requires.first() {
        None => Ok(()),
        Some(feature) => Err(Error::new(
            kind,
            format!(
                "the {document} requires {feature:?}, which this clipgate does not know: update it"
            ),
        )),
    }
}
