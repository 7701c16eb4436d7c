//! The native half of clipgate's Android library: what `io.clipgate.Native` declares, and nothing else.
//!
//! Nothing is decided here. A call's arguments are read, checked and handed to the crate `clipgate`, and its answer is
//! written down for Kotlin to read.
//!
//! | file | does |
//! |---|---|
//! | `native` | exports the functions that Java calls |
//! | `guard` | the one way in: an error or a panic becomes an exception |
//! | `failure` | which code an exception has |
//! | `handles` | owns what Java holds a number of |
//! | `wire` | numbers and texts in a row of bytes |
//! | `request`, `frame`, `answer` | what comes in and what goes out |
//! | `logging` | where the log goes |

mod answer;
mod failure;
mod frame;
mod guard;
mod handles;
mod logging;
mod native;
mod request;
mod wire;
