//! `GET /api/v1/batch/result/:sessionId`: how a session stands, and waiting for it without asking again and again.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::auth::Ingester;
use super::error::{ApiError, Code, ErrorBody};
use super::request::{self, Params, SessionPath};
use super::wire::{self, First, ResultBody};
use crate::domain::id::SessionKey;
use crate::domain::queue::State as QueueState;
use crate::store::{Lookup, StoredSession};

/// A session settled by another node wakes nobody here: look again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultParams {
    /// Answer when the session is settled, or after this long: `30s`, `500ms`, or seconds; at most a minute by default.
    #[param(example = "30s")]
    wait: Option<String>,
    /// The session's deployment; that of the key when it is bound, else none.
    deployment_id: Option<String>,
}

/// How a session stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultAnswer {
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
pub(super) struct NotFoundAnswer {
    session_id: String,
    /// not_found
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
    get, path = "/api/v1/batch/result/{sessionId}", tag = "results",
    params(("sessionId" = String, Path, description = "The session"), ResultParams),
    responses(
        (status = 200, description = "queued, processed or failed", body = ResultAnswer),
        (status = 400, description = "A wrong query", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below ingest, or another deployment", body = ErrorBody),
        (status = 404, description = "Unknown session", body = NotFoundAnswer),
        (status = 410, description = "The session was erased", body = ErrorBody),
        (status = 422, description = "No possible session id", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn read(
    State(service): State<Shared>,
    Ingester(access): Ingester,
    SessionPath(id): SessionPath,
    Params(params): Params<ResultParams>,
) -> Result<Response, ApiError> {
    let wait = match &params.wait {
        Some(text) => request::span("wait", text)?.min(service.settings.longpoll_max),
        None => Duration::ZERO,
    };
    let key = access.session(id, params.deployment_id)?;
    let found = if wait.is_zero() { service.store.session(key.clone()).await? } else { settled(&service, &key, wait).await? };
    match found {
        Lookup::Found(session) => Ok(wire::json(&answer(*session))),
        Lookup::Erased => Err(ApiError::new(Code::SessionErased, "the session with this id was erased")),
        Lookup::Unknown => Ok(not_found(key)),
    }
}

/// The session once it is settled, or as it is when the time is up.
async fn settled(service: &Shared, key: &SessionKey, wait: Duration) -> Result<Lookup, ApiError> {
    // Those that find no place to wait are answered at once; so many connections stay free for others.
    let place = service.waits.clone().try_acquire_owned();
    let deadline = Instant::now() + if place.is_ok() { wait } else { Duration::ZERO };
    let mut draining = service.draining();
    let mut subscription = service.settled.subscribe(key.clone());
    loop {
        let found = service.store.session(key.clone()).await?;
        let waits = matches!(&found, Lookup::Found(session) if !session.entry.state.is_final());
        let now = Instant::now();
        if !waits || now >= deadline || *draining.borrow() {
            return Ok(found);
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
        status: wire::status(state),
        message,
        result: session.result.as_ref().filter(|_| processed).map(ResultBody::from),
        attempts: (!processed).then_some(session.entry.attempts),
        last_error: session.last_error.filter(|_| !processed),
        first: (&session.first).into(),
    }
}

fn not_found(key: SessionKey) -> Response {
    let error = ApiError::new(Code::UnknownSession, "Session not found in queue or results");
    let mut response = ApiError::new(Code::UnknownSession, "").into_response();
    let body = NotFoundAnswer { session_id: key.id.to_string(), status: "not_found", error: error.body() };
    let told = wire::json_with(StatusCode::NOT_FOUND, &body);
    *response.body_mut() = told.into_body();
    response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    response
}
