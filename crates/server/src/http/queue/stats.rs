//! How much waits in the queue, how the scheduler stands, and whether sessions drift.

use serde::Serialize;
use utoipa::ToSchema;

use crate::detector::embedded::drift::Report;
use crate::domain::time::Timestamp;
use crate::http::extract::caller::GlobalAdmin;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::refusals::StoreAway;
use crate::http::respond::shapes;
use crate::store::Counts;

/// How much is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueCounts {
    /// Sessions stored.
    total: u64,
    /// Of these, without a final state.
    unprocessed: u64,
    /// Of these, with a result.
    processed: u64,
    /// Waiting in line.
    ready: u64,
    /// In a batch.
    leased: u64,
    /// Waiting for a retry.
    delayed: u64,
    /// Given up.
    failed: u64,
}

impl From<&Counts> for QueueCounts {
    fn from(counts: &Counts) -> Self {
        Self {
            total: counts.stored(),
            unprocessed: counts.unprocessed(),
            processed: counts.processed,
            ready: counts.ready,
            leased: counts.leased,
            delayed: counts.delayed,
            failed: counts.failed,
        }
    }
}

/// How the scheduler stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchedulerState {
    /// Whether batches run by themselves.
    pub(crate) running: bool,
    /// Whether this node has a batch in flight.
    pub(crate) is_processing: bool,
    /// When the last batch was claimed by any node; ISO 8601, UTC.
    pub(crate) last_processed: Option<String>,
}

/// How far a feature is from the people the model was made from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovedFeature {
    #[schema(example = "speedP95")]
    feature: &'static str,
    /// Largest difference of shares, 0 to 1 (Kolmogorov-Smirnov).
    distance: f64,
}

/// Whether the sessions that this node scored of late are like the people the embedded model was made from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DriftState {
    /// The last 500 to 1000 sessions, bots among them.
    sessions: u32,
    /// By how much more sessions look odd than calibration promises: the largest excess of the share of p-values at or
    /// below some p over p.
    p_values: f64,
    /// The features that moved most.
    features: Vec<MovedFeature>,
    /// A distance that one window in a hundred exceeds by chance.
    limit: f64,
}

/// Queue and scheduler at one moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsAnswer {
    queue: QueueCounts,
    scheduler: SchedulerState,
    /// `null` until this node has scored 200 sessions with the embedded model.
    drift: Option<DriftState>,
}

impl From<Report> for DriftState {
    fn from(report: Report) -> Self {
        let Report { sessions, p_values, columns, limit } = report;
        let features = columns.into_iter().map(|(feature, distance)| MovedFeature { feature, distance }).collect();
        Self { sessions, p_values, features, limit }
    }
}

pub(crate) fn last_processed(at: Option<Timestamp>) -> Option<String> {
    at.map(shapes::iso)
}

/// Counts the queue.
#[utoipa::path(
    get, path = "/api/v1/batch/stats", operation_id = "readStats", tag = "queue",
    responses((status = 200, description = "Queue and scheduler", body = StatsAnswer), GlobalAdmin, StoreAway)
)]
pub(crate) async fn stats(GlobalAdmin { service, .. }: GlobalAdmin) -> Answer {
    let status = service.scheduler.status().await?;
    let scheduler = SchedulerState {
        running: status.running,
        is_processing: status.is_processing,
        last_processed: last_processed(status.last_processed),
    };
    Ok(answer::json(&StatsAnswer {
        queue: (&status.counts).into(),
        scheduler,
        drift: service.embedded.drift().report().map(Into::into),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, lines, send};

    #[tokio::test]
    async fn stats_count_what_is_stored() {
        let app = TestApp::start().await;
        let empty = app.get("/api/v1/batch/stats").await.json();
        let zeros =
            json!({"total": 0, "unprocessed": 0, "processed": 0, "ready": 0, "leased": 0, "delayed": 0, "failed": 0});
        assert_eq!(empty["queue"], zeros);
        assert_eq!(empty["scheduler"], json!({"running": false, "isProcessing": false, "lastProcessed": null}));
        app.bulk("", lines("s", 3)).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        app.bulk("", lines("t", 2)).await;
        let stats = app.get("/api/v1/batch/stats").await.json();
        let of = |name: &str| stats["queue"][name].as_u64().unwrap();
        assert_eq!((of("total"), of("unprocessed"), of("processed"), of("ready")), (5, 2, 3, 2));
        assert_eq!(stats["scheduler"]["lastProcessed"], "2026-01-31T12:00:00.000Z");
    }
}
