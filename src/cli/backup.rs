//! `backup` and `restore`: a consistent copy of the embedded store, and back.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Env, configure, say};
use crate::config::Flags;

/// Where the copy is, and the settings that name the store.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of the copy.
    dir: PathBuf,
    #[command(flatten)]
    flags: Flags,
}

/// Where the copy is, what it stands in for, and the settings that name the store.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// Folder of the copy.
    dir: PathBuf,
    /// Data folder that the copy stands in for: keys that its audit log says were revoked are revoked again.
    #[arg(long, value_name = "FOLDER")]
    audit: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(args: &Args, env: Env) -> anyhow::Result<ExitCode> {
    say(&crate::app::backup(&configure(&args.flags, env)?, &args.dir)?)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(args: &RestoreArgs, env: Env) -> anyhow::Result<ExitCode> {
    say(&crate::app::restore(&configure(&args.flags, env)?, &args.dir, args.audit.as_deref())?)?;
    Ok(ExitCode::SUCCESS)
}
