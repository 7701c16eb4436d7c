//! Chooses what executes a graph: the first provider of a ladder that can be trusted with it, or the fastest.

mod cache;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::provider::{Placement, Provider, ProviderLadder, ProviderOutcome, ProviderReport, Rung};

pub(crate) use cache::{ProviderCache, Subject};

/// Runs that a provider's time is the median of.
const RUNS: usize = 7;

/// A provider that has run for this long is timed by the runs that it made.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// Loads a graph on one provider or another.
pub(crate) trait Candidates {
    /// What runs the graph.
    type Loaded;

    /// Loads the graph and runs the self-test. With `whole`, a graph of which a node would stay on the CPU is a
    /// [`ProviderOutcome::LeavesNodes`].
    fn load(&mut self, provider: Provider, whole: bool) -> Result<Tested<Self::Loaded>, Failure>;

    /// Runs the graph once more on the self-test's input.
    fn run(&mut self, loaded: &mut Self::Loaded) -> Result<()>;

    /// Whether the user gave what only this provider needs: then its absence is worth a word.
    fn is_wanted(&self, provider: Provider) -> bool;
}

/// A loaded graph that passed its self-test.
pub(crate) struct Tested<T> {
    pub(crate) loaded: T,
    pub(crate) cosine: f32,
    pub(crate) placement: Option<Placement>,
}

/// Why a provider does not run the graph: what is reported, and the error where nothing else may run it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) outcome: ProviderOutcome,
    pub(crate) error: Error,
    /// Which nodes it would run, where that is why.
    pub(crate) placement: Option<Placement>,
}

impl Failure {
    pub(crate) fn new(outcome: ProviderOutcome, error: Error) -> Self {
        Self {
            outcome,
            error,
            placement: None,
        }
    }

    fn report(self, provider: Provider) -> (ProviderReport, Error) {
        let report = ProviderReport {
            placement: self.placement,
            ..ProviderReport::new(provider, self.outcome)
        };
        (report, self.error)
    }
}

/// What runs the graph, and what came of each provider that was tried, in that order.
pub(crate) struct Choice<T> {
    pub(crate) loaded: T,
    pub(crate) reports: Vec<ProviderReport>,
}

/// Climbs down the ladder, or measures its providers; what `cache` remembers of an earlier measurement is taken.
pub(crate) fn choose<C: Candidates>(
    ladder: &ProviderLadder,
    candidates: &mut C,
    cache: &mut ProviderCache,
) -> Result<Choice<C::Loaded>> {
    if !ladder.is_auto() {
        return climb_down(ladder.rungs(), candidates);
    }
    let choice = match remembered(cache, candidates) {
        Some(choice) => choice,
        None => {
            let choice = measure(ladder.rungs(), candidates)?;
            cache.keep(&choice.reports);
            choice
        }
    };
    tell(&choice.reports, candidates);
    Ok(choice)
}

/// Says what `auto` found, at the start that measured and at each that remembers: what is not there is no fault unless the
/// user wants it.
fn tell<C: Candidates>(reports: &[ProviderReport], candidates: &C) {
    for report in reports {
        let is_missed = matches!(report.outcome, ProviderOutcome::Absent { .. })
            && candidates.is_wanted(report.provider);
        if report.outcome.is_fault() || is_missed {
            log::warn!("provider {report}");
        } else {
            log::info!("provider {report}");
        }
    }
}

fn climb_down<C: Candidates>(rungs: &[Rung], candidates: &mut C) -> Result<Choice<C::Loaded>> {
    let mut reports = Vec::new();
    let mut last = None;
    for rung in rungs {
        let whole = rung.required || rung.provider.is_accelerator();
        match candidates.load(rung.provider, whole) {
            Ok(tested) => {
                let report = chosen(rung.provider, &tested);
                if let Some(placement) = &report.placement
                    && placement.outside(rung.provider).next().is_some()
                {
                    log::warn!("provider {report}");
                }
                reports.push(report);
                return Ok(Choice {
                    loaded: tested.loaded,
                    reports,
                });
            }
            Err(failure) if rung.required => {
                let message = format!(
                    "provider {} is required, but {}",
                    rung.provider, failure.outcome
                );
                return Err(Error::machine(message).with_source(failure.error));
            }
            Err(failure) => {
                let (report, error) = failure.report(rung.provider);
                if rung.provider != Provider::Cpu {
                    log::warn!("provider {report}");
                }
                reports.push(report);
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(nothing_to_try))
}

/// Times every provider and takes the fastest; the others are reported behind it.
fn measure<C: Candidates>(rungs: &[Rung], candidates: &mut C) -> Result<Choice<C::Loaded>> {
    let mut reports = Vec::new();
    let mut fastest: Option<(C::Loaded, ProviderReport, Duration)> = None;
    let mut last = None;
    for rung in rungs {
        let timed = candidates.load(rung.provider, false).and_then(|tested| {
            let report = chosen(rung.provider, &tested);
            let mut loaded = tested.loaded;
            let median = median(candidates, &mut loaded)?;
            Ok((loaded, report, median))
        });
        let (loaded, mut report, median) = match timed {
            Ok(timed) => timed,
            Err(failure) => {
                let (report, error) = failure.report(rung.provider);
                reports.push(report);
                last = Some(error);
                continue;
            }
        };
        report.median = Some(median);
        let (slower, wins) = match fastest.take() {
            Some((kept, kept_report, kept_median)) if kept_median <= median => {
                fastest = Some((kept, kept_report, kept_median));
                (Some(report), None)
            }
            Some((_, beaten, _)) => (Some(beaten), Some((loaded, report, median))),
            None => (None, Some((loaded, report, median))),
        };
        reports.extend(slower.map(|mut report| {
            report.outcome = ProviderOutcome::Slower;
            report
        }));
        fastest = wins.or(fastest);
    }
    let Some((loaded, report, _)) = fastest else {
        tell(&reports, candidates);
        return Err(last.unwrap_or_else(nothing_to_try));
    };
    reports.insert(0, report);
    Ok(Choice { loaded, reports })
}

/// The provider that an earlier measurement chose, if it still passes.
fn remembered<C: Candidates>(
    cache: &ProviderCache,
    candidates: &mut C,
) -> Option<Choice<C::Loaded>> {
    let mut reports = cache.reports()?.to_vec();
    let kept = reports.iter_mut().find(|report| report.is_chosen())?;
    match candidates.load(kept.provider, false) {
        Ok(tested) => {
            let median = kept.median;
            *kept = chosen(kept.provider, &tested);
            kept.median = median;
            Some(Choice {
                loaded: tested.loaded,
                reports,
            })
        }
        Err(failure) => {
            log::warn!(
                "provider {}: {}, though it was the fastest: measuring anew",
                kept.provider,
                failure.outcome
            );
            None
        }
    }
}

fn chosen<T>(provider: Provider, tested: &Tested<T>) -> ProviderReport {
    ProviderReport {
        cosine: Some(tested.cosine),
        placement: tested.placement.clone(),
        ..ProviderReport::new(provider, ProviderOutcome::Chosen)
    }
}

fn median<C: Candidates>(candidates: &mut C, loaded: &mut C::Loaded) -> Result<Duration, Failure> {
    let mut times = Vec::with_capacity(RUNS);
    let start = Instant::now();
    while times.len() < RUNS && (times.is_empty() || start.elapsed() < LONG_ENOUGH) {
        let begin = Instant::now();
        candidates.run(loaded).map_err(|error| {
            let reason = error.report();
            Failure::new(ProviderOutcome::Wrong { reason }, error)
        })?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn nothing_to_try() -> Error {
    Error::machine("no provider is left to run the graph")
}
