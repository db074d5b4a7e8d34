//! `openapi`: prints the OpenAPI 3.1 document.

use std::process::ExitCode;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    super::say(crate::app::openapi()?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
