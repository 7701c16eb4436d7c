//! Answers of the reference implementations, and ours beside them.

mod conformal;
mod drift;
mod families;
mod fast_decode;
mod frames;
mod metrics;
mod nearest;
mod ood;
mod pocket;
mod preprocess;
mod tokenizer;
