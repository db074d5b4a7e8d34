//! Labels: a human's session passes and a bot's fails, whatever thresholds say.

use crate::domain::result::{Decided, Decision, Thresholds, Verdict};
use crate::domain::time::Timestamp;
use crate::store::decisions::{Cause, Revision};
use crate::store::labels::{Label, Truth};
use crate::store::{Store, StoreResult, StoredSession};

/// The decision about a session that is labelled so; without a label, what `thresholds` make of its score.
#[must_use]
pub fn decided(verdict: &Verdict, label: Option<&Label>, thresholds: &Thresholds) -> Decided {
    if let Some(truth) = label.map(|label| label.truth) {
        let decision = if truth == Truth::Human { Decision::Pass } else { Decision::Fail };
        return Decided { decision, confidence: 1.0, reasons: verdict.reasons };
    }
    // A result without its basis stays as it is.
    let anew = verdict.redecided(thresholds).unwrap_or_else(|| verdict.clone());
    Decided { decision: anew.decision, confidence: anew.confidence, reasons: anew.reasons }
}

/// Labels a session that has a result, or takes its label back, and revises its decision. The decision now; `None` where the
/// session was erased, or has no result.
///
/// # Errors
/// When the store is away.
pub async fn label(
    store: &dyn Store,
    session: &StoredSession,
    label: Option<Label>,
    thresholds: &Thresholds,
    at: Timestamp,
) -> StoreResult<Option<Decision>> {
    let Some(verdict) = session.result.as_ref().map(|result| &result.verdict) else { return Ok(None) };
    let decided = decided(verdict, label.as_ref(), thresholds);
    let detail = serde_json::json!({"label": label.as_ref().map(|label| label.truth.name())}).to_string();
    let revision = Revision { seq: session.seq, earlier: verdict.decision, decided, cause: Cause::Label, detail };
    let revision = (revision.earlier != decided.decision).then_some(revision);
    let there = store.label(session.seq, label, revision, at).await?;
    Ok(there.then_some(decided.decision))
}
