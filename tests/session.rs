//! Sessions execute graphs as written.

use std::thread;

use clipgate::{Backend, ElementType, InputMut, Runtime, Session, SessionOptions};

use crate::support::{data, runtime};

const FEATURES: usize = 48;
const DIM: usize = 8;

fn session(name: &str, options: SessionOptions) -> Session {
    Session::new(&runtime(), &data(name), options).unwrap()
}

fn fill(session: &mut Session, value_at: impl Fn(usize) -> f32) {
    let InputMut::F32(values) = session.input_mut() else {
        panic!("the input is f32");
    };
    for (index, value) in values.iter_mut().enumerate() {
        *value = value_at(index);
    }
}

/// tiny.onnx by hand: exact, because weights and inputs are small multiples of powers of two.
fn expected(value_at: impl Fn(usize) -> f32) -> Vec<f32> {
    let weight = |row: usize, column: usize| ((row * 7 + column * 5) % 13) as f32 - 6.0;
    (0..DIM)
        .map(|column| {
            (0..FEATURES)
                .map(|row| value_at(row) * weight(row, column) / 64.0)
                .sum()
        })
        .collect()
}

#[test]
fn describes_its_tensors() {
    let session = session("session/tiny.onnx", SessionOptions::default());
    assert_eq!(session.input().to_string(), "pixel_values f32 [1, 3, 4, 4]");
    assert_eq!(session.output().to_string(), "image_embeds f32 [1, 8]");
    assert_eq!(session.input().element(), ElementType::F32);
}

#[test]
fn every_run_reads_what_was_written_in_place() {
    let mut session = session("session/tiny.onnx", SessionOptions::default());
    assert_eq!(
        session.run().unwrap(),
        [0.0; DIM],
        "the input is zero at first"
    );
    for scale in [1.0, -0.5, 3.0] {
        let ramp = |index: usize| scale * (index as f32 - 20.0) / 4.0;
        fill(&mut session, ramp);
        assert_eq!(session.run().unwrap(), expected(ramp));
        assert_eq!(session.run().unwrap(), expected(ramp), "the input is kept");
    }
}

#[test]
fn runs_on_more_threads() {
    let options = SessionOptions::default().with_threads(2).unwrap();
    for spinning in [false, true] {
        let mut session = session("session/tiny.onnx", options.clone().with_spinning(spinning));
        fill(&mut session, |index| index as f32);
        assert_eq!(session.run().unwrap(), expected(|index| index as f32));
    }
}

#[test]
fn reads_token_ids() {
    let mut session = session("session/tokens.onnx", SessionOptions::default());
    let InputMut::I64(ids) = session.input_mut() else {
        panic!("the input is i64");
    };
    ids.copy_from_slice(&[49406, 320, 1125, 539, 320, 2368, 49407, 0]);
    let embeds = session.run().unwrap();
    assert_eq!(
        embeds,
        [49406.0, 320.0, 1125.0, 539.0, 320.0, 2368.0, 49407.0, 0.0]
    );
}

#[test]
fn moves_between_threads_and_works_beside_another() {
    let workers: Vec<_> = (1..=3)
        .map(|scale| {
            let mut session = session("session/tiny.onnx", SessionOptions::default());
            thread::spawn(move || {
                let ramp = |index: usize| (index * scale) as f32;
                fill(&mut session, ramp);
                for _ in 0..50 {
                    assert_eq!(session.run().unwrap(), expected(ramp));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn runtime_tells_version_and_path() {
    let runtime = runtime();
    assert!(runtime.version().starts_with("1."), "{}", runtime.version());
    assert!(runtime.path().is_absolute());
    let again = Runtime::load(runtime.path()).unwrap();
    assert_eq!(
        again.path(),
        runtime.path(),
        "the same file is the same runtime"
    );
}
