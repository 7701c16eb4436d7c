//! The machine that was measured, as far as it says.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cpu;

/// What a figure must be read beside. What a system does not tell is `None`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    /// Architecture and system.
    pub(super) target: String,
    pub(super) cpu: Option<String>,
    pub(super) cpu_features: Vec<String>,
    pub(super) cores: usize,
    /// Who chooses the clock: `performance`, `schedutil`, ...
    pub(super) governor: Option<String>,
    /// The first core's highest clock, and its clock before and after the run.
    pub(super) max_mhz: Option<f64>,
    pub(super) mhz: Option<BeforeAfter>,
    /// The first thermal zone, in degrees Celsius.
    pub(super) temperature: Option<BeforeAfter>,
    /// Processes that wanted to run in the last minute, on average.
    pub(super) load: Option<BeforeAfter>,
}

/// One reading at each end of a run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct BeforeAfter {
    pub(super) before: f64,
    pub(super) after: f64,
}

/// What changes during a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readings {
    mhz: Option<f64>,
    temperature: Option<f64>,
    load: Option<f64>,
}

impl Readings {
    pub(super) fn now() -> Self {
        Self {
            mhz: number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
                .map(|khz| khz / 1e3),
            temperature: number("/sys/class/thermal/thermal_zone0/temp").map(|milli| milli / 1e3),
            load: number("/proc/loadavg"),
        }
    }
}

impl Machine {
    /// This machine, with what was read before a run and is read now.
    pub(super) fn since(before: Readings) -> Self {
        let after = Readings::now();
        let both = |before: Option<f64>, after: Option<f64>| {
            Some(BeforeAfter {
                before: before?,
                after: after?,
            })
        };
        Self {
            target: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            cpu: cpu_name(),
            cpu_features: cpu::features().into_iter().map(str::to_owned).collect(),
            cores: cpu::cores(),
            governor: text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            max_mhz: number("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
                .map(|khz| khz / 1e3),
            mhz: both(before.mhz, after.mhz),
            temperature: both(before.temperature, after.temperature),
            load: both(before.load, after.load),
        }
    }
}

/// The most memory that this process has had resident, in bytes: `VmHWM`, which Linux alone counts.
pub(super) fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The board where it has a name, as Arm's do; the processor's name otherwise.
fn cpu_name() -> Option<String> {
    if let Some(board) = text("/proc/device-tree/model") {
        return Some(board);
    }
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, name) = info.lines().find_map(|line| {
        line.split_once(':')
            .filter(|(key, _)| key.trim() == "model name")
    })?;
    Some(name.trim().to_owned())
}

/// The first number of a file that the system keeps.
fn number(path: &str) -> Option<f64> {
    text(path)?.split_whitespace().next()?.parse().ok()
}

/// A line that the system keeps, without the ends that some have.
fn text(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!line.is_empty()).then(|| line.to_owned())
}
