//! `audit verify`: whether the audit log is what was written.

use std::process::ExitCode;

use clap::Subcommand;

use super::progress::working;
use super::{Env, configure, say};
use crate::app;
use crate::config::Flags;
use crate::domain::hex;
use crate::store::audit::{Chain, Entry};

/// What to do with the audit log.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follows the log from its first entry and says whether any was changed, taken out or put in; a node may run.
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// A hash that was noted before, which must still be in the log: without it, a log that was cut off at its end, or
    /// written anew as a whole, looks whole.
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(args: &Args, env: Env) -> anyhow::Result<ExitCode> {
    let Command::Verify(verify) = &args.command;
    let config = configure(&verify.flags, env)?;
    let wanted = verify.head.as_deref().map(str::to_ascii_lowercase);
    let (mut chain, mut seen) = (Chain::default(), false);
    let follow = |entry: Entry| {
        chain.follow(&entry).map_err(|broken| {
            let good = chain.last;
            anyhow::anyhow!("the audit log is broken: {broken}; the first {good} entries are as they were written")
        })?;
        seen |= wanted.as_deref().is_some_and(|wanted| hex::encode(&chain.head) == wanted);
        Ok(())
    };
    working("following the log", || app::each_audit_entry(&config, follow))?;
    if let Some(wanted) = wanted.filter(|_| !seen) {
        anyhow::bail!("the audit log holds no entry with the hash {wanted}: it was cut off, or written anew");
    }
    say(&format!(
        "{} entries, each as it was written; the last has the hash {}",
        chain.last,
        hex::encode(&chain.head)
    ))?;
    Ok(ExitCode::SUCCESS)
}
