//! The integration tests, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod architecture;
mod cli;
mod evaluate;
mod families;
mod hostile;
mod oracle;
mod outputs;
mod session;
mod support;
