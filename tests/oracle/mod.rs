//! Answers of the reference implementations, and ours beside them.

mod preprocess;
mod tokenizer;
