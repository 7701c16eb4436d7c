//! Graphs that compute what is no embedding.

use clipgate::{
    Backend, Bundle, ElementType, ErrorKind, Frame, ImageEncoder, InputMut, PixelFormat, Result,
    TensorSpec,
};

/// A backend that answers the self-test rightly, and every later frame with `then`.
struct Turncoat {
    input: TensorSpec,
    output: TensorSpec,
    pixel_values: Vec<f32>,
    answers: Vec<Vec<f32>>,
    runs: usize,
}

impl Backend for Turncoat {
    fn input(&self) -> &TensorSpec {
        &self.input
    }

    fn output(&self) -> &TensorSpec {
        &self.output
    }

    fn input_mut(&mut self) -> InputMut<'_> {
        InputMut::F32(&mut self.pixel_values)
    }

    fn run(&mut self) -> Result<&[f32]> {
        let answer = self.runs.min(self.answers.len() - 1);
        self.runs += 1;
        Ok(&self.answers[answer])
    }
}

fn encoder(output_name: &str, answers: Vec<Vec<f32>>) -> Result<ImageEncoder> {
    let bundle = Bundle::embedded().unwrap();
    let manifest = bundle.manifest();
    let size = manifest.preprocessing.size as usize;
    let backend = Turncoat {
        input: TensorSpec::new("pixel_values", ElementType::F32, &[1, 3, size, size]).unwrap(),
        output: TensorSpec::new(output_name, ElementType::F32, &[1, manifest.embedding_dim])
            .unwrap(),
        pixel_values: vec![0.0; 3 * size * size],
        answers,
        runs: 0,
    };
    ImageEncoder::with_backend(Box::new(backend), manifest, &bundle.selftest().unwrap())
}

fn right_answer() -> Vec<f32> {
    Bundle::embedded()
        .unwrap()
        .selftest()
        .unwrap()
        .image_embeds
        .as_slice()
        .to_vec()
}

#[test]
fn nan_in_the_output_is_the_models_fault_and_no_decision() {
    let mut with_nan = right_answer();
    with_nan[7] = f32::NAN;
    let mut encoder = encoder("image_embeds", vec![right_answer(), with_nan]).unwrap();
    let pixels = [9; 12];
    let error = encoder
        .encode(&Frame::new(&pixels, 2, 2, PixelFormat::Rgb8).unwrap())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.to_string().contains("value 7"), "{error}");
}

#[test]
fn a_kernel_that_computes_wrongly_is_caught_at_load() {
    let zeros = vec![0.0; right_answer().len()];
    let mut shuffled = right_answer();
    shuffled.reverse();
    for wrong in [zeros, shuffled] {
        let Err(error) = encoder("image_embeds", vec![wrong]) else {
            panic!("a wrong kernel was accepted");
        };
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.to_string().contains("self-test"), "{error}");
    }
}

#[test]
fn another_output_name_is_refused() {
    let Err(error) = encoder("last_hidden_state", vec![right_answer()]) else {
        panic!("another output was accepted");
    };
    assert_eq!(error.kind(), ErrorKind::Bundle);
    assert!(error.to_string().contains("last_hidden_state"), "{error}");
}
