//! The queue: how much waits, what failed, and sending failed sessions back.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::auth::{Admin, Operator};
use super::error::{ApiError, Code, ErrorBody};
use super::request::{self, Params};
use super::wire;
use crate::detector::embedded::drift::Report;
use crate::domain::id::{SESSION_ID_RULE, Seq, SessionId};
use crate::domain::time::Timestamp;
use crate::store::{Counts, DeadRow};

const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1000;
/// Most sessions named in one requeue: they go back in one transaction, behind which every submission waits.
const MOST_REQUEUED: usize = 1000;

/// How much is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueCounts {
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
pub(super) struct SchedulerState {
    /// Whether batches run by themselves.
    pub(super) running: bool,
    /// Whether this node has a batch in flight.
    pub(super) is_processing: bool,
    /// When the last batch was claimed by any node; ISO 8601, UTC.
    pub(super) last_processed: Option<String>,
}

/// How far a feature is from the people the model was made from.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovedFeature {
    #[schema(example = "speedP95")]
    feature: &'static str,
    /// Largest difference of shares, 0 to 1 (Kolmogorov-Smirnov).
    distance: f64,
}

/// Whether the sessions that this node scored of late are like the people the embedded model was made from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DriftState {
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
pub(super) struct StatsAnswer {
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

pub(super) fn last_processed(at: Option<Timestamp>) -> Option<String> {
    at.map(wire::iso)
}

/// Counts the queue.
#[utoipa::path(
    get, path = "/api/v1/batch/stats", operation_id = "readStats", tag = "queue",
    responses(
        (status = 200, description = "Queue and scheduler", body = StatsAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn stats(State(service): State<Shared>, _: Operator) -> Result<Response, ApiError> {
    let status = service.scheduler.status().await?;
    let scheduler = SchedulerState {
        running: status.running,
        is_processing: status.is_processing,
        last_processed: last_processed(status.last_processed),
    };
    Ok(wire::json(&StatsAnswer {
        queue: (&status.counts).into(),
        scheduler,
        drift: service.embedded.drift().report().map(Into::into),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeadParams {
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
    /// 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// A session that failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadBody {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// ISO 8601, UTC.
    accepted_at: String,
    /// Detector answers without a score.
    attempts: u32,
    /// Leases that ended without an answer.
    lost_leases: u32,
    /// Why it failed.
    last_error: Option<String>,
}

/// A page of failed sessions, newest first. With a deployment a page may hold fewer than `limit` and still have a next.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadAnswer {
    sessions: Vec<DeadBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

impl From<DeadRow> for DeadBody {
    fn from(row: DeadRow) -> Self {
        Self {
            session_id: row.key.id.to_string(),
            deployment_id: row.key.deployment,
            accepted_at: wire::iso(row.accepted_at),
            attempts: row.entry.attempts,
            lost_leases: row.entry.lost_leases,
            last_error: row.error,
        }
    }
}

/// Lists failed sessions.
#[utoipa::path(
    get, path = "/api/v1/batch/dead", operation_id = "listFailed", tag = "queue", params(DeadParams),
    responses(
        (status = 200, description = "A page", body = DeadAnswer),
        (status = 400, description = "A wrong query", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or another deployment", body = ErrorBody),
        (status = 422, description = "limit out of bounds", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn dead(
    State(service): State<Shared>,
    Admin(access): Admin,
    Params(params): Params<DeadParams>,
) -> Result<Response, ApiError> {
    let deployment = access.deployment(params.deployment_id)?;
    let limit = request::page_size(params.limit, PAGE, LARGEST_PAGE)?;
    let wrong = || ApiError::malformed("cursor", "cursor must be the nextCursor of the page before");
    let before = params.cursor.map(|c| c.parse().map(Seq).map_err(|_| wrong())).transpose()?;
    let mut rows = service.store.dead(before, limit).await?;
    let full = rows.len() >= limit as usize;
    let next_cursor = rows.last().filter(|_| full).map(|row| row.seq.0.to_string());
    rows.retain(|row| deployment.as_ref().is_none_or(|d| *d == row.key.deployment));
    Ok(wire::json(&DeadAnswer { sessions: rows.into_iter().map(DeadBody::from).collect(), next_cursor }))
}

/// Which failed sessions go back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequeueRequest {
    /// These; all failed sessions when absent.
    #[schema(max_items = 1000)]
    session_ids: Option<Vec<String>>,
    /// Their deployment; that of the key when it is bound, else none.
    deployment_id: Option<String>,
}

/// How many went back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequeueAnswer {
    /// Always true.
    success: bool,
    /// Sessions that wait again.
    requeued: u64,
    /// For people.
    message: String,
}

/// Sends failed sessions back to the queue.
///
/// At most 1000 at a time where they are named. Without a body all of them, which needs a key that is bound to no deployment.
#[utoipa::path(
    post, path = "/api/v1/batch/dead/requeue", operation_id = "requeueFailed", tag = "queue",
    request_body(content = Option<RequeueRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "How many went back", body = RequeueAnswer),
        (status = 400, description = "Malformed", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or another deployment", body = ErrorBody),
        (status = 415, description = "Wrong content type or an encoded body", body = ErrorBody),
        (status = 422, description = "No possible session id", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn requeue(
    State(service): State<Shared>,
    Admin(access): Admin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = request::read(&headers, body, service.body_limits(request::LIST)).await?;
    if !body.trim_ascii().is_empty() {
        request::check_type(&headers, request::is_json, "application/json")?;
    }
    let request = request::json::<RequeueRequest>(&body)?;
    let request = request.unwrap_or(RequeueRequest { session_ids: None, deployment_id: None });
    let keys = match request.session_ids {
        Some(ids) if ids.len() > MOST_REQUEUED => {
            let message = format!("sessionIds must hold at most {MOST_REQUEUED} items; send the rest apart");
            return Err(ApiError::at(Code::OutOfBounds, "sessionIds", message));
        }
        Some(ids) => {
            let key = |(i, id): (usize, String)| {
                let id = SessionId::from_unique(&id).ok_or_else(|| {
                    let path = format!("sessionIds[{i}]");
                    ApiError::at(Code::OutOfBounds, &path, format!("{path} {SESSION_ID_RULE}"))
                })?;
                access.session(id, request.deployment_id.clone())
            };
            let named = ids.into_iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
            // Those of pages, too: an id may be of both.
            Some(named.into_iter().flat_map(|key| [key.of_page(), key]).collect())
        }
        None if access.deployment(request.deployment_id)?.is_none() => None,
        None => {
            let message = "name the sessionIds to requeue in one deployment; GET /api/v1/batch/dead lists them";
            return Err(ApiError::malformed("sessionIds", message));
        }
    };
    let detail = serde_json::json!({"sessions": keys.as_ref().map(Vec::len)});
    service.note(&access, "sessions.requeue", "", detail).await?;
    let requeued = service.store.requeue(keys, service.clock.now()).await?;
    let message = format!("{requeued} sessions went back to the queue");
    Ok(wire::json(&RequeueAnswer { success: true, requeued, message }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{TestApp, lines, send};
    use crate::detector::DetectorError;
    use crate::detector::scripted::Scripted;

    fn refusing() -> Scripted {
        Scripted::new(|_| Err(DetectorError::Transient { message: "no".to_owned(), retry_after: None }))
    }

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

    #[tokio::test]
    async fn failed_sessions_are_listed_and_sent_back() {
        let app = TestApp::with(|choice| choice.detector = refusing()).await;
        app.bulk("", lines("s", 3)).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        let dead = app.get("/api/v1/batch/dead").await.json();
        assert_eq!(dead["sessions"].as_array().unwrap().len(), 3, "{dead}");
        assert!(dead["sessions"][0]["lastError"].as_str().unwrap().contains("no"));
        let first = app.get("/api/v1/batch/dead?limit=2").await.json();
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = app.get(&format!("/api/v1/batch/dead?limit=2&cursor={cursor}")).await.json();
        assert_eq!((second["sessions"].as_array().unwrap().len(), &second["nextCursor"]), (1, &json!(null)));

        let result = app.get("/api/v1/batch/result/s1").await.json();
        assert_eq!((&result["status"], &result["attempts"]), (&json!("failed"), &json!(1)));
        assert!(result["lastError"].as_str().unwrap().contains("no") && result["first"]["decision"].is_string());

        let some = app.post("/api/v1/batch/dead/requeue", &json!({"sessionIds": ["s1", "unknown"]})).await.json();
        assert_eq!((&some["success"], &some["requeued"]), (&json!(true), &json!(1)));
        let all = send(app.request("POST", "/api/v1/batch/dead/requeue")).await.json();
        assert_eq!(all["requeued"], 2);
        assert_eq!(app.get("/api/v1/batch/stats").await.json()["queue"]["ready"], 3);
    }

    #[tokio::test]
    async fn failed_requeued_and_erased_sessions_stay_counted_as_accepted() {
        let app = TestApp::with(|choice| choice.detector = refusing()).await;
        let stands_at = async |wanted: [(&str, u64); 3]| {
            let mut sum = 0;
            for state in ["ready", "leased", "delayed", "processed", "failed", "erased", "pruned"] {
                let count = app.metric(&format!("playproof_store_sessions{{state=\"{state}\"}}")).await as u64;
                let expected = wanted.iter().find(|(name, _)| *name == state).map_or(0, |(_, count)| *count);
                assert_eq!(count, expected, "{state} of {wanted:?}");
                sum += count;
            }
            assert_eq!(app.metric("playproof_store_accepted").await as u64, sum, "{wanted:?}");
        };
        app.bulk("", lines("s", 3)).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        stands_at([("ready", 0), ("failed", 3), ("erased", 0)]).await;
        app.post("/api/v1/batch/dead/requeue", &json!({"sessionIds": ["s1"]})).await;
        stands_at([("ready", 1), ("failed", 2), ("erased", 0)]).await;
        app.delete("/api/v1/sessions/s2").await;
        stands_at([("ready", 1), ("failed", 1), ("erased", 1)]).await;
        send(app.request("POST", "/api/v1/batch/clear")).await;
        stands_at([("ready", 0), ("failed", 0), ("erased", 3)]).await;
    }

    #[tokio::test]
    async fn wrong_requeues_are_refused() {
        let app = TestApp::start().await;
        let path = "/api/v1/batch/dead/requeue";
        let wrong = app.post(path, &json!({"sessionIds": ["ok", "a/b"]})).await;
        wrong.is_error(422, "out_of_bounds");
        assert_eq!(wrong.json()["details"]["path"], "sessionIds[1]");
        let many = vec!["s"; super::MOST_REQUEUED + 1];
        app.post(path, &json!({"sessionIds": many})).await.is_error(422, "out_of_bounds");
        assert_eq!(app.post(path, &json!({"sessionIds": many[1..]})).await.json()["requeued"], 0);
        app.post(path, &json!({"ids": []})).await.is_error(400, "malformed");
        app.post_text(path, "{").await.is_error(400, "malformed");
        app.post(path, &json!({"deploymentId": "eu"})).await.is_error(400, "malformed");
    }
}
