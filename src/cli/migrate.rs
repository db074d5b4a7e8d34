//! `migrate`: brings the store's schema up to date.

use std::process::ExitCode;

use super::progress::working;
use super::{Env, configure, say};
use crate::config::Flags;

pub(super) fn run(flags: &Flags, env: Env) -> anyhow::Result<ExitCode> {
    let config = configure(flags, env)?;
    say(&working("bringing the store up to date", || crate::app::migrate(&config))?)?;
    Ok(ExitCode::SUCCESS)
}
