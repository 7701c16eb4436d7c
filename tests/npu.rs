//! Qualcomm's NPU through our own code: its compiler and emulator run on Linux x86-64.
//!
//! CLIPGATE_TEST_QNN names the folder of the plugin: `onnxruntime_qnn` of the PyPI package `onnxruntime-qnn` 2.7.0.

mod places;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clipgate::{
    Bundle, CompiledContext, DecodeLimits, Embedding, HtpTarget, ImageEncoder, Provider,
    ProviderLadder, QnnOptions, SessionOptions, decode_file,
};
use serde_json::Value;

use crate::cli::{PHOTO, command, json_lines, status, stderr, stdout};
use crate::support::bundles::BundleCopy;
use crate::support::runtime;

/// How near the NPU's embeddings must come to the CPU's.
const COSINE: f32 = 0.99;

const PHOTOS: [&str; 3] = [
    PHOTO,
    "examples/photos/astronaut.jpg",
    "examples/photos/rocket.jpg",
];

fn plugin() -> Option<PathBuf> {
    let folder = env::var_os("CLIPGATE_TEST_QNN");
    if folder.is_none() {
        eprintln!(
            "SKIPPED the NPU: CLIPGATE_TEST_QNN names no folder of the package onnxruntime-qnn (Linux x86-64)"
        );
    }
    Some(PathBuf::from(folder?).join("libonnxruntime_providers_qnn.so"))
}

fn target() -> HtpTarget {
    "htp-v75".parse().unwrap()
}

fn required(qnn: QnnOptions) -> SessionOptions {
    SessionOptions::default()
        .with_providers(ProviderLadder::required(Provider::Qnn))
        .with_qnn(qnn.with_target(target()))
}

fn embeddings(encoder: &mut ImageEncoder) -> Vec<Embedding> {
    let embed = |photo: &&str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(photo);
        let image = decode_file(&path, &DecodeLimits::default()).unwrap();
        encoder.encode(&image.frame().unwrap()).unwrap().clone()
    };
    PHOTOS.iter().map(embed).collect()
}

fn clipgate(plugin: &Path, cache: &Path, arguments: &[&str]) -> Output {
    clipgate_command(plugin, cache, arguments).output().unwrap()
}

fn clipgate_command(plugin: &Path, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command
        .env("CLIPGATE_QNN_LIBRARY", plugin)
        .env("ORT_DYLIB_PATH", runtime().path())
        .env("XDG_CACHE_HOME", cache);
    command
}

/// The one line on standard output: the emulator's greeting goes elsewhere.
fn json(output: &Output) -> Value {
    let [line] = <[Value; 1]>::try_from(json_lines(output)).unwrap();
    line
}

#[test]
fn the_whole_image_tower_runs_there_and_agrees_with_the_cpu() {
    let Some(plugin) = plugin() else {
        return;
    };
    let bundle = Bundle::embedded().unwrap();
    let options = required(QnnOptions::new(&plugin));
    let mut npu = ImageEncoder::open(&runtime(), &bundle, options.clone()).unwrap();
    let report = &npu.provider_reports()[0];
    assert!(
        report.is_chosen() && report.cosine >= Some(COSINE),
        "{report}"
    );
    let placement = report.placement.as_ref().unwrap();
    assert!(placement.nodes().len() > 100);
    assert_eq!(placement.outside(Provider::Qnn).count(), 0);

    let mut cpu = ImageEncoder::open(&runtime(), &bundle, SessionOptions::default()).unwrap();
    for (npu, cpu) in embeddings(&mut npu).iter().zip(embeddings(&mut cpu)) {
        let cosine = npu.cosine(&cpu).unwrap();
        assert!(cosine >= COSINE, "{cosine}");
    }

    // Compiled ahead of time it is one node, and computes the same.
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context.onnx");
    let compiled = CompiledContext::compile(&runtime(), &bundle, &options).unwrap();
    assert!(compiled.cosine() >= COSINE);
    compiled.write(&context).unwrap();
    let options = required(QnnOptions::new(&plugin).with_context(&context));
    CompiledContext::check(&context, &bundle, &options).unwrap();
    let mut loaded = ImageEncoder::open(&runtime(), &bundle, options).unwrap();
    let placement = loaded.provider_reports()[0].placement.clone().unwrap();
    let [node] = placement.nodes() else {
        panic!("{:?}", placement.counts());
    };
    assert!(node.operator.ends_with("EPContext"), "{}", node.operator);
    assert_eq!(node.provider, "qnn");
    for (context, graph) in embeddings(&mut loaded).iter().zip(embeddings(&mut npu)) {
        assert!(context.cosine(&graph).unwrap() > 0.9999);
    }
}

#[test]
fn the_command_compiles_once_and_refuses_what_does_not_fit() {
    let Some(plugin) = plugin() else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let copy = BundleCopy::new();
    let bundle = copy.path().to_str().unwrap().to_owned();
    let compile = || {
        let arguments = ["compile", "--target=htp-v75", "--format=json", &bundle];
        let output = clipgate(&plugin, cache.path(), &arguments);
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        (json(&output), stderr(&output).to_owned())
    };
    let (first, _) = compile();
    assert_eq!(first["compiled"], true);
    assert!(first["cosine"].as_f64().unwrap() >= COSINE.into());
    assert_eq!(compile().0["compiled"], false);
    let context = copy.file("image_encoder.htp-v75.onnx");
    let record = copy.file("image_encoder.htp-v75.onnx.json");
    let sizes = |path: &Path| fs::metadata(path).unwrap().len();
    assert_eq!(first["bytes"], sizes(&context));

    let verify = || {
        let named = ["verify", "--provider=qnn!", "--qnn-target=htp-v75", &bundle];
        let output = clipgate(&plugin, cache.path(), &named);
        assert_eq!(status(&output), 0, "{}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains("computed on qnn"));
        stderr(&output).to_owned()
    };
    assert!(!verify().contains("compiled anew"));

    let whole = (
        fs::read(&context).unwrap(),
        fs::read_to_string(&record).unwrap(),
    );
    let other = "0".repeat(64);
    let graph = Bundle::open(copy.path())
        .unwrap()
        .executed_graph()
        .unwrap()
        .graph
        .to_string();
    let json: Value = serde_json::from_str(&whole.1).unwrap();
    let driver = json["driver"]["plugin_sha256"].as_str().unwrap();
    let mut damaged = whole.0.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    for (content, record_text, reason) in [
        (
            &whole.0,
            whole.1.replace("htp-v75", "htp-v73"),
            "compiled for htp-v73, not htp-v75",
        ),
        (
            &whole.0,
            whole.1.replace(&graph, &other),
            "compiled from another graph",
        ),
        (
            &whole.0,
            whole.1.replace(driver, &other),
            "compiled by another driver",
        ),
        (&whole.0, whole.1[..40].to_owned(), "is no record"),
        (
            &damaged,
            whole.1.clone(),
            "is not the file that its record describes",
        ),
    ] {
        fs::write(&context, content).unwrap();
        fs::write(&record, &record_text).unwrap();
        let told = verify();
        assert!(
            told.contains(reason) && told.contains("compiled anew"),
            "{reason}: {told}"
        );
        assert_eq!(
            &fs::read(&context).unwrap(),
            content,
            "loading writes nothing"
        );
    }
    let (again, told) = compile();
    assert_eq!(again["compiled"], true);
    assert!(told.contains("compiling it anew"), "{told}");
    let names = fs::read_dir(copy.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left = names.filter(|name| name.to_string_lossy().starts_with('.'));
    assert_eq!(left.count(), 0, "no temporary file is left");
}

/// Pocket with a node that the NPU has no kernel for, and the same answers: `image_embeds` plus nothing, Erf minus itself.
///
/// Protobuf reads a message that is appended to another as more of the same: here, three more nodes of the graph.
fn with_an_erf() -> BundleCopy {
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 0x80, "one byte of length");
        [&[number << 3 | 2, length], content].concat()
    }
    let node = |operator: &str, name: &str, inputs: &[&str], output: &str| {
        let mut node: Vec<u8> = inputs
            .iter()
            .flat_map(|name| field(1, name.as_bytes()))
            .collect();
        node.extend(field(2, output.as_bytes()));
        node.extend(field(3, name.as_bytes()));
        node.extend(field(4, operator.as_bytes()));
        field(7, &field(1, &node))
    };
    let copy = BundleCopy::new();
    let mut graph = copy.read("image_encoder.onnx");
    // The output of a node, with its field's number and length before it.
    let name = b"\x12\x0cimage_embeds";
    let place = graph
        .windows(name.len())
        .position(|bytes| bytes == name)
        .unwrap();
    graph[place..place + name.len()].copy_from_slice(b"\x12\x0cbefore_embed");
    graph.extend(node("Erf", "lonely", &["before_embed"], "erf"));
    graph.extend(node("Sub", "nothing", &["erf", "erf"], "zero"));
    graph.extend(node(
        "Add",
        "added",
        &["before_embed", "zero"],
        "image_embeds",
    ));
    copy.replace("image_encoder.onnx", &graph);
    copy
}

#[test]
fn a_node_that_would_stay_on_the_cpu_is_named() {
    let Some(plugin) = plugin() else {
        return;
    };
    let copy = with_an_erf();
    let bundle = Bundle::open(copy.path()).unwrap();
    let qnn = QnnOptions::new(&plugin).with_target(target());
    let options = SessionOptions::default()
        .with_providers("qnn".parse().unwrap())
        .with_qnn(qnn.clone());
    let encoder = ImageEncoder::open(&runtime(), &bundle, options).unwrap();
    assert_eq!(encoder.provider(), Some(Provider::Cpu));
    let report = &encoder.provider_reports()[0];
    assert!(
        report
            .to_string()
            .ends_with("nodes on the CPU: lonely (Erf)"),
        "{report}"
    );
    let placement = report.placement.as_ref().unwrap();
    assert_eq!(placement.outside(Provider::Qnn).count(), 1);

    let error = ImageEncoder::open(&runtime(), &bundle, required(qnn.clone())).map(|_| ());
    assert!(error.unwrap_err().to_string().contains("leaves 1 of "));
    let compiled = CompiledContext::compile(&runtime(), &bundle, &required(qnn)).map(|_| ());
    assert!(compiled.unwrap_err().report().contains("CPU"));
}

#[test]
fn auto_measures_it_beside_the_cpu_and_takes_the_faster() {
    let Some(plugin) = plugin() else {
        return;
    };
    let arguments = [
        "inspect",
        "--placement",
        "--provider=auto",
        "--qnn-target=htp-v75",
        "--format=json",
    ];
    let cache = tempfile::tempdir().unwrap();
    let output = clipgate(&plugin, cache.path(), &arguments);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let found = json(&output);
    let of = |name: &str| {
        let providers = found["providers"].as_array().unwrap();
        let is_it = |provider: &&Value| provider["report"]["provider"] == name;
        providers.iter().find(is_it).unwrap()
    };
    let ms = |name: &str| of(name)["median_ms"].as_f64().unwrap();
    let fastest = if ms("qnn") < ms("cpu") { "qnn" } else { "cpu" };
    assert_eq!(found["provider"], fastest);
    assert!(of("qnn")["report"]["cosine"].as_f64().unwrap() >= COSINE.into());
    assert_eq!(of("xnnpack")["report"]["outcome"], "absent");
}
