//! `score`: verdicts on a file of sessions, without a service.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::rows::{self, Files};
use crate::detector::embedded::Model;
use crate::domain::result::Thresholds;
use crate::offline::score::{COLUMNS, Scorer};
use crate::offline::table::Quote;

/// Scores a file of sessions: one row a session, in the order of the file, as the service would score them
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Model file of the embedded detector; by default the bundled model
    #[arg(long, value_name = "FILE", env = "PLAYPROOF_MODEL", hide_env_values = true)]
    model: Option<PathBuf>,
    /// Scores up to this pass
    #[arg(long, value_name = "SCORE", env = "ANOMALY_THRESHOLD_PASS", hide_env_values = true, default_value_t = Thresholds::default().pass)]
    threshold_pass: f64,
    /// Scores above this fail; those between are for review
    #[arg(long, value_name = "SCORE", env = "ANOMALY_THRESHOLD_REVIEW", hide_env_values = true, default_value_t = Thresholds::default().review)]
    threshold_review: f64,
}

/// Runs `score`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { files, model, threshold_pass: pass, threshold_review: review } = args;
    anyhow::ensure!(
        pass >= 0.0 && pass < review && review.is_finite(),
        "the thresholds are {pass} and {review}; the first must be at least 0 and less than the second"
    );
    let model = match &model {
        Some(path) => fs::read(path)
            .map_err(anyhow::Error::from)
            .and_then(|file| Ok(Model::load(&file)?))
            .with_context(|| format!("cannot load the model {}", path.display()))?,
        None => Model::bundled()?,
    };
    let thresholds = Thresholds { pass, review };
    rows::convert(&files, COLUMNS.to_vec(), Quote::Needed, || Scorer::new(&model, thresholds))
}
