//! clipgate as an application runs it: one classifier, frames and files through its public functions.

use std::path::{Path, PathBuf};

use clipgate::{
    Bundle, Classifier, DecodeOptions, Frame, ImageDecoder, PixelFormat, Runtime, SessionOptions,
};
use worker::{Answer, Arguments, HEIGHT, Peer, Result, WIDTH};

struct Clipgate {
    classifier: Classifier,
    exact: ImageDecoder,
    fast: ImageDecoder,
    frames: PathBuf,
    frame: Vec<u8>,
}

fn main() -> Result<()> {
    let arguments = Arguments::from_command_line()?;
    let library = std::env::var("ORT_DYLIB_PATH")?;
    let session = SessionOptions::default().with_threads(arguments.threads)?;
    let bundle = Bundle::open(&arguments.bundle)?;
    bundle.read_ahead(session.model_memory());
    let runtime = Runtime::load(Path::new(&library))?;
    let fast = DecodeOptions::fast(&bundle.manifest().preprocessing);
    let classifier = Classifier::options()
        .session(session)
        .open(&runtime, &bundle)?;
    let peer = Clipgate {
        classifier,
        exact: ImageDecoder::default(),
        fast: ImageDecoder::new(fast),
        frame: std::fs::read(arguments.frames.join("frame.nv21"))?,
        frames: arguments.frames.clone(),
    };
    worker::serve(&arguments, peer)
}

impl Peer for Clipgate {
    fn answer(&mut self, case: &str) -> Result<Answer> {
        let answer = match case {
            "nv21" => {
                let frame = Frame::new(&self.frame, WIDTH, HEIGHT, PixelFormat::Nv21)?;
                self.classifier.classify(&frame)?
            }
            file => {
                let (decoder, file) = match file.strip_prefix("fast:") {
                    Some(file) => (&mut self.fast, file),
                    None => (&mut self.exact, file),
                };
                let image = decoder.decode_file(&self.frames.join(file))?;
                self.classifier.classify(&image.frame()?)?
            }
        };
        let best = answer.top.first().ok_or("the frame was not looked at")?;
        Ok(Answer {
            label: best.label.to_string(),
            similarity: best.similarity,
        })
    }
}
