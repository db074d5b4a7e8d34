//! The embedded store behind a switch: it can be made to fail, to wait, and to count its callers.

use crate::domain::id::{BatchId, Seq, SessionKey};
use crate::domain::time::{Now, Timestamp};
use crate::store::audit::{AuditStore, Entry, NewEntry};
use crate::store::buckets::{BucketQuery, BucketStore, Buckets, LabelledResult, ReviewBacklog};
use crate::store::campaigns::{CampaignId, CampaignMember, CampaignPage, CampaignQuery, CampaignRow, CampaignStore};
use crate::store::controls::Control;
use crate::store::decisions::{DecidedResult, Revised, Revision};
use crate::store::deliveries::{Attempt, Delivery, DeliveryRow, DeliveryStore, Event, Place};
use crate::store::labels::{Label, LabelRow, LabelStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Acceptance, BatchRow, ChallengeStore, Claim, ClaimRequest, ControlStore, DeadRow, DecisionStore,
    DeploymentRetention, EvidenceStore, Lease, Lookup, NewSession, Page, Pruned, QueueQuery, QueuedRow, ResultQuery,
    ResultRow, Retention, Settlement, Snapshot, Store, StoreError, StoreResult,
};
use async_trait::async_trait;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, RwLock};

/// The embedded store behind a switch.
pub(crate) struct Faulty {
    pub(crate) inner: SqliteStore,
    pub(crate) fault: Mutex<Option<StoreError>>,
    /// Held by a test, it keeps every call waiting.
    pub(crate) gate: RwLock<()>,
    pub(crate) inside: AtomicUsize,
    /// Most calls at the same time so far.
    pub(crate) most_inside: AtomicUsize,
}

/// A call to the store that is not over.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Faulty {
    pub(crate) fn fail(&self, with: Option<StoreError>) {
        *self.fault.lock().unwrap() = with;
    }

    async fn check(&self) -> StoreResult<Inside<'_>> {
        self.most_inside.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let inside = Inside(&self.inside);
        drop(self.gate.read().await);
        self.fault.lock().unwrap().clone().map_or(Ok(inside), Err)
    }
}

macro_rules! behind_the_switch {
    ($trait:ident: $($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl $trait for Faulty {
            $(async fn $name(&self, $($arg: $type),*) -> StoreResult<$out> {
                let _inside = self.check().await?;
                self.inner.$name($($arg),*).await
            })*

            behind_the_switch!(rest $trait);
        }
    };
    (rest Store) => {
        fn ready(&self) -> &Notify {
            self.inner.ready()
        }

        fn is_shared(&self) -> bool {
            self.inner.is_shared()
        }
    };
    (rest AuditStore) => {
        fn session_pseudonym(&self, key: &SessionKey) -> String {
            self.inner.session_pseudonym(key)
        }

        fn user_pseudonym(&self, user: &str) -> String {
            self.inner.user_pseudonym(user)
        }
    };
    (rest ChallengeStore) => {
        fn challenge_key(&self) -> [u8; 32] {
            self.inner.challenge_key()
        }
    };
    (rest EvidenceStore) => {
        fn evidence_key(&self) -> [u8; 32] {
            self.inner.evidence_key()
        }
    };
    (rest DeliveryStore) => {
        fn webhook_key(&self) -> [u8; 32] {
            self.inner.webhook_key()
        }
    };
    (rest $other:ident) => {};
}

behind_the_switch! { ControlStore:
    controls() -> (i64, Vec<Control>);
    controls_version() -> i64;
    set_control(kind: String, name: String, value: Option<String>) -> ();
    replace_control(kind: String, name: String, value: String) -> bool;
}

behind_the_switch! { AuditStore:
    record(entry: NewEntry) -> ();
    audit(before: Option<i64>, limit: u32) -> Vec<Entry>;
}

behind_the_switch! { ChallengeStore:
    redeem(number: crate::store::challenges::ChallengeNumber, key: SessionKey, now: Timestamp) -> crate::store::challenges::Redemption;
}

behind_the_switch! { DeliveryStore:
    take_deliveries(webhook: String, limit: u32, now: Timestamp, lease: Duration) -> Vec<Delivery>;
    record_deliveries(attempts: Vec<Attempt>, at: Timestamp) -> ();
    deliveries(webhook: String, before: Option<i64>, limit: u32) -> Vec<DeliveryRow>;
    redeliver(webhook: String, id: Option<i64>, now: Timestamp) -> u64;
    test_delivery(webhook: String, body: String, at: Timestamp) -> i64;
    forget_deliveries(webhook: String) -> ();
    events(after: Place, until: Timestamp, limit: u32, deployment: Option<String>) -> Vec<Event>;
}

behind_the_switch! { EvidenceStore:
    evidence(seq: Seq) -> Option<crate::store::evidence::KeptEvidence>;
}

behind_the_switch! { DecisionStore:
    standings(after: Seq, limit: u32, deployment: Option<String>) -> Vec<DecidedResult>;
    revise(revisions: Vec<Revision>, at: Timestamp) -> u64;
    revisions(seq: Seq) -> Vec<Revised>;
}

behind_the_switch! { LabelStore:
    label(seq: Seq, label: Option<Label>, revision: Option<Revision>, at: Timestamp) -> bool;
    label_of(seq: Seq) -> Option<Label>;
    to_review(deployment: Option<String>) -> (Vec<crate::store::labels::ReviewRow>, Vec<crate::domain::review::Labelled>);
    labels(after: Seq, limit: u32, deployment: Option<String>) -> Vec<LabelRow>;
}

behind_the_switch! { BucketStore:
    buckets(query: BucketQuery) -> Buckets;
    fold_buckets(keep: Duration, now: Timestamp) -> bool;
    review_backlog(deployment: Option<String>, most: u32) -> ReviewBacklog;
    recent_scores(deployment: Option<String>, most: u32) -> Vec<(Timestamp, Option<f64>)>;
    labelled(since: Timestamp, deployment: Option<String>) -> Vec<LabelledResult>;
}

behind_the_switch! { CampaignStore:
    open_campaigns(since: Timestamp, deployment: Option<String>) -> (u64, u64);
    campaigns(query: CampaignQuery) -> CampaignPage;
    campaign(id: CampaignId, deployment: Option<String>, now: Timestamp) -> Option<CampaignRow>;
    campaign_members(id: CampaignId, before: Option<Seq>, limit: u32) -> Vec<CampaignMember>;
    campaign_standings(id: CampaignId, after: Seq, limit: u32) -> Vec<DecidedResult>;
}

behind_the_switch! { Store:
    queued(query: QueueQuery) -> Page<QueuedRow>;
    accept(session: NewSession) -> Acceptance;
    claim(request: ClaimRequest, now: Now) -> Option<Claim>;
    renew(lease: Lease, now: Now) -> ();
    settle(lease: Lease, settlement: Settlement, now: Now) -> crate::store::SettleCounts;
    expire(now: Now) -> u64;
    snapshot() -> Snapshot;
    session(key: SessionKey) -> Lookup;
    results(query: ResultQuery) -> Page<ResultRow>;
    batches(before: Option<BatchId>, limit: u32) -> Vec<BatchRow>;
    batch(id: BatchId) -> Option<(BatchRow, Vec<crate::store::BatchMember>)>;
    dead(before: Option<Seq>, limit: u32) -> Vec<DeadRow>;
    requeue(keys: Option<Vec<SessionKey>>, now: Now) -> u64;
    telemetry(seqs: Vec<Seq>) -> Vec<Option<Vec<u8>>>;
    keep_sketches(sketches: Vec<crate::store::NewSketch>) -> ();
    sketches(seqs: Vec<Seq>) -> Vec<crate::store::Candidate>;
    sketched(after: crate::store::SketchCursor, limit: u32) -> crate::store::SketchPage;
    uncompared(limit: u32, now: Now) -> Vec<crate::store::Uncompared>;
    compared(compared: Vec<crate::store::Compared>, again: Vec<Seq>, now: Now) -> u64;
    waiting_parties() -> std::collections::BTreeMap<crate::store::Party, u64>;
    comparison_backlog() -> crate::store::ComparisonBacklog;
    erase_session(key: SessionKey, now: Now) -> bool;
    erase_user(deployment: Option<String>, user: String, now: Now) -> u64;
    clear(now: Now) -> u64;
    put_state(key: String, value: Option<Vec<u8>>) -> ();
    get_state(key: String) -> Option<Vec<u8>>;
    set_running(running: bool) -> ();
    prune(retention: Retention, now: Timestamp) -> Pruned;
    prune_deployment(rule: DeploymentRetention, after: Timestamp, now: Timestamp) -> (Pruned, Timestamp);
    health() -> ();
    beat(beat: crate::store::Heartbeat) -> ();
    nodes() -> Vec<crate::store::NodeRow>;
    backup(folder: std::path::PathBuf) -> ();
}
