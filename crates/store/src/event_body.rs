//! The JSON that a webhook receives for a result and for a change of one.
//!
//! A store writes it in the transaction that decides, so that an event tells what was true then. See "Where this differs"
//! in ARCHITECTURE.md.

use serde::Serialize;

use super::decisions::Revision;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, Verdict};

/// A reason with its words.
#[derive(Debug, Serialize)]
struct ReasonBody {
    code: &'static str,
    message: &'static str,
}

fn told(reasons: Reasons) -> Vec<ReasonBody> {
    reasons.iter().map(|reason| ReasonBody { code: reason.code(), message: reason.message() }).collect()
}

/// What is told of a result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FinalBody<'a> {
    decision: &'static str,
    confidence: f64,
    is_anomaly: bool,
    anomaly_score: Option<f64>,
    source: &'static str,
    model_id: &'a str,
    model_version: &'a str,
    reasons: Vec<ReasonBody>,
}

/// What is told of a change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedBody {
    decision: &'static str,
    previous_decision: &'static str,
    cause: &'static str,
    confidence: f64,
    is_anomaly: bool,
    reasons: Vec<ReasonBody>,
}

fn text(body: &impl Serialize) -> String {
    // Nothing in them fails to be JSON; a body without words is still a delivery.
    serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned())
}

/// What a webhook is told of a result.
pub(super) fn final_body(verdict: &Verdict) -> String {
    text(&FinalBody {
        decision: verdict.decision.name(),
        confidence: verdict.confidence,
        is_anomaly: verdict.is_anomaly(),
        anomaly_score: verdict.anomaly_score,
        source: verdict.source.name(),
        model_id: &verdict.model.id,
        model_version: &verdict.model.version,
        reasons: told(verdict.reasons),
    })
}

/// What a webhook is told of a change.
pub(super) fn changed_body(revision: &Revision) -> String {
    let decided = &revision.decided;
    text(&ChangedBody {
        decision: decided.decision.name(),
        previous_decision: revision.earlier.name(),
        cause: revision.cause.name(),
        confidence: decided.confidence,
        is_anomaly: decided.decision == Decision::Fail,
        reasons: told(decided.reasons),
    })
}
