//! The store's traits: each method of the queue is one transaction, and what is no part of it is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::MemoryStore;
use crate::audit::{AuditStore, Entry as AuditEntry, NewEntry};
use crate::buckets::{BucketQuery, BucketStore, Buckets, LabelledResult, ReviewBacklog};
use crate::campaigns::{CampaignId, CampaignMember, CampaignPage, CampaignQuery, CampaignRow, CampaignStore};
use crate::challenges::{ChallengeNumber, ChallengeStore, Redemption};
use crate::controls::{Control, ControlStore};
use crate::decisions::{DecidedResult, DecisionStore, Revised, Revision};
use crate::deliveries::{Attempt, Delivery, DeliveryRow, DeliveryStore, Event, Place};
use crate::evidence::{EvidenceStore, KeptEvidence};
use crate::labels::{Label, LabelRow, LabelStore, ReviewRow};
use crate::{
    Acceptance, BatchMember, BatchRow, Candidate, Claim, ClaimRequest, Compared, ComparisonBacklog, DeadRow,
    DeploymentRetention, Heartbeat, Lease, Lookup, MAX_MEMORY, MAX_MEMORY_KEY, NewSession, NewSketch, NodeRow, Page,
    Party, Pruned, QueueQuery, QueuedRow, ResultQuery, ResultRow, Retention, SettleCounts, Settlement, SketchCursor,
    SketchPage, Snapshot, Store, StoreError, StoreResult, Uncompared,
};
use playproof_domain::id::{BatchId, Seq, SessionKey};
use playproof_domain::queue::State;
use playproof_domain::review::Labelled;
use playproof_domain::time::{Now, Timestamp};

/// What is said to whoever asks for something that is no part of the queue.
fn refused<T>(what: &str) -> StoreResult<T> {
    Err(StoreError::Unavailable(format!("the store in memory keeps nothing for {what}")))
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, session: NewSession) -> StoreResult<Acceptance> {
        self.write(|held| Ok(held.accept(session)))
    }

    async fn claim(&self, request: ClaimRequest, now: Now) -> StoreResult<Option<Claim>> {
        let now = self.now(now);
        self.write(|held| held.claim(request, now))
    }

    async fn renew(&self, lease: Lease, now: Now) -> StoreResult<()> {
        let now = self.now(now);
        self.write(|held| held.renew(lease, now))
    }

    async fn settle(&self, lease: Lease, settlement: Settlement, now: Now) -> StoreResult<SettleCounts> {
        let now = self.now(now);
        self.write(|held| held.settle(lease, &settlement, now))
    }

    async fn expire(&self, now: Now) -> StoreResult<u64> {
        let now = self.now(now);
        self.write(|held| held.lose(|lease| lease.expires <= now.monotonic, now.wall))
    }

    async fn snapshot(&self) -> StoreResult<Snapshot> {
        Ok(self.held().snapshot())
    }

    async fn session(&self, key: SessionKey) -> StoreResult<Lookup> {
        Ok(self.held().lookup(&key))
    }

    async fn results(&self, query: ResultQuery) -> StoreResult<Page<ResultRow>> {
        self.held().results(&query)
    }

    async fn batches(&self, before: Option<BatchId>, limit: u32) -> StoreResult<Vec<BatchRow>> {
        Ok(self.held().batches(before, limit))
    }

    async fn batch(&self, id: BatchId) -> StoreResult<Option<(BatchRow, Vec<BatchMember>)>> {
        Ok(self.held().batch(id))
    }

    async fn dead(&self, before: Option<Seq>, limit: u32) -> StoreResult<Vec<DeadRow>> {
        Ok(self.held().dead(before, limit))
    }

    async fn queued(&self, query: QueueQuery) -> StoreResult<Page<QueuedRow>> {
        Ok(self.held().queued(&query))
    }

    async fn requeue(&self, keys: Option<Vec<SessionKey>>, _now: Now) -> StoreResult<u64> {
        self.write(|held| Ok(held.requeue(keys.as_deref())))
    }

    async fn telemetry(&self, seqs: Vec<Seq>) -> StoreResult<Vec<Option<Vec<u8>>>> {
        let held = self.held();
        Ok(seqs.iter().map(|seq| held.sessions.get(&seq.0).map(|kept| kept.new.record.clone())).collect())
    }

    async fn keep_sketches(&self, sketches: Vec<NewSketch>) -> StoreResult<()> {
        if sketches.is_empty() { Ok(()) } else { refused("sketches") }
    }

    async fn sketches(&self, _seqs: Vec<Seq>) -> StoreResult<Vec<Candidate>> {
        Ok(Vec::new())
    }

    async fn sketched(&self, after: SketchCursor, _limit: u32) -> StoreResult<SketchPage> {
        Ok(SketchPage { seqs: Vec::new(), next: after, more: false })
    }

    fn is_shared(&self) -> bool {
        self.clock.is_some()
    }

    async fn uncompared(&self, limit: u32, _now: Now) -> StoreResult<Vec<Uncompared>> {
        Ok(self.held().uncompared(limit))
    }

    async fn compared(&self, compared: Vec<Compared>, again: Vec<Seq>, _now: Now) -> StoreResult<u64> {
        self.write(|held| {
            for one in &compared {
                held.uncompared.remove(&one.seq.0);
            }
            let settled = again.iter().filter(|seq| held.entry(seq.0).is_some_and(|e| e.state == State::Processed));
            let settled: Vec<i64> = settled.map(|seq| seq.0).collect();
            held.uncompared.extend(settled);
            Ok(0)
        })
    }

    async fn waiting_parties(&self) -> StoreResult<BTreeMap<Party, u64>> {
        let mut parties = BTreeMap::new();
        for kept in self.held().sessions.values().filter(|kept| kept.entry.state == State::Ready) {
            let SessionKey { deployment, id } = &kept.new.key;
            let party = Party { deployment: deployment.clone(), is_pages: id.is_of_page() };
            *parties.entry(party).or_default() += 1;
        }
        Ok(parties)
    }

    async fn comparison_backlog(&self) -> StoreResult<ComparisonBacklog> {
        let held = self.held();
        let results = held.uncompared.iter().filter_map(|seq| held.sessions.get(seq)?.result.as_ref());
        let oldest = results.map(|result| result.scored_at).min();
        Ok(ComparisonBacklog { sessions: held.uncompared.len() as u64, oldest })
    }

    async fn erase_session(&self, key: SessionKey, _now: Now) -> StoreResult<bool> {
        self.write(|held| Ok(held.erase(|kept| kept.new.key == key, true) > 0))
    }

    async fn erase_user(&self, deployment: Option<String>, user: String, _now: Now) -> StoreResult<u64> {
        let whose = |kept: &super::Kept| {
            kept.new.user_id.as_ref() == Some(&user)
                && deployment.as_ref().is_none_or(|deployment| *deployment == kept.new.key.deployment)
        };
        self.write(|held| Ok(held.erase(whose, true)))
    }

    async fn clear(&self, _now: Now) -> StoreResult<u64> {
        self.write(|held| Ok(held.erase(|_| true, false)))
    }

    async fn put_state(&self, key: String, value: Option<Vec<u8>>) -> StoreResult<()> {
        if key.len() > MAX_MEMORY_KEY || value.as_ref().is_some_and(|value| value.len() > MAX_MEMORY) {
            return Err(StoreError::TooLarge(key.chars().take(32).collect()));
        }
        self.write(|held| {
            match value {
                Some(value) => held.memories.insert(key, value),
                None => held.memories.remove(&key),
            };
            Ok(())
        })
    }

    async fn get_state(&self, key: String) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.held().memories.get(&key).cloned())
    }

    async fn set_running(&self, running: bool) -> StoreResult<()> {
        self.held().running = running;
        self.ready.notify_waiters();
        self.ready.notify_one();
        Ok(())
    }

    async fn prune(&self, _retention: Retention, _now: Timestamp) -> StoreResult<Pruned> {
        Ok(Pruned::default())
    }

    async fn prune_deployment(
        &self,
        _rule: DeploymentRetention,
        after: Timestamp,
        _now: Timestamp,
    ) -> StoreResult<(Pruned, Timestamp)> {
        Ok((Pruned::default(), after))
    }

    fn ready(&self) -> &Notify {
        &self.ready
    }

    async fn health(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn beat(&self, _beat: Heartbeat) -> StoreResult<()> {
        refused("nodes")
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRow>> {
        Ok(Vec::new())
    }

    async fn backup(&self, _folder: PathBuf) -> StoreResult<()> {
        refused("a backup")
    }
}

#[async_trait]
impl BucketStore for MemoryStore {
    async fn buckets(&self, query: BucketQuery) -> StoreResult<Buckets> {
        Ok(self.held().buckets(&query))
    }

    async fn fold_buckets(&self, _keep: Duration, _now: Timestamp) -> StoreResult<bool> {
        Ok(false)
    }

    async fn review_backlog(&self, _deployment: Option<String>, _most: u32) -> StoreResult<ReviewBacklog> {
        refused("reviews")
    }

    async fn recent_scores(
        &self,
        _deployment: Option<String>,
        _most: u32,
    ) -> StoreResult<Vec<(Timestamp, Option<f64>)>> {
        refused("scores by time")
    }

    async fn labelled(&self, _since: Timestamp, _deployment: Option<String>) -> StoreResult<Vec<LabelledResult>> {
        refused("labels")
    }
}

#[async_trait]
impl ControlStore for MemoryStore {
    async fn controls(&self) -> StoreResult<(i64, Vec<Control>)> {
        Ok((0, Vec::new()))
    }

    async fn controls_version(&self) -> StoreResult<i64> {
        Ok(0)
    }

    async fn set_control(&self, _kind: String, _name: String, _value: Option<String>) -> StoreResult<()> {
        refused("controls")
    }

    async fn replace_control(&self, _kind: String, _name: String, _value: String) -> StoreResult<bool> {
        refused("controls")
    }
}

/// Methods of a trait that keep nothing here.
macro_rules! refuse {
    ($trait:ident for $what:literal: $($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)* $({ $($rest:tt)* })?) => {
        #[async_trait]
        impl $trait for MemoryStore {
            $(async fn $name(&self, $($arg: $type),*) -> StoreResult<$out> {
                let _ = ($($arg,)*);
                refused($what)
            })*

            $($($rest)*)?
        }
    };
}

refuse! { AuditStore for "the audit log":
    record(a: NewEntry) -> ();
    audit(a: Option<i64>, b: u32) -> Vec<AuditEntry>;
    {
        fn session_pseudonym(&self, key: &SessionKey) -> String {
            format!("{}/{}", key.deployment, key.id.unique())
        }

        fn user_pseudonym(&self, user: &str) -> String {
            user.to_owned()
        }
    }
}

refuse! { ChallengeStore for "challenges":
    redeem(a: ChallengeNumber, b: SessionKey, c: Timestamp) -> Redemption;
    {
        fn challenge_key(&self) -> [u8; 32] {
            [1; 32]
        }
    }
}

refuse! { EvidenceStore for "evidence":
    evidence(a: Seq) -> Option<KeptEvidence>;
    {
        fn evidence_key(&self) -> [u8; 32] {
            [2; 32]
        }
    }
}

refuse! { DeliveryStore for "webhooks":
    take_deliveries(a: String, b: u32, c: Timestamp, d: Duration) -> Vec<Delivery>;
    record_deliveries(a: Vec<Attempt>, b: Timestamp) -> ();
    deliveries(a: String, b: Option<i64>, c: u32) -> Vec<DeliveryRow>;
    redeliver(a: String, b: Option<i64>, c: Timestamp) -> u64;
    test_delivery(a: String, b: String, c: Timestamp) -> i64;
    forget_deliveries(a: String) -> ();
    events(a: Place, b: Timestamp, c: u32, d: Option<String>) -> Vec<Event>;
    {
        fn webhook_key(&self) -> [u8; 32] {
            [3; 32]
        }
    }
}

refuse! { DecisionStore for "decisions":
    standings(a: Seq, b: u32, c: Option<String>) -> Vec<DecidedResult>;
    revise(a: Vec<Revision>, b: Timestamp) -> u64;
    revisions(a: Seq) -> Vec<Revised>;
}

refuse! { LabelStore for "labels":
    label(a: Seq, b: Option<Label>, c: Option<Revision>, d: Timestamp) -> bool;
    label_of(a: Seq) -> Option<Label>;
    to_review(a: Option<String>) -> (Vec<ReviewRow>, Vec<Labelled>);
    labels(a: Seq, b: u32, c: Option<String>) -> Vec<LabelRow>;
}

refuse! { CampaignStore for "campaigns":
    campaigns(a: CampaignQuery) -> CampaignPage;
    open_campaigns(a: Timestamp, b: Option<String>) -> (u64, u64);
    campaign(a: CampaignId, b: Option<String>, c: Timestamp) -> Option<CampaignRow>;
    campaign_members(a: CampaignId, b: Option<Seq>, c: u32) -> Vec<CampaignMember>;
    campaign_standings(a: CampaignId, b: Seq, c: u32) -> Vec<DecidedResult>;
}
