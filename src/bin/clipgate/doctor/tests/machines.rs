//! Boards and servers as they are.

use super::{Level, Machine};

const THROTTLED: &str = "/sys/devices/platform/soc/soc:firmware/get_throttled";
const CPUFREQ: &str = "/sys/devices/system/cpu/cpu0/cpufreq";

#[test]
fn each_raspberry_pi_is_told_by_name_cores_and_kernels() {
    for (board, name, cores, kernels) in [
        (
            "pi3",
            "Raspberry Pi 3 Model B Rev 1.2",
            "4 x Cortex-A53",
            "without dot products",
        ),
        (
            "pi4",
            "Raspberry Pi 4 Model B Rev 1.4",
            "4 x Cortex-A72",
            "without dot products",
        ),
        (
            "pi5",
            "Raspberry Pi 5 Model B Rev 1.0",
            "4 x Cortex-A76",
            "int8 by dot products",
        ),
        ("v9", "generic armv9", "4 x Cortex-A715", "i8mm"),
    ] {
        let machine = Machine::board(board);
        machine.says("board", Level::Ok, &[name]);
        let processor = machine.finding("processor").unwrap();
        assert!(processor.what.contains(cores), "{processor:?}");
        assert!(processor.what.contains(kernels), "{processor:?}");
        let worst = machine
            .findings()
            .into_iter()
            .map(|found| found.level)
            .max();
        assert!(worst < Some(Level::Warning), "{board}");
    }
    let features =
        |board| Machine::board(board).finding("processor").unwrap().values["features"].to_string();
    assert_eq!(features("pi4"), r#"["neon"]"#);
    assert_eq!(features("pi5"), r#"["dotprod","neon"]"#);
    assert_eq!(features("v9"), r#"["dotprod","i8mm","neon"]"#);
}

#[test]
fn a_device_tree_names_the_board_and_a_pc_its_maker() {
    let machine = Machine::board("pi5").file(
        "/proc/device-tree/model",
        b"Raspberry Pi Compute Module 5 Rev 1.0\0",
    );
    machine.says("board", Level::Ok, &["Raspberry Pi Compute Module 5"]);
    let machine = Machine::bare()
        .file("/sys/class/dmi/id/sys_vendor", "Maker\n")
        .file("/sys/class/dmi/id/product_name", "Small Box 3\n");
    machine.says("board", Level::Ok, &["Maker Small Box 3"]);
    Machine::bare().says("board", Level::Ok, &["names none"]);
}

#[test]
fn x86_kernels_follow_from_the_flags() {
    for (flags, level, said) in [
        ("fpu avx2 avx512f avx512_vnni", Level::Ok, "VNNI"),
        ("fpu avx2 avx_vnni", Level::Ok, "avxvnni"),
        ("fpu avx2", Level::Note, "without dot products"),
        ("fpu sse4_2", Level::Warning, "without AVX2"),
    ] {
        let machine = Machine::bare().file(
            "/proc/cpuinfo",
            format!("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: {flags}\n"),
        );
        machine.says("processor", level, &[said, "Some CPU @ 2 GHz"]);
    }
}

#[test]
fn clusters_of_cores_and_cores_that_are_kept_back_are_counted() {
    let core =
        |part| format!("CPU implementer : 0x41\nCPU part : {part}\nFeatures : asimd asimddp\n\n");
    let info = [core("0xd05").repeat(6), core("0xd41"), core("0xfff")].concat();
    let machine = Machine::bare()
        .file("/proc/cpuinfo", info)
        .file("/sys/devices/system/cpu/present", "0-5,7,9");
    machine.says(
        "processor",
        Level::Ok,
        &[
            "6 x Cortex-A55, 1 x Cortex-A78, 1 x core of implementer 0x41, part 0xfff",
            "4 of 8 cores",
        ],
    );
}

#[test]
fn a_32_bit_program_on_a_64_bit_kernel_is_slow() {
    let machine = || Machine {
        arch: "arm",
        ..Machine::board("pi32")
    };
    machine().says("kernel", Level::Warning, &["64-bit", "arm64"]);
    // Newer kernels say it themselves.
    let machine = machine()
        .file("/proc/sys/kernel/osrelease", "6.12.1-custom")
        .file("/proc/sys/kernel/arch", "aarch64\n");
    machine.says("kernel", Level::Warning, &["64-bit"]);
    let machine = machine.file("/proc/sys/kernel/arch", "armv7l\n");
    machine.says("kernel", Level::Ok, &[]);
    machine.says("processor", Level::Note, &["32-bit NEON"]);
    machine.says("glibc", Level::Ok, &["2.36"]);
    let bullseye = Machine {
        glibc: Some("2.31"),
        ..machine
    };
    bullseye.says("glibc", Level::Warning, &["2.31", "want 2.35"]);
}

#[test]
fn other_c_libraries_and_old_ones_are_told() {
    let with = |glibc| Machine {
        glibc,
        ..Machine::bare()
    };
    with(Some("2.28")).says("glibc", Level::Ok, &[]);
    with(Some("2.27")).says("glibc", Level::Warning, &["want 2.28"]);
    with(None).says("glibc", Level::Note, &["another C library"]);
    with(Some("rolling")).says("glibc", Level::Warning, &["rolling"]);
}

#[test]
fn pages_of_16_kb_are_explained() {
    Machine::board("pi4").says("page_size", Level::Ok, &["4 KB"]);
    Machine::board("pi5").pages(16384).says(
        "page_size",
        Level::Note,
        &["16 KB", "Android 15", "kernel8.img"],
    );
}

#[test]
fn the_bits_of_a_throttled_pi_are_read_from_file_tool_or_monitor() {
    let now = &["slowed down now: under-voltage, throttled", "supply"];
    for (text, level, said) in [
        ("0\n", Level::Ok, &["none since"][..]),
        ("50005\n", Level::Warning, now),
        ("0x50005", Level::Warning, now),
        (
            "50000",
            Level::Note,
            &["not now", "under-voltage, throttled", "supply"],
        ),
        (
            "80008",
            Level::Warning,
            &["soft limit of the temperature", "fan"],
        ),
        ("20000", Level::Note, &["the clock is capped"]),
    ] {
        let machine = Machine::board("pi5").file(THROTTLED, text);
        machine.says("throttling", level, said);
    }
    let tool = Machine {
        vcgencmd: Some("throttled=0x50005\n"),
        ..Machine::board("pi5")
    };
    tool.says("throttling", Level::Warning, now);
    // The file is asked first.
    tool.file(THROTTLED, "0").says("throttling", Level::Ok, &[]);

    let monitor = Machine::board("pi4")
        .file("/sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
        .file("/sys/class/hwmon/hwmon1/name", "rpi_volt\n")
        .file("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    monitor.says("throttling", Level::Warning, &["under-voltage", "supply"]);
    assert!(Machine::board("pi4").finding("throttling").is_none());
}

#[test]
fn the_hottest_zone_counts() {
    let zones = |degrees: [i32; 2]| {
        Machine::board("pi5")
            .file(
                "/sys/class/thermal/thermal_zone0/temp",
                format!("{}000", degrees[0]),
            )
            .file(
                "/sys/class/thermal/thermal_zone1/temp",
                format!("{}000\n", degrees[1]),
            )
            .file("/sys/class/thermal/thermal_zone1/type", "cpu-thermal\n")
    };
    zones([40, 52]).says("temperature", Level::Ok, &["52 °C (cpu-thermal)"]);
    zones([40, 79]).says("temperature", Level::Warning, &["79 °C", "heat sink"]);
    let trip = zones([40, 68])
        .file(
            "/sys/class/thermal/thermal_zone1/trip_point_0_type",
            "critical",
        )
        .file(
            "/sys/class/thermal/thermal_zone1/trip_point_0_temp",
            "60000",
        )
        .file(
            "/sys/class/thermal/thermal_zone1/trip_point_1_type",
            "passive",
        )
        .file(
            "/sys/class/thermal/thermal_zone1/trip_point_1_temp",
            "70000",
        );
    trip.says("temperature", Level::Warning, &["68 °C"]);
}

#[test]
fn a_slow_governor_and_a_limited_clock_are_told() {
    let clock = |governor: &str, driver: &str, limit: u32| {
        Machine::board("pi4")
            .file(&format!("{CPUFREQ}/scaling_governor"), governor)
            .file(&format!("{CPUFREQ}/scaling_driver"), driver)
            .file(&format!("{CPUFREQ}/scaling_cur_freq"), "600000")
            .file(&format!("{CPUFREQ}/scaling_max_freq"), limit.to_string())
            .file(&format!("{CPUFREQ}/cpuinfo_max_freq"), "1800000")
    };
    clock("ondemand\n", "cpufreq-dt\n", 1_800_000).says(
        "clock",
        Level::Ok,
        &["ondemand", "600 of 1800 MHz"],
    );
    clock("powersave", "cpufreq-dt", 1_800_000).says("clock", Level::Warning, &["lowest", "tee"]);
    clock("powersave", "intel_pstate", 1_800_000).says("clock", Level::Ok, &[]);
    clock("schedutil", "cpufreq-dt", 1_000_000).says(
        "clock",
        Level::Warning,
        &["limited to 1000 MHz"],
    );
}

#[test]
fn memory_is_what_the_control_group_leaves() {
    let machine = || Machine::board("pi4").memory(4_000_000, 3_000_000, 0);
    machine().says("memory", Level::Ok, &["4.1 GB, 3.1 GB available, no swap"]);
    let limited = machine()
        .file("/proc/self/cgroup", "0::/system.slice/kiosk.service\n")
        .file(
            "/sys/fs/cgroup/system.slice/kiosk.service/memory.max",
            "max\n",
        )
        .file("/sys/fs/cgroup/system.slice/memory.max", "134217728\n")
        .file("/sys/fs/cgroup/memory.max", "max\n");
    limited.says("memory", Level::Warning, &["lets this process have 134 MB"]);
    let first = machine()
        .file(
            "/proc/self/cgroup",
            "4:cpu,memory:/docker/abc\n1:name=systemd:/\n",
        )
        .file(
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712",
        )
        .file(
            "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
            "209715200",
        );
    first.says("memory", Level::Warning, &["210 MB"]);
    // What a container sees of itself.
    let contained = machine()
        .file("/proc/self/cgroup", "0::/../../outside\n")
        .file("/sys/fs/cgroup/memory.max", "104857600\n");
    contained.says("memory", Level::Warning, &["105 MB"]);

    let small = Machine::board("pi3").memory(900_000, 700_000, 0);
    small.says("memory", Level::Note, &["zram"]);
    let full = Machine::board("pi3").memory(900_000, 100_000, 500_000);
    full.says("memory", Level::Warning, &["ViT-B/32"]);
}
