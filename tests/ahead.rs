//! A graph that is read ahead of its encoder.

use std::fs;

use clipgate::{Bundle, ErrorKind, ImageEncoder, ModelMemory, SessionOptions};

use crate::support::bundles::BundleCopy;
use crate::support::runtime;

const MEMORIES: [ModelMemory; 2] = [ModelMemory::Mapped, ModelMemory::Private];

fn open(bundle: &Bundle, memory: ModelMemory) -> Result<ImageEncoder, clipgate::Error> {
    let options = SessionOptions::default().with_model_memory(memory);
    ImageEncoder::open(&runtime(), bundle, options)
}

#[test]
fn it_serves_whatever_memory_is_wanted() {
    let copy = BundleCopy::new();
    for bundle in [
        Bundle::open(copy.path()).unwrap(),
        Bundle::embedded().unwrap(),
    ] {
        for begun in MEMORIES {
            for wanted in MEMORIES {
                bundle.read_ahead(begun);
                open(&bundle, wanted).unwrap();
            }
        }
    }
}

#[test]
fn it_is_used_once_and_then_read_anew() {
    let copy = BundleCopy::new();
    let file = copy.file("image_encoder.onnx");
    let whole = fs::read(&file).unwrap();
    let bundle = Bundle::open(copy.path()).unwrap();
    for memory in MEMORIES {
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        fs::write(&file, &damaged).unwrap();
        bundle.read_ahead(memory);
        let error = open(&bundle, memory).err().expect("a flipped bit");
        assert_eq!(error.kind(), ErrorKind::Bundle, "{}", error.report());
        for words in ["image_encoder.onnx", "sha256"] {
            assert!(error.report().contains(words), "{}", error.report());
        }
        fs::write(&file, &whole).unwrap();
        open(&bundle, memory).unwrap();
    }
}
