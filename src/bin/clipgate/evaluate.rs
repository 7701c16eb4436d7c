//! `clipgate evaluate`.
pub(crate) mod rows;
