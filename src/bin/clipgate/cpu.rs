//! The processor: what it is called, and what it can do that int8 kernels choose by.

use std::collections::BTreeMap;

use clipgate::internal::{System, field};

const CPUINFO: &str = "/proc/cpuinfo";

/// What Linux calls a feature in /proc/cpuinfo, and the toolchain.
const X86: [(&str, &str); 4] = [
    ("avx2", "avx2"),
    ("avx512f", "avx512f"),
    ("avx512_vnni", "avx512vnni"),
    ("avx_vnni", "avxvnni"),
];
const ARM: [(&str, &str); 7] = [
    ("asimd", "neon"),
    ("neon", "neon"),
    ("asimddp", "dotprod"),
    ("i8mm", "i8mm"),
    ("sve", "sve"),
    ("sme", "sme"),
    ("sme2", "sme2"),
];

/// Arm's cores by implementer and part number (`MIDR_EL1`), as the makers' manuals give them.
const CORES: [((u32, u32), &str); 25] = [
    ((0x41, 0xc07), "Cortex-A7"),
    ((0x41, 0xd03), "Cortex-A53"),
    ((0x41, 0xd04), "Cortex-A35"),
    ((0x41, 0xd05), "Cortex-A55"),
    ((0x41, 0xd07), "Cortex-A57"),
    ((0x41, 0xd08), "Cortex-A72"),
    ((0x41, 0xd09), "Cortex-A73"),
    ((0x41, 0xd0a), "Cortex-A75"),
    ((0x41, 0xd0b), "Cortex-A76"),
    ((0x41, 0xd0c), "Neoverse N1"),
    ((0x41, 0xd0d), "Cortex-A77"),
    ((0x41, 0xd40), "Neoverse V1"),
    ((0x41, 0xd41), "Cortex-A78"),
    ((0x41, 0xd42), "Cortex-A78AE"),
    ((0x41, 0xd44), "Cortex-X1"),
    ((0x41, 0xd46), "Cortex-A510"),
    ((0x41, 0xd47), "Cortex-A710"),
    ((0x41, 0xd48), "Cortex-X2"),
    ((0x41, 0xd49), "Neoverse N2"),
    ((0x41, 0xd4d), "Cortex-A715"),
    ((0x41, 0xd4e), "Cortex-X3"),
    ((0x41, 0xd4f), "Neoverse V2"),
    ((0x41, 0xd80), "Cortex-A520"),
    ((0x41, 0xd81), "Cortex-A720"),
    ((0x41, 0xd82), "Cortex-X4"),
];

/// Which of its instruction sets a processor runs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    X86,
    Arm64,
    /// Also a 64-bit core in a 32-bit process.
    Arm32,
    Other,
}

/// By the words that the kernel lists features under.
pub(crate) fn family(system: &System) -> Family {
    let info = system.text(CPUINFO).unwrap_or_default();
    match (field(&info, "flags"), field(&info, "Features")) {
        (Some(_), _) => Family::X86,
        (_, Some(features)) if has(features, "asimd") => Family::Arm64,
        (_, Some(_)) => Family::Arm32,
        _ => Family::Other,
    }
}

/// Features that int8 kernels choose by, as the toolchain spells them, sorted; what the toolchain finds where the system
/// lists none, and nothing on other architectures.
pub(crate) fn features(system: &System) -> Vec<&'static str> {
    let info = system.text(CPUINFO).unwrap_or_default();
    let (listed, table) = match (field(&info, "flags"), field(&info, "Features")) {
        (Some(flags), _) => (flags, &X86[..]),
        (_, Some(features)) => (features, &ARM[..]),
        _ => return detected(),
    };
    let mut found: Vec<&'static str> = table
        .iter()
        .filter(|(name, _)| has(listed, name))
        .map(|(_, name)| *name)
        .collect();
    found.sort_unstable();
    found
}

/// The processor's name: the maker's on x86, and on Arm the cores by number and kind.
pub(crate) fn name(system: &System) -> Option<String> {
    let info = system.text(CPUINFO)?;
    if let Some(name) = field(&info, "model name").filter(|name| !name.is_empty()) {
        return Some(name.chars().take(120).collect());
    }
    let mut kinds: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for core in info.split("\n\n") {
        let number = |key| {
            let digits = field(core, key)?.strip_prefix("0x")?;
            u32::from_str_radix(digits, 16).ok()
        };
        if let (Some(implementer), Some(part)) = (number("CPU implementer"), number("CPU part")) {
            *kinds.entry((implementer, part)).or_default() += 1;
        }
    }
    let named = kinds.into_iter().map(|(kind, count)| {
        let known = CORES.iter().find(|(listed, _)| *listed == kind);
        let name = known.map_or_else(
            || format!("core of implementer {:#x}, part {:#x}", kind.0, kind.1),
            |(_, name)| (*name).to_owned(),
        );
        format!("{count} x {name}")
    });
    let name = named.collect::<Vec<_>>().join(", ");
    (!name.is_empty()).then_some(name)
}

/// The board where it has a name in its device tree, as Arm's do.
pub(crate) fn board(system: &System) -> Option<String> {
    system
        .line("/proc/device-tree/model")
        .or_else(|| system.field(CPUINFO, "Model"))
        .filter(|name| !name.is_empty())
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn has(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|listed| listed == word)
}

/// What the toolchain's own detection finds.
fn detected() -> Vec<&'static str> {
    #[allow(unused_mut, reason = "other architectures have no features here")]
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    for (name, present) in [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        (
            "avx512vnni",
            std::arch::is_x86_feature_detected!("avx512vnni"),
        ),
        ("avxvnni", std::arch::is_x86_feature_detected!("avxvnni")),
    ] {
        if present {
            found.push(name);
        }
    }
    #[cfg(target_arch = "aarch64")]
    for (name, present) in [
        (
            "dotprod",
            std::arch::is_aarch64_feature_detected!("dotprod"),
        ),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ] {
        if present {
            found.push(name);
        }
    }
    found
}
