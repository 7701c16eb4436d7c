//! `clipgate preprocess`: the model's input, for comparison with other implementations.

use clipgate::{Preprocessor, Result};

use crate::args::{Format, PreprocessArgs};
use crate::exit_code::Outcome;
use crate::output::{self, Output};
use crate::{inputs, report};

pub(crate) fn run(args: &PreprocessArgs, format: Format) -> Result<Outcome> {
    let output = Output::at(&args.output)?;
    output.spares(&args.images)?;
    let bundle = inputs::bundle(args.bundle.as_deref())?;
    let preprocessing = bundle.manifest().preprocessing;
    let size = preprocessing.size as usize;
    let mut preprocessor = Preprocessor::new(preprocessing)?;
    let mut pixel_values = vec![0.0; preprocessing.pixel_values_len()];
    let (mut values, mut paths) = (Vec::new(), Vec::new());
    let json = format == Format::Json;
    let progress = report::progress(args.images.len(), "preprocessing");
    let outcome = inputs::each_image(
        &args.images,
        args.decode.options(&[&preprocessing]),
        format,
        &progress,
        |_, path, frame| {
            let quality = preprocessor.run(frame, &mut pixel_values)?;
            values.extend_from_slice(&pixel_values);
            paths.push(path.display().to_string());
            if json {
                report::json(&serde_json::json!({
                    "image": path.display().to_string(),
                    "row": paths.len() - 1,
                    "luma_mean": quality.luma_mean,
                    "luma_deviation": quality.luma_deviation,
                }));
            }
            Ok(Outcome::Answered)
        },
    );
    if paths.is_empty() {
        return Ok(outcome);
    }
    output::write_tensor(
        &output,
        "pixel_values",
        vec![paths.len(), 3, size, size],
        &values,
        ("paths", &paths),
        Vec::new(),
    )?;
    if !json {
        report::line(&format!(
            "{}: pixel_values [{}, 3, {size}, {size}]",
            output.name(),
            paths.len()
        ));
    }
    Ok(outcome)
}
