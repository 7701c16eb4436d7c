//! What slows a processor down: its governor, heat, a weak supply.

use clipgate::internal::System;

use crate::doctor::finding::{Finding, Level};

const CPUFREQ: &str = "/sys/devices/system/cpu/cpu0/cpufreq";
const THROTTLED: &str = "/sys/devices/platform/soc/soc:firmware/get_throttled";

/// From here on a board is about to slow down: a Raspberry Pi does at 80 degrees Celsius.
const HOT: f64 = 75.0;

/// What a sensor of a running machine may read; some give other values where there is nothing to read.
const POSSIBLE: std::ops::RangeInclusive<f64> = -40.0..=150.0;

/// Bits of a Raspberry Pi's `get_throttled`, as its documentation of `vcgencmd` has them: now, and sixteen bits further
/// up since the last start.
const REASONS: [(u32, &str); 4] = [
    (0, "under-voltage"),
    (1, "the clock is capped"),
    (2, "throttled"),
    (3, "the soft limit of the temperature is reached"),
];
const SINCE_START: u32 = 16;
const POWER: u32 = 1;

pub(super) fn findings(system: &System, vcgencmd: Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(clock(system));
    findings.extend(temperature(system));
    let bits = system
        .line(THROTTLED)
        .or(vcgencmd)
        .and_then(|text| throttled_bits(&text));
    findings.extend(bits.map(throttling).or_else(|| undervoltage(system)));
    findings
}

fn clock(system: &System) -> Option<Finding> {
    let file = |name: &str| format!("{CPUFREQ}/{name}");
    let mhz = |name: &str| {
        let khz = system.number(&file(name))?;
        (khz > 0.0).then_some(khz / 1e3)
    };
    let governor = system.line(&file("scaling_governor"));
    let driver = system.line(&file("scaling_driver"));
    let (now, limit, highest) = (
        mhz("scaling_cur_freq"),
        mhz("scaling_max_freq"),
        mhz("cpuinfo_max_freq"),
    );
    if governor.is_none() && now.is_none() {
        return None;
    }
    let mut what = match &governor {
        Some(governor) => format!("governor {governor}"),
        None => "no governor".to_owned(),
    };
    match (now, highest) {
        (Some(now), Some(highest)) => what.push_str(&format!(", {now:.0} of {highest:.0} MHz")),
        (Some(now), None) => what.push_str(&format!(", {now:.0} MHz")),
        _ => {}
    }
    // Where the processor chooses its own clock, `powersave` is but a preference.
    let chooses_itself = matches!(
        driver.as_deref(),
        Some("intel_pstate" | "amd-pstate-epp" | "amd_pstate_epp")
    );
    let finding = match (governor.as_deref(), limit, highest) {
        (Some("powersave"), ..) if !chooses_itself => Finding::new(
            "clock",
            Level::Warning,
            format!("{what}: the clock stays at its lowest"),
        )
        .advise(
            "echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor (performance for the steadiest \
             times)",
        ),
        (_, Some(limit), Some(highest)) if limit < highest * 0.99 => Finding::new(
            "clock",
            Level::Warning,
            format!("{what}: limited to {limit:.0} MHz"),
        )
        .advise("see what set scaling_max_freq: a power profile, or heat"),
        _ => Finding::new("clock", Level::Ok, what),
    };
    Some(
        finding
            .value("governor", governor)
            .value("driver", driver)
            .value("mhz", now)
            .value("max_mhz", highest)
            .value("limit_mhz", limit),
    )
}

/// The hottest zone, beside the point where the system begins to cool by slowing down.
fn temperature(system: &System) -> Option<Finding> {
    let zones = system.entries("/sys/class/thermal", "thermal_zone");
    let degrees = |path: String| {
        let milli = system.number(&path)?;
        Some(milli / 1e3).filter(|degrees| POSSIBLE.contains(degrees))
    };
    let readings = zones
        .iter()
        .filter_map(|zone| Some((degrees(format!("{zone}/temp"))?, zone)));
    let (hottest, zone) = readings.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let passive = system
        .entries(zone, "trip_point_")
        .iter()
        .filter_map(|path| path.strip_suffix("_type"))
        .filter(|path| system.line(&format!("{path}_type")).as_deref() == Some("passive"))
        .filter_map(|path| degrees(format!("{path}_temp")).filter(|degrees| *degrees > 0.0))
        .min_by(f64::total_cmp);
    let hot = passive.map_or(HOT, |passive| passive.min(HOT + 5.0) - 5.0);
    let name = system.line(&format!("{zone}/type"));
    let zone = name.as_deref().unwrap_or("the hottest zone");
    let what = format!("{hottest:.0} °C ({zone})");
    let finding = if hottest >= hot {
        Finding::new(
            "temperature",
            Level::Warning,
            format!("{what}: near the point where the clock is lowered"),
        )
        .advise("a heat sink or a fan, and air around the board; `clipgate bench --seconds 300` shows what heat costs")
    } else {
        Finding::new("temperature", Level::Ok, what)
    };
    Some(
        finding
            .value("celsius", hottest)
            .value("zone", name)
            .value("passive_celsius", passive),
    )
}

/// The number in `50005`, `0x50005` or `throttled=0x50005`: hexadecimal in each of them.
fn throttled_bits(text: &str) -> Option<u32> {
    let digits = text.trim().trim_start_matches("throttled=");
    u32::from_str_radix(digits.trim_start_matches("0x"), 16).ok()
}

fn throttling(bits: u32) -> Finding {
    let of = |shift: u32| -> Vec<&str> {
        let set = REASONS
            .iter()
            .filter(|(bit, _)| bits >> (bit + shift) & 1 == 1);
        set.map(|(_, name)| *name).collect()
    };
    let (now, before) = (of(0), of(SINCE_START));
    let power = (bits | bits >> SINCE_START) & POWER == POWER;
    let to_do = if power {
        "a stronger supply and a short, thick cable (5 V at 2.5 A for a Pi 3, 3 A for a Pi 4, 5 A for a Pi 5); then \
         start the board anew, which clears what has happened"
    } else {
        "a heat sink or a fan; then start the board anew, which clears what has happened"
    };
    let finding = match (now.as_slice(), before.as_slice()) {
        ([], []) => Finding::new("throttling", Level::Ok, "none since the board was started"),
        ([], before) => Finding::new(
            "throttling",
            Level::Note,
            format!(
                "not now; since the board was started: {}",
                before.join(", ")
            ),
        )
        .advise(to_do),
        (now, _) => Finding::new(
            "throttling",
            Level::Warning,
            format!("the board is slowed down now: {}", now.join(", ")),
        )
        .advise(to_do),
    };
    finding
        .value("bits", format!("{bits:#x}"))
        .value("now", now)
        .value("since_start", before)
}

/// What a Raspberry Pi's kernel watches where it does not hand the firmware's bits on.
fn undervoltage(system: &System) -> Option<Finding> {
    let monitor = system
        .entries("/sys/class/hwmon", "hwmon")
        .into_iter()
        .find(|monitor| system.line(&format!("{monitor}/name")).as_deref() == Some("rpi_volt"))?;
    let alarm = system.number(&format!("{monitor}/in0_lcrit_alarm"))?;
    Some(throttling(if alarm == 0.0 {
        0
    } else {
        POWER | POWER << SINCE_START
    }))
}
