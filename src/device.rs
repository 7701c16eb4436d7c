//! Which machine this is, as far as the system says.

use std::env::consts::{ARCH, OS};
use std::thread;

use crate::system::System;

/// Lines of /proc/cpuinfo that tell processors apart; frequencies and the like are left out.
const KEYS: [&str; 6] = [
    "model name",
    "Hardware",
    "Model",
    "CPU implementer",
    "CPU part",
    "CPU variant",
];

/// Board, processor, cores, architecture and system, in one line.
pub(crate) fn describe() -> String {
    let mut parts = vec![format!("{ARCH} {OS}")];
    let system = System::here();
    parts.extend(system.text("/proc/device-tree/model"));
    let cpuinfo = system.text("/proc/cpuinfo").unwrap_or_default();
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let part = format!("{}: {}", key.trim(), value.trim());
        if KEYS.contains(&key.trim()) && !parts.contains(&part) {
            parts.push(part);
        }
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    parts.push(format!("{cores} cores"));
    parts.join("; ")
}
