//! `migrate`: brings the store's schema up to date.

use std::process::ExitCode;

use super::{Env, configure, say};
use crate::config::Flags;

pub(super) fn run(flags: &Flags, env: Env) -> anyhow::Result<ExitCode> {
    say(&crate::app::migrate(&configure(flags, env)?)?)?;
    Ok(ExitCode::SUCCESS)
}
