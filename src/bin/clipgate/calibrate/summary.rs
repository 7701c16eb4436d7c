//! What a calibration says of itself to people.

use clipgate::bounds::binomial_upper;
use clipgate::calibration::{Calibration, Share};
use clipgate::{LabelBank, PromiseKind};
use serde::Serialize;

/// Of images of other things, how many pass the out-of-distribution cut. They may have chosen its score.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Passed {
    pub(super) images: usize,
    pub(super) passed: usize,
}

pub(super) fn describe(
    calibration: &Calibration,
    output: &str,
    bank: &LabelBank,
    others: Option<Passed>,
) -> String {
    let point = calibration.operating_point();
    let fitted = calibration.fitted_on();
    let ood = calibration.ood();
    let threshold = match calibration.sets() {
        Some(sets) => format!("label sets up to a score of {:.4}", sets.threshold),
        None => format!("confidence at {:.4}", calibration.confidence().threshold),
    };
    let sets = match point.mean_set_size {
        Some(size) => format!(", {size:.2} labels in a set"),
        None => String::new(),
    };
    let others = match others {
        Some(Passed { images, passed }) => format!(
            "of {images} images of other things {:.1} % pass the out-of-distribution cut",
            passed as f64 / images as f64 * 100.0
        ),
        None => "how many images of other things are accepted is not known: give some with --ood"
            .to_owned(),
    };
    format!(
        "{}: {} labels, fitted on {} images, certified on {} others\n\
         temperature {:.3}, out-of-distribution score {} at {:.4}, {threshold}\n\
         of the certifying images {} are accepted, and {} of those are wrong{sets}\n\
         {others}\n\
         promise: {}. {}",
        output,
        bank.labels().len(),
        fitted.temperature,
        fitted.thresholds,
        calibration.temperature(),
        ood.score.as_str(),
        ood.threshold,
        share(&point.accepted),
        wrong(calibration),
        calibration.promise(),
        calibration.promise().conditions,
    )
}

/// The share of wrong answers, with the bound that the promise rests on where that is one of high probability.
fn wrong(calibration: &Calibration) -> String {
    let (promise, wrong) = (calibration.promise(), calibration.operating_point().wrong);
    let bound = match (promise.kind, promise.confidence) {
        (PromiseKind::HighProbability, Some(confidence)) => {
            binomial_upper(wrong.count as usize, wrong.of as usize, 1.0 - confidence).ok()
        }
        _ => None,
    };
    match (wrong.value(), bound) {
        (Some(value), Some(bound)) => {
            format!("{:.1} % (at most {:.1} %)", value * 100.0, bound * 100.0)
        }
        _ => share(&wrong),
    }
}

fn share(share: &Share) -> String {
    match share.value() {
        Some(value) => format!(
            "{:.1} % ({:.1} to {:.1} %)",
            value * 100.0,
            share.low * 100.0,
            share.high * 100.0
        ),
        None => "none".to_owned(),
    }
}
