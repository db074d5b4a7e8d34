//! Lists: results, failed sessions and batches, a page at a time.

use super::batch::BatchEnd;
use super::session::StoredResult;
use crate::campaigns::CampaignId;
use crate::labels::Truth;
use playproof_domain::batch::Trigger;
use playproof_domain::id::BatchId;
use playproof_domain::id::Seq;
use playproof_domain::id::SessionKey;
use playproof_domain::queue::Entry;
use playproof_domain::queue::State;
use playproof_domain::reason::Reason;
use playproof_domain::result::Decision;
use playproof_domain::result::Source;
use playproof_domain::time::Timestamp;

/// Most sessions of a user, or with a label, that are looked at.
pub const MAX_SET: u32 = 2_000;

/// Which results to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultQuery {
    /// Only this decision.
    pub decision: Option<Decision>,
    /// Only this source.
    pub source: Option<Source>,
    /// Only results at or after.
    pub since: Option<Timestamp>,
    /// Only results before.
    pub until: Option<Timestamp>,
    /// Only this deployment.
    pub deployment: Option<String>,
    /// Only results with this reason.
    pub reason: Option<Reason>,
    /// Only sessions that claim this device.
    pub device: Option<String>,
    /// Only members of this campaign.
    pub campaign: Option<CampaignId>,
    /// Only sessions of this user: the newest [`MAX_SET`] of them.
    pub user: Option<String>,
    /// Only sessions with this label: the [`MAX_SET`] that got it last.
    pub label: Option<Truth>,
    /// Only sessions whose identifier begins so.
    pub id_prefix: Option<String>,
    /// The highest score first, of the newest results; then there is no next page. Those without a score come last.
    pub by_score: bool,
    /// Continue after this place.
    pub after: Option<Cursor>,
    /// Most rows.
    pub limit: u32,
    /// Most rows looked at where a filter has no index of its own; a page may then hold fewer than `limit`, or none, and
    /// still have a next one. `None`: looks through all.
    pub window: Option<u32>,
}

impl ResultQuery {
    /// Whether rows that an index finds are looked at and left out: one filter, decision or deployment, has an index.
    pub(crate) fn leaves_out(&self) -> bool {
        let deployment = self.deployment.as_ref();
        let two = deployment.is_some() && self.decision.is_some();
        let unnamed = deployment.is_some_and(String::is_empty);
        // A set is small, and found by an index of its own.
        if self.is_of_set() {
            return false;
        }
        two || unnamed
            || self.by_score
            || self.id_prefix.is_some()
            || self.source.is_some()
            || self.reason.is_some()
            || self.device.is_some()
            || self.campaign.is_some()
    }

    /// Whether the sessions are one user's, or those with a label.
    pub(crate) fn is_of_set(&self) -> bool {
        self.user.is_some() || self.label.is_some()
    }

    /// The page of what was found with one row more than `limit`. `border` is the last row that was looked at, where
    /// there are more behind it.
    pub(crate) fn page(&self, mut found: Vec<(i64, ResultRow)>, border: Option<Cursor>) -> Page<ResultRow> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|(row, found)| Cursor { scored_at: found.result.scored_at, row: *row });
        let next = if self.by_score { None } else { last.filter(|_| more).or(border) };
        Page { next, rows: found.into_iter().map(|(_, row)| row).collect() }
    }
}

/// A place in a list of results: the time and row of the last one seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Time of that result.
    pub scored_at: Timestamp,
    /// Its row.
    pub row: i64,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// A result in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Claimed device.
    pub device_type: String,
    /// Whose session it is.
    pub user_id: Option<String>,
    /// What somebody said of it.
    pub label: Option<Truth>,
    /// The campaign that it is in, once that has members enough to be one.
    pub campaign: Option<CampaignId>,
    /// The result.
    pub result: StoredResult,
}

/// Which unfinished or failed sessions to list.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueQuery {
    /// Ready, delayed or failed; of the others none are listed.
    pub state: State,
    /// Only this deployment.
    pub deployment: Option<String>,
    /// Continue after this place: the time and row of the last one looked at.
    pub after: Option<Cursor>,
    /// Most rows.
    pub limit: u32,
    /// Most rows looked at for a page.
    pub window: u32,
}

impl QueueQuery {
    /// The page of the rows that were looked at, each with its place.
    pub(crate) fn page(&self, looked_at: Vec<(Cursor, QueuedRow)>) -> Page<QueuedRow> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let full = looked_at.len() >= usize::try_from(self.window).unwrap_or(usize::MAX);
        let border = looked_at.last().map(|(place, _)| *place).filter(|_| full);
        let fits = |row: &QueuedRow| self.deployment.as_ref().is_none_or(|d| *d == row.key.deployment);
        let mut found: Vec<_> = looked_at.into_iter().filter(|(_, row)| fits(row)).take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = if more { found.last().map(|(place, _)| *place) } else { border };
        Page { next, rows: found.into_iter().map(|(_, row)| row).collect() }
    }
}

/// A session without a result.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedRow {
    /// Row id of the session.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Claimed device.
    pub device_type: String,
    /// Whose session it is.
    pub user_id: Option<String>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its place in the state machine.
    pub entry: Entry,
    /// What went wrong last.
    pub error: Option<String>,
}

/// A failed session in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadRow {
    /// Row id, also the place in the list.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its place in the state machine.
    pub entry: Entry,
    /// Why it failed.
    pub error: Option<String>,
}

/// A session that was in a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchMember {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// The decision that stands, where it has a result.
    pub decision: Option<Decision>,
    /// The score as answered, where it has one.
    pub score: Option<f64>,
}

/// A batch as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRow {
    /// Its number.
    pub id: BatchId,
    /// Why it ran.
    pub trigger: Trigger,
    /// Sessions claimed.
    pub size: u32,
    /// The node that ran it.
    pub owner: String,
    /// The source asked.
    pub source: Source,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended; `None` while it runs.
    pub end: Option<BatchEnd>,
}
