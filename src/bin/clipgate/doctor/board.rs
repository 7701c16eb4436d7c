//! The board, its kernel, and what a program for it must be.

use clipgate::internal::System;

use crate::cpu;
use crate::doctor::finding::{Finding, Level};

/// `AT_PAGESZ` of the auxiliary vector: the size of a page in bytes (getauxval(3)).
const AT_PAGESZ: usize = 6;

/// The C library that the program runs on.
pub(super) struct CLibrary {
    /// Of the GNU C library; `None` for another one.
    pub(super) glibc: Option<String>,
}

pub(super) fn findings(system: &System, arch: &str, library: &CLibrary) -> Vec<Finding> {
    let mut findings = vec![board(system), kernel(system, arch)];
    findings.extend(page_size(system));
    findings.push(glibc(library, arch));
    findings
}

fn board(system: &System) -> Finding {
    let dmi = |name: &str| system.line(&format!("/sys/class/dmi/id/{name}"));
    let named = cpu::board(system).or_else(|| {
        let names = [dmi("sys_vendor"), dmi("product_name")];
        let names: Vec<String> = names.into_iter().flatten().collect();
        (!names.is_empty()).then(|| names.join(" "))
    });
    match named {
        Some(name) => Finding::new("board", Level::Ok, &*name).value("name", name),
        None => Finding::new("board", Level::Ok, "the system names none"),
    }
}

fn kernel(system: &System, arch: &str) -> Finding {
    let release = system.line("/proc/sys/kernel/osrelease");
    let runs_on = kernel_arch(system, release.as_deref());
    let named = release.as_deref().unwrap_or("of an unknown release");
    let finding = match runs_on {
        Some(kernel) if arch == "arm" && kernel == "aarch64" => Finding::new(
            "kernel",
            Level::Warning,
            format!("Linux {named} is 64-bit and this clipgate is 32-bit: its int8 kernels are the slow ones"),
        )
        .advise(
            "if `dpkg --print-architecture` says arm64, install the arm64 clipgate; armhf is a 32-bit system: install the \
             64-bit Raspberry Pi OS",
        ),
        _ => Finding::new(
            "kernel",
            Level::Ok,
            format!("Linux {named}, clipgate for {arch}"),
        ),
    };
    finding
        .value("release", release)
        .value("kernel_arch", runs_on)
        .value("process_arch", arch)
}

/// The architecture that the kernel was built for, by Rust's name, where it says.
fn kernel_arch(system: &System, release: Option<&str>) -> Option<&'static str> {
    if let Some(arch) = system.line("/proc/sys/kernel/arch") {
        return match arch.as_str() {
            "aarch64" => Some("aarch64"),
            "x86_64" => Some("x86_64"),
            arch if arch.starts_with("armv") => Some("arm"),
            _ => None,
        };
    }
    // Linux before 6.1 has no such file; the names of Raspberry Pi OS's 64-bit kernels end so.
    let release = release?.trim_end_matches('+');
    let is_64 = ["-v8", "-v8-16k", "-2712"]
        .iter()
        .any(|end| release.ends_with(end));
    is_64.then_some("aarch64")
}

fn page_size(system: &System) -> Option<Finding> {
    let vector = system.bytes("/proc/self/auxv")?;
    let (words, _) = vector.as_chunks::<{ size_of::<usize>() }>();
    let (pairs, _) = words.as_chunks::<2>();
    let [_, size] = pairs
        .iter()
        .map(|pair| pair.map(usize::from_ne_bytes))
        .find(|[kind, _]| *kind == AT_PAGESZ)?;
    let finding = match size {
        4096 => Finding::new("page_size", Level::Ok, "4 KB"),
        _ => Finding::new(
            "page_size",
            Level::Note,
            format!(
                "{} KB, as Raspberry Pi 5's kernel and Android 15 and newer have (16 KB): a shared library that was linked \
                 for 4 KB does not load",
                size / 1024
            ),
        )
        .advise(
            "nothing, if onnxruntime below is ok; otherwise take PyPI's library, which is linked for 64 KB, or on a Pi 5 the \
             kernel with 4 KB: kernel=kernel8.img in /boot/firmware/config.txt",
        ),
    };
    Some(finding.value("bytes", size))
}

fn glibc(library: &CLibrary, arch: &str) -> Finding {
    // ONNX Runtime's on PyPI want 2.28; the only ones for armv7 that were found want 2.35.
    let needed = if arch == "arm" { (2, 35) } else { (2, 28) };
    let Some(version) = &library.glibc else {
        return Finding::new(
            "glibc",
            Level::Note,
            "this clipgate runs on another C library than glibc, which ONNX Runtime's usual builds want",
        )
        .advise("take an ONNX Runtime that was built for the same C library");
    };
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let finding = if found < needed {
        Finding::new(
            "glibc",
            Level::Warning,
            format!(
                "{version}; ONNX Runtime's usual builds for {arch} want {}.{}",
                needed.0, needed.1
            ),
        )
        .advise("update the system, or build ONNX Runtime on it")
    } else {
        Finding::new("glibc", Level::Ok, &**version)
    };
    finding.value("version", &**version)
}
