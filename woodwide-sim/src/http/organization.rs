//! The routes beside the work: the organization with its credits, feedback, health.

use serde_json::{Value, json};

use super::call::{Call, Refusal, Reply, required_text};
use crate::job::JobKind;
use crate::simulator::Sim;

const CATEGORIES: [&str; 4] = ["product_feedback", "bug", "feature", "general_question"];

/// Credits of an account for which no fault limits them.
pub(crate) const CREDITS: u64 = 1_000_000;

/// What is left of the credits, after the calls so far or after the fault that limits them.
pub(crate) fn credits_left(sim: &Sim) -> u64 {
    let charged = sim.world().jobs.iter().filter(|job| !matches!(job.kind, JobKind::Ingest | JobKind::Explain)).count();
    let left = || CREDITS.saturating_sub(u64::try_from(charged).unwrap_or(CREDITS));
    sim.faults.credits_left().unwrap_or_else(left)
}

/// `GET /orgs/{id}`
#[expect(clippy::unnecessary_wraps, reason = "every handler has one type")]
pub(crate) fn get(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let stored = sim.world().kept_bytes();
    Ok(Reply::json(&json!({
        "id": call.param("id"),
        "name": "Simulated organization",
        "plan": "simulator",
        "storage_used_bytes": stored,
        "storage_limit_bytes": sim.settings.memory,
        "credits_remaining": credits_left(sim),
    })))
}

/// `POST /feedback`
pub(crate) fn feedback(_: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    if !CATEGORIES.contains(&required_text(&body, "category")?.as_str()) {
        return Err(Refusal::one_of(&["body", "category"], &CATEGORIES));
    }
    required_text(&body, "message")?;
    Ok(Reply::json(&json!({"ok": true})))
}

/// `GET /health`
#[expect(clippy::unnecessary_wraps, reason = "every handler has one type")]
pub(crate) fn health(_: &Sim, _: &Call) -> Result<Reply, Refusal> {
    let answer: Value = json!({"status": "ok"});
    Ok(Reply::json(&answer))
}
