//! What lists and the dashboard read. Where there is a read replica they are asked of it, and of the store itself where it
//! cannot be used; nobody who decides reads here.

use std::sync::Arc;

use async_trait::async_trait;

use super::buckets::{BucketQuery, Buckets, LabelledResult, ReviewBacklog};
use super::campaigns::{CampaignId, CampaignMember, CampaignPage, CampaignQuery, CampaignRow};
use super::decisions::DecidedResult;
use super::labels::{LabelRow, ReviewRow};
use super::{BatchRow, DeadRow, Page, QueueQuery, QueuedRow, ResultQuery, ResultRow, Store, StoreResult};
use playproof_domain::id::{BatchId, Seq};
use playproof_domain::review::Labelled;
use playproof_domain::time::Timestamp;

/// Whether lists may be read from a replica, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// They may.
    Ok,
    /// It is further behind the store than lists may be.
    Behind,
    /// It does not answer, or another schema version has not arrived there yet.
    Away,
    /// It is no copy of this store that follows it.
    Foreign,
}

impl ReplicaState {
    /// As operators know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Behind => "behind",
            Self::Away => "away",
            Self::Foreign => "foreign",
        }
    }
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        /// A copy of a store that follows it, a moment late. It answers with `None` where the store itself is to be asked.
        #[async_trait]
        pub trait ReadReplica: Send + Sync {
            /// Whether it may be asked.
            fn state(&self) -> ReplicaState;

            $($(#[$doc])* async fn $name(&self, $($arg: $type),*) -> Option<$out>;)*
        }

        impl Lists {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// When the store is away, and the replica too where there is one.
                pub async fn $name(&self, $($arg: $type),*) -> StoreResult<$out> {
                    if let Some(replica) = &self.replica
                        && let Some(found) = replica.$name($(Clone::clone(&$arg)),*).await
                    {
                        return Ok(found);
                    }
                    self.store.$name($($arg),*).await
                }
            )*
        }
    };
}

/// A store's lists, from its replica where it has one that can be used.
pub struct Lists {
    store: Arc<dyn Store>,
    replica: Option<Arc<dyn ReadReplica>>,
}

impl Lists {
    /// The lists of a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, replica: Option<Arc<dyn ReadReplica>>) -> Arc<Self> {
        Arc::new(Self { store, replica })
    }

    /// How the replica stands; `None` where there is none.
    #[must_use]
    pub fn replica(&self) -> Option<ReplicaState> {
        self.replica.as_ref().map(|replica| replica.state())
    }
}

lists! {
    /// Results, newest first.
    results(query: ResultQuery) -> Page<ResultRow>;

    /// Batches, newest first.
    batches(before: Option<BatchId>, limit: u32) -> Vec<BatchRow>;

    /// Failed sessions, newest first, before a session.
    dead(before: Option<Seq>, limit: u32) -> Vec<DeadRow>;

    /// Sessions without a result; see [`Store::queued`].
    queued(query: QueueQuery) -> Page<QueuedRow>;

    /// Up to `limit` results of sessions after one, in their order, of one deployment or of all.
    standings(after: Seq, limit: u32, deployment: Option<String>) -> Vec<DecidedResult>;

    /// What was decided in a period and in the one before it.
    buckets(query: BucketQuery) -> Buckets;

    /// The stored results that stand at review, counted up to `most`.
    review_backlog(deployment: Option<String>, most: u32) -> ReviewBacklog;

    /// When the newest results were scored, and their calibrated scores.
    recent_scores(deployment: Option<String>, most: u32) -> Vec<(Timestamp, Option<f64>)>;

    /// The newest labels with what was decided before them.
    labelled(since: Timestamp, deployment: Option<String>) -> Vec<LabelledResult>;

    /// Labels of sessions after one, in their order.
    labels(after: Seq, limit: u32, deployment: Option<String>) -> Vec<LabelRow>;

    /// What may be reviewed, and what the newest labels say.
    to_review(deployment: Option<String>) -> (Vec<ReviewRow>, Vec<Labelled>);

    /// Campaigns, those that grew last first.
    campaigns(query: CampaignQuery) -> CampaignPage;

    /// How many campaigns grew since a time, and their members.
    open_campaigns(since: Timestamp, deployment: Option<String>) -> (u64, u64);

    /// One campaign.
    campaign(id: CampaignId, deployment: Option<String>, now: Timestamp) -> Option<CampaignRow>;

    /// Members of a campaign accepted before a session, the latest first.
    campaign_members(id: CampaignId, before: Option<Seq>, limit: u32) -> Vec<CampaignMember>;
}
