//! What is kept of providers: by several processes at once, and where nothing can be kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{BACKEND, with_cache};
use crate::cli::{json_lines, status, stderr};
use crate::support::libraries::{compile, file};
use crate::support::runtime;

/// Measures every provider, and says what came of it.
const AUTO: [&str; 4] = ["inspect", "--placement", "--provider=auto", "--format=json"];

fn auto(cache: &Path) -> Output {
    let output = with_cache(cache, &AUTO).output().unwrap();
    assert_answered(&output);
    output
}

#[track_caller]
fn assert_answered(output: &Output) {
    assert_eq!(status(output), 0, "{}", stderr(output));
    assert_eq!(json_lines(output)[0]["provider"], "cpu");
}

/// The one file that is kept; a temporary one beside it would be a second.
#[track_caller]
fn kept(cache: &Path) -> PathBuf {
    let entries = fs::read_dir(cache.join("clipgate/providers")).unwrap();
    let entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let [one] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    one.clone()
}

#[test]
fn a_measurement_is_kept_unless_the_user_says_no() {
    let cache = tempfile::tempdir().unwrap();
    auto(cache.path());
    let first = fs::read(kept(cache.path())).unwrap();
    auto(cache.path());
    assert_eq!(
        fs::read(kept(cache.path())).unwrap(),
        first,
        "measured again"
    );
    fs::remove_dir_all(cache.path().join("clipgate/providers")).unwrap();
    auto(cache.path());
    assert_ne!(fs::read(kept(cache.path())).unwrap(), first);

    let untouched = tempfile::tempdir().unwrap();
    let arguments = [&AUTO[..], &["--no-provider-cache"]].concat();
    let output = with_cache(untouched.path(), &arguments).output().unwrap();
    assert_answered(&output);
    assert_eq!(fs::read_dir(untouched.path()).unwrap().count(), 0);
}

#[test]
fn what_crashed_is_told_at_every_start_and_not_tried_at_each() {
    let folder = tempfile::tempdir().unwrap();
    file(&folder, BACKEND, b"backend");
    // Elsewhere: another file beside a plugin is another installation.
    let counted = tempfile::tempdir().unwrap();
    let tries = counted.path().join("tries");
    let source = format!(
        "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((constructor)) static void start(void) {{\n\
         FILE *tries = fopen(\"{}\", \"a\"); fputc('x', tries); fclose(tries); abort(); }}\n",
        tries.display()
    );
    let Some(plugin) = compile(&folder, "aborts", &source) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let output = with_cache(cache.path(), &AUTO)
            .env("CLIPGATE_QNN_LIBRARY", &plugin)
            .output()
            .unwrap();
        assert_answered(&output);
        let told = stderr(&output);
        assert!(told.contains("provider qnn: crashed"), "{told}");
        let providers = json_lines(&output)[0]["providers"].to_string();
        assert!(providers.contains("qnn: crashed"), "{providers}");
        assert_eq!(fs::read_to_string(&tries).unwrap(), "x");
    }
}

#[test]
fn processes_that_warm_a_cache_together_leave_one_whole_file() {
    for _ in 0..3 {
        let cache = tempfile::tempdir().unwrap();
        let start = || {
            let mut command = with_cache(cache.path(), &AUTO);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let together = [start(), start()];
        for process in together {
            let output = process.wait_with_output().unwrap();
            assert_answered(&output);
            assert_eq!(stderr(&output), "");
        }
        let content = fs::read(kept(cache.path())).unwrap();
        let output = auto(cache.path());
        assert_eq!(stderr(&output), "");
        let after = fs::read(kept(cache.path())).unwrap();
        assert_eq!(after, content, "what they left counts");
    }
}

/// No directory can be made below a file, whoever asks.
#[test]
fn a_cache_below_a_file_costs_a_warning() {
    let output = auto(Path::new("/dev/full"));
    assert!(stderr(&output).contains("is not kept"), "{output:?}");
}

/// Writing to files fails as on a full disk: the limit of their size is 0.
#[test]
#[cfg(unix)]
fn a_write_that_fails_leaves_nothing_behind() {
    let cache = tempfile::tempdir().unwrap();
    let output = shell("trap '' XFSZ; ulimit -f 0; exec \"$@\"", cache.path());
    assert_answered(&output);
    assert!(stderr(&output).contains("is not kept"), "{output:?}");
    let left = fs::read_dir(cache.path().join("clipgate/providers")).unwrap();
    assert_eq!(left.count(), 0);
}

/// Disks of the test's own, in a space of mounts that ends with the process.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_or_read_only_costs_a_warning() {
    const END: &str = "\"$@\"; status=$?; find \"$CACHE\" -type f >&2; exit $status";
    let cache = tempfile::tempdir().unwrap();
    let may_mount = Command::new("unshare")
        .args(MOUNTS)
        .args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !may_mount {
        eprintln!("SKIPPED the full and the read-only disk: nothing may be mounted here");
        return;
    }
    let on = |prepare: &str| {
        let script = format!("mount -t tmpfs -o size=64k tmpfs \"$CACHE\"; {prepare}; {END}");
        let output = shell(&script, cache.path());
        assert_answered(&output);
        stderr(&output).to_owned()
    };
    let files = |told: &str| {
        let root = cache.path().display().to_string();
        told.lines().filter(|line| line.starts_with(&root)).count()
    };
    let full =
        on("mkdir -p \"$CACHE/clipgate/providers\"; cat /dev/zero >\"$CACHE/fill\" 2>/dev/null");
    assert!(full.contains("No space left"), "{full}");
    assert!(full.contains("is not kept"), "{full}");
    assert_eq!(files(&full), 1, "{full}");
    let empty = on("mount -o remount,ro \"$CACHE\"");
    assert!(empty.contains("Read-only file system"), "{empty}");
    assert!(empty.contains("is not kept"), "{empty}");
    assert_eq!(files(&empty), 0, "{empty}");
    let warm = on("\"$@\" >/dev/null; mount -o remount,ro \"$CACHE\"");
    assert!(!warm.contains("is not kept"), "{warm}");
    assert_eq!(files(&warm), 1, "{warm}");
}

/// A space of mounts of its own, for root and for others.
#[cfg(target_os = "linux")]
const MOUNTS: [&str; 4] = ["--user", "--map-root-user", "--mount", "--"];

/// Runs `script` with the command as its arguments and its cache as CACHE, in a space of mounts of its own where there
/// is one.
#[cfg(unix)]
fn shell(script: &str, cache: &Path) -> Output {
    let has_mounts = script.starts_with("mount");
    let mut command = Command::new(if has_mounts { "unshare" } else { "sh" });
    #[cfg(target_os = "linux")]
    if has_mounts {
        command.args(MOUNTS).arg("sh");
    }
    command
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_clipgate")])
        .args(AUTO)
        .env("CACHE", cache)
        .env("XDG_CACHE_HOME", cache)
        .env("ORT_DYLIB_PATH", runtime().path())
        .output()
        .unwrap()
}
