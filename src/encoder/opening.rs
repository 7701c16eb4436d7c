//! Opens a bundle's image graph on the provider that is to run it.

use std::cell::OnceCell;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ImageEncoder, LoadTimings, passes};
use crate::bundle::{Bundle, SelfTest};
use crate::choice::{self, Candidates, Failure, ProviderCache, Subject, Tested};
use crate::context::{self, CompiledContext};
use crate::device;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::provider::{Provider, ProviderOutcome};
use crate::qnn::{self, Driver, QnnOptions};
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
    let mut opening = Opening {
        runtime,
        bundle,
        options,
        selftest: &selftest,
        read,
        driver: OnceCell::new(),
        survivors: Vec::new(),
    };
    let mut cache = match options.provider_cache() {
        Some(directory) if !options.providers().is_cpu() => {
            ProviderCache::open(directory, opening.subject()?)
        }
        _ => ProviderCache::none(),
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
        driver: OnceCell::new(),
        survivors: Vec::new(),
    };
    let model = Model::private(
        Arc::new(compiled.onnx().to_vec()),
        compiled.target().file_name(),
    )?;
    let tested = opening.load_model(model, Provider::Qnn, true, Instant::now());
    Ok(tested.map_err(|failure| failure.error)?.cosine)
}

struct Opening<'a> {
    runtime: &'a Runtime,
    bundle: &'a Bundle,
    options: &'a SessionOptions,
    selftest: &'a SelfTest,
    /// Time that the self-test's file took.
    read: Duration,
    /// The build of Qualcomm's plugin, once it was asked for: its digest takes a while.
    driver: OnceCell<Driver>,
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

    fn is_wanted(&self, provider: Provider) -> bool {
        provider == Provider::Qnn && self.options.qnn().is_some()
    }
}

impl Opening<'_> {
    /// What findings about this graph's providers depend on.
    fn subject(&self) -> Result<Subject> {
        let tried = self.options.providers().rungs();
        let is_tried = tried.iter().any(|rung| rung.provider == Provider::Qnn);
        let qnn = self.options.qnn().filter(|_| is_tried);
        let installation = qnn.map(|qnn| {
            let contexts = context::places(qnn, self.bundle.directory());
            qnn::installation(qnn, &contexts)
        });
        Ok(Subject {
            clipgate: env!("CARGO_PKG_VERSION").to_owned(),
            device: device::describe(),
            onnxruntime: self.runtime.version().to_owned(),
            onnxruntime_bytes: fs::metadata(self.runtime.path()).map_or(0, |file| file.len()),
            // One that cannot be read cannot be loaded either: that is found out anew each time.
            driver: qnn.and_then(|qnn| self.driver(qnn).ok().cloned()),
            installation,
            options: format!(
                "{} threads, spinning {}, target {:?}",
                self.options.threads(),
                self.options.spinning(),
                qnn.and_then(|qnn| qnn.target())
            ),
            graph: self.bundle.manifest().graph_digest()?,
        })
    }

    fn driver(&self, qnn: &QnnOptions) -> Result<&Driver> {
        if let Some(driver) = self.driver.get() {
            return Ok(driver);
        }
        let driver = Driver::of(qnn)?;
        Ok(self.driver.get_or_init(|| driver))
    }

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
        let found = || -> Result<Option<Model>> {
            let graph = self.bundle.manifest().graph_digest()?;
            match context::places(qnn, self.bundle.directory()).as_slice() {
                [] => Ok(None),
                [path] => context::read(path, graph, qnn.target(), self.driver(qnn)?).map(Some),
                several => {
                    let names: Vec<String> = several
                        .iter()
                        .map(|path| path.display().to_string())
                        .collect();
                    Err(Error::caller(format!(
                        "{}: which of these compiled graphs is meant, a target has to say",
                        names.join(", ")
                    )))
                }
            }
        };
        found().unwrap_or_else(|error| {
            log::warn!("{}: the graph is compiled anew", error.report());
            None
        })
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
        check_used(provider, &session)?;
        if whole {
            check_whole(provider, &session)?;
        }
        let placement = session.placement().cloned();
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
        let checked = self.model().ok().and_then(|model| {
            let session = Session::load_on(self.runtime, model, self.options, part).ok()?;
            Some(check_used(provider, &session).and_then(|()| check_whole(provider, &session)))
        });
        match checked {
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

/// Refuses a provider that runs nothing: what is measured then is the CPU under another name. Why, its log said.
fn check_used(provider: Provider, session: &Session) -> Result<(), Failure> {
    let Some(placement) = session.placement() else {
        return Ok(());
    };
    let nodes = placement.nodes().len();
    if nodes == 0 || placement.outside(provider).count() < nodes {
        return Ok(());
    }
    let why = session.overheard().unwrap_or("it does not say why");
    Err(Failure {
        placement: Some(placement.clone()),
        ..refused(Error::machine(format!(
            "runs none of its {nodes} nodes: {why}"
        )))
    })
}

fn check_whole(provider: Provider, session: &Session) -> Result<(), Failure> {
    let Some(placement) = session.placement() else {
        return Ok(());
    };
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
