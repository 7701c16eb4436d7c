//! One thing that was looked at, and what to do about it.

use serde::Serialize;
use serde_json::{Map, Value};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// clipgate works, and worse than it could.
    Warning,
    /// clipgate does not work.
    Problem,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        }
    }
}

/// What was found of one subject.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at, by a name that stays.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What is, in words.
    pub(super) what: String,
    /// What to do about it, where something can be done.
    pub(super) to_do: Option<String>,
    /// The same for programs; what the system does not tell is missing.
    pub(super) values: Map<String, Value>,
}

impl Finding {
    pub(super) fn new(check: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self {
            check,
            level,
            what: what.into(),
            to_do: None,
            values: Map::new(),
        }
    }

    /// Says what to do about it.
    pub(super) fn advise(mut self, to_do: impl Into<String>) -> Self {
        self.to_do = Some(to_do.into());
        self
    }

    /// Adds a value, unless it is `None`.
    pub(super) fn value(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.values.insert(name.to_owned(), value);
        }
        self
    }
}
