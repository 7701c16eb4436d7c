//! The options that say what executes the model, and the process that tries a provider.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clipgate::{
    Error, ErrorKind, HtpTarget, ImageEncoder, ProbeCommand, Provider, ProviderLadder, QnnOptions,
    Result, Rung, SessionOptions,
};

use crate::args::ModelArgs;
use crate::exit_code::Outcome;
use crate::runtime_search::{self, runtime_cache};
use crate::{inputs, report};

/// Why no provider is asked for where embeddings come from files.
pub(crate) const NO_IMAGES: &str = "the embeddings are read from files, and no graph is run";

/// Folders in the user's cache: what is known of providers, and the embedded model's compiled graphs.
pub(crate) const PROVIDERS: &str = "providers";
pub(crate) const CONTEXTS: &str = "contexts";

/// Names the QNN plugin library where `--qnn-library` does not.
const QNN_LIBRARY: &str = "CLIPGATE_QNN_LIBRARY";

/// What to do about a file that cannot be the plugin.
pub(crate) const NAME_PLUGIN: &str = "let --qnn-library or CLIPGATE_QNN_LIBRARY name libonnxruntime_providers_qnn.so in the \
    package onnxruntime-qnn, of this processor";

/// What executes the image graph.
#[derive(Debug, Args)]
pub(crate) struct ProviderArgs {
    /// What executes the image graph, tried in this order: a list of qnn, nnapi, coreml, acl, xnnpack and cpu, each with
    /// `!` where it must do ("qnn,xnnpack,cpu", "qnn!"); or `auto`, which takes the fastest that computes rightly
    #[arg(long, value_name = "LIST", default_value_t)]
    pub(crate) provider: ProviderLadder,
    #[command(flatten)]
    pub(crate) qnn: QnnArgs,
    /// Find out anew what is known of providers, and keep nothing of it in the user's cache directory
    #[arg(long)]
    pub(crate) no_provider_cache: bool,
}

/// Where Qualcomm's plugin lies.
#[derive(Debug, Args)]
pub(crate) struct QnnArgs {
    /// Qualcomm's plugin for the provider qnn, libonnxruntime_providers_qnn.so [default: what CLIPGATE_QNN_LIBRARY names]
    #[arg(long, value_name = "FILE")]
    pub(crate) qnn_library: Option<PathBuf>,
    /// NPU that qnn compiles for, such as htp-v75 [default: this machine's]
    #[arg(long, value_name = "TARGET")]
    pub(crate) qnn_target: Option<HtpTarget>,
    /// Graph that `clipgate compile -o` wrote elsewhere than beside the bundle
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(existing))]
    pub(crate) qnn_context: Option<PathBuf>,
}

/// The arguments of the process that tries a provider.
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[arg(value_name = "PROVIDER")]
    tried: Provider,
    #[command(flatten)]
    model: ModelArgs,
}

impl ProviderArgs {
    /// Adds these options; `bundle` is the directory that was named.
    ///
    /// # Errors
    /// If the NPU is required and no plugin was named, or options for it are given and it is not asked for.
    pub(crate) fn apply(
        &self,
        options: SessionOptions,
        bundle: Option<&PathBuf>,
        model: &[String],
    ) -> Result<SessionOptions> {
        let mut options = options.with_providers(self.provider.clone());
        self.check_asked()?;
        if self.provider.is_cpu() {
            return Ok(options);
        }
        match self.qnn.options(bundle) {
            Some(qnn) => options = options.with_qnn(qnn),
            None => self.check_plugin()?,
        }
        if let Some(probe) = self.qnn.probe(bundle, model) {
            options = options.with_probe(probe);
        }
        Ok(match runtime_cache::directory() {
            Some(cache) if !self.no_provider_cache => {
                options.with_provider_cache(cache.join(PROVIDERS))
            }
            _ => options,
        })
    }

    /// For commands that run no image graph: nothing else asks for a provider.
    ///
    /// # Errors
    /// If another provider than the CPU is required, or options for the NPU are given without asking for it; of one that is
    /// merely tried a note says that it is not.
    pub(crate) fn refuse_without_images(&self, why: &str) -> Result<()> {
        let others = || {
            self.provider
                .rungs()
                .iter()
                .filter(|rung| rung.provider != Provider::Cpu)
        };
        self.check_asked()?;
        let message = format!("--provider {}: {why}", self.provider);
        if others().any(|rung| rung.required) {
            return Err(Error::new(ErrorKind::Caller, message));
        }
        if others().next().is_some() {
            report::note(&message);
        }
        Ok(())
    }

    fn qnn_rung(&self) -> Option<&Rung> {
        let mut rungs = self.provider.rungs().iter();
        rungs.find(|rung| rung.provider == Provider::Qnn)
    }

    /// That options for the NPU come with asking for it.
    fn check_asked(&self) -> Result<()> {
        match self.qnn.given() {
            Some(name) if self.qnn_rung().is_none() => Err(Error::new(
                ErrorKind::Caller,
                format!(
                    "{name} is for qnn, and --provider {} does not ask for it",
                    self.provider
                ),
            )),
            _ => Ok(()),
        }
    }

    /// What to do where qnn is asked for by name, or by an option of its own, and its plugin is not.
    fn check_plugin(&self) -> Result<()> {
        let missing = no_plugin_named();
        match (self.qnn_rung(), self.qnn.given()) {
            (Some(rung), _) if rung.required => return Err(missing),
            (Some(_), Some(name)) => report::note(&missing.at(name).report()),
            (Some(_), None) if !self.provider.is_auto() => report::note(&missing.report()),
            _ => {}
        }
        Ok(())
    }
}

/// That qnn needs a plugin, and how to name it.
pub(crate) fn no_plugin_named() -> Error {
    Error::new(
        ErrorKind::Caller,
        format!(
            "provider qnn: name Qualcomm's plugin with --qnn-library or {QNN_LIBRARY}: `pip install onnxruntime-qnn` brings \
             it, under a licence that is yours to accept"
        ),
    )
}

impl QnnArgs {
    /// The first option that the user gave, by its name.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            (self.qnn_library.is_some(), "--qnn-library"),
            (self.qnn_target.is_some(), "--qnn-target"),
            (self.qnn_context.is_some(), "--qnn-context"),
        ];
        let (_, name) = options.into_iter().find(|(given, _)| *given)?;
        Some(name)
    }

    /// The plugin, if one was named, and what it compiles for.
    pub(crate) fn options(&self, bundle: Option<&PathBuf>) -> Option<QnnOptions> {
        let named = || env::var_os(QNN_LIBRARY).filter(|path| !path.is_empty());
        let library = self.qnn_library.clone().or_else(|| Some(named()?.into()))?;
        let mut qnn = QnnOptions::new(library);
        if let Some(target) = self.qnn_target {
            qnn = qnn.with_target(target);
        }
        Some(match (&self.qnn_context, bundle, embedded_contexts()) {
            (Some(context), ..) => qnn.with_context(context),
            (None, None, Some(directory)) => qnn.with_context_directory(directory),
            _ => qnn,
        })
    }

    /// This command, as a process that tries a provider on the same model.
    pub(crate) fn probe(&self, bundle: Option<&PathBuf>, model: &[String]) -> Option<ProbeCommand> {
        let mut arguments: Vec<OsString> = vec!["probe-provider".into()];
        arguments.extend(model.iter().map(OsString::from));
        arguments.extend(self.arguments(bundle));
        Some(ProbeCommand::new(env::current_exe().ok()?, arguments))
    }

    /// The bundle and these options, for a process of this command.
    pub(crate) fn arguments(&self, bundle: Option<&PathBuf>) -> Vec<OsString> {
        let paths = [
            ("bundle", bundle),
            ("qnn-library", self.qnn_library.as_ref()),
            ("qnn-context", self.qnn_context.as_ref()),
        ];
        let mut arguments: Vec<OsString> = paths
            .into_iter()
            .filter_map(|(name, path)| {
                let mut argument = OsString::from(format!("--{name}="));
                argument.push(path?);
                Some(argument)
            })
            .collect();
        arguments.extend(
            self.qnn_target
                .map(|target| format!("--qnn-target={target}").into()),
        );
        arguments
    }
}

fn existing(path: PathBuf) -> Result<PathBuf, &'static str> {
    match path.is_file() {
        true => Ok(path),
        false => Err("there is no such file"),
    }
}

/// Where the embedded model's compiled graphs are kept: it has no directory.
pub(crate) fn embedded_contexts() -> Option<PathBuf> {
    Some(runtime_cache::directory()?.join(CONTEXTS))
}

/// Tries a provider, for a process that waits to see whether this one survives it: an error is no crash.
pub(crate) fn probe(args: &ProbeArgs) -> Result<Outcome> {
    let bundle = inputs::bundle(args.model.bundle.as_deref())?;
    let runtime = runtime_search::load()?;
    let mut options = args
        .model
        .on_cpu()?
        .with_providers(ProviderLadder::required(args.tried));
    if let Some(qnn) = args.model.provider.qnn.options(args.model.bundle.as_ref()) {
        options = options.with_qnn(qnn);
    }
    if let Err(error) = ImageEncoder::open(&runtime, &bundle, options) {
        log::info!("{}", error.report());
    }
    std::process::exit(ProbeCommand::SURVIVED)
}
