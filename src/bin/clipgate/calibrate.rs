//! `clipgate calibrate`: thresholds for one's own images, with what they promise.

mod summary;

use std::collections::HashSet;
use std::path::Path;

use clipgate::calibration::{Method, OodRule};
use clipgate::fit::{DEFAULT_ID_PASS_SHARE, FitOptions, LabelledImage, fit};
use clipgate::{
    Bundle, DecodeOptions, Error, ErrorKind, ExecutedGraph, ImageEncoder, LabelBank, OodScore,
    OodScores, Result, Runtime, Scorer, Scores,
};

use crate::args::{CalibrateArgs, Format, MethodArg, RuleArgs};
use crate::exit_code::Outcome;
use crate::labelled::{Embedded, ImageList};
use crate::output::Output;
use crate::provider::NO_IMAGES;
use crate::{inputs, report, runtime_search};
use summary::Passed;

/// Labels that a note names.
const NAMED_LABELS: usize = 5;

/// What to fit by unless it is said.
const TARGET_RISK: f64 = 0.05;
const CONFIDENCE: f64 = 0.95;
const MISCOVERAGE: f64 = 0.1;

pub(crate) fn run(args: &CalibrateArgs, format: Format) -> Result<Outcome> {
    let mut options = args.rule.options(args.fit_fraction, args.seed)?;
    let output = Output::at(&args.output)?;
    let files = [&args.images, &args.embeddings, &args.bank, &args.ood];
    output.spares(files.into_iter().flatten())?;
    output.spares(&args.labels)?;
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    let runtime = runtime_search::load()?;
    let bank = inputs::own_or_bundles_bank(
        args.labels.as_deref(),
        args.bank.as_deref(),
        &runtime,
        &bundle,
        args.model.on_cpu()?,
    )?;
    let mut source = Source::new(args, &runtime, &bundle, &bank, &output, format)?;
    let labelled = without_copies(source.labelled()?);
    let others = source.others()?;
    note_gaps(&labelled, &bank);

    let manifest = bundle.manifest();
    let scorer = Scorer::new(manifest.logit_scale, 1.0)?.with_logit_bias(manifest.logit_bias)?;
    let images = measure(&labelled, &bank, &scorer)?;
    let other_scores = match &others {
        Some(others) => scores_of(others, &bank, &scorer)?,
        None => Vec::new(),
    };
    options.score = bundles_score(&bundle, &labelled, &bank, &scorer)?;
    options.source = source.name();
    let bound_to = source.executed.binding(&bank);
    let calibration = fit(&images, &other_scores, &scorer, bound_to, &options)?;
    output.write(&calibration.to_json()?)?;
    let others_passed = passed(&other_scores, calibration.ood());
    match format {
        Format::Json => report::json(&serde_json::json!({
            "output": output.name(),
            "images": labelled.len(),
            "unusable": labelled.unusable.len(),
            "failed": labelled.failed,
            "others": others_passed,
            "calibration": calibration,
        })),
        Format::Text => report::line(&summary::describe(
            &calibration,
            &output.name(),
            &bank,
            others_passed,
        )),
    }
    Ok(labelled
        .outcome()
        .and(others.map_or(Outcome::Answered, |others| others.outcome())))
}

impl RuleArgs {
    /// The options of a fit, without contradictions.
    pub(crate) fn options(&self, fit_fraction: f64, seed: u64) -> Result<FitOptions> {
        let method = match self.method.unwrap_or(MethodArg::Ltt) {
            MethodArg::Ltt => Method::Ltt,
            MethodArg::Sgr => Method::Sgr,
            MethodArg::Crc => Method::Crc,
            MethodArg::AcceptRate => Method::AcceptRate,
            MethodArg::Lac => Method::Lac,
            MethodArg::Aps => Method::Aps,
            MethodArg::Raps => Method::Raps,
        };
        let has_confidence = matches!(method, Method::Ltt | Method::Sgr);
        let has_risk = has_confidence || method == Method::Crc;
        let has_rate = method == Method::AcceptRate;
        for (option, is_given, is_meant) in [
            ("--target-risk", self.target_risk.is_some(), has_risk),
            ("--confidence", self.confidence.is_some(), has_confidence),
            ("--accept-rate", self.accept_rate.is_some(), has_rate),
            (
                "--miscoverage",
                self.miscoverage.is_some(),
                !has_risk && !has_rate,
            ),
        ] {
            if is_given && !is_meant {
                return refused(format!(
                    "{option} means nothing to the method `{}`",
                    name(method)
                ));
            }
        }
        let target = match method {
            Method::AcceptRate => match self.accept_rate {
                Some(rate) => rate,
                None => return refused("the method `accept_rate` needs --accept-rate".to_owned()),
            },
            _ if has_risk => self.target_risk.unwrap_or(TARGET_RISK),
            _ => self.miscoverage.unwrap_or(MISCOVERAGE),
        };
        let options = FitOptions {
            confidence: self.confidence.unwrap_or(CONFIDENCE),
            id_pass_share: self.id_pass.unwrap_or(DEFAULT_ID_PASS_SHARE),
            fit_fraction,
            seed,
            ..FitOptions::new(method, target)
        };
        options.check().map(|()| options)
    }
}

fn refused<T>(why: String) -> Result<T> {
    Err(Error::new(ErrorKind::Caller, why))
}

/// The name that the calibration file gives a method.
fn name(method: Method) -> String {
    serde_json::to_value(method)
        .ok()
        .and_then(|value| Some(value.as_str()?.to_owned()))
        .unwrap_or_default()
}

/// Where embeddings come from: an encoder that is opened once, or files.
struct Source<'a> {
    args: &'a CalibrateArgs,
    bank: &'a LabelBank,
    output: &'a Output,
    format: Format,
    encoder: Option<ImageEncoder>,
    executed: ExecutedGraph,
    decode: DecodeOptions,
}

impl<'a> Source<'a> {
    fn new(
        args: &'a CalibrateArgs,
        runtime: &Runtime,
        bundle: &Bundle,
        bank: &'a LabelBank,
        output: &'a Output,
        format: Format,
    ) -> Result<Self> {
        let has_images = args.images.is_some() || args.ood.as_ref().is_some_and(|ood| ood.is_dir());
        let encoder = match has_images {
            true => Some(ImageEncoder::open(runtime, bundle, args.model.session()?)?),
            false => {
                args.model.provider.refuse_without_images(NO_IMAGES)?;
                None
            }
        };
        Ok(Self {
            args,
            bank,
            output,
            format,
            encoder,
            executed: ExecutedGraph {
                preprocessing: args.decode.mode(),
                ..bundle.executed_graph()?
            },
            decode: args.decode.options(&[&bundle.manifest().preprocessing]),
        })
    }

    fn labelled(&mut self) -> Result<Embedded> {
        match (&self.args.images, &self.args.embeddings) {
            (Some(images), _) => {
                let list = ImageList::labelled(images, self.bank)?;
                self.encode(&list, "embedding images")
            }
            (None, Some(file)) => {
                let embedded = Embedded::labelled_tensors(file, self.bank)?;
                self.check_graph(embedded, file)
            }
            (None, None) => refused("--images or --embeddings is needed".to_owned()),
        }
    }

    fn others(&mut self) -> Result<Option<Embedded>> {
        let Some(path) = &self.args.ood else {
            return Ok(None);
        };
        if path.is_dir() {
            let list = ImageList::unlabelled(path)?;
            let others = self.encode(&list, "embedding other images")?;
            if others.image_embeds.is_empty() {
                let none = format!("none of the {} images can be scored", list.paths().len());
                return Err(Error::new(ErrorKind::Caller, none).at(path.display()));
            }
            return Ok(Some(others));
        }
        let embedded = Embedded::unlabelled_tensors(path, self.bank.dimension())?;
        self.check_graph(embedded, path).map(Some)
    }

    fn encode(&mut self, list: &ImageList, what: &'static str) -> Result<Embedded> {
        let Some(encoder) = &mut self.encoder else {
            return refused("no image encoder was opened".to_owned());
        };
        self.output.spares(list.paths())?;
        list.encode(&mut [encoder], self.decode, self.format, what)
            .pop()
            .ok_or_else(|| Error::new(ErrorKind::Caller, "nothing was embedded"))
    }

    /// Embeddings of another graph, or of pixels made in another way, calibrate nothing here.
    fn check_graph(&self, embedded: Embedded, path: &Path) -> Result<Embedded> {
        let own = self.executed.graph.to_string();
        embedded
            .check_mode(self.executed.preprocessing)
            .map_err(|error| error.at(path.display()))?;
        match &embedded.graph_sha256 {
            Some(graph) if *graph != own => {
                let error = Error::new(
                    ErrorKind::Policy,
                    format!("the embeddings are of graph {graph}, the bundle's is {own}"),
                );
                return Err(error.at(path.display()));
            }
            Some(_) => {}
            None => report::note(&format!(
                "{}: does not say which graph made the embeddings (`graph_sha256` in the metadata); taken for the \
                 bundle's",
                path.display()
            )),
        }
        Ok(embedded)
    }

    /// What the images are called in the calibration: no path, because the file may be handed on.
    fn name(&self) -> String {
        let path = self.args.images.as_ref().or(self.args.embeddings.as_ref());
        path.and_then(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

/// Every image with its label, those that show nothing at the end.
pub(crate) fn measure(
    labelled: &Embedded,
    bank: &LabelBank,
    scorer: &Scorer,
) -> Result<Vec<LabelledImage>> {
    let seen = labelled
        .image_embeds
        .iter()
        .zip(&labelled.labels)
        .map(|(embedding, &label)| LabelledImage::measure(embedding, label, bank, scorer));
    let unusable = labelled
        .unusable
        .iter()
        .filter_map(|image| image.label)
        .map(|label| Ok(LabelledImage::unusable(label)));
    seen.chain(unusable).collect()
}

fn scores_of(embedded: &Embedded, bank: &LabelBank, scorer: &Scorer) -> Result<Vec<OodScores>> {
    let mut scores = Scores::default();
    embedded
        .image_embeds
        .iter()
        .map(|embedding| {
            scorer.score(embedding, bank, &mut scores)?;
            Ok(OodScores::of(&scores, scorer))
        })
        .collect()
}

/// How many of these images pass the cut; `None` if there are none.
fn passed(others: &[OodScores], rule: OodRule) -> Option<Passed> {
    (!others.is_empty()).then(|| Passed {
        images: others.len(),
        passed: others.iter().filter(|scores| rule.passes(scores)).count(),
    })
}

/// The out-of-distribution score that the bundle's makers chose, where these labels have it.
fn bundles_score(
    bundle: &Bundle,
    labelled: &Embedded,
    bank: &LabelBank,
    scorer: &Scorer,
) -> Result<OodScore> {
    if bundle.manifest().calibration.is_none() {
        return Ok(OodScore::Msp);
    }
    known_score(bundle.calibration()?.ood().score, labelled, bank, scorer)
}

/// This score where these labels have it, MSP otherwise.
pub(crate) fn known_score(
    score: OodScore,
    labelled: &Embedded,
    bank: &LabelBank,
    scorer: &Scorer,
) -> Result<OodScore> {
    let mut scores = Scores::default();
    if let Some(embedding) = labelled.image_embeds.first() {
        scorer.score(embedding, bank, &mut scores)?;
        if OodScores::of(&scores, scorer).value(score).is_none() {
            return Ok(OodScore::Msp);
        }
    }
    Ok(score)
}

/// Every image of a label once. Copies show nothing new: counted, they would make a promise of two photos, and in both
/// halves of the split one of the past.
fn without_copies(labelled: Embedded) -> Embedded {
    let mut different = HashSet::new();
    let of_label = |row: usize| labelled.labels.get(row).copied();
    let mut rows: Vec<usize> = (0..labelled.image_embeds.len())
        .filter(|&row| {
            let bytes = bytemuck::cast_slice::<f32, u8>(labelled.image_embeds[row].as_slice());
            different.insert((bytes, of_label(row)))
        })
        .collect();
    let copies = labelled.image_embeds.len() - rows.len();
    if copies == 0 {
        return labelled;
    }
    report::note(&format!(
        "{copies} images are copies of others and were left out: they show nothing new"
    ));
    rows.extend(labelled.image_embeds.len()..labelled.len());
    labelled.pick(&rows)
}

/// Says what weakens the promise: labels without an image, and images that show nothing.
fn note_gaps(labelled: &Embedded, bank: &LabelBank) {
    let unusable = labelled.unusable.iter().filter_map(|image| image.label);
    let seen: HashSet<usize> = labelled.labels.iter().copied().chain(unusable).collect();
    let missing: Vec<&str> = bank
        .labels()
        .iter()
        .enumerate()
        .filter(|(row, _)| !seen.contains(row))
        .map(|(_, label)| label.name())
        .collect();
    if !missing.is_empty() {
        let named = missing[..missing.len().min(NAMED_LABELS)].join(", ");
        let more = if missing.len() > NAMED_LABELS {
            ", ..."
        } else {
            ""
        };
        report::note(&format!(
            "{} of {} labels have no image ({named}{more}): the calibration speaks of images of the others",
            missing.len(),
            bank.labels().len()
        ));
    }
    if !labelled.unusable.is_empty() {
        report::note(&format!(
            "{} images show nothing (dark, flat or covered) and count as abstentions, first {}",
            labelled.unusable.len(),
            labelled.unusable[0].name
        ));
    }
}
