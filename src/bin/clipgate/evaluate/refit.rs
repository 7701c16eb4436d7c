//! Gates that are fitted on a share of the very images, and judged on the others.

use clipgate::fit::{DEFAULT_FIT_FRACTION, FitOptions, fit, stratified};
use clipgate::{Error, ErrorKind, Gate, OodScore, Result};

use super::EvaluateArgs;
use super::models::Model;
use crate::args::RuleArgs;
use crate::calibrate::{known_score, measure};
use crate::labelled::Embedded;

/// Refuses options that contradict each other, before any work.
pub(super) fn check(args: &EvaluateArgs) -> Result<()> {
    let refused = |why: &str| Err(Error::new(ErrorKind::Caller, why));
    match args.fit_fraction {
        Some(share) if share > 0.0 && share < 1.0 => args
            .rule
            .options(DEFAULT_FIT_FRACTION, args.seed)
            .map(|_| ()),
        Some(share) => refused(&format!(
            "--fit-fraction is {share}; it must be above 0 and below 1"
        )),
        None if args.rule != RuleArgs::default() => refused(
            "--method, --target-risk and the like say how a gate is fitted, which needs --fit-fraction",
        ),
        None => Ok(()),
    }
}

/// Gives each model a gate that is fitted on `share` of its labelled images, the first of its sets, and leaves the
/// others there. The split is the same for all models. Returns how many images fitted.
///
/// # Errors
/// As [`fit`], with the model's name.
pub(super) fn refit(
    args: &EvaluateArgs,
    share: f64,
    models: &mut [Model],
    embedded: &mut [Vec<Embedded>],
) -> Result<usize> {
    let options = args.rule.options(DEFAULT_FIT_FRACTION, args.seed)?;
    let mut images = 0;
    let mut score = OodScore::Msp;
    for (model, sets) in models.iter_mut().zip(embedded) {
        let Some(id) = sets.first_mut() else {
            continue;
        };
        // A model whose bundle has no calibration is asked what the one before it is asked: the graphs are compared then,
        // not the scores.
        if model.bundle.manifest().calibration.is_some() {
            score = model.bundle.calibration()?.ood().score;
        }
        let unusable = id.unusable.iter().filter_map(|image| image.label);
        let labels: Vec<usize> = id.labels.iter().copied().chain(unusable).collect();
        let (fits, judged) = stratified(&labels, share, args.seed);
        let fits = id.pick(&fits);
        *id = id.pick(&judged);
        images = fits.len();
        let named = |error: Error| error.at(&model.name);
        model.gate = Some(gate(model, &fits, score, options.clone()).map_err(named)?);
    }
    Ok(images)
}

fn gate(model: &Model, fits: &Embedded, score: OodScore, mut options: FitOptions) -> Result<Gate> {
    let scorer = model.scorer(None)?;
    let labelled = measure(fits, &model.bank, &scorer)?;
    options.score = known_score(score, fits, &model.bank, &scorer)?;
    let bound_to = model.executed.binding(&model.bank);
    let calibration = fit(&labelled, &[], &scorer, bound_to, &options)?;
    Gate::new(calibration, &model.executed, &model.bank)
}
