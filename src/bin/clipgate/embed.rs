//! `clipgate embed`: unit-length embeddings of images or texts.

use clipgate::{ImageEncoder, Result, TextEncoder};

use crate::args::{EmbedArgs, Format};
use crate::exit_code::Outcome;
use crate::labelled::{self, GRAPH_SHA256, PREPROCESSING};
use crate::output::{self, Output};
use crate::{inputs, report, runtime_search};

pub(crate) fn run(args: &EmbedArgs, format: Format) -> Result<Outcome> {
    let output = Output::at(&args.output)?;
    output.spares(&args.images)?;
    let runtime = runtime_search::load()?;
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    let (mut values, mut rows) = (Vec::new(), Vec::new());
    let (tensor, names, made_by, outcome) = if args.text.is_empty() {
        let mut encoder = ImageEncoder::open(&runtime, &bundle, args.model.session()?)?;
        let progress = report::progress(args.images.len(), "embedding");
        let outcome = inputs::each_image(
            &args.images,
            args.decode.options(&[&bundle.manifest().preprocessing]),
            format,
            &progress,
            |_, path, frame| {
                let embedding = encoder.encode(frame)?;
                values.extend_from_slice(embedding.as_slice());
                rows.push(path.display().to_string());
                Ok(Outcome::Answered)
            },
        );
        // So that nothing is calibrated on another model's embeddings.
        let made_by = vec![
            (GRAPH_SHA256, encoder.executed().graph.to_string()),
            (PREPROCESSING, labelled::mode_name(args.decode.mode())),
        ];
        ("image_embeds", "paths", made_by, outcome)
    } else {
        let mut encoder = TextEncoder::open(&runtime, &bundle, args.model.text_session()?)?;
        let mut outcome = Outcome::Answered;
        for (index, text) in args.text.iter().enumerate() {
            match encoder.encode(text) {
                Ok(embedding) => {
                    values.extend_from_slice(embedding.as_slice());
                    rows.push(text.clone());
                }
                Err(error) => {
                    let error = error.at(format!("text {}", index + 1));
                    report::failed_input("text", text, &error, format);
                    outcome = Outcome::Failed;
                }
            }
        }
        ("text_embeds", "texts", Vec::new(), outcome)
    };
    if rows.is_empty() {
        return Ok(outcome);
    }
    let shape = vec![rows.len(), bundle.manifest().embedding_dim];
    output::write_tensor(
        &output,
        tensor,
        shape.clone(),
        &values,
        (names, &rows),
        made_by,
    )?;
    if format == Format::Json {
        report::json(
            &serde_json::json!({ "output": output.name(), "tensor": tensor, "shape": shape }),
        );
    } else {
        report::line(&format!("{}: {tensor} {shape:?}", output.name()));
    }
    Ok(outcome)
}
