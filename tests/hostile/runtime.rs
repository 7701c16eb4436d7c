//! Files that are no usable ONNX Runtime. Each is loaded by a process of its own, because what goes wrong in a
//! dynamic loader is a crash or a hang, and because a process has one runtime.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clipgate::{ErrorKind, Runtime};

use crate::support::libraries::{compile, file};
use crate::support::{runtime, runtime_search};

/// Candidates for the child, one a line.
const CANDIDATES: &str = "CLIPGATE_TEST_CANDIDATES";
/// How long the whole child may take on a busy machine; the loading itself has a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs in the child alone: loads what the environment names, and prints what came of it.
#[test]
#[ignore = "run by the other tests of this file in a process of its own"]
fn child() {
    let candidates: Option<Vec<PathBuf>> = env::var(CANDIDATES)
        .ok()
        .map(|lines| lines.lines().map(PathBuf::from).collect());
    let result = match &candidates {
        Some(candidates) => Runtime::load_first(candidates),
        None => runtime_search::load(),
    };
    match result {
        Ok(runtime) => println!("loaded {} {}", runtime.version(), runtime.path().display()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Machine);
            println!("refused\n{error}");
        }
    }
}

fn spawn(configure: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "hostile::runtime::child",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env_remove("ORT_DYLIB_PATH")
        .env_remove("ORT_DISABLE_TELEMETRY")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    configure(&mut command);
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the child hangs: {command:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn outcome(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}: {stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

fn load(candidates: &[&Path]) -> String {
    let lines: Vec<_> = candidates
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    outcome(&spawn(|command| {
        command.env(CANDIDATES, lines.join("\n"));
    }))
}

#[track_caller]
fn assert_refused(path: &Path, reason: &str) {
    let outcome = load(&[path]);
    assert!(outcome.contains("refused\n"), "{outcome}");
    assert!(outcome.contains(path.to_str().unwrap()), "{outcome}");
    assert!(outcome.contains(reason), "expected `{reason}`: {outcome}");
    assert!(outcome.contains("to do: install ONNX Runtime"), "{outcome}");
}

fn fake(version: &str, api: &str) -> String {
    format!(
        "static const void *get_api(unsigned version) {{ return {api}; }}\n\
         static const char *get_version(void) {{ return {version}; }}\n\
         static const struct {{ const void *(*api)(unsigned); const char *(*version)(void); }} base = \
         {{ get_api, get_version }};\n\
         const void *OrtGetApiBase(void) {{ return &base; }}\n"
    )
}

#[test]
fn the_real_one_loads_after_bad_ones() {
    let directory = tempfile::tempdir().unwrap();
    let text = file(&directory, "text.so", b"hello");
    let real = runtime().path().to_owned();
    let outcome = load(&[Path::new("/no/such/library.so"), &text, &real]);
    assert!(outcome.contains("loaded 1."), "{outcome}");
    assert!(outcome.contains(real.to_str().unwrap()), "{outcome}");
}

#[test]
fn nothing_to_load() {
    let outcome = load(&[Path::new("/no/such/library.so")]);
    assert!(
        outcome.contains("not there: /no/such/library.so"),
        "{outcome}"
    );
    assert!(outcome.contains("to do: install ONNX Runtime"), "{outcome}");
}

#[test]
fn every_candidate_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let text = file(&directory, "text.so", &[b'x'; 100]);
    let outcome = load(&[&text, Path::new("/no/such/library.so"), directory.path()]);
    for reason in [
        "text.so: is no shared library",
        "not there: /no/such/library.so",
        "is no regular file",
    ] {
        assert!(outcome.contains(reason), "expected `{reason}`: {outcome}");
    }
}

#[test]
fn ort_dylib_path_is_the_only_candidate() {
    let output = spawn(|command| {
        command.env("ORT_DYLIB_PATH", "/no/such/library.so");
    });
    let outcome = outcome(&output);
    assert!(
        outcome.contains("not there: /no/such/library.so\n"),
        "{outcome}"
    );
    assert!(!outcome.contains("install ONNX Runtime"), "{outcome}");
    let other = format!("unset it, and {} is taken", runtime().path().display());
    assert!(outcome.contains(&other), "{outcome}");
}

#[test]
fn without_home_the_system_is_searched() {
    let output = spawn(|command| {
        command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    });
    let outcome = outcome(&output);
    let is_found = outcome.contains("loaded 1.");
    assert!(
        is_found || outcome.contains("/usr/lib/libonnxruntime.so"),
        "{outcome}"
    );
}

#[test]
fn files_that_are_no_library() {
    let directory = tempfile::tempdir().unwrap();
    assert_refused(&file(&directory, "empty.so", b""), "it has 0 bytes");
    assert_refused(&file(&directory, "text.so", &[b'x'; 4096]), "it is not ELF");
    assert_refused(&file(&directory, "magic.so", b"\x7fELF"), "it has 4 bytes");
    assert_refused(
        &file(&directory, "zeros.so", &{
            let mut header = vec![0; 4096];
            header[..4].copy_from_slice(b"\x7fELF");
            header
        }),
        "another word size or byte order",
    );
    assert_refused(Path::new("/dev/null"), "is no regular file");
    assert_refused(directory.path(), "is no regular file");
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_does_not_hang() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe.so");
    if Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .is_ok_and(|status| status.success())
    {
        assert_refused(&pipe, "is no regular file");
    } else {
        eprintln!("SKIPPED the pipe: there is no mkfifo");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_for_another_machine() {
    let directory = tempfile::tempdir().unwrap();
    let mut library = fs::read(runtime().path()).unwrap();
    let machine = if cfg!(target_arch = "aarch64") {
        62_u16
    } else {
        183
    };
    library[18..20].copy_from_slice(&machine.to_le_bytes());
    let name = if cfg!(target_arch = "aarch64") {
        "x86_64"
    } else {
        "aarch64"
    };
    assert_refused(
        &file(&directory, "foreign.so", &library),
        &format!("is for {name}"),
    );
    library[4] = 3 - library[4];
    assert_refused(&file(&directory, "class.so", &library), "another word size");
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_that_is_cut_short() {
    let directory = tempfile::tempdir().unwrap();
    let library = fs::read(runtime().path()).unwrap();
    for length in [64, 100, 1000, 4096, library.len() / 2, library.len() - 1] {
        assert_refused(
            &file(&directory, "short.so", &library[..length]),
            "is cut short",
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_executable_is_no_library() {
    let directory = tempfile::tempdir().unwrap();
    let mut library = fs::read(runtime().path()).unwrap();
    library[16] = 2;
    assert_refused(
        &file(&directory, "executable.so", &library),
        "no shared library",
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_of_something_else() {
    let directory = tempfile::tempdir().unwrap();
    if let Some(library) = compile(&directory, "other", "int other(void) { return 1; }") {
        assert_refused(&library, "does not export OrtGetApiBase");
    }
    if let Some(library) = compile(
        &directory,
        "needy",
        "int nowhere(void);\nint (*f)(void) = nowhere;",
    ) {
        assert_refused(&library, "cannot be loaded");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn fakes_and_old_versions() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        (
            "old",
            fake("\"1.27.0\"", "\"\""),
            "is ONNX Runtime \"1.27.0\": 1.28 or a newer 1.x is needed; this one computes wrong results",
        ),
        (
            "crashing",
            fake("\"1.24.0\"", "\"\""),
            "is needed; this one ends the process on some new Arm chips",
        ),
        (
            "ancient",
            fake("\"0.5.0\"", "\"\""),
            "is ONNX Runtime \"0.5.0\"",
        ),
        (
            "next",
            fake("\"2.0.0\"", "\"\""),
            "is ONNX Runtime \"2.0.0\"",
        ),
        (
            "words",
            fake("\"latest\"", "\"\""),
            "is ONNX Runtime \"latest\"",
        ),
        (
            "long",
            fake(
                "\"1.99999999999999999999999999999999999999999999999999\"",
                "\"\"",
            ),
            "is ONNX Runtime \"1.9",
        ),
        ("bytes", fake("\"\\xff\\xfe.1\"", "\"\""), "is ONNX Runtime"),
        ("mute", fake("0", "\"\""), "states no version"),
        (
            "hollow",
            fake("\"1.31.1\"", "0"),
            "lacks version 24 of its interface",
        ),
        (
            "none",
            "const void *OrtGetApiBase(void) { return 0; }".to_owned(),
            "OrtGetApiBase gives nothing",
        ),
        (
            "nulls",
            "static const void *base[2]; const void *OrtGetApiBase(void) { return base; }"
                .to_owned(),
            "OrtGetApiBase gives nothing",
        ),
    ];
    for (name, source, reason) in cases {
        if let Some(library) = compile(&directory, name, &source) {
            assert_refused(&library, reason);
        }
    }
}

#[test]
fn a_second_library_is_refused() {
    let first = runtime();
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.so");
    fs::copy(first.path(), &copy).unwrap();
    let error = Runtime::load(&copy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Machine);
    assert!(
        error.to_string().contains("another ONNX Runtime is loaded"),
        "{error}"
    );
    assert!(
        error.to_string().contains(first.path().to_str().unwrap()),
        "{error}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_is_found_by_its_name() {
    let loaded = runtime();
    // As the loader knows the one that is loaded.
    let named = Runtime::load_named("libonnxruntime.so.1").unwrap();
    assert_eq!(named.path(), loaded.path());
    for (name, reason) in [
        ("libnot-there.so", "cannot be loaded"),
        ("libc.so.6", "does not export OrtGetApiBase"),
        ("/tmp/libonnxruntime.so", "no bare name"),
        ("", "no bare name"),
    ] {
        let error = Runtime::load_named(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Machine);
        let message = error.to_string();
        assert!(message.starts_with(name), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

/// Builds of Microsoft from 1.29 on write an identifier and a queue of events below the home directory, if they may.
#[test]
#[cfg(target_os = "linux")]
fn telemetry_leaves_no_trace() {
    let home = tempfile::tempdir().unwrap();
    let real = runtime().path().to_owned();
    let output = spawn(|command| {
        command
            .env(CANDIDATES, real)
            .env("HOME", home.path())
            .env_remove("XDG_CACHE_HOME")
            .env_remove("CI");
    });
    assert!(outcome(&output).contains("loaded 1."));
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
