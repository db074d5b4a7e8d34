//! `serve`: HTTP API, scheduler and dashboard in one process.

use std::process::ExitCode;

use super::{Env, configure};
use crate::config::Flags;

pub(super) fn run(flags: &Flags, env: Env) -> anyhow::Result<ExitCode> {
    crate::app::serve(&configure(flags, env)?)
}
