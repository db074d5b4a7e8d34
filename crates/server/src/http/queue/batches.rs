//! Batches: those that ran, and running one now.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::agreement::Agreement;
use crate::domain::id::BatchId;
use crate::domain::result::Decision;
use crate::http::extract::caller::GlobalAdmin;
use crate::http::extract::page::{self, PageParams};
use crate::http::extract::path::TextPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{LimitOutOfBounds, StoreAway, UnknownBatch, WrongQuery};
use crate::http::respond::shapes;
use crate::store::{BatchMember, BatchRow};

/// One batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchBody {
    batch_id: i64,
    /// Sessions claimed.
    size: u32,
    /// full, `min_batch`, `max_wait`, retry or manual.
    #[schema(example = "full")]
    trigger: &'static str,
    /// Calls made to the detector; 0 while it runs.
    attempts: u32,
    /// ISO 8601, UTC.
    claimed_at: String,
    /// ISO 8601, UTC; `null` while it runs.
    finished_at: Option<String>,
    /// From claimed to finished; `null` while it runs.
    duration_ms: Option<u64>,
    /// Time spent in the detector; `null` while it runs.
    detector_ms: Option<f64>,
    /// The source asked.
    #[schema(example = "embedded")]
    source: &'static str,
    /// The node that ran it.
    owner: String,
    /// scored, partial, retried, failed or abandoned; `null` while it runs.
    #[schema(example = "scored")]
    outcome: Option<&'static str>,
    /// The last error.
    error: Option<String>,
    /// How far the shadow detector agreed; `null` when none scored beside.
    agreement: Option<AgreementBody>,
    /// How sure its failed sessions are taken together, for information; `null` where none failed by a calibrated score.
    false_discovery: Option<FalseDiscoveryBody>,
}

/// How sure a batch's failed sessions are taken together.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FalseDiscoveryBody {
    /// The largest p-value among them, adjusted by Benjamini and Hochberg for all that were scored together, 0 to 1.
    adjusted_p: f64,
    /// Sessions that were scored together.
    sessions: u32,
}

/// How far two detectors agree on the sessions of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgreementBody {
    /// Sessions that both scored.
    sessions: u32,
    /// Rank correlation of the raw scores, -1 to 1; `null` when a source only flags.
    rank_correlation: Option<f64>,
    /// Sessions that they decided differently.
    flips: u32,
}

impl From<Agreement> for AgreementBody {
    fn from(agreement: Agreement) -> Self {
        Self { sessions: agreement.rows, rank_correlation: agreement.rank_correlation, flips: agreement.flips }
    }
}

/// A page of batches, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchesAnswer {
    batches: Vec<BatchBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

/// A session that was in a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchMemberBody {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// The decision that stands: pass, review or fail; `null` without a result.
    decision: Option<&'static str>,
    /// `null` without a result, and where the source only flags.
    anomaly_score: Option<f64>,
}

impl From<BatchMember> for BatchMemberBody {
    fn from(member: BatchMember) -> Self {
        Self {
            session_id: member.key.id.to_string(),
            deployment_id: member.key.deployment,
            decision: member.decision.map(Decision::name),
            anomaly_score: member.score,
        }
    }
}

/// One batch with its members.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAnswer {
    #[serde(flatten)]
    batch: BatchBody,
    sessions: Vec<BatchMemberBody>,
}

impl From<BatchRow> for BatchBody {
    fn from(row: BatchRow) -> Self {
        let took = row.finished_at.map(|end| end.since(row.claimed_at).as_millis());
        Self {
            batch_id: row.id.0,
            size: row.size,
            trigger: row.trigger.name(),
            attempts: row.end.as_ref().map_or(0, |e| e.attempts),
            claimed_at: shapes::iso(row.claimed_at),
            finished_at: row.finished_at.map(shapes::iso),
            duration_ms: took.and_then(|ms| u64::try_from(ms).ok()),
            detector_ms: row.end.as_ref().map(|e| e.detector_ms),
            source: row.source.name(),
            owner: row.owner,
            outcome: row.end.as_ref().map(|e| e.outcome.name()),
            agreement: row.end.as_ref().and_then(|e| e.agreement).map(AgreementBody::from),
            false_discovery: row
                .end
                .as_ref()
                .and_then(|e| e.false_discovery)
                .map(|f| FalseDiscoveryBody { adjusted_p: f.adjusted_p, sessions: f.sessions }),
            error: row.end.and_then(|e| e.error),
        }
    }
}

/// Lists batches.
#[utoipa::path(
    get, path = "/api/v1/batch/batches", operation_id = "listBatches", tag = "batches", params(PageParams),
    responses(
        (status = 200, description = "A page", body = BatchesAnswer),
        GlobalAdmin, WrongQuery, LimitOutOfBounds, StoreAway,
    )
)]
pub(crate) async fn list(GlobalAdmin { service, .. }: GlobalAdmin, Params(params): Params<PageParams>) -> Answer {
    let (limit, before) = params.place()?;
    let rows = service.lists.batches(before.map(BatchId), limit).await?;
    let next_cursor = page::next(&rows, limit, |last| last.id);
    Ok(answer::json(&BatchesAnswer { batches: rows.into_iter().map(BatchBody::from).collect(), next_cursor }))
}

/// Reads one batch and its members.
#[utoipa::path(
    get, path = "/api/v1/batch/batches/{batchId}", operation_id = "readBatch", tag = "batches",
    params(("batchId" = i64, Path, description = "The batch")),
    responses((status = 200, description = "The batch", body = BatchAnswer), GlobalAdmin, UnknownBatch, StoreAway)
)]
pub(crate) async fn read(GlobalAdmin { service, .. }: GlobalAdmin, TextPath(id): TextPath) -> Answer {
    let unknown = || ApiError::new(Code::UnknownBatch, "there is no batch with this id, or it was pruned");
    let id = id.parse().map(BatchId).map_err(|_| unknown())?;
    let (row, members) = service.store.batch(id).await?.ok_or_else(unknown)?;
    let sessions = members.into_iter().map(BatchMemberBody::from).collect();
    Ok(answer::json(&BatchAnswer { batch: row.into(), sessions }))
}

/// What a manual run did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessAnswer {
    /// Sessions in its finished batches.
    processed: u64,
    /// Of these, scored.
    success: u64,
    /// Of these, not scored.
    failed: u64,
    /// For people.
    message: String,
    /// Its batches.
    batch_ids: Vec<i64>,
    /// Sessions that were ready at the call and have no result yet.
    remaining: u64,
}

/// Runs batches now.
///
/// Takes what is ready at the call, at most 20 batches, and answers after at most 25 s; a batch that still runs then
/// finishes by itself and counts as remaining. Works while the scheduler is stopped and beside it. Needs no body.
#[utoipa::path(
    post, path = "/api/v1/batch/process", operation_id = "processNow", tag = "batches",
    responses((status = 200, description = "What it did", body = ProcessAnswer), GlobalAdmin, StoreAway)
)]
pub(crate) async fn process(GlobalAdmin { service, access }: GlobalAdmin) -> Answer {
    let run = service
        .operations
        .perform(&access.actor, "batch.process", "", serde_json::json!({}), service.scheduler.run_now())
        .await?;
    let message = match (run.processed, run.remaining) {
        (0, 0) => "No sessions to process".to_owned(),
        (processed, 0) => format!("Processed {processed} sessions"),
        (processed, remaining) => format!("Processed {processed} sessions, {remaining} remain"),
    };
    Ok(answer::json(&ProcessAnswer {
        processed: run.processed,
        success: run.success,
        failed: run.failed,
        message,
        batch_ids: run.batches.iter().map(|b| b.0).collect(),
        remaining: run.remaining,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, lines, send};

    #[tokio::test]
    async fn a_manual_run_names_its_batches_and_they_can_be_read() {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 120)).await;
        // No body and no content type, as the original's clients send it.
        let run = send(app.request("POST", "/api/v1/batch/process")).await.json();
        assert_eq!((&run["processed"], &run["success"], &run["failed"]), (&json!(120), &json!(120), &json!(0)));
        assert_eq!((run["remaining"].as_u64(), run["message"].as_str()), (Some(0), Some("Processed 120 sessions")));
        let ids = run["batchIds"].as_array().unwrap();
        assert_eq!(ids.len(), 3);

        let first = app.get("/api/v1/batch/batches?limit=2").await.json();
        assert_eq!(first["batches"].as_array().unwrap().len(), 2);
        assert!(first["batches"][0]["batchId"].as_i64() > first["batches"][1]["batchId"].as_i64(), "newest first");
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = app.get(&format!("/api/v1/batch/batches?limit=2&cursor={cursor}")).await.json();
        assert_eq!((second["batches"].as_array().unwrap().len(), &second["nextCursor"]), (1, &json!(null)));

        let batch = app.get(&format!("/api/v1/batch/batches/{}", ids[0])).await.json();
        assert_eq!(
            (&batch["size"], &batch["trigger"], &batch["outcome"]),
            (&json!(50), &json!("manual"), &json!("scored"))
        );
        assert_eq!(
            (&batch["source"], &batch["owner"], &batch["attempts"]),
            (&json!("embedded"), &json!("test"), &json!(1))
        );
        assert_eq!((batch["sessions"].as_array().unwrap().len(), &batch["error"]), (50, &json!(null)));
        assert_eq!(batch["claimedAt"], "2026-01-31T12:00:00.000Z");
        assert_eq!(batch["agreement"], json!(null), "nobody scores beside the embedded model");

        let none = send(app.request("POST", "/api/v1/batch/process")).await.json();
        assert_eq!((&none["processed"], &none["message"]), (&json!(0), &json!("No sessions to process")));
    }

    #[tokio::test]
    async fn unknown_batches_and_wrong_pages_are_errors() {
        let app = TestApp::start().await;
        for id in ["17", "x", "99999999999999999999"] {
            app.get(&format!("/api/v1/batch/batches/{id}")).await.is_error(404, "unknown_batch");
        }
        app.get("/api/v1/batch/batches?limit=0").await.is_error(422, "out_of_bounds");
        app.get("/api/v1/batch/batches?limit=x").await.is_error(400, "malformed");
        app.get("/api/v1/batch/batches?cursor=x").await.is_error(400, "malformed");
    }
}
