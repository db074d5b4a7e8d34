//! Stores: where accepted sessions, the queue and the results live. ADD A STORE: one folder here and one arm in the
//! composition root; it must pass `contract`.
//!
//! Every method is one transaction. What a method returned as done is durable. Time is an argument.

#![cfg_attr(test, expect(clippy::float_cmp, reason = "tests compare exact values"))]

#[cfg(test)]
mod contract;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod encoding;
mod event_body;

mod first;

mod private;

mod scored;

mod settlement;

#[cfg(any(test, feature = "testing"))]
pub mod memory;

pub mod audit;

pub mod buckets;

pub mod campaigns;

pub mod challenges;

pub mod controls;

pub mod decisions;

pub mod deliveries;

pub mod error;

pub mod evidence;

pub mod history;

pub mod labels;

pub mod lists;

pub mod model;

pub mod export;

pub mod sqlite;

pub mod postgres;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

pub use audit::AuditStore;
pub use buckets::BucketStore;
pub use campaigns::CampaignStore;
pub use challenges::ChallengeStore;
pub use controls::ControlStore;
pub use decisions::DecisionStore;
pub use deliveries::DeliveryStore;
pub use error::StoreError;
pub use evidence::EvidenceStore;
pub use labels::LabelStore;
pub use lists::{Lists, ReadReplica, ReplicaState};
pub use model::*;

use playproof_domain::id::{BatchId, Seq, SessionKey};
use playproof_domain::time::{Now, Timestamp};

/// Most bytes of one value of a detector's memory.
pub const MAX_MEMORY: usize = 4 << 20;
/// Most bytes of a key of a detector's memory.
pub const MAX_MEMORY_KEY: usize = 512;

/// The outcome of every store call.
pub type StoreResult<T> = Result<T, StoreError>;

/// The queue's transitions and the questions asked of it.
#[async_trait]
pub trait Store:
    AuditStore
    + BucketStore
    + CampaignStore
    + ChallengeStore
    + ControlStore
    + DecisionStore
    + DeliveryStore
    + EvidenceStore
    + LabelStore
    + Send
    + Sync
{
    /// Stores a session, unless its key is known. Durable when it returns [`Acceptance::New`].
    async fn accept(&self, session: NewSession) -> StoreResult<Acceptance>;

    /// Leases up to `request.max` waiting sessions as one batch; `None` when nothing fits the request. A retry batch is
    /// made of sessions that came due together; a session that must run alone is a batch of its own.
    async fn claim(&self, request: ClaimRequest, now: Now) -> StoreResult<Option<Claim>>;

    /// Extends a lease by its length from `now`.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when it had expired or been settled.
    async fn renew(&self, lease: Lease, now: Now) -> StoreResult<()>;

    /// Writes outcomes for members of a leased batch, at most once per session. With `last`, the batch ends: members
    /// without an outcome are given back and the batch row gets `end`.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the token is stale; then nothing was changed.
    async fn settle(&self, lease: Lease, settlement: Settlement, now: Now) -> StoreResult<SettleCounts>;

    /// Returns the sessions of leases that have expired to the queue; how many sessions.
    async fn expire(&self, now: Now) -> StoreResult<u64>;

    /// Counts, ages and the scheduler's state, from one snapshot.
    async fn snapshot(&self) -> StoreResult<Snapshot>;

    /// One session by its key.
    async fn session(&self, key: SessionKey) -> StoreResult<Lookup>;

    /// Results, newest first.
    async fn results(&self, query: ResultQuery) -> StoreResult<Page<ResultRow>>;

    /// Batches, newest first.
    async fn batches(&self, before: Option<BatchId>, limit: u32) -> StoreResult<Vec<BatchRow>>;

    /// One batch and its members.
    async fn batch(&self, id: BatchId) -> StoreResult<Option<(BatchRow, Vec<BatchMember>)>>;

    /// Failed sessions, newest first, before the sequence number `before`.
    async fn dead(&self, before: Option<Seq>, limit: u32) -> StoreResult<Vec<DeadRow>>;

    /// Sessions without a result: those ready or failed with the newest first, those that wait for a retry with the first due
    /// first. At most `window` are looked at for a page.
    async fn queued(&self, query: QueueQuery) -> StoreResult<Page<QueuedRow>>;

    /// Sends failed sessions back to the queue, all of them when `keys` is `None`; how many went.
    async fn requeue(&self, keys: Option<Vec<SessionKey>>, now: Now) -> StoreResult<u64>;

    /// The compact records of sessions, in the order asked; `None` where it was pruned.
    async fn telemetry(&self, seqs: Vec<Seq>) -> StoreResult<Vec<Option<Vec<u8>>>>;

    /// Keeps sketches of accepted sessions, each once; those of sessions that are gone are left out. They are on disk, and
    /// visible to every node, when this returns.
    async fn keep_sketches(&self, sketches: Vec<NewSketch>) -> StoreResult<()>;

    /// The kept sketches of sessions that are still there, in any order.
    async fn sketches(&self, seqs: Vec<Seq>) -> StoreResult<Vec<Candidate>>;

    /// Up to `limit` sessions whose sketches became visible after a place. Whoever goes on from each answer's place sees
    /// every sketch, whichever node kept it, however long that node's transaction took.
    async fn sketched(&self, after: SketchCursor, limit: u32) -> StoreResult<SketchPage>;

    /// Whether other processes work on it, too.
    fn is_shared(&self) -> bool;

    /// Up to `limit` settled sessions that are still to be compared, in order of acceptance. On a store of many nodes they
    /// are this one's for a minute.
    async fn uncompared(&self, limit: u32, now: Now) -> StoreResult<Vec<Uncompared>>;

    /// Writes what comparing found and forgets that it was to be done, in one transaction. A decision is revised with the
    /// cause [`Cause::Replay`](decisions::Cause::Replay) where it still stands and nobody labelled it. `again` are settled
    /// sessions to be compared once more. How many decisions changed.
    async fn compared(&self, compared: Vec<Compared>, again: Vec<Seq>, now: Now) -> StoreResult<u64>;

    /// Who sent the ready sessions, with how many of those looked at were of each: all of them where they are few, else
    /// some from evenly spaced places of the queue, at a bounded cost.
    async fn waiting_parties(&self) -> StoreResult<BTreeMap<Party, u64>>;

    /// How much is still to be compared.
    async fn comparison_backlog(&self) -> StoreResult<ComparisonBacklog>;

    /// Erases one session: telemetry, features and result; its key stays known as erased. Whether there was one.
    async fn erase_session(&self, key: SessionKey, now: Now) -> StoreResult<bool>;

    /// Erases every session of a user, in one deployment or, with `None`, in all; how many.
    async fn erase_user(&self, deployment: Option<String>, user: String, now: Now) -> StoreResult<u64>;

    /// Erases every session; how many.
    async fn clear(&self, now: Now) -> StoreResult<u64>;

    /// Keeps what a detector learned under `key`, in place of what was there; `None` forgets it. It outlives the process
    /// and clearing, and is part of a backup.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for a value above [`MAX_MEMORY`] or a key above [`MAX_MEMORY_KEY`].
    async fn put_state(&self, key: String, value: Option<Vec<u8>>) -> StoreResult<()>;

    /// What is kept under `key`.
    async fn get_state(&self, key: String) -> StoreResult<Option<Vec<u8>>>;

    /// Sets the scheduler's running state, which outlives the process.
    async fn set_running(&self, running: bool) -> StoreResult<()>;

    /// One bounded step of retention; call again while it says that more is due.
    async fn prune(&self, retention: Retention, now: Timestamp) -> StoreResult<Pruned>;

    /// One bounded step of a deployment's own retention. `after` is how far the walk over its results has come; results of
    /// that time and earlier keep their telemetry. Hand the answer's to the next step, and call again while more is due.
    async fn prune_deployment(
        &self,
        rule: DeploymentRetention,
        after: Timestamp,
        now: Timestamp,
    ) -> StoreResult<(Pruned, Timestamp)>;

    /// Notified when sessions may have become ready.
    fn ready(&self) -> &Notify;

    /// Whether it can be written now.
    async fn health(&self) -> StoreResult<()>;

    /// Says that a node lives, or that it leaves.
    async fn beat(&self, beat: Heartbeat) -> StoreResult<()>;

    /// The nodes that work on this store, by name; those that fell silent too.
    async fn nodes(&self) -> StoreResult<Vec<NodeRow>>;

    /// A consistent copy of the store in `folder`, made while it runs.
    async fn backup(&self, folder: std::path::PathBuf) -> StoreResult<()>;
}

/// How long things are kept; see `PLAYPROOF_RETENTION_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Results, and with them everything else of the session.
    pub results: Duration,
    /// Telemetry of sessions that passed.
    pub telemetry: Duration,
    /// Telemetry of sessions that were reviewed or failed.
    pub telemetry_flagged: Duration,
}

/// How long a deployment's finished sessions are kept, beside what [`Retention`] says; the shorter span holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRetention {
    /// Whose; never empty.
    pub deployment: String,
    /// Results, and with them everything else of the session.
    pub results: Option<Duration>,
    /// Telemetry, whatever the decision.
    pub telemetry: Option<Duration>,
}
