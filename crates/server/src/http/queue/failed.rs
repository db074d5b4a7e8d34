//! Failed sessions, and sending them back to the queue.

use axum::body::Body;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::id::{SESSION_ID_RULE, Seq, SessionId};
use crate::http::extract::caller::DeploymentAdmin;
use crate::http::extract::query::Params;
use crate::http::extract::{body, page};
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{
    ImpossibleSession, LimitOutOfBounds, Malformed, StoreAway, WrongBodyType, WrongQuery,
};
use crate::http::respond::shapes;
use crate::store::DeadRow;

const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;
/// Most sessions named in one requeue: they go back in one transaction, behind which every submission waits.
const MAX_REQUEUED: usize = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeadParams {
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
pub(crate) struct DeadBody {
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
pub(crate) struct DeadAnswer {
    sessions: Vec<DeadBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

impl From<DeadRow> for DeadBody {
    fn from(row: DeadRow) -> Self {
        Self {
            session_id: row.key.id.to_string(),
            deployment_id: row.key.deployment,
            accepted_at: shapes::iso(row.accepted_at),
            attempts: row.entry.attempts,
            lost_leases: row.entry.lost_leases,
            last_error: row.error,
        }
    }
}

/// Lists failed sessions.
#[utoipa::path(
    get, path = "/api/v1/batch/dead", operation_id = "listFailed", tag = "queue", params(DeadParams),
    responses((status = 200, description = "A page", body = DeadAnswer), DeploymentAdmin, WrongQuery, LimitOutOfBounds, StoreAway)
)]
pub(crate) async fn list(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Params(params): Params<DeadParams>,
) -> Answer {
    let deployment = access.deployment(params.deployment_id)?;
    let limit = page::page_size(params.limit, PAGE, MAX_PAGE)?;
    let before = page::cursor(params.cursor)?.map(Seq);
    let mut rows = service.lists.dead(before, limit).await?;
    let next_cursor = page::next(&rows, limit, |last| last.seq.0);
    rows.retain(|row| deployment.as_ref().is_none_or(|d| *d == row.key.deployment));
    Ok(answer::json(&DeadAnswer { sessions: rows.into_iter().map(DeadBody::from).collect(), next_cursor }))
}

/// Which failed sessions go back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RequeueRequest {
    /// These; all failed sessions when absent.
    #[schema(max_items = 1000)]
    session_ids: Option<Vec<String>>,
    /// Their deployment; that of the key when it is bound, else none.
    deployment_id: Option<String>,
}

/// How many went back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RequeueAnswer {
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
        DeploymentAdmin, WrongBodyType, Malformed, ImpossibleSession, StoreAway,
    )
)]
pub(crate) async fn requeue(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let body = body::read(&headers, body, service.body_limits(body::LIST)).await?;
    if !body.trim_ascii().is_empty() {
        body::check_type(&headers, body::is_json, "application/json")?;
    }
    let request = body::json::<RequeueRequest>(&body)?;
    let request = request.unwrap_or(RequeueRequest { session_ids: None, deployment_id: None });
    let keys = match request.session_ids {
        Some(ids) if ids.len() > MAX_REQUEUED => {
            let message = format!("sessionIds must hold at most {MAX_REQUEUED} items; send the rest apart");
            return Err(ApiError::at(Code::OutOfBounds, "sessionIds", message));
        }
        Some(ids) => {
            let key = |(i, id): (usize, String)| {
                let id = SessionId::from_unique(&id).ok_or_else(|| {
                    let path = format!("sessionIds[{i}]");
                    ApiError::at(Code::OutOfBounds, &path, format!("{path} {SESSION_ID_RULE}"))
                })?;
                Ok::<_, ApiError>(access.session(id, request.deployment_id.clone())?)
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
    let requeued = service.operations.requeue(&access.actor, keys).await?;
    let message = format!("{requeued} sessions went back to the queue");
    Ok(answer::json(&RequeueAnswer { success: true, requeued, message }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::detector::DetectorError;
    use crate::detector::scripted::Scripted;
    use crate::http::testing::{TestApp, lines, send};

    fn refusing() -> Scripted {
        Scripted::new(|_| Err(DetectorError::Transient { message: "no".to_owned(), retry_after: None }))
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
        let many = vec!["s"; super::MAX_REQUEUED + 1];
        app.post(path, &json!({"sessionIds": many})).await.is_error(422, "out_of_bounds");
        assert_eq!(app.post(path, &json!({"sessionIds": many[1..]})).await.json()["requeued"], 0);
        app.post(path, &json!({"ids": []})).await.is_error(400, "malformed");
        app.post_text(path, "{").await.is_error(400, "malformed");
        app.post(path, &json!({"deploymentId": "eu"})).await.is_error(400, "malformed");
    }
}
