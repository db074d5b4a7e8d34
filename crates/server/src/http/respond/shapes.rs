//! The shapes that several answers share, and how what the domain knows becomes one of them. Domain types are never
//! serialised.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::features::v1;
use crate::domain::queue::State;
use crate::domain::reason::Reasons;
use crate::domain::result::Verdict;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::{FirstVerdict, StoredResult};

/// ISO 8601 in UTC with milliseconds; times outside its years are clamped.
pub(crate) fn iso(at: Timestamp) -> String {
    const PRINTER: jiff::fmt::temporal::DateTimePrinter =
        jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3));
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    PRINTER.timestamp_to_string(&time)
}

/// What a client calls the state.
pub(crate) fn status(state: State) -> &'static str {
    match state {
        State::Ready | State::Leased | State::Delayed => "queued",
        State::Processed => "processed",
        State::Failed => "failed",
    }
}

/// One reason of a verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonBody {
    /// Stable; branch on this.
    #[schema(example = "no_jitter")]
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: &'static str,
}

pub(crate) fn reasons(reasons: Reasons) -> Vec<ReasonBody> {
    reasons.iter().map(|r| ReasonBody { code: r.code(), message: r.message() }).collect()
}

/// What the service did to a session so that it could be taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoteBody {
    /// Stable; branch on this. `movements_thinned` is the only one.
    #[schema(example = "movements_thinned")]
    code: &'static str,
    /// For people.
    message: String,
}

pub(crate) fn notes(session: &Session) -> Vec<NoteBody> {
    let Session { movements, thinned, .. } = session;
    let message = |thinned| {
        let (sent, kept) = (movements.len() + thinned, movements.len());
        format!("{sent} movements came, more than one session keeps; {kept} of them, evenly spread, are judged")
    };
    let thinned = (*thinned > 0).then(|| NoteBody { code: "movements_thinned", message: message(*thinned) });
    thinned.into_iter().collect()
}

/// The score of a verdict.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AnomalyBody {
    /// Larger is odder; `null` when the source only flags. What it means: `scoreKind`.
    pub(crate) anomaly_score: Option<f64>,
    /// Whether the decision is fail.
    pub(crate) is_anomaly: bool,
    /// The model that scored.
    pub(crate) model_id: String,
    /// Its version.
    pub(crate) model_version: String,
    /// `calibrated`: -log10 p, 0 to 6. `heuristic`: the rules' scale, 0 to 5 and 0.3 per reason. `flag`: no number.
    pub(crate) score_kind: &'static str,
    /// Whether the score lies beyond what the calibration set resolves.
    pub(crate) extrapolated: bool,
}

/// The features that a site may show or log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeatureSummary {
    pub(crate) path_efficiency: f64,
    pub(crate) control_smoothness_score: f64,
    pub(crate) avg_speed: f64,
    pub(crate) speed_std: f64,
    pub(crate) small_jitter_ratio: f64,
    pub(crate) num_direction_changes: f64,
    pub(crate) pause_time_ratio: f64,
    pub(crate) overshoot_events: f64,
    pub(crate) click_accuracy: f64,
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
pub(crate) struct First {
    /// pass, review or fail.
    #[schema(example = "pass")]
    pub(crate) decision: &'static str,
    /// 0.5 to 1.
    pub(crate) confidence: f64,
    pub(crate) anomaly: AnomalyBody,
    /// heuristic, embedded or woodwide.
    #[schema(example = "embedded")]
    pub(crate) source: &'static str,
    pub(crate) reasons: Vec<ReasonBody>,
    /// ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    pub(crate) scored_at: String,
    /// How long the verdict took.
    pub(crate) latency_ms: f64,
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
pub(crate) struct ResultBody {
    /// Larger is odder; `null` when the source only flags.
    pub(crate) anomaly_score: Option<f64>,
    /// Whether the decision is fail.
    pub(crate) is_anomaly: bool,
    /// pass, review or fail.
    #[schema(example = "pass")]
    pub(crate) decision: &'static str,
    /// 0.5 to 1.
    pub(crate) confidence: f64,
    /// heuristic, embedded or woodwide.
    #[schema(example = "embedded")]
    pub(crate) source: &'static str,
    /// The model that scored.
    pub(crate) model_id: String,
    /// Its version.
    pub(crate) model_version: String,
    /// The batch; `null` for a session that was scored at once.
    pub(crate) batch_id: Option<i64>,
    /// ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    pub(crate) scored_at: String,
    pub(crate) reasons: Vec<ReasonBody>,
    /// Attempts made, the one that scored included.
    pub(crate) attempts: u32,
    /// Whether the configured detector was replaced because it was away too long.
    pub(crate) fallback: bool,
    /// Uncalibrated, comparable across device classes; absent when the source gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) raw_score: Option<f64>,
    /// calibrated, heuristic or flag.
    #[schema(example = "calibrated")]
    pub(crate) score_kind: &'static str,
    /// Whether the score lies beyond what the calibration set resolves.
    pub(crate) extrapolated: bool,
    /// The calibration class used; absent for uncalibrated verdicts.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "pooled")]
    pub(crate) calibration_class: String,
    /// Sessions of the same deployment with the same movement, the closest first, at most five; absent without any. In
    /// lists it is left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) matches: Vec<String>,
    /// The campaign that the session is in; absent where it is in none, and where a verdict is told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) campaign_id: Option<i64>,
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
pub(crate) struct Done {
    /// Always true.
    pub(crate) success: bool,
    /// For people.
    pub(crate) message: String,
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
