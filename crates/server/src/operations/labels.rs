//! Labels: a human's session passes and a bot's fails, whatever thresholds say.

use super::Operations;
use crate::domain::id::SessionKey;
use crate::domain::result::{Decided, Decision, Thresholds, Verdict};
use crate::domain::time::Timestamp;
use crate::store::decisions::{Cause, Revision, thresholds_detail};
use crate::store::labels::{Label, Truth};
use crate::store::{Lookup, Store, StoreResult, StoredSession};

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
    // Without a label the thresholds decide, so the revision says which.
    let mut detail = if label.is_some() { serde_json::json!({}) } else { thresholds_detail(thresholds) };
    detail["label"] = label.as_ref().map(|label| label.truth.name()).into();
    let detail = detail.to_string();
    let revision = Revision { seq: session.seq, earlier: verdict.decision, decided, cause: Cause::Label, detail };
    let there = store.label(session.seq, label, Some(revision), at).await?;
    Ok(there.then_some(decided.decision))
}

/// What became of labelling a session.
#[derive(Debug)]
pub enum Labelling {
    /// The session as it was found, and its decision now.
    Decided(Box<StoredSession>, Decision),
    /// It has no result yet.
    Undecided,
    /// It was erased.
    Erased,
    /// There is none.
    Unknown,
}

impl Operations {
    /// Labels a session, or takes its label back. Without a label nothing is taken back, nor written down.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn label_session(&self, actor: &str, key: SessionKey, said: Option<Label>) -> StoreResult<Labelling> {
        let session = match self.find(key).await?.1 {
            Lookup::Found(session) => session,
            Lookup::Erased => return Ok(Labelling::Erased),
            Lookup::Unknown => return Ok(Labelling::Unknown),
        };
        let Some(result) = &session.result else { return Ok(Labelling::Undecided) };
        if said.is_none() && self.store.label_of(session.seq).await?.is_none() {
            let decision = result.verdict.decision;
            return Ok(Labelling::Decided(session, decision));
        }
        let detail = serde_json::json!({"label": said.as_ref().map(|label| label.truth.name())});
        let action = if said.is_some() { "session.label" } else { "session.unlabel" };
        let target = self.store.session_pseudonym(&session.key);
        let thresholds = self.controls.thresholds().of(&session.key.deployment);
        let labelled = label(self.store.as_ref(), &session, said, &thresholds, self.clock.now().wall);
        let decision = self.perform(actor, action, target, detail, labelled).await?;
        Ok(decision.map_or(Labelling::Erased, |decision| Labelling::Decided(session, decision)))
    }
}
