//! Answers of the reference implementations, and ours beside them.

mod families;
mod pocket;
mod preprocess;
mod tokenizer;
