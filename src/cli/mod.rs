//! The commands of the binary. Errors end here: one sentence on stderr and an exit code, 0 done, 1 failed, 2 usage.

mod adversary;
mod audit;
mod backup;

mod copy;

pub mod bench;

mod check;

pub mod demo;

pub mod evaluate;

pub mod features;

pub mod local_node;

mod manual;
mod migrate;

mod openapi;

mod progress;

mod rows;

pub mod score;

mod serve;

pub mod train;

mod verify;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::config::{Config, Flags};

/// The environment as it was at the start.
pub type Env = Vec<(String, String)>;

/// Decides in batches whether a verification session was a human or a bot.
///
/// Without a command it serves. Every setting is a flag, an environment variable and a key of the settings file; a flag
/// beats the environment, the environment beats the file.
#[derive(Debug, Parser)]
#[command(name = "playproof-batch", version = env!("PLAYPROOF_VERSION"), args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// HTTP API, scheduler and dashboard in one process (also with no command).
    Serve(Flags),
    /// Starts a node, sends it bundled human sessions and generated bot sessions, and shows the verdicts.
    Demo(demo::Args),
    /// Scores a file of sessions, one row a session.
    Score(score::Args),
    /// Computes feature rows of a file of sessions.
    Features(features::Args),
    /// Fits and calibrates a model on sessions of people.
    Train(train::Args),
    /// Measures how well a model tells people from bots.
    Evaluate(evaluate::Args),
    /// Writes bots that play the rounds of given people, to measure a model by.
    Adversary(adversary::Args),
    /// Measures a node, or a part of the work, on this machine.
    Bench(bench::Args),
    /// Validates settings, store and detector and says what is wrong and how to mend it.
    Check(Flags),
    /// Brings the store's schema up to date.
    Migrate(Flags),
    /// Makes a consistent copy of the embedded store while it runs.
    Backup(backup::Args),
    /// Puts a copy made by `backup` in the store's place.
    Restore(backup::RestoreArgs),
    /// Moves an embedded store into a PostgreSQL database; may be broken off and run again.
    Copy(copy::Args),
    /// Checks that the log of what was managed is what was written.
    Audit(audit::Args),
    /// Checks evidence of verdicts: its signature, and that each verdict follows from its record.
    Verify(verify::Args),
    /// Prints the OpenAPI 3.1 document.
    Openapi,
    /// Prints completions for a shell.
    Completions(manual::CompletionsArgs),
    /// Writes man pages, one a command, into a folder.
    Man(manual::ManArgs),
}

/// Runs the command that `args` name, the program's name first.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>, env: Env) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            // Nobody is left to tell when this cannot be printed.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    #[cfg(feature = "otlp")]
    crate::traces::send_by(playproof_otlp::start);
    let done = match cli.command {
        None => serve::run(&cli.flags, env),
        Some(Command::Serve(flags)) => serve::run(&flags, env),
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::Score(args)) => score::run(args, env),
        Some(Command::Features(args)) => features::run(args),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Evaluate(args)) => evaluate::run(args),
        Some(Command::Adversary(args)) => adversary::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Check(flags)) => check::run(&flags, env),
        Some(Command::Migrate(flags)) => migrate::run(&flags, env),
        Some(Command::Backup(args)) => backup::run(&args, env),
        Some(Command::Restore(args)) => backup::restore(&args, env),
        Some(Command::Copy(args)) => copy::run(&args),
        Some(Command::Audit(args)) => audit::run(&args, env),
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Openapi) => openapi::run(),
        Some(Command::Completions(args)) => manual::completions(&args),
        Some(Command::Man(args)) => manual::man(&args),
    };
    done.unwrap_or_else(|e| {
        complain(&format!("{e:#}"));
        ExitCode::FAILURE
    })
}

/// The settings, with logging started as they say and what is probably not meant logged as warnings.
fn configure(flags: &Flags, env: Env) -> anyhow::Result<Config> {
    let config = Config::load(flags, env)?;
    crate::logging::init(&config.log, config.log_format).map_err(anyhow::Error::msg)?;
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    Ok(config)
}

/// Writes a line to stdout; a reader that went away is an error, not a panic.
fn say(line: &str) -> anyhow::Result<()> {
    let line = crate::domain::printable::printable(line);
    progress::aside(|| writeln!(std::io::stdout().lock(), "{line}"))
        .context("cannot write to stdout; keep its reader open")
}

/// Writes a line to stderr, where nobody may be reading.
fn complain(line: &str) {
    let line = crate::domain::printable::printable(line);
    let _ = progress::aside(|| writeln!(std::io::stderr().lock(), "playproof-batch: {line}"));
}
