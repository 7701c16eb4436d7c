//! Gates that are fitted on a share of the very images, and judged on the others.

use clipgate::fit::{DEFAULT_FIT_FRACTION, fit, stratified};
use clipgate::{Error, ErrorKind, Gate, Result, Scorer};

use super::EvaluateArgs;
use super::models::Model;
use crate::args::RuleArgs;
use crate::calibrate::{bundles_score, measure};
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
    for (model, sets) in models.iter_mut().zip(embedded) {
        let Some(id) = sets.first_mut() else {
            continue;
        };
        let unusable = id.unusable.iter().filter_map(|image| image.label);
        let labels: Vec<usize> = id.labels.iter().copied().chain(unusable).collect();
        let (fits, judged) = stratified(&labels, share, args.seed);
        let fits = id.pick(&fits);
        *id = id.pick(&judged);
        images = fits.len();
        let named = |error: Error| error.at(&model.name);
        model.gate = Some(gate(model, &fits, options.clone()).map_err(named)?);
    }
    Ok(images)
}

fn gate(model: &Model, fits: &Embedded, mut options: clipgate::fit::FitOptions) -> Result<Gate> {
    let manifest = model.bundle.manifest();
    let scorer = Scorer::new(manifest.logit_scale, 1.0)?.with_logit_bias(manifest.logit_bias)?;
    let labelled = measure(fits, &model.bank, &scorer)?;
    options.score = bundles_score(&model.bundle, fits, &model.bank, &scorer)?;
    let bound_to = model.executed.binding(&model.bank);
    let calibration = fit(&labelled, &[], &scorer, bound_to, &options)?;
    Gate::new(calibration, &model.executed, &model.bank)
}
