//! Memory: the machine's, and what this process may have of it.

use clipgate::internal::System;

use crate::doctor::finding::{Finding, Level};

const MEMINFO: &str = "/proc/meminfo";

/// What a ViT-B/32 in int8 takes as an ONNX file, with room for the program around it: the guide for Raspberry Pis and the
/// chapter on platforms have the figures, peaks of resident memory.
const ENOUGH: u64 = 300 << 20;

/// Boards of a gigabyte and less are helped by compressed swap.
const SMALL: u64 = 1100 << 20;

/// A limit above this is none: version 1 of control groups writes the largest number of pages.
const NO_LIMIT: u64 = 1 << 60;

/// More hierarchies of control groups than a system has, and the longest path that Linux takes.
const MAX_GROUPS: usize = 64;
const MAX_PATH: usize = 4096;

pub(super) fn finding(system: &System) -> Option<Finding> {
    let bytes = |key| {
        let text = system.field(MEMINFO, key)?;
        let kibibytes: u64 = text.split_whitespace().next()?.parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    let total = bytes("MemTotal")?;
    let available = bytes("MemAvailable");
    let swap = bytes("SwapTotal");
    let limit = group_limit(system).filter(|limit| *limit < total);
    let room = [available, limit].into_iter().flatten().min();

    let mut what = megabytes(total);
    if let Some(available) = available {
        what.push_str(&format!(", {} available", megabytes(available)));
    }
    match swap {
        Some(0) => what.push_str(", no swap"),
        Some(swap) => what.push_str(&format!(", {} swap", megabytes(swap))),
        None => {}
    }
    if let Some(limit) = limit {
        what.push_str(&format!(
            "; the control group lets this process have {}",
            megabytes(limit)
        ));
    }
    let finding = if room.is_some_and(|room| room < ENOUGH) {
        Finding::new("memory", Level::Warning, what).advise(
            "the whole command takes 54 MB at its first decision with the embedded model and 63 MB after many camera frames; \
             with a ViT-B/32 135 MB in ONNX Runtime's own format, mapped, and up to 255 MB as ONNX: take the former \
             (`clipgate-export ort-format`), and end other programs or raise the limit",
        )
    } else if total < SMALL && swap == Some(0) {
        Finding::new("memory", Level::Note, what)
            .advise("compressed swap helps a small board over peaks: sudo apt install zram-tools")
    } else {
        Finding::new("memory", Level::Ok, what)
    };
    Some(
        finding
            .value("total_bytes", total)
            .value("available_bytes", available)
            .value("swap_bytes", swap)
            .value("limit_bytes", limit),
    )
}

/// The least of the limits of this process's control group and those above it, in version 2 or 1 of the interface.
fn group_limit(system: &System) -> Option<u64> {
    let groups = system.text("/proc/self/cgroup").unwrap_or_default();
    let mut limits = Vec::new();
    for line in groups.lines().take(MAX_GROUPS) {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        if group.len() > MAX_PATH {
            continue;
        }
        let (folder, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // A container sees its own group at the root, whatever the name of it says.
        let mut group = group.trim_end_matches('/');
        loop {
            limits.extend(limit(system, &format!("{folder}{group}/{name}")));
            match group.rsplit_once('/') {
                Some((above, _)) => group = above,
                None => break,
            }
        }
    }
    limits.into_iter().min()
}

fn limit(system: &System, path: &str) -> Option<u64> {
    // Version 2 writes `max` where there is none.
    let bytes: u64 = system.line(path)?.parse().ok()?;
    (bytes < NO_LIMIT).then_some(bytes)
}

fn megabytes(bytes: u64) -> String {
    match bytes as f64 / 1e6 {
        megabytes if megabytes >= 1e4 => format!("{:.0} GB", megabytes / 1e3),
        megabytes if megabytes >= 1e3 => format!("{:.1} GB", megabytes / 1e3),
        megabytes => format!("{megabytes:.0} MB"),
    }
}
