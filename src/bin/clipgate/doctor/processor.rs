//! The processor and the kernels that its features lead to.

use clipgate::internal::System;

use crate::cpu::{self, Family};
use crate::doctor::finding::{Finding, Level};

pub(super) fn finding(system: &System, cores: usize) -> Finding {
    let features = cpu::features(system);
    let name = cpu::name(system);
    let installed = installed(system);
    let (level, kernels, to_do) = kernels(cpu::family(system), &features);
    let used = match installed {
        Some(all) if all != cores => format!("{cores} of {all} cores"),
        _ => format!("{cores} cores"),
    };
    let mut what = name.clone().unwrap_or_else(|| "unnamed".to_owned());
    what.push_str(&format!(", {used}"));
    if !features.is_empty() {
        what.push_str(&format!(", {}", features.join(" ")));
    }
    what.push_str(&format!(": {kernels}"));
    let finding = Finding::new("processor", level, what)
        .value("name", name)
        .value("cores", cores)
        .value("cores_installed", installed)
        .value("features", features);
    match to_do {
        Some(to_do) => finding.advise(to_do),
        None => finding,
    }
}

/// What ONNX Runtime makes of the features, and what to do where that is little.
fn kernels(family: Family, features: &[&str]) -> (Level, &'static str, Option<&'static str>) {
    let has = |name| features.contains(&name);
    let small = Some(
        "expect the model to take most of a frame: choose a small one, and see what `clipgate bench` says",
    );
    match family {
        Family::X86 if has("avx512vnni") || has("avxvnni") => {
            (Level::Ok, "int8 by dot products (VNNI)", None)
        }
        Family::X86 if has("avx2") => (
            Level::Note,
            "int8 by AVX2, without dot products (VNNI)",
            small,
        ),
        Family::X86 => (Level::Warning, "int8 without AVX2, slowly", small),
        Family::Arm64 if has("i8mm") => (Level::Ok, "int8 by matrix products (i8mm)", None),
        Family::Arm64 if has("dotprod") => (Level::Ok, "int8 by dot products", None),
        Family::Arm64 => (
            Level::Note,
            "int8 by NEON, without dot products, as on a Raspberry Pi 3 and 4",
            small,
        ),
        Family::Arm32 if has("neon") => (Level::Note, "int8 by 32-bit NEON", small),
        Family::Arm32 => (Level::Warning, "int8 without NEON, slowly", small),
        Family::Other => (Level::Note, "the system lists no features", None),
    }
}

/// How many cores the machine has, from a list such as `0-3,6`.
fn installed(system: &System) -> Option<usize> {
    let list = system.line("/sys/devices/system/cpu/present")?;
    list.split(',').try_fold(0usize, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}
