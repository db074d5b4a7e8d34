//! What people said of sessions.

use async_trait::async_trait;

use super::StoreResult;
use super::campaigns::CampaignId;
use super::decisions::Revision;
use playproof_domain::id::{Seq, SessionKey};
use playproof_domain::reason::Reasons;
use playproof_domain::review::{Candidate, Labelled};
use playproof_domain::time::Timestamp;

/// What a session is, by somebody's judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// A person played.
    Human,
    /// A program did.
    Bot,
}

impl Truth {
    /// Both, in the order in which stores number them.
    pub const ALL: [Self; 2] = [Self::Human, Self::Bot];

    /// The name used in requests and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
        }
    }

    /// The one called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|truth| truth.name() == name)
    }
}

/// What somebody said of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it is.
    pub truth: Truth,
    /// Why, in their words; may be empty.
    pub note: String,
    /// Who, as the digest of a key.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// The campaign that it was labelled with; `None` where it was labelled alone.
    pub campaign: Option<CampaignId>,
}

/// A label with its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRow {
    /// Row id of the session; also the place in the list.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// What was said.
    pub label: Label,
}

/// A result that nobody has labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct ReviewRow {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Which game was played.
    pub game_type: String,
    /// With which device.
    pub device_type: String,
    /// What orders the queue.
    pub candidate: Candidate,
    /// Why the decision is what it is.
    pub reasons: Reasons,
    /// When it was scored.
    pub scored_at: Timestamp,
}

/// Results of each decision that are looked through for review, the newest first.
pub const LOOKED_THROUGH: u32 = 20_000;
/// Most of them, and most labels, that are given.
pub const MAX_REVIEWED: u32 = 1_000;

/// Where labels are kept, as long as their sessions.
#[async_trait]
pub trait LabelStore {
    /// Keeps a label in place of what was there, or takes it away, and changes the decision that follows, in one
    /// transaction: `revision` replaces whatever stands by then, and is none where that is its decision already. `false`, and
    /// nothing changed, where the session has no result.
    async fn label(
        &self,
        seq: Seq,
        label: Option<Label>,
        revision: Option<Revision>,
        at: Timestamp,
    ) -> StoreResult<bool>;

    /// The label of one session.
    async fn label_of(&self, seq: Seq) -> StoreResult<Option<Label>>;

    /// What may be reviewed, of one deployment or of all: of each decision up to [`MAX_REVIEWED`] of the newest
    /// [`LOOKED_THROUGH`] results that have no label; and what the newest [`MAX_REVIEWED`] labels say.
    async fn to_review(&self, deployment: Option<String>) -> StoreResult<(Vec<ReviewRow>, Vec<Labelled>)>;

    /// Up to `limit` labels of sessions after one, in their order, of one deployment or of all.
    async fn labels(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<LabelRow>>;
}
