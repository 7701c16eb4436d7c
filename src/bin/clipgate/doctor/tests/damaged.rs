//! Machines that say nothing, or nonsense: every finding is made, and none fails.

use super::{Level, Machine};

/// Every file that is read.
const FILES: [&str; 24] = [
    "/proc/cpuinfo",
    "/proc/device-tree/model",
    "/proc/meminfo",
    "/proc/self/auxv",
    "/proc/self/cgroup",
    "/proc/sys/kernel/arch",
    "/proc/sys/kernel/osrelease",
    "/sys/class/dmi/id/product_name",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/hwmon/hwmon0/in0_lcrit_alarm",
    "/sys/class/hwmon/hwmon0/name",
    "/sys/class/thermal/thermal_zone0/temp",
    "/sys/class/thermal/thermal_zone0/trip_point_0_temp",
    "/sys/class/thermal/thermal_zone0/trip_point_0_type",
    "/sys/class/thermal/thermal_zone0/type",
    "/sys/devices/platform/soc/soc:firmware/get_throttled",
    "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq",
    "/sys/devices/system/cpu/present",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

#[test]
fn a_machine_that_says_nothing_has_its_findings_all_the_same() {
    let findings = Machine::bare().findings();
    let checks: Vec<&str> = findings.iter().map(|found| found.check).collect();
    assert_eq!(checks, ["board", "kernel", "glibc", "processor"]);
    assert!(findings.iter().all(|found| found.level < Level::Warning));
}

#[test]
fn nonsense_in_every_file_is_told_in_printable_length() {
    let mut endless = b"MemTotal: 1 kB\n0::/".to_vec();
    endless.extend(b"a/".repeat(1 << 20));
    let contents = [
        Vec::new(),
        b"\0".to_vec(),
        b"\xff\xfe\xfd not UTF-8 \x80\n".to_vec(),
        b"-9999999999999999999999999999".to_vec(),
        b"18446744073709551615-1,18446744073709551615".to_vec(),
        b"0-18446744073709551615,0-18446744073709551615".to_vec(),
        b"1e999 NaN inf\n".to_vec(),
        b"MemTotal: 18446744073709551615 kB\nMemAvailable: x\nFeatures:\nflags:\nModel:\n:::\n0::\n"
            .to_vec(),
        endless,
        b"0::/../../../../etc/passwd\n".repeat(10_000),
        vec![6; 4096],
    ];
    for content in contents {
        let machine = FILES.iter().fold(Machine::bare(), |machine, path| {
            machine.file(path, &content)
        });
        for found in machine.findings() {
            assert!(
                found.what.chars().count() < 800,
                "{}: {}",
                found.check,
                found.what.len()
            );
        }
    }
}

#[test]
fn folders_in_the_place_of_files_are_nothing() {
    let machine = FILES.iter().fold(Machine::bare(), |machine, path| {
        machine.file(&format!("{path}/inside"), "1")
    });
    assert!(machine.findings().len() >= 4);
}

#[test]
fn a_sensor_that_cannot_be_read_is_passed_over() {
    for temperature in ["-273000", "999999000", "", "hot"] {
        let machine = Machine::board("pi5")
            .file("/sys/class/thermal/thermal_zone0/temp", temperature)
            .file("/sys/class/thermal/thermal_zone1/temp", "41000");
        machine.says("temperature", Level::Ok, &["41 °C"]);
    }
}
