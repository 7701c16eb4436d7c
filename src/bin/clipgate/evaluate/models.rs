//! The model under test and the one it is compared with: bundle, labels, gate.

use std::path::Path;
use std::sync::Arc;

use clipgate::{
    Bundle, CalibrationFit, Error, ErrorKind, ExecutedGraph, Gate, ImageEncoder, LabelBank, Result,
    Runtime, Scorer,
};

use super::EvaluateArgs;
use super::encode::Worker;
use super::sets::Set;
use crate::{inputs, report};

/// Cores are not the only thing that threads take: each has a copy of every model.
const MOST_JOBS: usize = 4;

/// What follows from having no calibration, and what can be done.
const UNGATED: &str = "no gate is judged; --fit-fraction 0.5 fits one on half of the images";

/// A model with its labels.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) bundle: Bundle,
    pub(super) bank: Arc<LabelBank>,
    /// What runs, as the bundle says; encoders check it.
    pub(super) executed: ExecutedGraph,
    /// `None` without a calibration of this graph.
    pub(super) gate: Option<Gate>,
}

/// The model under test, and the reference after it if one was asked for.
///
/// # Errors
/// What cannot be opened, and a reference of other labels or of another size than a shared bank.
pub(super) fn open(args: &EvaluateArgs, runtime: &Runtime) -> Result<Vec<Model>> {
    let mut models = vec![Model::open(
        args.model.bundle.as_deref(),
        args.calibration.as_deref(),
        args,
        runtime,
    )?];
    if let Some(directory) = &args.reference {
        let reference = Model::open(Some(directory), None, args, runtime)
            .map_err(|error| error.at("--reference"))?;
        check_labels(&models[0].bank, &reference.bank)
            .map_err(|error| error.at(directory.display()).at("--reference"))?;
        models.push(reference);
    }
    if let [own, reference] = models.as_mut_slice()
        && own.name == reference.name
    {
        for model in [own, reference] {
            model.name = format!("{} ({})", model.name, model.bundle.location());
        }
    }
    Ok(models)
}

impl Model {
    fn open(
        directory: Option<&Path>,
        calibration: Option<&Path>,
        args: &EvaluateArgs,
        runtime: &Runtime,
    ) -> Result<Self> {
        let bundle = inputs::bundle(directory)?;
        let bank = inputs::own_or_bundles_bank(
            args.labels.as_deref(),
            args.bank.as_deref(),
            runtime,
            &bundle,
            args.model.on_cpu()?,
        )?;
        let executed = ExecutedGraph {
            preprocessing: args.decode.mode(),
            ..bundle.executed_graph()?
        };
        let mut model = Self {
            name: bundle.manifest().id.clone(),
            bundle,
            bank,
            executed,
            gate: None,
        };
        if args.fit_fraction.is_some() {
            // Its score is taken after the images were embedded; a damaged file shows now.
            if model.bundle.manifest().calibration.is_some() {
                model.bundle.calibration()?;
            }
        } else {
            model.gate = model.calibrated(calibration, args.transfer)?;
        }
        Ok(model)
    }

    /// What scores images: the gate's, or where there is none that of the gate beside it, or else the model's own. Two
    /// graphs at different temperatures would differ by these alone.
    pub(super) fn scorer(&self, beside: Option<&Gate>) -> Result<Scorer> {
        let manifest = self.bundle.manifest();
        let (scale, bias) = (manifest.logit_scale, manifest.logit_bias);
        match self.gate.as_ref().or(beside) {
            Some(gate) => gate.scorer(scale, bias),
            None => Scorer::new(scale, 1.0)?.with_logit_bias(bias),
        }
    }

    /// The gate of the calibration that the user named, or of the bundle's own where it is of this graph.
    fn calibrated(&self, named: Option<&Path>, transfer: bool) -> Result<Option<Gate>> {
        if let Some(path) = named {
            let calibration = inputs::calibration(path)?;
            let gate = Gate::new(calibration, &self.executed, &self.bank)
                .map_err(|error| error.at(path.display()))?;
            if gate.fit() == CalibrationFit::Transferred && !transfer {
                return Err(inputs::foreign_labels().at(path.display()));
            }
            return Ok(Some(gate));
        }
        if self.bundle.manifest().calibration.is_none() {
            report::note(&format!("{}: no calibration; {UNGATED}", self.name));
            return Ok(None);
        }
        match Gate::new(self.bundle.calibration()?, &self.executed, &self.bank) {
            Ok(gate) => Ok(Some(gate)),
            Err(error) if error.kind() == ErrorKind::Policy => {
                report::note(&format!("{}: {error}; {UNGATED}", self.name));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Takes the bundle's own gate from embeddings that do not say that its graph made them: its thresholds may mean
/// nothing there. A calibration that the user named is believed.
pub(super) fn leave_out_foreign(args: &EvaluateArgs, models: &mut [Model], sets: &[Set]) {
    let unknown = sets.iter().find(|set| set.is_of_unknown_graph());
    let (Some(set), [own, ..]) = (unknown, models) else {
        return;
    };
    let of_whom = format!(
        "{}: the embeddings do not say which graph made them (`graph_sha256` in the metadata)",
        set.name
    );
    if args.calibration.is_none() && own.gate.take().is_some() {
        report::note(&format!(
            "{of_whom}, so the bundle's calibration is left out; {UNGATED}"
        ));
    } else {
        report::note(&format!("{of_whom}; taken for the bundle's"));
    }
}

/// As many workers as images are worked on at a time, each with an encoder of every model.
pub(super) fn workers(
    models: &[Model],
    args: &EvaluateArgs,
    runtime: &Runtime,
) -> Result<Vec<Worker>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = match args.jobs {
        Some(jobs) => jobs.into(),
        None => (cores / usize::from(args.model.threads)).clamp(1, MOST_JOBS),
    };
    let session = args.model.session()?;
    let encoder = |model: &Model| ImageEncoder::open(runtime, &model.bundle, session.clone());
    (0..jobs)
        .map(|_| models.iter().map(encoder).collect())
        .collect()
}

/// A row must be the same label in both banks; the texts' embeddings may differ.
fn check_labels(own: &LabelBank, reference: &LabelBank) -> Result<()> {
    let names = |bank: &LabelBank| -> Vec<String> {
        bank.labels()
            .iter()
            .map(|label| label.name().to_lowercase())
            .collect()
    };
    let (own, reference) = (names(own), names(reference));
    if own == reference {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Caller,
        format!(
            "has other labels ({}) than the model under test ({}): give both the same with --labels or --bank",
            reference.len(),
            own.len()
        ),
    ))
}
