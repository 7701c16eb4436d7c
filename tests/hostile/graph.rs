//! Graphs that are damaged, or that are none clipgate can use.

use clipgate::{ErrorKind, Session, SessionOptions};

use crate::support::{data, runtime};

fn load(model: &[u8]) -> clipgate::Result<Session> {
    Session::new(&runtime(), model, SessionOptions::default())
}

#[test]
fn graphs_of_another_kind_are_refused_by_name() {
    let cases = [
        ("dynamic_batch", "\"pixel_values\" has no fixed shape"),
        ("two_inputs", "2 inputs [\"pixel_values\", \"mask\"]"),
        ("input_map", "2 inputs"),
        ("input_optional", "2 inputs"),
        ("input_sparse", "2 inputs"),
        ("input_only_optional", "\"maybe\" is"),
        ("two_outputs", "2 outputs [\"image_embeds\", \"surplus\"]"),
        ("float16", "\"pixel_values\" is of f16"),
        ("strings", "\"pixel_values\" is of String"),
        ("int64_output", "output `image_embeds` is i64"),
        ("empty_tensor", "`pixel_values` of shape [1, 0] is empty"),
        ("huge_tensor", "has more than 16777216 elements"),
        ("external_weights", "cannot load the graph"),
    ];
    let mut wrong = Vec::new();
    for (name, rule) in cases {
        match load(&data(&format!("session/{name}.onnx"))) {
            Ok(session) => wrong.push(format!("{name}: was accepted as {session:?}")),
            Err(error) if error.kind() != ErrorKind::Bundle || !error.report().contains(rule) => {
                wrong.push(format!("{name}: {:?}: {}", error.kind(), error.report()));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bytes_that_are_no_graph_are_refused() {
    for model in [
        &b""[..],
        b"\0",
        b"not a graph",
        &[0xff; 4096],
        b"ORTM",
        &[8; 100],
    ] {
        let error = load(model).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Bundle, "{}", error.report());
    }
}

#[test]
fn a_truncated_graph_is_refused_or_still_whole() {
    let whole = data("session/tiny.onnx");
    for length in (0..whole.len()).step_by(7) {
        if let Err(error) = load(&whole[..length]) {
            assert_eq!(error.kind(), ErrorKind::Bundle, "{}", error.report());
        }
    }
    assert!(load(&whole[..whole.len() / 2]).is_err());
}

#[test]
fn a_flipped_bit_never_panics() {
    let whole = data("session/tiny.onnx");
    // The structure lies before and after the weights; in them every value is a valid weight.
    for at in (0..120).chain(whole.len() - 120..whole.len()) {
        for bit in [0, 3, 7] {
            let mut model = whole.clone();
            model[at] ^= 1 << bit;
            if let Err(error) = load(&model) {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Bundle,
                    "byte {at}: {}",
                    error.report()
                );
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_the_ort_format_never_panics() {
    let whole = data("session/tiny.ort");
    for at in (0..whole.len()).step_by(5) {
        for bit in [0, 3, 7] {
            let mut model = whole.clone();
            model[at] ^= 1 << bit;
            if let Err(error) = load(&model) {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Bundle,
                    "byte {at}: {}",
                    error.report()
                );
            }
        }
    }
}
