//! The clipgate command: reads arguments, environment and files, and prints; every decision is the library's.

mod answer;
mod args;
mod bench;
mod calibrate;
mod classify;
mod compile;
mod cpu;
mod doctor;
mod embed;
mod evaluate;
mod exit_code;
mod inputs;
mod inspect;
mod labelled;
mod labels;
mod numbers;
mod output;
#[cfg(feature = "pages")]
mod pages;
mod preprocess;
mod provider;
mod report;
mod report_html;
mod runtime_search;
mod verify;
mod vocabulary;
mod watch;
mod wordnet;

use std::process::ExitCode;

use clap::Parser;
use clipgate::{Error, Result};

use args::{Cli, Command, LabelsCommand};
use exit_code::Outcome;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.verbose);
    let outcome = match &cli.command {
        Command::Classify(args) => classify::run(args, cli.format),
        Command::Preprocess(args) => preprocess::run(args, cli.format),
        Command::Embed(args) => embed::run(args, cli.format),
        Command::Labels(LabelsCommand::Build(args)) => labels::build(args, cli.format),
        Command::Labels(LabelsCommand::Convert(args)) => labels::convert(args, cli.format),
        Command::Evaluate(args) => evaluate::run(args, cli.format),
        Command::Watch(args) => watch::run(args, cli.format),
        Command::Calibrate(args) => calibrate::run(args, cli.format),
        Command::Bench(args) => bench::run(args, cli.format),
        Command::Inspect(args) => inspect::run(args, cli.format),
        Command::Verify(args) => verify::run(args, cli.format),
        Command::Doctor(args) => doctor::run(args, cli.format),
        Command::Compile(args) => compile::run(args, cli.format),
        Command::ProbeProvider(args) => provider::probe(args),
        #[cfg(feature = "pages")]
        Command::Pages(args) => pages::run(args),
    };
    let outcome = settle(outcome);
    report::close();
    outcome.into()
}

fn settle(outcome: Result<Outcome>) -> Outcome {
    outcome.unwrap_or_else(|error: Error| {
        report::error(&error);
        Outcome::Failed
    })
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
}
