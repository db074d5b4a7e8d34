//! `GET /api/v1/batch/result/:sessionId`: how a session stands, and waiting for it without asking again and again.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::Access;
use crate::domain::id::SessionKey;
use crate::domain::queue::State as QueueState;
use crate::http::extract::caller::Reader;
use crate::http::extract::path::SessionPath;
use crate::http::extract::query::{self, Params};
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code, ErrorBody};
use crate::http::respond::refusals::{ImpossibleSession, SessionErased, StoreAway, WrongQuery};
use crate::http::respond::shapes::{self, First, ResultBody};
use crate::http::state::Shared;
use crate::store::{Lookup, StoredSession};

/// A session settled by another node wakes nobody here: look again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResultParams {
    /// Answer when the session is settled, or after this long: `30s`, `500ms`, or seconds; at most a minute by default.
    #[param(example = "30s")]
    wait: Option<String>,
    /// The session's deployment; that of the key when it is bound, else none.
    deployment_id: Option<String>,
}

/// How a session stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResultAnswer {
    session_id: String,
    /// queued, processed or failed.
    #[schema(example = "processed")]
    status: &'static str,
    /// For people; absent when processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    /// Present when processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ResultBody>,
    /// Detector answers without a score so far; absent when processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// What went wrong last; absent when nothing did, or when processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// The verdict that was answered at once.
    first: First,
}

/// Nothing is known of the session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotFoundAnswer {
    session_id: String,
    /// `not_found`
    #[schema(example = "not_found")]
    status: &'static str,
    #[serde(flatten)]
    error: ErrorBody,
}

/// Reads how a session stands.
///
/// With `wait`, answers as soon as the session is processed or failed, or with its state when the time is up or the
/// service shuts down.
#[utoipa::path(
    get, path = "/api/v1/batch/result/{sessionId}", operation_id = "readResult", tag = "results",
    params(("sessionId" = String, Path, description = "The session"), ResultParams),
    responses(
        (status = 200, description = "queued, processed or failed", body = ResultAnswer),
        (status = 404, description = "Unknown session", body = NotFoundAnswer),
        Reader, WrongQuery, ImpossibleSession, SessionErased, StoreAway,
    )
)]
pub(crate) async fn read(
    Reader { service, access }: Reader,
    SessionPath(id): SessionPath,
    Params(params): Params<ResultParams>,
) -> Answer {
    let wait = match &params.wait {
        Some(text) => query::span("wait", text)?.min(service.settings.longpoll_max),
        None => Duration::ZERO,
    };
    let key = access.session(id, params.deployment_id)?;
    let (key, found) = if wait.is_zero() {
        service.operations.find(key).await?
    } else {
        settled(&service, &access, key, wait).await?
    };
    match found {
        Lookup::Found(session) => Ok(answer::json(&answer(*session))),
        Lookup::Erased => Err(ApiError::new(Code::SessionErased, "the session with this id was erased")),
        Lookup::Unknown => Ok(not_found(&key)),
    }
}

/// The session once it is settled, or as it is when the time is up.
async fn settled(
    service: &Shared,
    access: &Access,
    key: SessionKey,
    wait: Duration,
) -> Result<(SessionKey, Lookup), ApiError> {
    // Those that find no place to wait are answered at once; so many connections stay free for others.
    let place = service.waits.clone().try_acquire_owned();
    let deadline = Instant::now() + if place.is_ok() { wait } else { Duration::ZERO };
    let mut draining = service.draining();
    let (key, _) = service.operations.find(key).await?;
    let mut subscription = service.settled.subscribe(key.clone());
    loop {
        let found = service.store.session(key.clone()).await?;
        if !service.holds(access) {
            return Err(ApiError::new(Code::Unauthorized, "the key was revoked while the request waited"));
        }
        let waits = matches!(&found, Lookup::Found(session) if !session.entry.state.is_final());
        let now = Instant::now();
        if !waits || now >= deadline || *draining.borrow() {
            return Ok((key, found));
        }
        tokio::select! {
            () = subscription.changed() => {}
            () = tokio::time::sleep_until(deadline.min(now + LOOK_AGAIN)) => {}
            _ = draining.changed() => {}
        }
    }
}

fn answer(session: StoredSession) -> ResultAnswer {
    let state = session.entry.state;
    let processed = state == QueueState::Processed;
    let message = match state {
        QueueState::Ready => Some("Session is queued for the next batch"),
        QueueState::Leased => Some("Session is being scored"),
        QueueState::Delayed => Some("Session waits for a retry"),
        QueueState::Failed => Some("Session could not be scored; an operator may requeue it"),
        QueueState::Processed => None,
    };
    ResultAnswer {
        session_id: session.key.id.to_string(),
        status: shapes::status(state),
        message,
        result: session.result.as_ref().filter(|_| processed).map(|result| ResultBody {
            matches: session.matches.iter().map(|id| id.as_str().to_owned()).collect(),
            campaign_id: session.campaign.map(|id| id.0),
            ..ResultBody::from(result)
        }),
        attempts: (!processed).then_some(session.entry.attempts),
        last_error: session.last_error.filter(|_| !processed),
        first: (&session.first).into(),
    }
}

fn not_found(key: &SessionKey) -> Response {
    let error = ApiError::new(Code::UnknownSession, "Session not found in queue or results");
    let mut response = ApiError::new(Code::UnknownSession, "").into_response();
    let body = NotFoundAnswer { session_id: key.id.to_string(), status: "not_found", error: error.body() };
    let told = answer::json_with(StatusCode::NOT_FOUND, &body);
    *response.body_mut() = told.into_body();
    response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::detector::scripted::{Scripted, answer};
    use crate::detector::{Outcome, Row};
    use crate::domain::id::SessionId;
    use crate::http::testing::{TestApp, send, session};
    use crate::store::Store as _;

    async fn until(condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), wait).await.expect("it never came true");
    }

    #[tokio::test]
    async fn a_session_goes_from_queued_to_processed_and_keeps_its_first_verdict() {
        let app = TestApp::start().await;
        let first = app.post("/api/v1/score", &session("a")).await.json();
        let queued = app.get("/api/v1/batch/result/a").await.json();
        assert_eq!((&queued["sessionId"], &queued["status"]), (&json!("a"), &json!("queued")));
        assert!(queued["message"].is_string() && queued.get("result").is_none());
        for field in ["decision", "confidence", "anomaly", "source", "reasons", "scoredAt", "latencyMs"] {
            assert_eq!(queued["first"][field], first[field], "{field}");
        }
        send(app.request("POST", "/api/v1/batch/process")).await;
        let processed = app.get("/api/v1/batch/result/a").await.json();
        assert_eq!((&processed["status"], &processed["first"]), (&json!("processed"), &queued["first"]));
        let result = &processed["result"];
        assert!(result["anomalyScore"].is_number() && result["rawScore"].is_number() && result["batchId"].is_number());
        assert_eq!(
            (&result["source"], &result["modelId"], &result["modelVersion"]),
            (&json!("embedded"), &json!("scripted"), &json!("1"))
        );
        assert_eq!((&result["scoreKind"], &result["calibrationClass"]), (&json!("calibrated"), &json!("pooled")));
        assert_eq!(
            (&result["attempts"], &result["fallback"], &result["extrapolated"]),
            (&json!(1), &json!(false), &json!(false))
        );
        assert_eq!(result["isAnomaly"].as_bool().unwrap(), result["decision"] == "fail");
        assert!(result["confidence"].is_number() && result["reasons"].is_array());
        assert_eq!(result["scoredAt"], "2026-01-31T12:00:00.000Z");
    }

    #[tokio::test]
    async fn a_source_that_only_flags_has_no_score() {
        let flag = |rows: &[Row]| Ok(answer(rows.iter().map(|row| (row.id, Outcome::Flagged(true))).collect()));
        let app = TestApp::with(|choice| choice.detector = Scripted::new(flag)).await;
        app.post("/api/v1/score", &session("a")).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        let result = app.get("/api/v1/batch/result/a").await.json()["result"].take();
        assert_eq!((&result["scoreKind"], &result["anomalyScore"]), (&json!("flag"), &json!(null)));
        assert!(result.as_object().unwrap().contains_key("anomalyScore") && result.get("rawScore").is_none());
        assert!(["review", "fail"].contains(&result["decision"].as_str().unwrap()));
        assert!(result["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == "flagged"));
        let listed = app.get("/api/v1/batch/results").await.json()["results"][0].take();
        assert_eq!((&listed["scoreKind"], &listed["anomalyScore"]), (&json!("flag"), &json!(null)));
    }

    #[tokio::test]
    async fn unknown_sessions_get_the_originals_body_with_an_honest_status() {
        let app = TestApp::start().await;
        let reply = app.get("/api/v1/batch/result/unknown").await;
        reply.is_error(404, "unknown_session");
        assert_eq!((&reply.json()["sessionId"], &reply.json()["status"]), (&json!("unknown"), &json!("not_found")));
        app.get("/api/v1/batch/result/a%2Fb").await.is_error(422, "out_of_bounds");
        app.get("/api/v1/batch/result/a/b").await.is_error(404, "unknown_route");
        app.get("/api/v1/batch/result/%FF").await.is_error(400, "malformed");
        app.get("/api/v1/batch/result/unknown?wait=30s").await.is_error(404, "unknown_session");
        app.get("/api/v1/batch/result/unknown?wait=soon").await.is_error(400, "malformed");
    }

    #[tokio::test]
    async fn a_waiter_is_answered_when_its_session_is_settled() {
        let app = TestApp::start().await;
        app.post("/api/v1/score", &session("a")).await;
        let settled = app.settled.clone();
        let run = async {
            until(|| settled.waiting() == 1).await;
            send(app.request("POST", "/api/v1/batch/process")).await
        };
        let (reply, _) = tokio::join!(app.get("/api/v1/batch/result/a?wait=30s"), run);
        assert_eq!(reply.json()["status"], "processed");
        assert_eq!(settled.waiting(), 0);
    }

    #[tokio::test]
    async fn a_waiter_notices_what_another_node_did() {
        let app = TestApp::start().await;
        app.post("/api/v1/score", &session("a")).await;
        let key = SessionKey { deployment: String::new(), id: SessionId::parse("a").unwrap() };
        let elsewhere = async {
            until(|| app.settled.waiting() == 1).await;
            app.store.erase_session(key, app.now()).await.unwrap()
        };
        let (reply, _) = tokio::join!(app.get("/api/v1/batch/result/a?wait=30s"), elsewhere);
        reply.is_error(410, "session_erased");
    }

    #[tokio::test]
    async fn a_wait_ends_in_time_at_shutdown_and_when_its_client_leaves() {
        let mut app = TestApp::with(|choice| choice.http.longpoll_max = Duration::from_millis(50)).await;
        app.post("/api/v1/score", &session("a")).await;
        assert_eq!(app.get("/api/v1/batch/result/a?wait=1m").await.json()["status"], "queued");
        app.stop();

        let mut app = TestApp::start().await;
        app.post("/api/v1/score", &session("a")).await;
        let settled = app.settled.clone();
        let mut leaving = app.connect().await;
        leaving.write_all(b"GET /api/v1/batch/result/a?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        until(|| settled.waiting() == 1).await;
        drop(leaving);
        until(|| settled.waiting() == 0).await;

        let request = app.request("GET", "/api/v1/batch/result/a?wait=60s");
        let waiting = tokio::spawn(send(request));
        until(|| settled.waiting() == 1).await;
        app.stop();
        assert_eq!(waiting.await.unwrap().json()["status"], "queued");
        app.stopped().await;
    }
}
