//! The shapes of answers, and how what the domain knows becomes one of them. Domain types are never serialised.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::domain::features::v1;
use crate::domain::queue::State;
use crate::domain::reason::Reasons;
use crate::domain::result::Verdict;
use crate::domain::time::Timestamp;
use crate::store::{FirstVerdict, StoredResult};

/// `200 OK` with `body` as JSON.
pub(super) fn json<T: Serialize>(body: &T) -> Response {
    json_with(StatusCode::OK, body)
}

/// `status` with `body` as JSON.
pub(super) fn json_with<T: Serialize>(status: StatusCode, body: &T) -> Response {
    use axum::response::IntoResponse as _;
    match serde_json::to_vec(body) {
        Ok(text) => bytes(status, "application/json", text),
        Err(error) => ApiError::internal(format!("an answer could not be encoded: {error}")).into_response(),
    }
}

/// `status` with a body of any type.
pub(super) fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A file of the version `tag`, or 304 where the caller has that version.
pub(super) fn tagged(tag: &str, asked: &HeaderMap, content_type: &'static str, body: impl Into<Body>) -> Response {
    let tag = format!("\"{tag}\"");
    let known = asked.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let mut response = if known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        bytes(StatusCode::OK, content_type, body)
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// ISO 8601 in UTC with milliseconds; times outside its years are clamped.
pub(super) fn iso(at: Timestamp) -> String {
    const PRINTER: jiff::fmt::temporal::DateTimePrinter =
        jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3));
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    PRINTER.timestamp_to_string(&time)
}

/// What a client calls the state.
pub(super) fn status(state: State) -> &'static str {
    match state {
        State::Ready | State::Leased | State::Delayed => "queued",
        State::Processed => "processed",
        State::Failed => "failed",
    }
}

/// One reason of a verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReasonBody {
    /// Stable; branch on this.
    #[schema(example = "no_jitter")]
    pub(super) code: &'static str,
    /// For people.
    pub(super) message: &'static str,
}

pub(super) fn reasons(reasons: Reasons) -> Vec<ReasonBody> {
    reasons.iter().map(|r| ReasonBody { code: r.code(), message: r.message() }).collect()
}

/// The score of a verdict.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnomalyBody {
    /// Larger is odder; `null` when the source only flags. What it means: `scoreKind`.
    pub(super) anomaly_score: Option<f64>,
    /// Whether the decision is fail.
    pub(super) is_anomaly: bool,
    /// The model that scored.
    pub(super) model_id: String,
    /// Its version.
    pub(super) model_version: String,
    /// `calibrated`: -log10 p, 0 to 6. `heuristic`: the rules' scale, 0 to 5 and 0.3 per reason. `flag`: no number.
    pub(super) score_kind: &'static str,
    /// Whether the score lies beyond what the calibration set resolves.
    pub(super) extrapolated: bool,
}

/// The features that a site may show or log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeatureSummary {
    pub(super) path_efficiency: f64,
    pub(super) control_smoothness_score: f64,
    pub(super) avg_speed: f64,
    pub(super) speed_std: f64,
    pub(super) small_jitter_ratio: f64,
    pub(super) num_direction_changes: f64,
    pub(super) pause_time_ratio: f64,
    pub(super) overshoot_events: f64,
    pub(super) click_accuracy: f64,
}

impl From<&v1::Features> for FeatureSummary {
    fn from(f: &v1::Features) -> Self {
        Self {
            path_efficiency: f.path_efficiency,
            control_smoothness_score: f.control_smoothness_score,
            avg_speed: f.avg_speed,
            speed_std: f.speed_std,
            small_jitter_ratio: f.small_jitter_ratio,
            num_direction_changes: f.num_direction_changes,
            pause_time_ratio: f.pause_time_ratio,
            overshoot_events: f.overshoot_events,
            click_accuracy: f.click_accuracy,
        }
    }
}

impl From<&Verdict> for AnomalyBody {
    fn from(verdict: &Verdict) -> Self {
        Self {
            anomaly_score: verdict.anomaly_score,
            is_anomaly: verdict.is_anomaly(),
            model_id: verdict.model.id.clone(),
            model_version: verdict.model.version.clone(),
            score_kind: verdict.kind.name(),
            extrapolated: verdict.extrapolated,
        }
    }
}

/// The verdict that was answered at once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct First {
    /// pass, review or fail.
    #[schema(example = "pass")]
    pub(super) decision: &'static str,
    /// 0.5 to 1.
    pub(super) confidence: f64,
    pub(super) anomaly: AnomalyBody,
    /// heuristic, embedded or woodwide.
    #[schema(example = "embedded")]
    pub(super) source: &'static str,
    pub(super) reasons: Vec<ReasonBody>,
    /// ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    pub(super) scored_at: String,
    /// How long the verdict took.
    pub(super) latency_ms: f64,
}

impl From<&FirstVerdict> for First {
    fn from(first: &FirstVerdict) -> Self {
        Self {
            decision: first.verdict.decision.name(),
            confidence: first.verdict.confidence,
            anomaly: (&first.verdict).into(),
            source: first.verdict.source.name(),
            reasons: reasons(first.verdict.reasons),
            scored_at: iso(first.scored_at),
            latency_ms: first.latency_ms,
        }
    }
}

/// The result of a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultBody {
    /// Larger is odder; `null` when the source only flags.
    pub(super) anomaly_score: Option<f64>,
    /// Whether the decision is fail.
    pub(super) is_anomaly: bool,
    /// pass, review or fail.
    #[schema(example = "pass")]
    pub(super) decision: &'static str,
    /// 0.5 to 1.
    pub(super) confidence: f64,
    /// heuristic, embedded or woodwide.
    #[schema(example = "embedded")]
    pub(super) source: &'static str,
    /// The model that scored.
    pub(super) model_id: String,
    /// Its version.
    pub(super) model_version: String,
    /// The batch; `null` for a session that was scored at once.
    pub(super) batch_id: Option<i64>,
    /// ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    pub(super) scored_at: String,
    pub(super) reasons: Vec<ReasonBody>,
    /// Attempts made, the one that scored included.
    pub(super) attempts: u32,
    /// Whether the configured detector was replaced because it was away too long.
    pub(super) fallback: bool,
    /// Uncalibrated, comparable across device classes; absent when the source gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw_score: Option<f64>,
    /// calibrated, heuristic or flag.
    #[schema(example = "calibrated")]
    pub(super) score_kind: &'static str,
    /// Whether the score lies beyond what the calibration set resolves.
    pub(super) extrapolated: bool,
    /// The calibration class used; absent for uncalibrated verdicts.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "pooled")]
    pub(super) calibration_class: String,
    /// Sessions of the same deployment with the same movement, the closest first, at most five; absent without any. In
    /// lists it is left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) matches: Vec<String>,
    /// The campaign that the session is in; absent in lists, and where it is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) campaign_id: Option<i64>,
}

impl From<&StoredResult> for ResultBody {
    fn from(stored: &StoredResult) -> Self {
        let verdict = &stored.verdict;
        Self {
            anomaly_score: verdict.anomaly_score,
            is_anomaly: verdict.is_anomaly(),
            decision: verdict.decision.name(),
            confidence: verdict.confidence,
            source: verdict.source.name(),
            model_id: verdict.model.id.clone(),
            model_version: verdict.model.version.clone(),
            batch_id: stored.batch.map(|b| b.0),
            scored_at: iso(stored.scored_at),
            reasons: reasons(verdict.reasons),
            attempts: stored.attempts,
            fallback: verdict.fallback,
            raw_score: verdict.raw_score,
            score_kind: verdict.kind.name(),
            extrapolated: verdict.extrapolated,
            calibration_class: verdict.class.clone(),
            matches: Vec::new(),
            campaign_id: None,
        }
    }
}

/// Done, in words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// Always true.
    pub(super) success: bool,
    /// For people.
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601_in_utc_with_milliseconds() {
        assert_eq!(iso(Timestamp(1_769_860_800_000)), "2026-01-31T12:00:00.000Z");
        assert_eq!(iso(Timestamp(1_769_860_800_007)), "2026-01-31T12:00:00.007Z");
        assert!(iso(Timestamp(i64::MAX)).starts_with("9999-12-30T"));
    }
}
