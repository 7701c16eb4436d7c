//! Models whose file changes while they are in use, and damaged files of the ORT format.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use clipgate::{
    Bundle, Embedding, Error, ErrorKind, Frame, ImageEncoder, ModelMemory, PixelFormat, Session,
    SessionOptions,
};

use crate::bundle_parts;
use crate::support::bundles::BundleCopy;
use crate::support::{data, runtime};

const SIZE: usize = 4;
const DIMENSION: usize = 8;

/// A bundle around a graph of tests/data/session, in the ORT format, called `name`.
fn bundle(graph: &[u8], name: &str) -> BundleCopy {
    let bundle = BundleCopy::new();
    bundle.remove("labels", "labels.safetensors");
    bundle.remove("calibration", "calibration.json");
    bundle.remove("text_encoder", "text_encoder.onnx");
    bundle.edit_manifest(|manifest| {
        let files = manifest["files"].as_object_mut().unwrap();
        let entry = files.remove("image_encoder.onnx").unwrap();
        files.remove("tokenizer.json");
        files.insert(name.to_owned(), entry);
        manifest["image_encoder"]["file"] = name.into();
        manifest["preprocessing"]["size"] = SIZE.into();
        manifest["embedding_dim"] = DIMENSION.into();
    });
    bundle.replace(name, graph);
    bundle.edit_selftest(|tensors| {
        let pixels: Vec<f32> = (0..3 * SIZE * SIZE).map(|at| at as f32 / 64.0).collect();
        let embedding = Embedding::new(&embed(&pixels)).unwrap();
        tensors.insert("pixel_values".into(), (vec![1, 3, SIZE, SIZE], pixels));
        tensors.insert(
            "image_embeds".into(),
            (vec![1, DIMENSION], embedding.as_slice().to_vec()),
        );
    });
    bundle
}

/// What tiny and in_place compute (`clipgate_export.goldens_session`).
fn embed(pixels: &[f32]) -> Vec<f32> {
    let weight = |row: usize, column: usize| ((row * 7 + column * 5) % 13) as f32 - 6.0;
    (0..DIMENSION)
        .map(|column| {
            pixels
                .iter()
                .enumerate()
                .map(|(row, value)| value * weight(row, column) / 64.0)
                .sum()
        })
        .collect()
}

fn open(bundle: &BundleCopy, memory: ModelMemory) -> Result<ImageEncoder, Error> {
    let options = SessionOptions::default().with_model_memory(memory);
    ImageEncoder::open(&runtime(), &Bundle::open(bundle.path())?, options)
}

fn encode(encoder: &mut ImageEncoder) -> Result<Vec<f32>, Error> {
    let pixels: Vec<u8> = (0..48).map(|at| at * 5).collect();
    let frame = Frame::new(&pixels, 4, 4, PixelFormat::Rgb8)?;
    Ok(encoder.encode(&frame)?.as_slice().to_vec())
}

fn write(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

#[test]
fn both_formats_answer_alike_from_either_memory() {
    let expected = encode(
        &mut open(
            &bundle(&data("session/tiny.onnx"), "image_encoder.onnx"),
            ModelMemory::Private,
        )
        .unwrap(),
    )
    .unwrap();
    for graph in ["tiny", "in_place"] {
        for extension in ["onnx", "ort"] {
            for memory in [ModelMemory::Mapped, ModelMemory::Private] {
                let file = data(&format!("session/{graph}.{extension}"));
                let bundle = bundle(&file, &format!("image_encoder.{extension}"));
                let mut encoder = open(&bundle, memory).unwrap();
                for _ in 0..3 {
                    let embedding = encode(&mut encoder).unwrap();
                    let farthest = embedding
                        .iter()
                        .zip(&expected)
                        .map(|(a, b)| (a - b).abs())
                        .fold(0.0, f32::max);
                    // Sums in another order.
                    assert!(
                        farthest < 1e-6,
                        "{graph}.{extension} {memory:?}: {farthest}"
                    );
                }
            }
        }
    }
}

#[test]
fn both_formats_answer_alike_wherever_they_lie_in_another_file() {
    for extension in ["onnx", "ort"] {
        let file = data(&format!("session/in_place.{extension}"));
        let bundle = bundle(&file, &format!("image_encoder.{extension}"));
        let expected = encode(&mut open(&bundle, ModelMemory::Mapped).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("base.apk");
        for lead in 0..17 {
            let places = bundle_parts::pack(bundle.path(), &package, lead);
            let parts = bundle_parts::open(&package, &places).unwrap();
            let mut encoder =
                ImageEncoder::open(&runtime(), &parts, SessionOptions::default()).unwrap();
            assert_eq!(
                encode(&mut encoder).unwrap(),
                expected,
                "{extension} {lead}"
            );
        }
    }
}

#[test]
fn a_model_that_is_truncated_or_overwritten_in_use_is_an_error_and_no_answer() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("truncated", |path| write(path).set_len(0).unwrap()),
        ("cut", |path| write(path).set_len(100).unwrap()),
        ("overwritten", |path| {
            let zeros = vec![0; fs::metadata(path).unwrap().len() as usize];
            write(path).write_all(&zeros).unwrap();
        }),
        ("extended", |path| {
            let length = fs::metadata(path).unwrap().len();
            write(path).set_len(length + 1).unwrap();
        }),
    ];
    for graph in ["tiny", "in_place"] {
        for (name, change) in changes {
            let bundle = bundle(&data(&format!("session/{graph}.ort")), "image_encoder.ort");
            let mut encoder = open(&bundle, ModelMemory::Mapped).unwrap();
            encode(&mut encoder).unwrap();
            change(&bundle.file("image_encoder.ort"));
            for _ in 0..2 {
                let error = encode(&mut encoder).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Machine, "{name}: {error}");
                for words in ["image_encoder.ort", "truncated, replaced", "open it again"] {
                    assert!(error.to_string().contains(words), "{name}: {error}");
                }
            }
            assert_eq!(
                open(&bundle, ModelMemory::Mapped)
                    .err()
                    .map(|error| error.kind()),
                Some(ErrorKind::Bundle),
                "{name}: opened again"
            );
        }
    }
}

#[test]
fn what_is_harmless_changes_nothing() {
    let graph = data("session/in_place.ort");
    let copy = bundle(&graph, "image_encoder.ort");
    let path = copy.file("image_encoder.ort");
    let mut mapped = open(&copy, ModelMemory::Mapped).unwrap();
    let expected = encode(&mut mapped).unwrap();
    let next = copy.file("next");
    fs::write(&next, vec![0; graph.len()]).unwrap();
    fs::rename(next, &path).unwrap();
    assert_eq!(encode(&mut mapped).unwrap(), expected, "renamed over");
    fs::remove_file(&path).unwrap();
    assert_eq!(encode(&mut mapped).unwrap(), expected, "removed");

    let copies = [
        (bundle(&graph, "image_encoder.ort"), ModelMemory::Private),
        (
            bundle(&data("session/in_place.onnx"), "image_encoder.onnx"),
            ModelMemory::Mapped,
        ),
    ];
    for (copy, memory) in copies {
        let mut encoder = open(&copy, memory).unwrap();
        for file in fs::read_dir(copy.path()).unwrap() {
            write(&file.unwrap().path()).set_len(0).unwrap();
        }
        assert_eq!(encode(&mut encoder).unwrap(), expected, "{memory:?}");
    }
}

#[test]
fn a_name_that_says_another_format_is_refused() {
    for (graph, name, says) in [
        ("tiny.onnx", "image_encoder.ort", "not of the ORT format"),
        (
            "tiny.ort",
            "image_encoder.onnx",
            "not ONNX as its name says",
        ),
    ] {
        for memory in [ModelMemory::Mapped, ModelMemory::Private] {
            let error = open(&bundle(&data(&format!("session/{graph}")), name), memory).err();
            let error = error.expect(name);
            assert_eq!(error.kind(), ErrorKind::Bundle);
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn damage_to_an_ort_file_is_told_by_its_digest() {
    let whole = data("session/tiny.ort");
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[1500] ^= 1,
        |bytes| bytes.truncate(700),
        |bytes| bytes.push(0),
        Vec::clear,
    ];
    for damage in damages {
        for memory in [ModelMemory::Mapped, ModelMemory::Private] {
            let bundle = bundle(&whole, "image_encoder.ort");
            bundle.damage("image_encoder.ort", damage);
            let error = open(&bundle, memory).err().expect("damaged");
            assert_eq!(error.kind(), ErrorKind::Bundle);
            assert!(error.to_string().contains("image_encoder.ort"), "{error}");
        }
    }
}

#[test]
fn an_ort_graph_of_another_kind_is_refused_by_name() {
    let graph = data("session/two_inputs.ort");
    let error = Session::new(&runtime(), &graph, SessionOptions::default()).unwrap_err();
    assert!(error.to_string().contains("2 inputs"), "{error}");
    let error = open(&bundle(&graph, "image_encoder.ort"), ModelMemory::Mapped).err();
    assert!(error.expect("two inputs").report().contains("2 inputs"));
}

#[test]
fn a_cut_ort_file_behind_a_right_digest_is_refused() {
    let whole = data("session/tiny.ort");
    for length in (8..whole.len()).step_by(whole.len() / 16) {
        for memory in [ModelMemory::Mapped, ModelMemory::Private] {
            let Err(error) = open(&bundle(&whole[..length], "image_encoder.ort"), memory) else {
                panic!("{length} bytes were accepted");
            };
            assert_eq!(error.kind(), ErrorKind::Bundle, "{}", error.report());
        }
    }
}

/// Run by [`a_bus_error_outside_a_model_ends_the_process_as_ever`] in a process of its own.
#[test]
#[ignore = "run by another test of this file in a process of its own"]
fn child() {
    let bundle = bundle(&data("session/tiny.ort"), "image_encoder.ort");
    let _encoder = open(&bundle, ModelMemory::Mapped).unwrap();
    let path = bundle.file("foreign");
    fs::write(&path, [1; 5000]).unwrap();
    #[expect(
        unsafe_code,
        reason = "a file is mapped, to be truncated under the mapping"
    )]
    // SAFETY: nothing but the read below uses it.
    let foreign = unsafe { memmap2::Mmap::map(&File::open(&path).unwrap()).unwrap() };
    write(&path).set_len(0).unwrap();
    println!("read {}", std::hint::black_box(&foreign)[4999]);
}

/// Run by [`more_models_than_are_guarded_are_copied`], as no other test would find a guard meanwhile.
#[test]
#[ignore = "run by another test of this file in a process of its own"]
fn many() {
    let bundle = bundle(&data("session/in_place.ort"), "image_encoder.ort");
    let mut encoders: Vec<_> = (0..70)
        .map(|_| open(&bundle, ModelMemory::Mapped).unwrap())
        .collect();
    write(&bundle.file("image_encoder.ort")).set_len(0).unwrap();
    let answered = encoders
        .iter_mut()
        .filter_map(|encoder| encode(encoder).ok())
        .count();
    assert_eq!(answered, 6, "those beyond 64 are copies");
}

fn alone(test: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("hostile::mapped::{test}"))
        .output()
        .unwrap()
}

#[test]
fn a_bus_error_outside_a_model_ends_the_process_as_ever() {
    let done = alone("child");
    assert_eq!(done.status.signal(), Some(libc::SIGBUS), "{done:?}");
}

#[test]
fn more_models_than_are_guarded_are_copied() {
    let done = alone("many");
    assert!(done.status.success(), "{done:?}");
}
