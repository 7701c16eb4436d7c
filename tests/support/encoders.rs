//! Classifiers on a backend that does as it is told: answers at once, hangs, fails or panics.

use std::sync::{Arc, Condvar, Mutex};

use clipgate::{
    Backend, Bundle, Classifier, ElementType, Error, ErrorKind, ImageEncoder, InputMut, Result,
    TensorSpec,
};

use super::runtime;

/// What the backend does with the next frames.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mood {
    /// Answers as the self-test expects, whatever the frame shows.
    #[default]
    Prompt,
    Stuck,
    Failing,
    Panicking,
}

/// Sets the mood, from any thread, and counts the frames that the backend was asked about.
#[derive(Clone, Default)]
pub(crate) struct Control(Arc<(Mutex<(Mood, usize)>, Condvar)>);

impl Control {
    pub(crate) fn set(&self, mood: Mood) {
        self.0.0.lock().unwrap().0 = mood;
        self.0.1.notify_all();
    }

    pub(crate) fn asked(&self) -> usize {
        self.0.0.lock().unwrap().1
    }

    fn obey(&self) -> Result<()> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.1 += 1;
        while state.0 == Mood::Stuck {
            state = changed.wait(state).unwrap();
        }
        let mood = state.0;
        drop(state);
        match mood {
            Mood::Failing => return Err(Error::new(ErrorKind::Model, "told to fail")),
            Mood::Panicking => panic!("told to panic"),
            Mood::Prompt | Mood::Stuck => {}
        }
        Ok(())
    }
}

struct Obedient {
    control: Control,
    input: TensorSpec,
    output: TensorSpec,
    pixel_values: Vec<f32>,
    answer: Vec<f32>,
}

impl Backend for Obedient {
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
        self.control.obey()?;
        Ok(&self.answer)
    }
}

/// Pocket's classifier on an obedient backend.
pub(crate) fn obedient(control: &Control) -> Classifier {
    let bundle = Bundle::embedded().unwrap();
    let manifest = bundle.manifest();
    let selftest = bundle.selftest().unwrap();
    let size = manifest.preprocessing.size as usize;
    let dimension = manifest.embedding_dim;
    let backend = Obedient {
        control: control.clone(),
        input: TensorSpec::new("pixel_values", ElementType::F32, &[1, 3, size, size]).unwrap(),
        output: TensorSpec::new("image_embeds", ElementType::F32, &[1, dimension]).unwrap(),
        pixel_values: vec![0.0; 3 * size * size],
        answer: selftest.image_embeds.as_slice().to_vec(),
    };
    let encoder = ImageEncoder::with_backend(Box::new(backend), manifest, &selftest).unwrap();
    Classifier::options().open_with(encoder, &bundle).unwrap()
}

/// Pocket's classifier as it is.
pub(crate) fn pocket() -> Classifier {
    Classifier::new(&runtime(), &Bundle::embedded().unwrap()).unwrap()
}
