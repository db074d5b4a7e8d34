//! A read replica: a standby of the store's own server, asked for lists in its place.
//!
//! It is looked at every two seconds: whether it answers, is a standby of this very store, knows this schema and is not too
//! far behind. Where one of these fails, and whenever one of its answers does, lists are the store's own until a later look
//! succeeds. A line in the log tells each change, none tells each request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use super::address::{Address, Role};
use super::core::{Core, Time};
use super::fault::Fault;
use super::notifier::Notifier;
use super::pool::Pool;
use super::pooler;
use super::room::Room;
use super::standby::{Identity, identity, judge, look, position, trouble};
use super::store::PostgresStore;
use crate::buckets::{BucketQuery, Buckets, LabelledResult, ReviewBacklog};
use crate::campaigns::{CampaignId, CampaignMember, CampaignPage, CampaignQuery, CampaignRow};
use crate::decisions::DecidedResult;
use crate::encoding::KeyHasher;
use crate::labels::{LabelRow, ReviewRow};
use crate::lists::{ReadReplica, ReplicaState};
use crate::{BatchRow, DeadRow, Page, QueueQuery, QueuedRow, ResultQuery, ResultRow, StoreError, StoreResult};
use playproof_domain::id::{BatchId, Seq};
use playproof_domain::review::Labelled;
use playproof_domain::time::Timestamp;

/// Time between two looks at the replica.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Longest that a look, and the answer to a list, may take.
const MAX_LOOK: Duration = Duration::from_secs(5);
/// How long a replica that failed to answer is left alone.
const REST: Duration = Duration::from_secs(5);

/// How to read from a replica.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// `postgres://...`; may hold a password and is never shown.
    pub url: String,
    /// Most connections of this node to it.
    pub connections: usize,
    /// How far behind the store lists may be.
    pub max_lag: Duration,
}

/// How the replica stands now.
struct Standing {
    state: ReplicaState,
    /// There from the first look that reached it.
    core: Option<Arc<Core>>,
    rests_until: Option<Instant>,
    is_told: bool,
}

struct Watched {
    address: Address,
    settings: ReplicaSettings,
    store: Weak<Core>,
    identity: Identity,
    hasher: KeyHasher,
    standing: Mutex<Standing>,
}

impl Watched {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a look, or an answer, says; tells it where it is news.
    fn note(&self, outcome: &Result<(), (ReplicaState, String)>) {
        let mut standing = self.standing();
        if outcome.is_ok() && standing.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let state = outcome.as_ref().err().map_or(ReplicaState::Ok, |(state, _)| *state);
        if standing.is_told && standing.state == state {
            return;
        }
        match outcome {
            Ok(()) => tracing::info!("lists are read from the replica"),
            Err((state, why)) => tracing::warn!(
                state = state.name(),
                %why,
                "lists are read from the store itself until the replica can be used"
            ),
        }
        standing.state = state;
        standing.is_told = true;
    }

    async fn connected(&self) -> Result<Arc<Core>, Fault> {
        if let Some(core) = self.standing().core.clone() {
            return Ok(core);
        }
        let pooling = pooler::find(&self.address).await?;
        let core = Arc::new(Core {
            pool: Pool::new(&self.address, pooling, self.settings.connections)?,
            hasher: self.hasher.clone(),
            queue_limit: 0,
            room: Room::new(None),
            time: Time::Database,
            models: Mutex::default(),
            notifier: Arc::new(Notifier::default()),
        });
        self.standing().core = Some(Arc::clone(&core));
        Ok(core)
    }

    async fn look(&self) -> Result<(), (ReplicaState, String)> {
        let position = async {
            let held = self.store.upgrade()?.pool.get().await.ok()?;
            let position = position(&held).await.ok()?;
            held.release();
            Some(position)
        };
        // Without the store's own place the lag cannot be told; then it is as it was.
        let position = tokio::time::timeout(MAX_LOOK / 2, position).await.ok().flatten();
        let look = async {
            let held = self.connected().await?.pool.get().await?;
            let found = look(&held, position.as_ref()).await?;
            held.release();
            Ok(found)
        };
        match tokio::time::timeout(MAX_LOOK, look).await {
            Ok(Ok(_)) if position.is_none() && self.standing().state == ReplicaState::Behind => {
                Err((ReplicaState::Behind, "the replica was behind, and how far it is now cannot be told".to_owned()))
            }
            Ok(Ok(found)) => judge(&self.identity, &found, self.settings.max_lag),
            Ok(Err(fault)) => Err(trouble(&fault)),
            Err(_) => Err((ReplicaState::Away, format!("the replica did not answer within {} s", MAX_LOOK.as_secs()))),
        }
    }

    async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if self.store.strong_count() == 0 {
                return;
            }
            self.note(&self.look().await);
        }
    }

    /// An answer, unless the replica may not be asked or failed to give it.
    async fn ask<T>(&self, question: impl AsyncFnOnce(&Core) -> Result<T, Fault>) -> Option<T> {
        let core = {
            let standing = self.standing();
            standing.core.clone().filter(|_| standing.state == ReplicaState::Ok)?
        };
        let why = match tokio::time::timeout(MAX_LOOK, question(&core)).await {
            Ok(Ok(answer)) => return Some(answer),
            // It was in the way of what the standby replays, and says nothing about the next one.
            Ok(Err(fault)) if fault.is_a_collision() => return None,
            Ok(Err(fault)) => format!("the replica failed to answer: {fault}"),
            Err(_) => format!("the replica did not answer within {} s", MAX_LOOK.as_secs()),
        };
        self.standing().rests_until = Some(Instant::now() + REST);
        self.note(&Err((ReplicaState::Away, why)));
        None
    }
}

/// A standby of a store's server, which answers for its lists.
pub struct PostgresReplica {
    watched: Arc<Watched>,
    task: AbortHandle,
}

impl Drop for PostgresReplica {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(core) = self.watched.standing().core.take() {
            core.pool.close();
        }
    }
}

impl PostgresStore {
    /// The replica of this store at an address. One that is away is waited for while it is used.
    ///
    /// # Errors
    /// When the address cannot be used, or what is there is no standby of this store.
    pub async fn replica(&self, settings: &ReplicaSettings) -> StoreResult<PostgresReplica> {
        let address = Address::of(Role::Replica, &settings.url)?;
        let own = async {
            let held = self.core.pool.get().await?;
            let own = identity(&held).await?;
            held.release();
            Ok::<_, Fault>(own)
        };
        let standing = Standing { state: ReplicaState::Away, core: None, rests_until: None, is_told: false };
        let watched = Arc::new(Watched {
            address,
            settings: settings.clone(),
            store: Arc::downgrade(&self.core),
            identity: own.await.map_err(|fault| fault.for_callers())?,
            hasher: self.core.hasher.clone(),
            standing: Mutex::new(standing),
        });
        let outcome = watched.look().await;
        if let Err((ReplicaState::Foreign, why)) = outcome {
            return Err(StoreError::Unusable(why));
        }
        watched.note(&outcome);
        let task = tokio::spawn(Arc::clone(&watched).watch()).abort_handle();
        Ok(PostgresReplica { watched, task })
    }
}

#[async_trait]
impl ReadReplica for PostgresReplica {
    fn state(&self) -> ReplicaState {
        self.watched.standing().state
    }

    async fn results(&self, query: ResultQuery) -> Option<Page<ResultRow>> {
        self.watched.ask(async |core| core.results_once(&query).await).await
    }

    async fn batches(&self, before: Option<BatchId>, limit: u32) -> Option<Vec<BatchRow>> {
        self.watched.ask(async |core| core.batches_once(before, limit).await).await
    }

    async fn dead(&self, before: Option<Seq>, limit: u32) -> Option<Vec<DeadRow>> {
        self.watched.ask(async |core| core.dead_once(before, limit).await).await
    }

    async fn queued(&self, query: QueueQuery) -> Option<Page<QueuedRow>> {
        self.watched.ask(async |core| core.queued_once(&query).await).await
    }

    async fn standings(&self, after: Seq, limit: u32, deployment: Option<String>) -> Option<Vec<DecidedResult>> {
        self.watched.ask(async |core| core.standings_once(after, limit, deployment.as_deref()).await).await
    }

    async fn buckets(&self, query: BucketQuery) -> Option<Buckets> {
        self.watched.ask(async |core| core.buckets_once(&query).await).await
    }

    async fn review_backlog(&self, deployment: Option<String>, most: u32) -> Option<ReviewBacklog> {
        self.watched.ask(async |core| core.review_backlog_once(deployment.as_deref(), most).await).await
    }

    async fn recent_scores(&self, deployment: Option<String>, most: u32) -> Option<Vec<(Timestamp, Option<f64>)>> {
        self.watched.ask(async |core| core.recent_scores_once(deployment.as_deref(), most).await).await
    }

    async fn labelled(&self, since: Timestamp, deployment: Option<String>) -> Option<Vec<LabelledResult>> {
        self.watched.ask(async |core| core.labelled_once(since, deployment.as_deref()).await).await
    }

    async fn labels(&self, after: Seq, limit: u32, deployment: Option<String>) -> Option<Vec<LabelRow>> {
        self.watched.ask(async |core| core.labels_once(after, limit, deployment.as_deref()).await).await
    }

    async fn to_review(&self, deployment: Option<String>) -> Option<(Vec<ReviewRow>, Vec<Labelled>)> {
        self.watched.ask(async |core| core.to_review_once(deployment.as_deref()).await).await
    }

    async fn campaigns(&self, query: CampaignQuery) -> Option<CampaignPage> {
        self.watched.ask(async |core| core.campaigns_once(&query).await).await
    }

    async fn open_campaigns(&self, since: Timestamp, deployment: Option<String>) -> Option<(u64, u64)> {
        self.watched.ask(async |core| core.open_campaigns_once(since, deployment.as_deref()).await).await
    }

    async fn campaign(
        &self,
        id: CampaignId,
        deployment: Option<String>,
        now: Timestamp,
    ) -> Option<Option<CampaignRow>> {
        self.watched.ask(async |core| core.campaign_once(id, deployment.as_deref(), now).await).await
    }

    async fn campaign_members(&self, id: CampaignId, before: Option<Seq>, limit: u32) -> Option<Vec<CampaignMember>> {
        self.watched.ask(async |core| core.campaign_members_once(id, before, limit).await).await
    }
}
