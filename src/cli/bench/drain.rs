//! Whether a node keeps up: results against sessions taken in, and how the backlog goes, while the load lasts.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use super::load::Target;

/// The queue at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    backlog: u64,
    processed: u64,
}

/// What the samples at start, middle and end say.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Drain {
    results_per_second: f64,
    backlog_start: u64,
    backlog_middle: u64,
    backlog_end: u64,
}

impl std::fmt::Display for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { results_per_second, backlog_start, backlog_middle, backlog_end } = self;
        write!(f, "results {results_per_second:>10.0} /s    backlog {backlog_start} at the start, ")?;
        write!(f, "{backlog_middle} in the middle, {backlog_end} at the end")
    }
}

/// Samples the queue while a load of `lasting` runs beside it.
pub(super) async fn watch(target: Target, lasting: Duration) -> anyhow::Result<Drain> {
    let start = sample(&target).await?;
    tokio::time::sleep(lasting / 2).await;
    let middle = sample(&target).await?;
    tokio::time::sleep_until((start.at + lasting).into()).await;
    let end = sample(&target).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
    let results = end.processed.saturating_sub(start.processed) as f64;
    Ok(Drain {
        results_per_second: results / (end.at - start.at).as_secs_f64().max(1e-9),
        backlog_start: start.backlog,
        backlog_middle: middle.backlog,
        backlog_end: end.backlog,
    })
}

async fn sample(target: &Target) -> anyhow::Result<Sample> {
    let stats = target.get_json("/api/v1/batch/stats").await?;
    let count = |name: &str| {
        stats["queue"][name].as_u64().with_context(|| format!("the answer of /api/v1/batch/stats has no queue.{name}"))
    };
    Ok(Sample { at: Instant::now(), backlog: count("unprocessed")?, processed: count("processed")? })
}
