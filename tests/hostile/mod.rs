//! Input that lies, is damaged or belongs elsewhere: each case an error that names the culprit, never a panic.

mod bank;
mod bundle;
mod frames;
mod graph;
mod images;
#[cfg(unix)]
mod mapped;
#[cfg(unix)]
mod mapped_bank;
mod model;
mod runtime;
mod tokenizer;
