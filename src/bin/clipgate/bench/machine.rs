//! The machine that was measured, as far as it says.

use clipgate::internal::System;
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
        let system = System::here();
        let number = |path| system.number(path);
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
        let system = System::here();
        let both = |before: Option<f64>, after: Option<f64>| {
            Some(BeforeAfter {
                before: before?,
                after: after?,
            })
        };
        Self {
            target: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            cpu: cpu_name(&system),
            cpu_features: cpu::features(&system)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            cores: cpu::cores(),
            governor: system.line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            max_mhz: system
                .number("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
                .map(|khz| khz / 1e3),
            mhz: both(before.mhz, after.mhz),
            temperature: both(before.temperature, after.temperature),
            load: both(before.load, after.load),
        }
    }
}

/// The most memory that this process has had resident, in bytes: `VmHWM`, which Linux alone counts.
pub(super) fn peak_rss_bytes() -> Option<u64> {
    let peak = System::here().field("/proc/self/status", "VmHWM")?;
    let kibibytes: u64 = peak.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The board where it has a name, as Arm's do; the processor's name otherwise.
fn cpu_name(system: &System) -> Option<String> {
    cpu::board(system).or_else(|| cpu::name(system))
}
