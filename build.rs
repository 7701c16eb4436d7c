//! Fetches the pinned ONNX Runtime for the clipgate command, once for this user (feature `fetch-runtime`).
//!
//! Only when this package itself is built: a crate that depends on clipgate downloads nothing. Nothing here makes a
//! build fail: without the library the command says what is missing when it runs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{env, fs};

#[path = "src/bin/clipgate/runtime_cache.rs"]
mod runtime_cache;

/// The version of the PyPI package `onnxruntime`.
const VERSION: &str = "1.31.1";

/// What the package of one Linux architecture holds.
struct Pin {
    arch: &'static str,
    wheel_sha256: &'static str,
    library_sha256: &'static str,
    library_len: u64,
}

const PINS: [Pin; 2] = [
    Pin {
        arch: "x86_64",
        wheel_sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        library_sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
        library_len: 29_352_200,
    },
    Pin {
        arch: "aarch64",
        wheel_sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        library_sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
        library_len: 25_265_040,
    },
];

/// The modification time, in seconds since 1970, that a library is given when its digest has been checked. Whatever
/// writes to the file afterwards changes the time, so length and time tell within microseconds that it is intact.
const CHECKED_AT: u64 = 1_767_225_600;

/// Arguments: library, version, architecture, wheel's sha256, library's sha256, time. Checks the library that is
/// there; fetches it if it is damaged or missing. Every file appears complete and under its name at once, so that two
/// builds may run this together.
const FETCH: &str = r#"
import hashlib, os, shutil, subprocess, sys, tempfile, zipfile

library, version, arch, wheel_sha256, library_sha256, checked_at = sys.argv[1:]
directory = os.path.dirname(library)
os.makedirs(directory, exist_ok=True)

def is_intact(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest() == library_sha256

if os.path.isfile(library) and is_intact(library):
    os.utime(library, (int(checked_at), int(checked_at)))
    sys.exit()

temporary = tempfile.mkdtemp(prefix=".fetch-", dir=directory)
try:
    requirements = os.path.join(temporary, "requirements.txt")
    with open(requirements, "w") as file:
        file.write(f"onnxruntime=={version} --hash=sha256:{wheel_sha256}\n")
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
         "--retries", "1", "--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12",
         "--platform", f"manylinux_2_28_{arch}", "--platform", f"manylinux_2_27_{arch}",
         "--require-hashes", "--requirement", requirements, "--dest", temporary], stderr=subprocess.PIPE, text=True)
    if pip.returncode:
        lines = pip.stderr.strip().splitlines()
        sys.exit("pip: " + ([line for line in lines if line.startswith("ERROR")] or lines or ["failed"])[-1])
    wheel = next(name for name in os.listdir(temporary) if name.endswith(".whl"))
    with zipfile.ZipFile(os.path.join(temporary, wheel)) as archive:
        for name, target in [("onnxruntime/LICENSE", "LICENSE"),
                             ("onnxruntime/ThirdPartyNotices.txt", "ThirdPartyNotices.txt"),
                             (f"onnxruntime/capi/libonnxruntime.so.{version}", os.path.basename(library))]:
            path = os.path.join(temporary, target)
            with archive.open(name) as source, open(path, "wb") as file:
                shutil.copyfileobj(source, file)
                file.flush()
                os.fsync(file.fileno())
            if target == os.path.basename(library):
                if not is_intact(path):
                    sys.exit(f"{name} of {wheel} has another sha256 than {library_sha256}")
                os.chmod(path, 0o755)
                os.utime(path, (int(checked_at), int(checked_at)))
            os.replace(path, os.path.join(directory, target))
finally:
    shutil.rmtree(temporary, ignore_errors=True)
"#;

fn main() {
    println!("cargo::rustc-env=CLIPGATE_ONNXRUNTIME_VERSION={VERSION}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/bin/clipgate/runtime_cache.rs");
    for name in [
        "CARGO_NET_OFFLINE",
        "DOCS_RS",
        "HOME",
        "ORT_DYLIB_PATH",
        "XDG_CACHE_HOME",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }

    // Cargo sets CARGO_PRIMARY_PACKAGE when it compiles, not when it runs, the build script of a package that was
    // asked for by name or by place. A script that was compiled for a dependent with these very features is not
    // compiled again: a workspace member that depends on clipgate leaves the feature `fetch-runtime` off.
    let is_asked_for = option_env!("CARGO_PRIMARY_PACKAGE").is_some();
    let is_wanted = is_asked_for
        && is_set("CARGO_FEATURE_FETCH_RUNTIME")
        && !is_set("DOCS_RS")
        && !is_set("ORT_DYLIB_PATH");
    if is_wanted && let Err(reason) = provide() {
        println!(
            "cargo::warning=ONNX Runtime {VERSION} was not fetched: {reason}. clipgate builds without it, but to \
             classify it needs the library: install it and set ORT_DYLIB_PATH to its path, or build again with \
             python3, pip and a network"
        );
    }
}

/// Makes sure that the library for the target is in the user's cache directory.
fn provide() -> Result<(), String> {
    let target = env::var("TARGET").unwrap_or_default();
    let pin = PINS
        .iter()
        .find(|pin| target == format!("{}-unknown-linux-gnu", pin.arch))
        .ok_or_else(|| format!("none is pinned for {target}, which is untested"))?;
    let library =
        runtime_cache::library(VERSION, pin.arch).ok_or("HOME and XDG_CACHE_HOME are not set")?;
    // A file that is missing counts as changed: the next build fetches it.
    println!("cargo::rerun-if-changed={}", library.display());
    if is_checked(&library, pin) {
        return Ok(());
    }
    if env::var("CARGO_NET_OFFLINE").is_ok_and(|value| value == "true" || value == "1") {
        return Err("CARGO_NET_OFFLINE is set".to_owned());
    }

    let output = Command::new("python3")
        .args(["-c", FETCH])
        .arg(&library)
        .args([VERSION, pin.arch, pin.wheel_sha256, pin.library_sha256])
        .arg(CHECKED_AT.to_string())
        .output()
        .map_err(|error| format!("python3 cannot be run ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let cause = stderr.lines().last().unwrap_or("python3 failed");
    Err(cause.to_owned())
}

fn is_checked(library: &Path, pin: &Pin) -> bool {
    let checked_at = SystemTime::UNIX_EPOCH + Duration::from_secs(CHECKED_AT);
    fs::metadata(library).is_ok_and(|metadata| {
        metadata.len() == pin.library_len
            && metadata.modified().is_ok_and(|time| time == checked_at)
    })
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}
