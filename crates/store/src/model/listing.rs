//! Lists: results, failed sessions and batches, a page at a time.

use super::batch::BatchEnd;
use super::session::StoredResult;
use crate::campaigns::CampaignId;
use playproof_domain::batch::Trigger;
use playproof_domain::id::BatchId;
use playproof_domain::id::Seq;
use playproof_domain::id::SessionKey;
use playproof_domain::queue::Entry;
use playproof_domain::reason::Reason;
use playproof_domain::result::Decision;
use playproof_domain::result::Source;
use playproof_domain::time::Timestamp;

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
        two || unnamed
            || self.source.is_some()
            || self.reason.is_some()
            || self.device.is_some()
            || self.campaign.is_some()
    }

    /// The page of what was found with one row more than `limit`. `border` is the last row that was looked at, where
    /// there are more behind it.
    pub(crate) fn page(&self, mut found: Vec<(i64, ResultRow)>, border: Option<Cursor>) -> Page<ResultRow> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|(row, found)| Cursor { scored_at: found.result.scored_at, row: *row });
        Page { next: last.filter(|_| more).or(border), rows: found.into_iter().map(|(_, row)| row).collect() }
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
    /// The result.
    pub result: StoredResult,
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
