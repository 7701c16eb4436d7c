//! Label banks that break a rule, and very small and very large ones that do not.

use std::collections::HashMap;
use std::sync::Arc;

use clipgate::{
    Bundle, CalibrationFit, Classifier, ErrorKind, Frame, Label, LabelBank, PixelFormat,
    PromiseKind, Reason, SharedBytes,
};
use safetensors::tensor::{Dtype, TensorView};

use crate::support::runtime;

/// A bank file as another program might write it.
fn file(labels: &str, shape: &[usize], values: &[f32]) -> SharedBytes {
    let view = TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(values)).unwrap();
    let metadata = HashMap::from([("labels".to_owned(), labels.to_owned())]);
    Arc::new(safetensors::serialize([("text_embeds", view)], Some(metadata)).unwrap())
}

#[test]
fn each_broken_rule_has_its_own_error() {
    let cases: [(&str, SharedBytes, &str); 12] = [
        ("no labels", file("[]", &[0, 2], &[]), "no labels"),
        (
            "a name twice",
            file(
                r#"[{"name":"cat"},{"name":"Cat"}]"#,
                &[2, 2],
                &[1., 0., 0., 1.],
            ),
            "twice",
        ),
        (
            "an empty name",
            file(r#"[{"name":" "}]"#, &[1, 2], &[1., 0.]),
            "without a name",
        ),
        (
            "too few rows",
            file(r#"[{"name":"a"},{"name":"b"}]"#, &[1, 2], &[1., 0.]),
            "1 rows for 2 labels",
        ),
        (
            "a row of no unit length",
            file(r#"[{"name":"a"}]"#, &[1, 2], &[2., 0.]),
            "length 2",
        ),
        (
            "NaN",
            file(r#"[{"name":"a"}]"#, &[1, 2], &[f32::NAN, 0.]),
            "\"a\" has length NaN",
        ),
        (
            "two labels with one embedding",
            file(
                r#"[{"name":"cat"},{"name":"puss"}]"#,
                &[2, 2],
                &[1., 0., 1., 0.],
            ),
            "\"cat\" and \"puss\" have the same embedding",
        ),
        (
            "a control character",
            file(r#"[{"name":"cat\u001b[31m"}]"#, &[1, 2], &[1., 0.]),
            "control character",
        ),
        (
            "one dimension",
            file(r#"[{"name":"a"}]"#, &[2], &[1., 0.]),
            "two dimensions",
        ),
        (
            "no columns",
            file(r#"[{"name":"a"}]"#, &[1, 0], &[]),
            "0 values",
        ),
        (
            "names that are no list",
            file("cat", &[1, 2], &[1., 0.]),
            "not a list",
        ),
        ("no safetensors", Arc::new(b"PNG".to_vec()), "safetensors"),
    ];
    let wrong: Vec<String> = cases
        .into_iter()
        .filter_map(
            |(name, bytes, says)| match LabelBank::from_safetensors(bytes) {
                Ok(_) => Some(format!("{name}: was accepted")),
                Err(error) => {
                    let fits = error.kind() == ErrorKind::Caller && error.report().contains(says);
                    (!fits).then(|| format!("{name}: {:?} {}", error.kind(), error.report()))
                }
            },
        )
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tensors of a bank with int8 rows, of which a test breaks one.
fn int8_tensors() -> HashMap<&'static str, (Dtype, Vec<usize>, Vec<u8>)> {
    let floats = |values: &[f32]| bytemuck::cast_slice(values).to_vec();
    HashMap::from([
        (
            "text_embeds",
            (Dtype::F32, vec![2, 2], floats(&[1., 0., 0., 1.])),
        ),
        (
            "text_embeds_q8",
            (Dtype::I8, vec![2, 2], vec![127, 129, 129, 127]),
        ),
        (
            "text_embeds_q8_steps",
            (Dtype::F32, vec![2], floats(&[0.5 / 127.; 2])),
        ),
        (
            "text_embeds_q8_mean",
            (Dtype::F32, vec![2], floats(&[0.5; 2])),
        ),
        ("label_names", (Dtype::U8, vec![8], b"cat\ndog\n".to_vec())),
    ])
}

fn int8_file(
    tensors: &HashMap<&'static str, (Dtype, Vec<usize>, Vec<u8>)>,
    metadata: Option<HashMap<String, String>>,
) -> SharedBytes {
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
        )
    });
    Arc::new(safetensors::serialize(views, metadata).unwrap())
}

#[test]
fn each_broken_rule_of_int8_rows_has_its_own_error() {
    let nan = || bytemuck::cast_slice(&[f32::NAN, 0.5 / 127.]).to_vec();
    let floats = |values: &[f32]| bytemuck::cast_slice(values).to_vec();
    let bytes = |text: &[u8]| Some((Dtype::U8, vec![text.len()], text.to_vec()));
    let cases = [
        (
            "text_embeds_q8_steps",
            None,
            "but not `text_embeds_q8_steps`",
        ),
        ("text_embeds_q8_mean", None, "but not `text_embeds_q8_mean`"),
        (
            "text_embeds_q8_steps",
            Some((Dtype::F32, vec![2], nan())),
            "has the step NaN",
        ),
        (
            "text_embeds_q8_mean",
            Some((Dtype::F32, vec![2], nan())),
            "mean holds NaN",
        ),
        (
            "text_embeds_q8_steps",
            Some((Dtype::F32, vec![2], floats(&[-0.001, 1.]))),
            "has the step -0.001",
        ),
        (
            "text_embeds_q8_steps",
            Some((Dtype::F32, vec![1], floats(&[1.]))),
            "F32 [2] is needed",
        ),
        (
            "text_embeds_q8",
            Some((Dtype::I8, vec![1, 2], vec![127; 2])),
            "1 rows for 2 labels",
        ),
        (
            "text_embeds_q8",
            Some((Dtype::U8, vec![2, 2], vec![127; 4])),
            "I8 is needed",
        ),
        (
            "text_embeds_q8",
            Some((Dtype::I8, vec![2, 2], vec![127, 129, 129, 126])),
            "\"dog\" is not the rounding",
        ),
        (
            "text_embeds",
            Some((Dtype::F32, vec![2, 1], floats(&[1., -1.]))),
            "`text_embeds_q8` has 2 columns",
        ),
        ("label_names", bytes(b"cat\ndog"), "line feed"),
        ("label_names", bytes(b"cat\n"), "2 rows for 1 labels"),
        ("label_names", bytes(b"cat\nCAT\n"), "twice"),
        ("label_names", bytes(b"cat\n\xff\n"), "not UTF-8"),
        (
            "label_names",
            bytes(b"cat\n\n"),
            "label 2: a label without a name",
        ),
        ("label_names", bytes(b"\n"), "without a name"),
        ("label_names", None, "names no `labels`"),
    ];
    assert!(LabelBank::from_safetensors(int8_file(&int8_tensors(), None)).is_ok());
    let mut wrong = Vec::new();
    for (name, tensor, says) in cases {
        let mut tensors = int8_tensors();
        tensors.remove(name);
        tensors.extend(tensor.map(|tensor| (name, tensor)));
        match LabelBank::from_safetensors(int8_file(&tensors, None)) {
            Ok(_) => wrong.push(format!("{says}: was accepted")),
            Err(error) if error.kind() == ErrorKind::Caller && error.report().contains(says) => {}
            Err(error) => wrong.push(format!("{says}: {:?} {}", error.kind(), error.report())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn int8_rows_alone_are_unit_rows_that_differ() {
    let refused = |name, tensor| {
        let mut tensors = int8_tensors();
        tensors.remove("text_embeds");
        assert!(LabelBank::from_safetensors(int8_file(&tensors, None)).is_ok());
        tensors.insert(name, tensor);
        let error = LabelBank::from_safetensors(int8_file(&tensors, None)).unwrap_err();
        error.report()
    };
    let same = (Dtype::I8, vec![2, 2], vec![127, 129, 127, 129]);
    assert!(refused("text_embeds_q8", same).contains("the same embedding"));
    let short = (Dtype::I8, vec![2, 2], vec![127, 129, 0, 0]);
    assert!(refused("text_embeds_q8", short).contains("\"dog\" has length 0.7"));
    let twice = HashMap::from([(
        "labels".to_owned(),
        r#"[{"name":"a"},{"name":"b"}]"#.to_owned(),
    )]);
    let error = LabelBank::from_safetensors(int8_file(&int8_tensors(), Some(twice))).unwrap_err();
    assert!(error.report().contains("in the metadata and in the tensor"));
}

#[test]
fn a_row_that_int8_would_bend_is_refused() {
    // One value takes the steps for itself, and the others, half of the length, vanish.
    let mut row = vec![0.003; 10_001];
    row[0] = (1.0f32 - 10_000.0 * 0.003 * 0.003).sqrt();
    let mut other = vec![0.0; 10_001];
    other[1] = 1.0;
    let labels = vec![Label::new("cat").unwrap(), Label::new("dog").unwrap()];
    let bank = LabelBank::new(labels, [row, other].concat(), 10_001).unwrap();
    let result = bank.with_rows(clipgate::Rows::Int8);
    if let Ok(bank) = result {
        panic!("{bank:?} was accepted");
    }
}

#[test]
fn every_truncation_of_a_bank_is_an_error() {
    let labels = vec![Label::new("cat").unwrap(), Label::new("dog").unwrap()];
    let bank = LabelBank::new(labels, vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
    let bytes = bank.to_safetensors().unwrap();
    for length in 0..bytes.len() {
        assert!(
            LabelBank::from_safetensors(Arc::new(bytes[..length].to_vec())).is_err(),
            "{length} bytes"
        );
    }
    let again = LabelBank::from_safetensors(Arc::new(bytes)).unwrap();
    assert_eq!(again.digest(), bank.digest());
}

#[test]
fn a_bank_at_an_odd_address_reads_the_same() {
    struct Shifted(Vec<u8>);
    impl AsRef<[u8]> for Shifted {
        fn as_ref(&self) -> &[u8] {
            &self.0[1..]
        }
    }
    let bank = LabelBank::new(vec![Label::new("cat").unwrap()], vec![0.6, 0.8], 2).unwrap();
    let mut shifted = vec![0];
    shifted.extend(bank.to_safetensors().unwrap());
    let again = LabelBank::from_safetensors(Arc::new(Shifted(shifted))).unwrap();
    assert_eq!(again.text_embeds(), bank.text_embeds());
}

#[test]
fn a_bank_of_another_model_is_refused() {
    let bank = LabelBank::new(vec![Label::new("cat").unwrap()], vec![0.6, 0.8], 2).unwrap();
    let Err(error) = Classifier::options()
        .bank(bank)
        .open(&runtime(), &Bundle::embedded().unwrap())
    else {
        panic!("a bank of 2 values was accepted");
    };
    assert!(error.to_string().contains("another model"), "{error}");
}

#[test]
fn one_label_is_decided_by_similarity_alone() {
    let bundle = Bundle::embedded().unwrap();
    let default = bundle.label_bank().unwrap();
    let row = default.text_embeds().unwrap().row(0).to_vec();
    let threshold = bundle
        .calibration()
        .unwrap()
        .absolute()
        .similarity_threshold;
    let bank = LabelBank::new(vec![Label::new("one").unwrap()], row, default.dimension()).unwrap();
    let mut classifier = Classifier::options()
        .bank(bank)
        .open(&runtime(), &bundle)
        .unwrap();
    let noise = checkerboard();
    let answer = classifier
        .classify(&Frame::new(&noise, 64, 64, PixelFormat::Gray8).unwrap())
        .unwrap();
    assert_eq!(answer.calibration, CalibrationFit::Transferred);
    assert_eq!(answer.promise, PromiseKind::None);
    let scores = answer.scores.unwrap();
    assert_eq!(
        (scores.msp, scores.mcm, answer.top[0].probability),
        (None, None, None)
    );
    assert_eq!(
        answer.decision.accepted().is_some(),
        scores.max_cosine >= threshold
    );
    if let Some(reason) = answer.decision.reason() {
        assert_eq!(reason, Reason::OutOfDistribution);
    }
}

#[test]
fn a_hundred_thousand_labels_give_the_right_answer() {
    const LABELS: usize = 100_000;
    let bundle = Bundle::embedded().unwrap();
    let default = bundle.label_bank().unwrap();
    let dimension = default.dimension();
    let mut rows = Vec::with_capacity(LABELS * dimension);
    let mut labels = Vec::with_capacity(LABELS);
    for row in 0..LABELS {
        let mut embedding = vec![0.0; dimension];
        let (first, second) = (row % dimension, row / dimension % dimension);
        embedding[first] = 0.6;
        embedding[second] = if first == second { 1.0 } else { 0.8 };
        if row == LABELS - 7 {
            embedding = default.text_embeds().unwrap().row(3).to_vec();
        }
        rows.extend(embedding);
        labels.push(Label::new(&format!("label {row}")).unwrap());
    }
    let bank = LabelBank::new(labels, rows, dimension).unwrap();
    let mut classifier = Classifier::options()
        .bank(bank)
        .top_k(3)
        .open(&runtime(), &bundle)
        .unwrap();
    let pixels = checkerboard();
    let answer = classifier
        .classify(&Frame::new(&pixels, 64, 64, PixelFormat::Gray8).unwrap())
        .unwrap();
    assert_eq!(answer.top.len(), 3);
    assert!(answer.top[0].similarity >= answer.top[1].similarity);
    let bank =
        LabelBank::from_safetensors(Arc::new(classifier.bank().to_safetensors().unwrap())).unwrap();
    assert_eq!(bank.digest(), classifier.bank().digest());
}

fn checkerboard() -> Vec<u8> {
    (0..64 * 64)
        .map(|i| if (i / 8 + i / 512) % 2 == 0 { 20 } else { 230 })
        .collect()
}
