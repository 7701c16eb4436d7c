//! Bundles whose files are parts of one file, as the assets of an Android app are.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use clipgate::{
    Bundle, Classifier, Error, ErrorKind, FilePart, Frame, ModelMemory, PixelFormat, SessionOptions,
};

use crate::support::bundles::BundleCopy;
use crate::support::runtime;

/// Where the assets of one package lie: name, offset, length.
type Places = Vec<(String, u64, u64)>;

/// Puts all files of a directory into one, `lead` bytes before the first and a byte between two of them.
pub(crate) fn pack(directory: &Path, package: &Path, lead: usize) -> Places {
    let mut content = vec![0xAA; lead];
    let mut places = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        places.push((name, content.len() as u64, bytes.len() as u64));
        content.extend(bytes);
        content.push(0xAA);
    }
    File::create(package).unwrap().write_all(&content).unwrap();
    places
}

pub(crate) fn open(package: &Path, places: &Places) -> Result<Bundle, Error> {
    let parts = places
        .iter()
        .map(|(name, offset, length)| {
            let file = File::open(package).unwrap();
            let part = FilePart::new(file, *offset, *length, format!("assets/pocket/{name}"))?;
            Ok((name.clone(), part))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Bundle::from_parts("assets/pocket", parts)
}

#[test]
fn parts_answer_as_the_directory_does() {
    let pixels: Vec<u8> = (0..64 * 48 * 3).map(|at| (at * 31 % 251) as u8).collect();
    let frame = Frame::new(&pixels, 64, 48, PixelFormat::Rgb8).unwrap();
    let pocket = BundleCopy::new();
    let answer = |bundle: &Bundle, memory| {
        let session = SessionOptions::default().with_model_memory(memory);
        let options = Classifier::options().session(session);
        let mut classifier = options.open(&runtime(), bundle).unwrap();
        classifier.classify(&frame).unwrap().top
    };
    let expected = answer(&Bundle::open(pocket.path()).unwrap(), ModelMemory::Mapped);
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("base.apk");
    for lead in [0, 1, 4096, 70_001] {
        let bundle = open(&package, &pack(pocket.path(), &package, lead)).unwrap();
        assert_eq!(bundle.location(), "assets/pocket");
        assert_eq!(bundle.directory(), None);
        bundle.tokenizer().unwrap();
        for memory in [ModelMemory::Mapped, ModelMemory::Private] {
            assert_eq!(answer(&bundle, memory), expected, "{lead} {memory:?}");
        }
    }
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let pocket = BundleCopy::new();
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("base.apk");
    let places = pack(pocket.path(), &package, 3);
    let without = |name: &str| -> Places {
        let others = places.iter().filter(|(other, ..)| other != name);
        others.cloned().collect()
    };
    let shortened = |name: &str| -> Places {
        let shorten = |(other, offset, length): &(String, u64, u64)| {
            (other.clone(), *offset, *length - u64::from(other == name))
        };
        places.iter().map(shorten).collect()
    };

    let error = open(&package, &without("manifest.json")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bundle);
    assert!(
        error.to_string().contains("pocket/manifest.json"),
        "{error}"
    );
    for places in [
        without("image_encoder.onnx"),
        shortened("image_encoder.onnx"),
    ] {
        let bundle = open(&package, &places).unwrap();
        let error = Classifier::new(&runtime(), &bundle).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Bundle, "{error}");
        let message = error.to_string();
        assert!(message.contains("pocket/image_encoder.onnx"), "{message}");
    }

    let mut content = fs::read(&package).unwrap();
    let graph = places
        .iter()
        .find(|(name, ..)| name == "image_encoder.onnx");
    content[graph.unwrap().1 as usize + 5000] ^= 1;
    fs::write(&package, content).unwrap();
    let bundle = open(&package, &places).unwrap();
    let error = Classifier::new(&runtime(), &bundle).err().unwrap();
    assert!(error.to_string().contains("sha256"), "{error}");
}

#[test]
fn a_part_lies_within_a_regular_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ten");
    fs::write(&path, [7; 10]).unwrap();
    let part = |offset, length| {
        FilePart::new(File::open(&path).unwrap(), offset, length, "an asset")
            .map(drop)
            .map_err(|error| (error.kind(), error.to_string()))
    };
    assert_eq!(part(9, 1), Ok(()));
    for (offset, length) in [(0, 0), (10, 1), (0, 11), (u64::MAX, 2)] {
        let (kind, message) = part(offset, length).unwrap_err();
        assert_eq!(kind, ErrorKind::Caller);
        assert!(message.starts_with("an asset: "), "{message}");
    }
    let directory = File::open(folder.path()).unwrap();
    assert!(FilePart::new(directory, 0, 1, "a directory").is_err());
}
