//! `GET /api/v1/sessions/:sessionId/telemetry`: the movements and clicks of a session, for whoever looks at it.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::id::SessionKey;
use crate::domain::record;
use crate::domain::session::{Click, Session};
use crate::http::extract::caller::Reviewer;
use crate::http::extract::path::SessionPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{ImpossibleSession, StoreAway, TelemetryGone};
use crate::http::state::Service;
use crate::store::{Lookup, StoredSession};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TelemetryParams {
    /// The session's deployment; that of the key when it is bound, else none.
    deployment_id: Option<String>,
}

/// The path, one list per quantity; all lists have the same length.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PathBody {
    /// Pixels.
    x: Vec<f64>,
    /// Pixels, downwards.
    y: Vec<f64>,
    /// The client's time, ms from any origin, in the order of arrival.
    timestamp: Vec<f64>,
}

/// A button press or tap.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClickBody {
    /// Pixels.
    x: f64,
    /// Pixels, downwards.
    y: f64,
    /// The client's time, ms.
    timestamp: f64,
    /// Whether a target was hit.
    target_hit: bool,
}

/// What was recorded of a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TelemetryAnswer {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// What the client claims.
    game_type: String,
    /// What the client claims.
    #[schema(example = "mouse")]
    device_type: String,
    /// The client's own measure, ms.
    duration_ms: f64,
    /// Targets hit.
    hits: u32,
    /// Targets missed.
    misses: u32,
    movements: PathBody,
    clicks: Vec<ClickBody>,
}

impl TelemetryAnswer {
    fn new(key: SessionKey, session: Session) -> Self {
        let click = |Click { x, y, t, target_hit }: Click| ClickBody { x, y, timestamp: t, target_hit };
        Self {
            session_id: key.id.to_string(),
            deployment_id: key.deployment,
            game_type: session.game_type,
            device_type: session.device_type,
            duration_ms: session.duration_ms,
            hits: session.hits,
            misses: session.misses,
            movements: PathBody { x: session.movements.x, y: session.movements.y, timestamp: session.movements.t },
            clicks: session.clicks.into_iter().map(click).collect(),
        }
    }
}

/// A session and the record of its telemetry, which may be gone before it.
pub(crate) async fn kept(service: &Service, key: SessionKey) -> Result<(StoredSession, Vec<u8>), ApiError> {
    let session = match service.operations.find(key).await?.1 {
        Lookup::Found(session) => *session,
        Lookup::Erased => return Err(ApiError::new(Code::SessionErased, "the session with this id was erased")),
        Lookup::Unknown => return Err(ApiError::new(Code::UnknownSession, "there is no such session")),
    };
    let record = service.store.telemetry(vec![session.seq]).await?.into_iter().next().flatten();
    let gone = || {
        ApiError::new(
            Code::TelemetryGone,
            "the session's telemetry is gone, and nothing can be drawn or explained without it; \
             PLAYPROOF_RETENTION_TELEMETRY and PLAYPROOF_RETENTION_TELEMETRY_FLAGGED say how long it is kept",
        )
    };
    Ok((session, record.ok_or_else(gone)?))
}

/// Gives a session's movements and clicks, as long as they are kept.
#[utoipa::path(
    get, path = "/api/v1/sessions/{sessionId}/telemetry", operation_id = "readTelemetry", tag = "results",
    params(("sessionId" = String, Path, description = "The session"), TelemetryParams),
    responses(
        (status = 200, description = "What was recorded", body = TelemetryAnswer),
        Reviewer, ImpossibleSession, TelemetryGone, StoreAway,
    )
)]
pub(crate) async fn read(
    Reviewer { service, access }: Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<TelemetryParams>,
) -> Answer {
    let (session, record) = kept(&service, access.session(id, params.deployment_id)?).await?;
    // Off the async workers: a long session takes a while.
    let told = tokio::task::spawn_blocking(move || {
        record::decode(&record).map(|recorded| answer::json(&TelemetryAnswer::new(session.key, recorded)))
    });
    told.await
        .map_err(|e| ApiError::internal(format!("the telemetry could not be read: {e}")))?
        .map_err(|damaged| ApiError::internal(damaged.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::time::Timestamp;
    use crate::http::testing::{TestApp, send, session};
    use crate::store::{Retention, Store as _};
    use std::time::Duration;

    #[tokio::test]
    async fn what_was_recorded_comes_back_until_it_is_gone() {
        let app = TestApp::start().await;
        let mut sent = session("a");
        sent["deploymentId"] = json!("eu");
        app.post("/api/v1/score", &sent).await;
        let path = "/api/v1/sessions/a/telemetry";
        app.get(path).await.is_error(404, "unknown_session");
        let path = format!("{path}?deploymentId=eu");
        let told = app.get(&path).await.json();
        for (i, movement) in sent["movements"].as_array().unwrap().iter().enumerate() {
            for name in ["x", "y", "timestamp"] {
                assert_eq!(told["movements"][name][i].as_f64(), movement[name].as_f64(), "{name} {i}");
            }
        }
        assert_eq!(told["clicks"], json!([{"x": 5.0, "y": 6.0, "timestamp": 100.0, "targetHit": true}]));
        assert_eq!(
            (&told["deviceType"], &told["hits"], &told["deploymentId"]),
            (&json!("mouse"), &json!(3), &json!("eu"))
        );
        assert!(told.get("userId").is_none());

        send(app.request("POST", "/api/v1/batch/process")).await;
        let gone = Retention { results: Duration::MAX, telemetry: Duration::ZERO, telemetry_flagged: Duration::ZERO };
        app.store.prune(gone, Timestamp(app.now().wall.0 + 10_000)).await.unwrap();
        app.get(&path).await.is_error(404, "telemetry_gone");
        app.delete("/api/v1/sessions/a?deploymentId=eu").await;
        app.get(&path).await.is_error(410, "session_erased");
    }
}
