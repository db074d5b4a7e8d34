//! `GET /api/v1/sessions/:sessionId/matches`: which part of a session is which part of the sessions it is like.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::sketch::Aligned;
use crate::http::extract::caller::Reviewer;
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::path::SessionPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::ApiError;
use crate::http::respond::refusals::{ImpossibleSession, StoreAway, TelemetryGone};
use crate::http::sessions::telemetry;
use crate::operations::matches::{self, Match};

/// A part of the session that is a part of another.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartBody {
    /// Where it begins, ms of the session's own times.
    from: f64,
    /// Where it ends, ms of the session's own times.
    to: f64,
    /// Where it begins in the other session, ms of its own times.
    other_from: f64,
    /// Where it ends in the other session, ms of its own times.
    other_to: f64,
    /// Whether the one is the other's mirror image.
    mirrored: bool,
    /// How long it takes beside the other's; above 1 it is slower.
    pace: f64,
    /// `[a, b, c, d, e, f]`: a point `(x, y)` of the other lies at `(ax + by + e, cx + dy + f)` here.
    map: [f64; 6],
    /// Root mean square distance of the two once laid over each other, px.
    apart: f64,
    /// The other's part laid over this one: x, px.
    x: Vec<f64>,
    /// The other's part laid over this one: y, px.
    y: Vec<f64>,
}

impl From<Aligned> for PartBody {
    fn from(one: Aligned) -> Self {
        let (x, y) = one.laid.into_iter().unzip();
        Self {
            from: one.part.here.0,
            to: one.part.here.1,
            other_from: one.part.there.0,
            other_to: one.part.there.1,
            mirrored: one.part.mirrored,
            pace: one.pace,
            map: one.map,
            apart: one.apart,
            x,
            y,
        }
    }
}

/// A session that the other one is like.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatchBody {
    session_id: String,
    /// Whether its telemetry is gone, so that nothing can be laid over.
    telemetry_gone: bool,
    /// Parts in common, in order of time.
    parts: Vec<PartBody>,
}

impl From<Match> for MatchBody {
    fn from(one: Match) -> Self {
        let parts = one.parts.into_iter().map(PartBody::from).collect();
        Self { session_id: one.id.to_string(), telemetry_gone: one.telemetry_gone, parts }
    }
}

/// The sessions that a session is like, the closest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatchesAnswer {
    session_id: String,
    matches: Vec<MatchBody>,
}

/// Tells which part of a session is which part of the sessions that its result names, and lays those over it.
#[utoipa::path(
    get, path = "/api/v1/sessions/{sessionId}/matches", operation_id = "readMatches", tag = "results",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    responses(
        (status = 200, description = "The sessions it is like, perhaps none", body = MatchesAnswer),
        Reviewer, ImpossibleSession, TelemetryGone, StoreAway,
    )
)]
pub(crate) async fn read(
    Reviewer { service, access }: Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let key = access.session(id, params.deployment_id)?;
    let deployment = key.deployment.clone();
    let (session, record) = telemetry::kept(&service, key).await?;
    let others = matches::records(service.store.as_ref(), &deployment, &session.matches).await?;
    // Off the async workers: five long sessions take a while.
    let laid = tokio::task::spawn_blocking(move || matches::lay_over(&deployment, &record, others)).await;
    let laid = laid.map_err(|e| ApiError::internal(format!("sessions could not be laid over: {e}")))?;
    let matches = laid.into_iter().map(MatchBody::from).collect();
    Ok(answer::json(&MatchesAnswer { session_id: session.key.id.to_string(), matches }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::sketch::tests::wandering;
    use crate::http::testing::{TestApp, send, session};

    #[tokio::test]
    async fn the_source_of_a_copy_is_laid_over_it() {
        let app = TestApp::start().await;
        let moves = wandering(7, 14).movements;
        for (id, mirrored) in [("source", 1.0), ("copy", -1.0)] {
            let mut one = session(id);
            one["userId"] = json!(format!("user-{id}"));
            let point = |i: usize| json!({"x": mirrored * moves.x[i], "y": moves.y[i], "timestamp": moves.t[i]});
            one["movements"] = Value::Array((0..moves.t.len()).map(point).collect());
            one["durationMs"] = json!(moves.t.last());
            app.post("/api/v1/score", &one).await;
        }
        send(app.request("POST", "/api/v1/batch/process")).await;
        let told = app.get("/api/v1/sessions/copy/matches").await.json();
        let matches = told["matches"].as_array().unwrap();
        assert_eq!((matches.len(), &matches[0]["sessionId"]), (1, &json!("source")));
        let parts = matches[0]["parts"].as_array().unwrap();
        assert!(!parts.is_empty());
        for part in parts {
            assert_eq!(part["mirrored"], true);
            assert!((part["map"][0].as_f64().unwrap() + 1.0).abs() < 0.05, "{part}");
            assert_eq!(part["x"].as_array().unwrap().len(), part["y"].as_array().unwrap().len());
        }
        assert_eq!(app.get("/api/v1/sessions/source/matches").await.json()["matches"], json!([]));
        app.get("/api/v1/sessions/none/matches").await.is_error(404, "unknown_session");
    }
}
