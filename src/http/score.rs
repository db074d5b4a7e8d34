//! `POST /api/v1/score`: one session in, its first verdict out. The hot path.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::{Role, Submitter};
use super::error::{ApiError, ErrorBody};
use super::limits::ClientAddress;
use super::request;
use super::wire::{self, AnomalyBody, FeatureSummary, ReasonBody};
use crate::domain::heuristic::Heuristic;
use crate::domain::result::{Thresholds, Verdict};
use crate::domain::session::Session;
use crate::intake::Receipt;
use crate::metrics::Received;

/// The first verdict on a session; a repeated submission gets it again with the current status.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScoreAnswer<'a> {
    session_id: &'a str,
    /// pass, review or fail.
    #[schema(example = "pass")]
    decision: &'static str,
    /// 0.5 to 1.
    confidence: f64,
    anomaly: AnomalyBody,
    feature_summary: FeatureSummary,
    /// ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    scored_at: String,
    /// How long the verdict took.
    latency_ms: f64,
    /// queued, processed or failed.
    #[schema(example = "queued")]
    status: &'static str,
    /// heuristic, embedded or woodwide.
    #[schema(example = "embedded")]
    source: &'static str,
    reasons: Vec<ReasonBody>,
    heuristic: HeuristicBody,
}

/// What the fixed rules alone say, whoever gave the verdict; for sites that come from them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeuristicBody {
    /// 0 to 5 and 0.3 for each rule that holds.
    score: f64,
    /// pass, review or fail, by the thresholds in force.
    #[schema(example = "pass")]
    decision: &'static str,
    /// The rules that hold.
    reasons: Vec<ReasonBody>,
}

/// What a key with the role submit learns: no score to learn from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubmitAnswer<'a> {
    session_id: &'a str,
    /// queued, processed or failed.
    #[schema(example = "queued")]
    status: &'static str,
}

/// A session. Unknown fields are ignored, a repeated known one is refused, `null` stands for an absent optional one.
#[derive(ToSchema)]
#[schema(as = Session, rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what the session parser reads")]
pub(super) struct SessionSchema {
    /// Unique per deployment.
    #[schema(pattern = "^(?!\\.{1,2}$)[A-Za-z0-9_.:-]{1,128}$", example = "s-1")]
    session_id: String,
    /// For erasure; never a feature.
    #[schema(max_length = 256)]
    user_id: Option<String>,
    /// Ids are unique per deployment; a key bound to a deployment sets it.
    #[schema(max_length = 256)]
    deployment_id: Option<String>,
    /// `unknown` by default.
    #[schema(max_length = 256, example = "bubble-pop")]
    game_type: Option<String>,
    /// mouse, touch, trackpad, stylus; `unknown` by default.
    #[schema(max_length = 256, example = "mouse")]
    device_type: Option<String>,
    /// The client's own measure.
    #[schema(minimum = -1e15, maximum = 1e15)]
    duration_ms: Option<f64>,
    /// Pointer samples in arrival order.
    #[schema(min_items = 1, max_items = 20000)]
    movements: Vec<MovementSchema>,
    /// Button presses and taps.
    #[schema(max_items = 2000)]
    clicks: Option<Vec<ClickSchema>>,
    /// Targets hit.
    #[schema(maximum = 1_000_000)]
    hits: Option<u32>,
    /// Targets missed.
    #[schema(maximum = 1_000_000)]
    misses: Option<u32>,
    /// True: queue for a batch verdict, answer at once. False, the default: score now.
    use_batch: Option<bool>,
}

/// A pointer sample.
#[derive(ToSchema)]
#[schema(as = Movement, rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what the session parser reads")]
pub(super) struct MovementSchema {
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    x: f64,
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    y: f64,
    /// Milliseconds from any origin.
    #[schema(minimum = -1e15, maximum = 1e15)]
    timestamp: f64,
    /// As the browser's event said.
    is_trusted: Option<bool>,
}

/// A button press or tap.
#[derive(ToSchema)]
#[schema(as = Click, rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what the session parser reads")]
pub(super) struct ClickSchema {
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    x: f64,
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    y: f64,
    /// Milliseconds from the movements' origin.
    #[schema(minimum = -1e15, maximum = 1e15)]
    timestamp: f64,
    /// Whether a target was hit.
    target_hit: Option<bool>,
}

/// Judges one session.
///
/// With `useBatch: true` the session is durable on disk and `queued` for a batch verdict before the answer leaves; with
/// `false` it is `processed`. The embedded model gives the verdict, or, where the service is set so, the fixed rules give
/// that of a queued session; what they say is in `heuristic` either way. Which traits of the movement are unlike people's is
/// told with the batch verdict. The same session sent again gets the first answer again. A key with the role submit gets
/// `{sessionId, status}` only.
#[utoipa::path(
    post, path = "/api/v1/score", operation_id = "submitSession", tag = "sessions",
    request_body(content = SessionSchema, content_type = "application/json"),
    responses(
        (status = 200, description = "The first verdict (roles ingest and admin), or the status alone (role submit)",
            content((ScoreAnswer = "application/json"))),
        (status = 400, description = "Malformed", body = ErrorBody),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Foreign host, origin or deployment", body = ErrorBody),
        (status = 408, description = "The body did not arrive in time", body = ErrorBody),
        (status = 409, description = "Same id with other content", body = ErrorBody),
        (status = 410, description = "The id was erased", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 415, description = "Wrong content type or an encoded body", body = ErrorBody),
        (status = 422, description = "A value out of bounds, or times that are not milliseconds, with the field's path", body = ErrorBody),
        (status = 429, description = "Rate limit", body = ErrorBody),
        (status = 503, description = "Queue or store full or away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn submit(
    State(service): State<Shared>,
    Submitter(access): Submitter,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let received = service.clock.now();
    let taken = async {
        request::check_type(&headers, request::is_json, "application/json")?;
        let body = request::read(&headers, body, service.session_body(&access, client)).await?;
        let mut session = parse(&service, &body)?;
        drop(body);
        access.submit_to(&mut session.deployment_id)?;
        if session.use_batch {
            service.look_who_waits().await;
            service.check_share(&session.deployment_id)?;
        }
        Ok::<Receipt, ApiError>(service.intake.submit(session, received, access.forced).await?)
    };
    let receipt = taken.await.inspect_err(|_| service.metrics.received(Received::Refused))?;
    service.metrics.received(if receipt.duplicate { Received::Duplicate } else { Received::Accepted });
    let thresholds = service.intake.thresholds().of(&receipt.key.deployment);
    Ok(answer(&receipt, &thresholds, access.role))
}

fn parse(service: &Shared, body: &Bytes) -> Result<Session, ApiError> {
    if body.is_empty() {
        return Err(ApiError::malformed("body", "the body is empty; send a session as JSON"));
    }
    Ok(service.intake.parse(body, &service.settings.bounds)?)
}

fn answer(receipt: &Receipt, thresholds: &Thresholds, role: Role) -> Response {
    let session_id = receipt.key.id.as_str();
    let status = wire::status(receipt.state);
    if role == Role::Submit {
        return wire::json(&SubmitAnswer { session_id, status });
    }
    let verdict = &receipt.first.verdict;
    let rules = Verdict::heuristic(&Heuristic::judge(&receipt.features), thresholds);
    wire::json(&ScoreAnswer {
        session_id,
        decision: verdict.decision.name(),
        confidence: verdict.confidence,
        anomaly: verdict.into(),
        feature_summary: (&receipt.features).into(),
        scored_at: wire::iso(receipt.first.scored_at),
        latency_ms: receipt.first.latency_ms,
        status,
        source: verdict.source.name(),
        reasons: wire::reasons(verdict.reasons),
        heuristic: HeuristicBody {
            score: rules.anomaly_score.unwrap_or(0.0),
            decision: rules.decision.name(),
            reasons: wire::reasons(rules.reasons),
        },
    })
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
