//! Providers that are not there, do not load, crash or are measured, as the command's user and the library's meet them.

mod cache;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clipgate::{
    Bundle, Classifier, ErrorKind, ImageEncoder, Provider, ProviderLadder, ProviderOutcome,
    QnnOptions, Session, SessionOptions,
};

use crate::cli::{PHOTO, clipgate, command, json_lines, status, stderr, stdout};
use crate::support::libraries::{compile, file};
use crate::support::{data, runtime};

/// What a plugin's folder holds beside the plugin; nothing here gets as far as reading it.
const BACKEND: &str = "libQnnHtp.so";

/// How long a busy machine may take to end a process.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command with a user's cache of the test's own, where ONNX Runtime is not found.
fn with_cache(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command
        .env("XDG_CACHE_HOME", cache)
        .env("ORT_DYLIB_PATH", runtime().path());
    command
}

fn classify(cache: &Path, providers: &str, library: &Path) -> Output {
    let library = format!("--qnn-library={}", library.display());
    let provider = format!("--provider={providers}");
    let arguments = ["classify", "--format=json", &provider, &library, PHOTO];
    with_cache(cache, &arguments).output().unwrap()
}

/// The plugin at `library` is passed over with this reason, and required it is an error with the same reason.
#[track_caller]
fn assert_passed_over(library: &Path, reason: &str) {
    let cache = tempfile::tempdir().unwrap();
    let output = classify(cache.path(), "qnn", library);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    assert_eq!(json_lines(&output).len(), 1, "the CPU answered");
    let output = classify(cache.path(), "qnn!", library);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("provider qnn is required"));
    assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    assert_eq!(stdout(&output), "", "nothing answered");
}

#[test]
fn a_provider_that_the_library_lacks_is_named_and_the_cpu_answers() {
    for name in ["xnnpack", "acl", "nnapi", "coreml"] {
        let output = clipgate(&["classify", "--provider", name, PHOTO]);
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        let absent = format!("provider {name}: absent: ");
        assert!(stderr(&output).contains(&absent), "{}", stderr(&output));
        assert!(stdout(&output).contains("1 accepted") || stdout(&output).contains("1 abstained"));
        let output = clipgate(&["classify", "--provider", &format!("{name}!"), PHOTO]);
        assert_eq!(status(&output), 2, "{name}! must be an error");
        assert!(stderr(&output).contains("is required, but absent"));
    }
}

#[test]
fn qnn_without_its_plugin_says_how_to_name_it() {
    let run = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env_remove("CLIPGATE_QNN_LIBRARY").output().unwrap()
    };
    let tried = run(&["classify", "--provider=qnn", PHOTO]);
    assert_eq!(status(&tried), 0, "{}", stderr(&tried));
    assert!(stderr(&tried).contains("provider qnn: absent: "));
    let required = run(&["classify", "--provider=qnn!", PHOTO]);
    let compiled = run(&["compile", "--target=htp-v75"]);
    for output in [&required, &compiled] {
        assert_eq!(status(output), 2);
        assert_eq!(stdout(output), "");
    }
    for output in [tried, required, compiled] {
        for name in ["--qnn-library", "CLIPGATE_QNN_LIBRARY"] {
            assert!(stderr(&output).contains(name), "{}", stderr(&output));
        }
    }
    let measured = run(&["classify", "--provider=auto", "--qnn-target=htp-v75", PHOTO]);
    assert_eq!(status(&measured), 0, "{}", stderr(&measured));
    let told = "--qnn-target: provider qnn: name Qualcomm's plugin";
    assert!(stderr(&measured).contains(told), "{}", stderr(&measured));
    for (option, why) in [
        ("--qnn-target=htp-v75", "--qnn-target is for qnn"),
        ("--qnn-library=x", "--provider cpu does not ask for it"),
        ("--qnn-context=/no/such", "there is no such file"),
    ] {
        let output = run(&["classify", option, PHOTO]);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn where_no_image_graph_runs_a_required_provider_is_an_error_and_another_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors").display().to_string();
    let embeds = folder.path().join("embeds.safetensors");
    let embeds = embeds.display().to_string();
    let made = clipgate(&["embed", PHOTO, "-o", &embeds]);
    assert_eq!(status(&made), 0, "{}", stderr(&made));
    let cases: [(&[&str], bool); 4] = [
        (&["embed", "--text", "a cat", "-o", &out], true),
        (&["labels", "build", "--labels=goldfish", "-o", &out], true),
        (&["inspect"], true),
        // The file has no labels, which is found out only afterwards.
        (&["calibrate", "--embeddings", &embeds, "-o", &out], false),
    ];
    for (arguments, succeeds) in cases {
        let with = |provider| clipgate(&[arguments, &[provider]].concat());
        let required = with("--provider=nnapi!");
        assert_eq!(status(&required), 2, "{arguments:?}");
        let told = stderr(&required);
        assert!(told.starts_with("clipgate: --provider nnapi!: "), "{told}");
        let tried = with("--provider=nnapi");
        assert_eq!(status(&tried) == 0, succeeds, "{}", stderr(&tried));
        let told = stderr(&tried);
        assert!(told.contains("--provider nnapi,cpu: "), "{told}");
        let cpu = with("--provider=cpu!");
        assert!(!stderr(&cpu).contains("--provider"), "{}", stderr(&cpu));
    }
    let own_labels = ["classify", "--labels=goldfish", "--provider=nnapi", PHOTO];
    let told = clipgate(&own_labels);
    assert_eq!(status(&told), 0, "{}", stderr(&told));
    assert!(stderr(&told).contains("provider nnapi: absent"));
}

#[test]
fn a_list_that_cannot_be_read_names_its_part() {
    for (list, part) in [
        ("gpu", "\"gpu\" is no provider"),
        ("cpu,qnn", "\"qnn\" is never reached"),
        ("", "missing"),
    ] {
        let output = clipgate(&["classify", "--provider", list, PHOTO]);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}

#[test]
fn the_library_reports_every_provider_that_it_tried() {
    let bundle = Bundle::embedded().unwrap();
    let options = SessionOptions::default().with_providers("qnn,xnnpack".parse().unwrap());
    let classifier = Classifier::options()
        .session(options)
        .open(&runtime(), &bundle)
        .unwrap();
    let reports = classifier.encoder().provider_reports();
    let tried: Vec<Provider> = reports.iter().map(|report| report.provider).collect();
    assert_eq!(tried, [Provider::Qnn, Provider::Xnnpack, Provider::Cpu]);
    assert!(matches!(reports[0].outcome, ProviderOutcome::Absent { .. }));
    assert!(matches!(reports[1].outcome, ProviderOutcome::Absent { .. }));
    assert!(reports[2].is_chosen() && reports[2].cosine > Some(0.98));
    assert_eq!(classifier.encoder().provider(), Some(Provider::Cpu));

    let required =
        SessionOptions::default().with_providers(ProviderLadder::required(Provider::Nnapi));
    let error = ImageEncoder::open(&runtime(), &bundle, required)
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Machine);
}

#[test]
fn a_session_without_a_self_test_runs_on_the_cpu_alone() {
    let options = SessionOptions::default().with_providers(ProviderLadder::auto());
    let error = Session::new(&runtime(), &data("session/tiny.onnx"), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Caller);
}

#[test]
fn the_cpus_placement_counts_every_node() {
    let output = clipgate(&["inspect", "--placement", "--format", "json"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let line = &json_lines(&output)[0];
    assert_eq!(line["provider"], "cpu");
    let cpu = &line["providers"][0];
    let counted: u64 = cpu["operators"]["cpu"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(counted as usize, cpu["nodes"].as_array().unwrap().len());
    assert!(counted > 100, "{counted}");
    let text = clipgate(&["inspect", "--placement", "--provider", "xnnpack"]);
    assert!(
        stdout(&text).contains("xnnpack: absent"),
        "{}",
        stdout(&text)
    );
    assert!(stdout(&text).contains("LayerNormalization"));
}

#[test]
fn files_that_are_no_plugin_are_named() {
    let directory = tempfile::tempdir().unwrap();
    assert_passed_over(
        Path::new("/no/such/plugin.so"),
        "/no/such/plugin.so is not there",
    );
    assert_passed_over(directory.path(), "is no file");
    let text = file(&directory, "text.so", b"hello");
    assert_passed_over(&text, "text.so: is no shared library");
    let alone = file(&directory, "alone.so", &fs::read(runtime().path()).unwrap());
    assert_passed_over(&alone, "libQnnHtp.so is not there");
    file(&directory, BACKEND, b"backend");
    let empty = file(&directory, "empty.so", b"");
    assert_passed_over(&empty, "empty.so: is no shared library: it has 0 bytes");
    let real = fs::read(runtime().path()).unwrap();
    let cut = file(&directory, "cut.so", &real[..real.len() / 2]);
    assert_passed_over(&cut, "cut.so: is cut short");
    let foreign = file(&directory, "foreign.so", &real);
    assert_passed_over(
        &foreign,
        "foreign.so: cannot be loaded as a provider plugin",
    );
}

#[test]
fn a_plugin_that_crashes_takes_nothing_down() {
    let directory = tempfile::tempdir().unwrap();
    file(&directory, BACKEND, b"backend");
    for (name, body, reason) in [
        ("aborts", "abort();", "signal: 6"),
        ("exits", "_exit(7);", "exit status: 7"),
        ("segfaults", "*(volatile int *)8 = 1;", "signal: 11"),
    ] {
        let source = format!(
            "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void start(void) {{ {body} }}\n"
        );
        let Some(library) = compile(&directory, name, &source) else {
            return;
        };
        assert_passed_over(
            &library,
            &format!("crashed in a process of its own: {reason}"),
        );
    }
}

/// A plugin that hangs is told of, and the process that tries it ends with a command that is killed.
#[test]
#[cfg(target_os = "linux")]
fn a_plugin_that_hangs_is_told_of_and_outlives_nobody() {
    let directory = tempfile::tempdir().unwrap();
    file(&directory, BACKEND, b"backend");
    let started = directory.path().join("started");
    let source = format!(
        "#include <stdio.h>\n#include <unistd.h>\n__attribute__((constructor)) static void start(void) {{\n\
         FILE *file = fopen(\"{0}.new\", \"w\"); fprintf(file, \"%d\", getpid()); fclose(file);\n\
         rename(\"{0}.new\", \"{0}\"); for (;;) pause(); }}\n",
        started.display()
    );
    let Some(library) = compile(&directory, "hangs", &source) else {
        return;
    };
    let library = format!("--qnn-library={}", library.display());
    let arguments = ["classify", "--provider=qnn", &library, PHOTO];
    let mut clipgate = with_cache(directory.path(), &arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let stderr = BufReader::new(clipgate.stderr.take().unwrap());
    for line in stderr.lines().map_while(Result::ok) {
        told.push_str(&line);
        if told.contains("provider qnn is being tried in a process of its own") {
            break;
        }
    }
    assert!(told.contains("may take 180 s"), "{told}");
    // On a busy machine it is told of before it has come as far as the plugin.
    let begun = Instant::now();
    while !started.exists() {
        assert!(begun.elapsed() < PATIENCE, "the plugin is not loaded");
        thread::sleep(Duration::from_millis(10));
    }
    let tried: u32 = fs::read_to_string(&started).unwrap().parse().unwrap();
    // One that has ended may wait for whoever adopted it to ask for its status (Z).
    let is_there = || {
        let stat = fs::read_to_string(format!("/proc/{tried}/stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| !state.starts_with('Z'))
    };
    assert!(is_there());
    clipgate.kill().unwrap();
    clipgate.wait().unwrap();
    let killed = Instant::now();
    while is_there() {
        assert!(killed.elapsed() < PATIENCE, "process {tried} goes on");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_package_whose_path_the_plugin_cannot_be_told_is_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join(OsStr::from_bytes(b"qnn\xff"));
    fs::create_dir(&package).unwrap();
    let plugin = package.join("plugin.so");
    fs::copy(runtime().path(), &plugin).unwrap();
    fs::write(package.join(BACKEND), "backend").unwrap();
    let options = SessionOptions::default()
        .with_providers(ProviderLadder::required(Provider::Qnn))
        .with_qnn(QnnOptions::new(&plugin));
    let bundle = Bundle::embedded().unwrap();
    let opened = ImageEncoder::open(&runtime(), &bundle, options).map(|_| ());
    let error = opened.unwrap_err();
    assert!(error.to_string().contains("is no path in UTF-8"), "{error}");
}

#[test]
fn to_compile_takes_a_plugin_and_a_target() {
    let output = clipgate(&["compile", "--target", "htp-v74"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("htp-v75"), "{}", stderr(&output));
    let qnn = QnnOptions::new("/no/such/plugin.so");
    let options = SessionOptions::default().with_qnn(qnn);
    let bundle = Bundle::embedded().unwrap();
    let error = clipgate::CompiledContext::compile(&runtime(), &bundle, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Caller);
}

#[test]
fn to_compile_asks_for_the_output_first_and_blames_a_bad_plugin_itself() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = file(&folder, "plugin.so", b"no library");
    file(&folder, BACKEND, b"backend");
    let compile = |bundle: &Path, output: &Path| {
        let [bundle, output, plugin] =
            [bundle, output, &plugin].map(|path| path.display().to_string());
        let output = clipgate(&[
            "compile",
            "--target=htp-v75",
            &bundle,
            "-o",
            &output,
            "--qnn-library",
            &plugin,
        ]);
        assert_eq!(status(&output), 2);
        stderr(&output).to_owned()
    };
    let bundle = Path::new("models/pocket");
    for (output, why) in [
        ("/no/such/folder/context.onnx", "its folder does not exist"),
        ("/dev/null", "is no file"),
        ("models", "is a folder"),
        ("Cargo.toml", "was not compiled by clipgate"),
    ] {
        let told = compile(bundle, Path::new(output));
        assert!(told.contains(output) && told.contains(why), "{told}");
    }
    let told = compile(bundle, &folder.path().join("context.onnx"));
    let blamed = format!("clipgate: {}: is no shared library", plugin.display());
    assert!(told.contains(&blamed), "{told}");
    assert!(told.contains("to do: let --qnn-library"), "{told}");
    assert!(!told.contains("image_encoder.onnx"), "{told}");
}

#[test]
#[cfg(target_os = "linux")]
fn to_compile_without_a_cache_says_how_to_name_a_file() {
    let plugin = format!("--qnn-library={}", runtime().path().display());
    let compile = ["compile", "--target=htp-v75", &plugin];
    let output = with_cache(Path::new("/dev/null"), &compile)
        .output()
        .unwrap();
    assert_eq!(status(&output), 2);
    let told = stderr(&output);
    assert!(
        told.contains("/dev/null/clipgate/contexts: cannot be made"),
        "{told}"
    );
    assert!(told.contains("name a file with -o"), "{told}");
}
