//! Decisions that are made anew from what results keep.

use async_trait::async_trait;

use super::StoreResult;
use playproof_domain::id::{Seq, SessionKey};
use playproof_domain::result::{Decided, Decision, DecisionInputs, ScoreKind, Thresholds};
use playproof_domain::time::Timestamp;

/// Thresholds as the detail of a revision states them, so that whoever reads it can decide anew.
#[must_use]
pub fn thresholds_detail(thresholds: &Thresholds) -> serde_json::Value {
    let Thresholds { pass, review, no_pointer } = thresholds;
    serde_json::json!({"pass": pass, "review": review, "noPointer": no_pointer.decision().name()})
}

/// What a revision by [`Cause::Replay`] says more.
pub(super) fn replay_detail(thresholds: &Thresholds) -> String {
    let mut detail = thresholds_detail(thresholds);
    detail["comparedAfterVerdict"] = true.into();
    detail.to_string()
}

/// Why a decision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Other thresholds were applied.
    Thresholds,
    /// Another model.
    Model,
    /// Somebody said what the session is.
    Label,
    /// Its user is allowed or denied.
    Override,
    /// It was compared with others after its verdict, and is like one of them.
    Replay,
}

impl Cause {
    /// Every cause, in the order in which stores number them.
    pub const ALL: [Self; 5] = [Self::Thresholds, Self::Model, Self::Label, Self::Override, Self::Replay];

    /// The name used in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Thresholds => "thresholds",
            Self::Model => "model",
            Self::Label => "label",
            Self::Override => "override",
            Self::Replay => "replay",
        }
    }
}

/// A result, as far as a new decision needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecidedResult {
    /// Row id of the session.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// What the score is.
    pub kind: ScoreKind,
    /// The score as answered.
    pub score: Option<f64>,
    /// What the decision followed from; `None` in results of versions that did not keep it.
    pub basis: Option<DecisionInputs>,
    /// The decision as it stands.
    pub decision: Decision,
    /// Whether somebody said what the session is; then the decision is theirs.
    pub labelled: bool,
}

/// A decision to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Row id of the session.
    pub seq: Seq,
    /// The decision that it replaces; where another stands, nothing changes.
    pub earlier: Decision,
    /// The new one.
    pub decided: Decided,
    /// Why.
    pub cause: Cause,
    /// More about that, as JSON; without identifiers.
    pub detail: String,
}

/// A decision that was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Revised {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// The decision before.
    pub earlier: Decision,
    /// The decision after.
    pub later: Decision,
    /// More about the cause, as JSON.
    pub detail: String,
}

/// Where decisions are read for being made anew, and changed.
#[async_trait]
pub trait DecisionStore {
    /// Up to `limit` results of sessions after one, in their order, of one deployment or of all.
    async fn standings(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<DecidedResult>>;

    /// Changes decisions in one transaction; how many changed. One that was labelled stays unless the cause is a label.
    async fn revise(&self, revisions: Vec<Revision>, at: Timestamp) -> StoreResult<u64>;

    /// How a session's decision changed, the first change first.
    async fn revisions(&self, seq: Seq) -> StoreResult<Vec<Revised>>;
}
