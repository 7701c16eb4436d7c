//! Opens a bundle's image graph on the provider that is to run it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ImageEncoder, LoadTimings, passes};
use crate::bundle::{Bundle, SelfTest};
use crate::choice::{self, Candidates, Failure, ProviderCache, Subject, Tested};
use crate::context::{self, CompiledContext};
use crate::device;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::provider::{Placement, Provider, ProviderOutcome};
use crate::qnn::{self, Driver};
use crate::runtime::Runtime;
use crate::session::{Session, SessionOptions, Target, Unloaded};

pub(super) fn open(
    runtime: &Runtime,
    bundle: &Bundle,
    options: &SessionOptions,
) -> Result<ImageEncoder> {
    let start = Instant::now();
    // The small file first: the large one is then used right after it was checked.
    let selftest = bundle.selftest()?;
    let read = start.elapsed();
    let mut cache = match options.provider_cache() {
        Some(directory) if !options.providers().is_cpu() => {
            ProviderCache::open(directory, subject(runtime, bundle, options)?)
        }
        _ => ProviderCache::none(),
    };
    let mut opening = Opening {
        runtime,
        bundle,
        options,
        selftest: &selftest,
        read,
        survivors: Vec::new(),
    };
    opening.survivors = Provider::ALL
        .into_iter()
        .filter(|&provider| cache.has_survived(provider))
        .collect();
    let known = opening.survivors.len();
    let choice = choice::choose(options.providers(), &mut opening, &mut cache);
    for provider in opening.survivors.drain(known..) {
        cache.keep_survivor(provider);
    }
    let choice = choice?;
    let mut encoder = choice.loaded;
    encoder.reports = choice.reports;
    Ok(encoder)
}

/// Runs the self-test on a compiled graph and tells its cosine.
pub(crate) fn test_compiled(
    runtime: &Runtime,
    bundle: &Bundle,
    options: &SessionOptions,
    compiled: &CompiledContext,
) -> Result<f32> {
    let selftest = bundle.selftest()?;
    let opening = Opening {
        runtime,
        bundle,
        options,
        selftest: &selftest,
        read: Duration::ZERO,
        survivors: Vec::new(),
    };
    let model = Model::private(
        Arc::new(compiled.onnx().to_vec()),
        compiled.target().file_name(),
    )?;
    let tested = opening.load_model(model, Provider::Qnn, true, Instant::now());
    Ok(tested.map_err(|failure| failure.error)?.cosine)
}

/// What findings about this graph's providers depend on.
fn subject(runtime: &Runtime, bundle: &Bundle, options: &SessionOptions) -> Result<Subject> {
    // One that cannot be read cannot be loaded either: that is found out anew each time.
    let driver = options.qnn().and_then(|qnn| Driver::of(qnn).ok());
    let installation = options.qnn().map(|qnn| {
        let context = context::place(qnn, bundle.directory());
        qnn::installation(qnn, context.as_deref())
    });
    Ok(Subject {
        clipgate: env!("CARGO_PKG_VERSION").to_owned(),
        device: device::describe(),
        onnxruntime: runtime.version().to_owned(),
        onnxruntime_bytes: std::fs::metadata(runtime.path()).map_or(0, |file| file.len()),
        driver,
        installation,
        options: format!(
            "{} threads, spinning {}, target {:?}",
            options.threads(),
            options.spinning(),
            options.qnn().and_then(|qnn| qnn.target())
        ),
        graph: bundle.manifest().graph_digest()?,
    })
}

struct Opening<'a> {
    runtime: &'a Runtime,
    bundle: &'a Bundle,
    options: &'a SessionOptions,
    selftest: &'a SelfTest,
    /// Time that the self-test's file took.
    read: Duration,
    /// Providers that passed their probe.
    survivors: Vec<Provider>,
}

impl Candidates for Opening<'_> {
    type Loaded = ImageEncoder;

    fn load(&mut self, provider: Provider, whole: bool) -> Result<Tested<ImageEncoder>, Failure> {
        // Before the graph is read, which takes a large one a while.
        Session::check_presence(provider, self.options).map_err(unloaded)?;
        self.probe(provider)?;
        let start = Instant::now();
        if provider == Provider::Qnn
            && let Some(model) = self.context()
        {
            let place = model.place().to_owned();
            match self.load_model(model, provider, whole, start) {
                Ok(tested) => return Ok(tested),
                Err(failure) => {
                    log::warn!("{place}: {}: the graph is compiled anew", failure.outcome)
                }
            }
        }
        let start = Instant::now();
        let loaded = self.load_model(self.model()?, provider, whole, start);
        match loaded {
            Err(Failure {
                outcome: ProviderOutcome::Refused { .. },
                error,
                ..
            }) if whole => Err(self.why_not_whole(provider, error)),
            loaded => loaded,
        }
    }

    fn run(&mut self, loaded: &mut ImageEncoder) -> Result<()> {
        loaded.run().map(|_| ())
    }
}

impl Opening<'_> {
    fn probe(&mut self, provider: Provider) -> Result<(), Failure> {
        let Some(probe) = self.options.probe() else {
            return Ok(());
        };
        if provider == Provider::Cpu || self.survivors.contains(&provider) {
            return Ok(());
        }
        probe.survives(provider).map_err(|reason| {
            let error = Error::machine(format!("crashed in a process of its own: {reason}"));
            Failure::new(ProviderOutcome::Crashed { reason }, error)
        })?;
        self.survivors.push(provider);
        Ok(())
    }

    fn model(&self) -> Result<Model, Failure> {
        self.bundle
            .image_model(self.options.model_memory())
            .map_err(refused)
    }

    /// The graph as it was compiled ahead of time, if there is one that fits.
    fn context(&self) -> Option<Model> {
        let qnn = self.options.qnn()?;
        let path = context::place(qnn, self.bundle.directory())?;
        let read = || context::read(&path, qnn, self.bundle.manifest().graph_digest()?);
        read()
            .map_err(|error| log::warn!("{}: the graph is compiled anew", error.report()))
            .ok()
    }

    fn load_model(
        &self,
        model: Model,
        provider: Provider,
        whole: bool,
        start: Instant,
    ) -> Result<Tested<ImageEncoder>, Failure> {
        let read = start.elapsed();
        let begin = Instant::now();
        let place = model.place().to_owned();
        let session = Session::load_on(
            self.runtime,
            model,
            self.options,
            Target { provider, whole },
        )
        .map_err(|error| match error {
            Unloaded::Refused(error) => refused(error.at(&place)),
            absent => unloaded(absent),
        })?;
        let placement = session.placement().cloned();
        if whole && let Some(placement) = &placement {
            check_whole(provider, placement)?;
        }
        if let Some(placement) = &placement {
            check_used(provider, placement)?;
        }
        let session_time = begin.elapsed();
        let at_place = |error: Error| error.at(&place);
        let mut encoder =
            ImageEncoder::untested(Box::new(session), self.bundle.manifest(), self.selftest)
                .map_err(|error| refused(at_place(error)))?;
        let begin = Instant::now();
        let cosine = encoder
            .test(self.selftest)
            .and_then(passes)
            .map_err(|error| {
                let reason = error.report();
                Failure::new(ProviderOutcome::Wrong { reason }, at_place(error))
            })?;
        encoder.load_timings = LoadTimings {
            read: self.read + read,
            session: session_time,
            self_test: begin.elapsed(),
        };
        Ok(Tested {
            loaded: encoder,
            cosine,
            placement,
        })
    }

    /// Which nodes a provider that refused the whole graph would leave on the CPU, if that is why.
    fn why_not_whole(&self, provider: Provider, error: Error) -> Failure {
        let part = Target {
            provider,
            whole: false,
        };
        let placement = self.model().ok().and_then(|model| {
            let session = Session::load_on(self.runtime, model, self.options, part).ok()?;
            session.placement().cloned()
        });
        match placement.map(|placement| check_whole(provider, &placement)) {
            Some(Err(failure)) => failure,
            _ => refused(error),
        }
    }
}

fn unloaded(unloaded: Unloaded) -> Failure {
    match unloaded {
        Unloaded::Absent(error) => {
            let reason = error.report();
            Failure::new(ProviderOutcome::Absent { reason }, error)
        }
        Unloaded::Refused(error) => refused(error),
    }
}

fn refused(error: Error) -> Failure {
    let reason = error.report();
    Failure::new(ProviderOutcome::Refused { reason }, error)
}

/// Refuses a provider that runs nothing: what is measured then is the CPU under another name.
fn check_used(provider: Provider, placement: &Placement) -> Result<(), Failure> {
    let nodes = placement.nodes().len();
    if nodes == 0 || placement.outside(provider).count() < nodes {
        return Ok(());
    }
    let what = "runs no node of the graph: why, ONNX Runtime's log says";
    Err(refused(Error::machine(what)))
}

fn check_whole(provider: Provider, placement: &Placement) -> Result<(), Failure> {
    if placement.outside(provider).next().is_none() {
        return Ok(());
    }
    let outcome = ProviderOutcome::leaves(provider, placement);
    Err(Failure {
        error: Error::machine(outcome.to_string()),
        outcome,
        placement: Some(placement.clone()),
    })
}
