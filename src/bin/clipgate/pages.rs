//! `clipgate pages`: man pages and shell completions, for the release files (feature `pages`).

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clipgate::{Error, ErrorKind, Result};

use crate::args::Cli;
use crate::exit_code::Outcome;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// Where the pages go.
#[derive(Debug, Args)]
pub(crate) struct PagesArgs {
    /// Folder to write `man` and `completions` into; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(args: &PagesArgs) -> Result<Outcome> {
    let man = subfolder(&args.directory, "man")?;
    let mut built = shown().disable_help_subcommand(true);
    built.build();
    clap_mangen::generate_to(with_usage(built), &man).map_err(|error| unwritable(&man, error))?;

    let completions = subfolder(&args.directory, "completions")?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut shown(), "clipgate", &completions)
            .map_err(|error| unwritable(&completions, error))?;
    }
    Ok(Outcome::Answered)
}

/// The command line without its hidden commands, which completions would offer.
fn shown() -> Command {
    let cli = Cli::command();
    Command::new("clipgate")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .about(cli.get_about().cloned().unwrap_or_default())
        .after_help(cli.get_after_help().cloned().unwrap_or_default())
        .arg_required_else_help(true)
        .args(cli.get_arguments())
        .subcommands(
            cli.get_subcommands()
                .filter(|command| !command.is_hide_set()),
        )
}

/// Lets each manual page begin as `--help` does: clap_mangen's own line does not say that an argument may be repeated.
fn with_usage(mut command: Command) -> Command {
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command.override_usage(usage).mut_subcommands(with_usage)
}

fn subfolder(directory: &Path, name: &str) -> Result<PathBuf> {
    let folder = directory.join(name);
    fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
    Ok(folder)
}

fn unwritable(folder: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Machine, "cannot be written")
        .with_source(error)
        .at(folder.display())
}
