//! `score`: verdicts on a file of sessions, without a service.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use super::Env;
use super::rows::{self, Files};
use crate::app;
use crate::config::{Config, Flags};
use crate::offline::score::{COLUMNS, Scorer};
use crate::offline::table::Quote;

/// Scores a file of sessions: one row a session, in the order of the file, as the service would score them
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "help shows these texts as they are")]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Settings file in TOML. [env: PLAYPROOF_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Model file of the embedded detector; by default the bundled model. [env: PLAYPROOF_MODEL]
    #[arg(long, value_name = "FILE")]
    model: Option<String>,
    /// Scores up to this pass. [env: ANOMALY_THRESHOLD_PASS] [default: 1.0]
    #[arg(long, value_name = "SCORE", alias = "anomaly-threshold-pass")]
    threshold_pass: Option<f64>,
    /// Scores above this fail; those between are for review. [env: ANOMALY_THRESHOLD_REVIEW] [default: 2.5]
    #[arg(long, value_name = "SCORE", alias = "anomaly-threshold-review")]
    threshold_review: Option<f64>,
    /// Also look at the sessions side by side, each beside those before it in the file: replays and campaigns. It takes
    /// one thread, and memory grows by some 600 bytes a session
    #[arg(long, conflicts_with = "threads")]
    batch_evidence: bool,
}

/// Runs `score` with the model and the thresholds that a node with the same settings would use.
pub fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let Args { mut files, config, model, threshold_pass, threshold_review, batch_evidence } = args;
    let asked = [
        ("model", model),
        ("anomaly_threshold_pass", threshold_pass.map(|v| v.to_string())),
        ("anomaly_threshold_review", threshold_review.map(|v| v.to_string())),
    ];
    let values = asked.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    let config = Config::load(&Flags { config, values }, env)?;
    let (model, thresholds) = (app::load_model(&config)?, config.detector.thresholds);
    if batch_evidence {
        // One worker, which takes the sessions in the order of the file.
        files.threads = Some(NonZeroUsize::MIN);
    }
    rows::convert(&files, COLUMNS.to_vec(), Quote::Needed, || {
        let scorer = Scorer::new(&model, thresholds);
        if batch_evidence { scorer.side_by_side() } else { scorer }
    })
}
