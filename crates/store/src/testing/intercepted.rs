//! A store each call of which goes through an interceptor, which may keep it waiting, fail it, or look at it.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::audit::{AuditStore, Entry, NewEntry};
use crate::buckets::{BucketQuery, BucketStore, Buckets, LabelledResult, ReviewBacklog};
use crate::campaigns::{CampaignId, CampaignMember, CampaignPage, CampaignQuery, CampaignRow, CampaignStore};
use crate::controls::Control;
use crate::decisions::{DecidedResult, Revised, Revision};
use crate::deliveries::{Attempt, Delivery, DeliveryRow, DeliveryStore, Event, Place};
use crate::labels::{Label, LabelRow, LabelStore};
use crate::{
    Acceptance, BatchRow, ChallengeStore, Claim, ClaimRequest, ControlStore, DeadRow, DecisionStore,
    DeploymentRetention, EvidenceStore, Lease, Lookup, NewSession, Page, Pruned, QueueQuery, QueuedRow, ResultQuery,
    ResultRow, Retention, Settlement, Snapshot, Store, StoreResult,
};
use playproof_domain::id::{BatchId, Seq, SessionKey};
use playproof_domain::time::{Now, Timestamp};

/// What stands between a store and whoever calls it.
pub trait Interceptor: Send + Sync {
    /// Makes the call named `call`, which takes effect while `work` is polled, or fails it before or after that.
    fn intercept<T: Send>(
        &self,
        call: &'static str,
        work: impl Future<Output = StoreResult<T>> + Send,
    ) -> impl Future<Output = StoreResult<T>> + Send;
}

/// A store behind an interceptor, as which it can be used, too.
pub struct Intercepted<S, I> {
    /// The store.
    pub inner: Arc<S>,
    /// What stands before it.
    pub interceptor: I,
}

impl<S, I> Deref for Intercepted<S, I> {
    type Target = I;

    fn deref(&self) -> &I {
        &self.interceptor
    }
}

macro_rules! intercepted {
    ($trait:ident: $($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl<S: Store, I: Interceptor> $trait for Intercepted<S, I> {
            $(async fn $name(&self, $($arg: $type),*) -> StoreResult<$out> {
                self.interceptor.intercept(stringify!($name), self.inner.$name($($arg),*)).await
            })*

            intercepted!(rest $trait);
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

intercepted! { ControlStore:
    controls() -> (i64, Vec<Control>);
    controls_version() -> i64;
    set_control(kind: String, name: String, value: Option<String>) -> ();
    replace_control(kind: String, name: String, value: String) -> bool;
}

intercepted! { AuditStore:
    record(entry: NewEntry) -> ();
    audit(before: Option<i64>, limit: u32) -> Vec<Entry>;
}

intercepted! { ChallengeStore:
    redeem(number: crate::challenges::ChallengeNumber, key: SessionKey, now: Timestamp) -> crate::challenges::Redemption;
}

intercepted! { DeliveryStore:
    take_deliveries(webhook: String, limit: u32, now: Timestamp, lease: Duration) -> Vec<Delivery>;
    record_deliveries(attempts: Vec<Attempt>, at: Timestamp) -> ();
    deliveries(webhook: String, before: Option<i64>, limit: u32) -> Vec<DeliveryRow>;
    redeliver(webhook: String, id: Option<i64>, now: Timestamp) -> u64;
    test_delivery(webhook: String, body: String, at: Timestamp) -> i64;
    forget_deliveries(webhook: String) -> ();
    events(after: Place, until: Timestamp, limit: u32, deployment: Option<String>) -> Vec<Event>;
}

intercepted! { EvidenceStore:
    evidence(seq: Seq) -> Option<crate::evidence::KeptEvidence>;
}

intercepted! { DecisionStore:
    standings(after: Seq, limit: u32, deployment: Option<String>) -> Vec<DecidedResult>;
    revise(revisions: Vec<Revision>, at: Timestamp) -> u64;
    revisions(seq: Seq) -> Vec<Revised>;
}

intercepted! { LabelStore:
    label(seq: Seq, label: Option<Label>, revision: Option<Revision>, at: Timestamp) -> bool;
    label_of(seq: Seq) -> Option<Label>;
    to_review(deployment: Option<String>) -> (Vec<crate::labels::ReviewRow>, Vec<playproof_domain::review::Labelled>);
    labels(after: Seq, limit: u32, deployment: Option<String>) -> Vec<LabelRow>;
}

intercepted! { BucketStore:
    buckets(query: BucketQuery) -> Buckets;
    fold_buckets(keep: Duration, now: Timestamp) -> bool;
    review_backlog(deployment: Option<String>, most: u32) -> ReviewBacklog;
    recent_scores(deployment: Option<String>, most: u32) -> Vec<(Timestamp, Option<f64>)>;
    labelled(since: Timestamp, deployment: Option<String>) -> Vec<LabelledResult>;
}

intercepted! { CampaignStore:
    open_campaigns(since: Timestamp, deployment: Option<String>) -> (u64, u64);
    campaigns(query: CampaignQuery) -> CampaignPage;
    campaign(id: CampaignId, deployment: Option<String>, now: Timestamp) -> Option<CampaignRow>;
    campaign_members(id: CampaignId, before: Option<Seq>, limit: u32) -> Vec<CampaignMember>;
    campaign_standings(id: CampaignId, after: Seq, limit: u32) -> Vec<DecidedResult>;
}

intercepted! { Store:
    queued(query: QueueQuery) -> Page<QueuedRow>;
    accept(session: NewSession) -> Acceptance;
    claim(request: ClaimRequest, now: Now) -> Option<Claim>;
    renew(lease: Lease, now: Now) -> ();
    settle(lease: Lease, settlement: Settlement, now: Now) -> crate::SettleCounts;
    expire(now: Now) -> u64;
    snapshot() -> Snapshot;
    session(key: SessionKey) -> Lookup;
    results(query: ResultQuery) -> Page<ResultRow>;
    batches(before: Option<BatchId>, limit: u32) -> Vec<BatchRow>;
    batch(id: BatchId) -> Option<(BatchRow, Vec<crate::BatchMember>)>;
    dead(before: Option<Seq>, limit: u32) -> Vec<DeadRow>;
    requeue(keys: Option<Vec<SessionKey>>, now: Now) -> u64;
    telemetry(seqs: Vec<Seq>) -> Vec<Option<Vec<u8>>>;
    keep_sketches(sketches: Vec<crate::NewSketch>) -> ();
    sketches(seqs: Vec<Seq>) -> Vec<crate::Candidate>;
    sketched(after: crate::SketchCursor, limit: u32) -> crate::SketchPage;
    uncompared(limit: u32, now: Now) -> Vec<crate::Uncompared>;
    compared(compared: Vec<crate::Compared>, again: Vec<Seq>, now: Now) -> u64;
    waiting_parties() -> std::collections::BTreeMap<crate::Party, u64>;
    comparison_backlog() -> crate::ComparisonBacklog;
    erase_session(key: SessionKey, now: Now) -> bool;
    erase_user(deployment: Option<String>, user: String, now: Now) -> u64;
    clear(now: Now) -> u64;
    put_state(key: String, value: Option<Vec<u8>>) -> ();
    get_state(key: String) -> Option<Vec<u8>>;
    set_running(running: bool) -> ();
    prune(retention: Retention, now: Timestamp) -> Pruned;
    prune_deployment(rule: DeploymentRetention, after: Timestamp, now: Timestamp) -> (Pruned, Timestamp);
    health() -> ();
    beat(beat: crate::Heartbeat) -> ();
    nodes() -> Vec<crate::NodeRow>;
    backup(folder: std::path::PathBuf) -> ();
}
