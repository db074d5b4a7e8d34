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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;

    use super::*;

    #[test]
    fn results_are_counted_between_the_first_and_the_last_look() {
        let looks = Arc::new(AtomicU64::new(0));
        let stats = move || {
            let look = looks.fetch_add(1, Ordering::Relaxed);
            async move { Json(json!({"queue": {"unprocessed": 7 * look, "processed": 1000 + 50 * look}})) }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let drain = tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let routes = Router::new().route("/api/v1/batch/stats", get(stats));
            tokio::task::spawn_local(async move { axum::serve(listener, routes).await });
            watch(Target::new(&url, None).unwrap(), Duration::from_millis(100)).await.unwrap()
        });
        assert_eq!([drain.backlog_start, drain.backlog_middle, drain.backlog_end], [0, 7, 14]);
        // 100 results in at least 100 ms
        assert!((1.0..=1000.0).contains(&drain.results_per_second), "{drain}");
    }
}
