//! The composition root: from a [`Config`] to the parts of the service. Nothing else knows which store and which detector
//! there are.

use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;

/// Runs the service until it is told to end.
///
/// # Errors
/// When it cannot start, or a part of it died.
pub fn serve(config: Config) -> anyhow::Result<ExitCode> {
    drop(config);
    anyhow::bail!("the service is not part of this build; use a later one")
}

/// Opens the store as `serve` would, changes nothing, and says what it found.
///
/// # Errors
/// When `serve` could not use it.
pub fn probe_store(config: &Config) -> anyhow::Result<String> {
    Ok(format!("{:?}", config.store.url))
}

/// Loads the detector as `serve` would and says which model it has.
///
/// # Errors
/// When `serve` could not use it.
pub fn probe_detector(config: &Config) -> anyhow::Result<String> {
    Ok(format!("{:?}", config.detector.kind))
}

/// Brings the store's schema up to date and says what was done.
///
/// # Errors
/// When the store cannot be opened or migrated.
pub fn migrate(config: &Config) -> anyhow::Result<String> {
    let _ = config;
    anyhow::bail!("the store is not part of this build; use a later one")
}

/// Copies the store into `folder` while it runs and says what was written.
///
/// # Errors
/// When there is no store, or the folder cannot be written.
pub fn backup(config: &Config, folder: &Path) -> anyhow::Result<String> {
    let _ = (config, folder);
    anyhow::bail!("the store is not part of this build; use a later one")
}

/// Puts the copy in `folder` in the store's place and says what was written.
///
/// # Errors
/// When the store is in use, or the copy is none.
pub fn restore(config: &Config, folder: &Path) -> anyhow::Result<String> {
    let _ = (config, folder);
    anyhow::bail!("the store is not part of this build; use a later one")
}

/// The OpenAPI document.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn openapi() -> anyhow::Result<String> {
    anyhow::bail!("the document is not part of this build; use a later one")
}
