//! Why images allow no calibration, in words, and what would help.

use super::{FitOptions, MIN_FIT_IMAGES};
use crate::bounds::trials_needed;
use crate::calibration::Method;
use crate::error::{Error, Result};
use crate::selective::{Answers, Certified, search_steps, times_as_many};

/// The least further share of images that is advised.
const LEAST_MORE: f64 = 0.1;

/// Why so few images fit nothing, and how many would do for all that is asked.
pub(super) fn too_few_fit(images: usize, options: &FitOptions) -> Result<Error> {
    let certify = fewest_images(options)?;
    let passing = (1.0 - options.fit_fraction) * options.id_pass_share;
    let all = (MIN_FIT_IMAGES as f64 / options.fit_fraction).max(certify as f64 / passing);
    Ok(Error::policy(format!(
        "{images} images are left to fit temperature and cut on, at least {MIN_FIT_IMAGES} are needed, and {certify} \
         others to certify the target without a mistake: bring about {} images or more",
        all.ceil()
    )))
}

/// Why no threshold is certified by the `answers` that pass the cut, of `images` in the second split and `all_images` in
/// both, and what would help.
pub(super) fn uncertified(
    answers: &Answers,
    images: usize,
    all_images: usize,
    options: &FitOptions,
) -> Result<Error> {
    let (target, confidence) = (options.target, options.confidence);
    // Each step of a search has a part of delta alone.
    let delta = match options.method {
        Method::Sgr => (1.0 - confidence) / f64::from(search_steps(answers.len())),
        _ => 1.0 - confidence,
    };
    let least = trials_needed(0, target, delta)?;
    let Certified {
        accepted, wrong, ..
    } = answers.at(0.0);
    let more = match times_as_many(answers, target, delta)? {
        Some(times) => {
            let more = (all_images as f64 * (times - 1.0).max(LEAST_MORE)).ceil();
            format!("about {more} more images would be needed if errors go on at this rate")
        }
        None => "more images would not help, because even the surest answers are wrong too often (are the labels \
                 right?)"
            .to_owned(),
    };
    Ok(Error::policy(format!(
        "these images cannot promise at most {} % of accepted answers wrong with {} % confidence: that takes {least} \
         accepted answers without a mistake, or more with some; of the {images} images left to certify it {accepted} pass \
         the out-of-distribution cut, {wrong} of them answered wrongly; {more}. Else settle for a larger risk or a \
         smaller confidence (every further try on the same images weakens what is promised), or for an accept rate, \
         which promises nothing",
        percent(target),
        percent(confidence),
    )))
}

/// `(errors + 1) / (n + 1)` cannot be small enough for `counted` images.
pub(super) fn too_few_certify(counted: usize, options: &FitOptions) -> Error {
    let least = least_counted(options.target);
    Error::policy(format!(
        "{counted} images are left to certify a target of {} %, and {least} are the fewest that can: about {} more \
         images are needed",
        percent(options.target),
        (least.saturating_sub(counted).max(1) as f64 / (1.0 - options.fit_fraction)).ceil()
    ))
}

/// The fewest images, all of them answered rightly, that certify what is asked for.
fn fewest_images(options: &FitOptions) -> Result<usize> {
    match options.method {
        Method::Ltt | Method::Sgr => trials_needed(0, options.target, 1.0 - options.confidence),
        Method::AcceptRate => Ok(1),
        _ => Ok(least_counted(options.target)),
    }
}

/// The least n with `1 / (n + 1) <= target`.
fn least_counted(target: f64) -> usize {
    // A quotient that misses a whole number by rounding only is that number.
    const ROUNDING: f64 = 1e-9;
    (1.0 / target - 1.0 - ROUNDING).ceil().max(0.0) as usize
}

fn percent(share: f64) -> f64 {
    const DIGITS: f64 = 1e6;
    (share * 100.0 * DIGITS).round() / DIGITS
}
