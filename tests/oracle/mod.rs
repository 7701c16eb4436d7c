//! Answers of the reference implementations, and ours beside them.

mod pocket;
mod preprocess;
mod tokenizer;
