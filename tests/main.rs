//! The integration tests, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod ahead;
mod architecture;
mod bench_command;
#[cfg(unix)]
mod bundle_parts;
mod calibrate;
mod cli;
mod doctor;
mod drift;
mod evaluate;
mod families;
mod frames;
mod hostile;
mod nearest;
mod negatives;
mod npu;
mod oracle;
mod outputs;
mod promise;
mod providers;
mod session;
mod stream;
mod support;
mod watch;
