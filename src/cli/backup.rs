//! `backup` and `restore`: a consistent copy of the embedded store, and back.

use std::path::PathBuf;
use std::process::ExitCode;

use super::progress::working;
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
    let config = configure(&args.flags, env)?;
    say(&working("copying the store", || crate::app::backup(&config, &args.dir))?)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(args: &RestoreArgs, env: Env) -> anyhow::Result<ExitCode> {
    let config = configure(&args.flags, env)?;
    say(&working("putting the copy in place", || crate::app::restore(&config, &args.dir, args.audit.as_deref()))?)?;
    Ok(ExitCode::SUCCESS)
}
