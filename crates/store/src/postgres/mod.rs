//! The shared store: one PostgreSQL database that any number of nodes work on.
//!
//! Intake commits in groups ([`intake`]); claims skip what others hold; leases are rows, fenced by a token and measured on
//! the database's clock ([`queue`]). Counts are moved in the transaction that moves the sessions ([`counts`]).

mod address;
mod attached;
mod audit;
mod bench;
mod buckets;
mod campaigns;
mod challenges;
mod clock;
mod controls;
mod core;
mod counts;
mod decisions;
mod deliveries;
mod deployment;
mod dump;
mod evidence;
mod export;
mod fault;
mod intake;
mod labels;
mod memory;
mod nodes;
mod notifier;
mod pool;
mod pooler;
mod queue;
mod read;
mod removal;
mod replica;
mod results;
mod retention;
mod room;
mod rows;
mod schema;
mod sketches;
mod standby;
mod store;
mod tls;
mod waiting;
mod wake;

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod replica_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

pub use self::bench::make_schema;
pub use self::core::Time;
pub use self::replica::ReplicaSettings;
pub use self::standby::probe_replica;
pub use self::store::PostgresStore;

use self::address::Address;
use self::clock::DatabaseClock;
use self::core::Core;
use self::notifier::Notifier;
use self::pool::{Pool, called};
use self::pooler::Pooling;
use self::room::Room;
use super::audit::Entry;
use super::encoding::{KeyHasher, check_memory};
use super::{
    Acceptance, BatchMember, BatchRow, Candidate, Claim, ClaimRequest, Compared, ComparisonBacklog, DeadRow,
    DeploymentRetention, Heartbeat, Lease, Lookup, NewSession, NewSketch, NodeRow, Page, Party, Pruned, QueueQuery,
    QueuedRow, ResultQuery, ResultRow, Retention, SettleCounts, Settlement, SketchCursor, SketchPage, Snapshot, Store,
    StoreError, StoreResult, Uncompared,
};
use playproof_clock::Clock;
use playproof_domain::id::{BatchId, Seq, SessionKey};
use playproof_domain::time::{Now, Timestamp};

/// Longest that one step of retention may take.
const MAX_PRUNE: Duration = Duration::from_secs(15 * 60);

/// How to open the shared store.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// `postgres://...`; may hold a password and is never shown.
    pub url: String,
    /// Most connections of this node, but for the one that listens.
    pub connections: usize,
    /// Most waiting sessions.
    pub queue_limit: u64,
    /// Most bytes of the database.
    pub store_limit: Option<u64>,
    /// The scheduler's state in a store that is new.
    pub autostart: bool,
    /// Whose time counts.
    pub time: Time,
    /// How long to wait at the start for a database that is away.
    pub patience: Duration,
}

impl PostgresStore {
    /// Connects, makes or migrates the schema, and starts to listen.
    ///
    /// # Errors
    /// When the database cannot be reached or used, or is from a later version.
    pub async fn open(settings: &PostgresSettings, now: Timestamp) -> StoreResult<Self> {
        let address = Address::parse(&settings.url)?;
        let given = settings.time.given(now.0);
        let deadline = Instant::now() + settings.patience;
        let pooling = loop {
            match prepare(&address, settings.autostart, given).await {
                // It may be starting beside this node.
                Err(error @ StoreError::Unavailable(_)) if Instant::now() < deadline => {
                    tracing::warn!(%error, "waiting for the database");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                outcome => break outcome?,
            }
        };
        let pool = Pool::new(&address, pooling, settings.connections)?;
        let held = pool.get().await.map_err(|fault| fault.for_callers())?;
        let secret = held.query_one("SELECT value FROM meta WHERE name = 'secret'", &[]).await;
        let secret: Vec<u8> = secret.map_err(|error| fault::Fault::from(error).for_callers())?.get(0);
        held.release();
        let notifier = Arc::new(Notifier::default());
        let core = Arc::new(Core {
            pool,
            hasher: KeyHasher::new(&secret)?,
            queue_limit: settings.queue_limit,
            room: Room::new(settings.store_limit),
            time: settings.time,
            models: Mutex::default(),
            notifier: Arc::clone(&notifier),
        });
        let (intake, arriving) = waiting::queue();
        let (heard, listening) = oneshot::channel();
        let (clock, ticking) = DatabaseClock::start(&core).await.map_err(|fault| fault.for_callers())?;
        let hears = (pooling == Pooling::Sessions).then_some(address);
        if hears.is_none() {
            tracing::info!("the database is behind a pooler of transactions; the queue is polled every second");
        }
        let tasks = vec![
            ticking,
            tokio::spawn(intake::run(Arc::downgrade(&core), arriving)).abort_handle(),
            tokio::spawn(wake::tell(Arc::downgrade(&core), Arc::clone(&notifier))).abort_handle(),
            tokio::spawn(wake::listen(Arc::downgrade(&core), notifier, hears, heard)).abort_handle(),
        ];
        let store = Self { core, intake, claiming: tokio::sync::Mutex::default(), clock, tasks };
        store.prepare_partitions(now).await?;
        // Before anybody looks at the queue, or what arrives in between would wake nobody until the next poll.
        let _ = listening.await;
        Ok(store)
    }

    /// The database's clock, for everything on this node that needs the time.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    async fn prepare_partitions(&self, now: Timestamp) -> StoreResult<()> {
        called!(async {
            let held = self.core.pool.get().await?;
            let sql = format!("SELECT {}", pool::now("$1"));
            let now: i64 = held.query_one(&sql, &[&self.core.time.given(now.0)]).await?.get(0);
            self.core.make_partitions(&held, now).await?;
            held.release();
            Ok::<(), fault::Fault>(())
        })
    }
}

/// Brings the database at `url` up to date; the versions before and after, and its name.
///
/// # Errors
/// When it cannot be reached, or is from a later version.
pub async fn migrate(url: &str, autostart: bool) -> StoreResult<(i64, i64, String)> {
    let address = Address::parse(url)?;
    pooler::find(&address).await.map_err(|fault| fault.for_callers())?;
    let (before, after) = migrate_at(&address, autostart, None).await?;
    Ok((before, after, address.name()))
}

/// Host and database of an address, without user and password, and its `sslmode`.
///
/// # Errors
/// When the address cannot be used.
pub fn describe(url: &str) -> StoreResult<(String, &'static str)> {
    let address = Address::parse(url)?;
    Ok((address.name(), address.mode()))
}

/// Says what is in the database at `url`, changing nothing.
///
/// # Errors
/// When it cannot be reached, or is from a later version.
pub async fn probe(url: &str) -> StoreResult<String> {
    let address = Address::parse(url)?;
    let name = address.name();
    let outcome = async {
        let pooling = pooler::find(&address).await?;
        let (client, connection) = address.connect().await?;
        let driven = tokio::spawn(connection);
        let found = schema::version(&client).await?;
        schema::check(found)?;
        let mut told = match found {
            None => format!("{name} holds no store yet; one is made at the first start"),
            Some((version, _)) if version < schema::VERSION => {
                format!("{name} has schema version {version}, brought to {} at the next start", schema::VERSION)
            }
            Some(_) => {
                let counts = counts::read(&client.query_one(&read::snapshot_sql(), &[]).await?)?;
                format!("{name} holds {} sessions, {} of them unprocessed", counts.stored(), counts.unprocessed())
            }
        };
        if pooling == Pooling::Transactions {
            told.push_str("; through a pooler of transactions, so the queue is polled every second");
        }
        drop(client);
        let _ = driven.await;
        Ok(told)
    };
    outcome.await.map_err(|fault: fault::Fault| fault.for_callers())
}

/// Gives every entry of the audit log in the database at `url`, the oldest first, changing nothing.
///
/// # Errors
/// When there is no store of this version, or where `each` fails.
pub async fn each_audit_entry(url: &str, mut each: impl FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let address = Address::parse(url)?;
    let (client, connection) = address.connect().await.map_err(|fault| fault.for_callers())?;
    let driven = tokio::spawn(connection);
    let found = schema::version(&client).await.map_err(|fault| fault.for_callers())?;
    schema::check(found).map_err(|fault| fault.for_callers())?;
    if found.is_none_or(|(version, _)| version < schema::VERSION) {
        anyhow::bail!("{} holds no store of this version; run migrate", address.name());
    }
    let mut last = 0;
    loop {
        let entries = audit::after(&client, last, 1000).await.map_err(|fault| fault.for_callers())?;
        let Some(end) = entries.last() else { break };
        last = end.id;
        entries.into_iter().try_for_each(&mut each)?;
    }
    drop(client);
    let _ = driven.await;
    Ok(())
}

/// Looks at what is between this node and the database, and brings the database up to date.
async fn prepare(address: &Address, autostart: bool, now: Option<i64>) -> StoreResult<Pooling> {
    let pooling = pooler::find(address).await.map_err(|fault| fault.for_callers())?;
    migrate_at(address, autostart, now).await?;
    Ok(pooling)
}

async fn migrate_at(address: &Address, autostart: bool, now: Option<i64>) -> StoreResult<(i64, i64)> {
    let outcome = async {
        let (mut client, connection) = address.connect().await?;
        let driven = tokio::spawn(connection);
        let encoding: String = client.query_one("SHOW server_encoding", &[]).await?.get(0);
        if encoding != "UTF8" {
            let message = format!("the database has the encoding {encoding}; make one with ENCODING 'UTF8'");
            return Err(StoreError::Unusable(message).into());
        }
        let outcome = schema::migrate(&mut client, autostart, now).await;
        drop(client);
        let _ = driven.await;
        outcome
    };
    outcome.await.map_err(|fault: fault::Fault| fault.for_callers())
}

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, session: NewSession) -> StoreResult<Acceptance> {
        waiting::accept(&self.intake, session).await
    }

    async fn claim(&self, request: ClaimRequest, now: Now) -> StoreResult<Option<Claim>> {
        let _one = self.claiming.lock().await;
        called!(self.core.claim_once(&request, self.given(now)))
    }

    async fn renew(&self, lease: Lease, now: Now) -> StoreResult<()> {
        called!(self.core.renew_once(lease, self.given(now)))
    }

    async fn settle(&self, lease: Lease, settlement: Settlement, now: Now) -> StoreResult<SettleCounts> {
        called!(self.core.settle_once(lease, &settlement, self.given(now)))
    }

    async fn expire(&self, now: Now) -> StoreResult<u64> {
        let mut total = 0;
        loop {
            let (leases, sessions) = called!(self.core.expire_once(self.given(now)))?;
            total += sessions;
            if leases == 0 {
                return Ok(total);
            }
        }
    }

    async fn snapshot(&self) -> StoreResult<Snapshot> {
        called!(self.core.snapshot_once())
    }

    async fn session(&self, key: SessionKey) -> StoreResult<Lookup> {
        called!(self.core.session_once(&key))
    }

    async fn results(&self, query: ResultQuery) -> StoreResult<Page<ResultRow>> {
        called!(self.core.results_once(&query))
    }

    async fn batches(&self, before: Option<BatchId>, limit: u32) -> StoreResult<Vec<BatchRow>> {
        called!(self.core.batches_once(before, limit))
    }

    async fn batch(&self, id: BatchId) -> StoreResult<Option<(BatchRow, Vec<BatchMember>)>> {
        called!(self.core.batch_once(id))
    }

    async fn dead(&self, before: Option<Seq>, limit: u32) -> StoreResult<Vec<DeadRow>> {
        called!(self.core.dead_once(before, limit))
    }

    async fn queued(&self, query: QueueQuery) -> StoreResult<Page<QueuedRow>> {
        called!(self.core.queued_once(&query))
    }

    async fn requeue(&self, keys: Option<Vec<SessionKey>>, _now: Now) -> StoreResult<u64> {
        if let Some(keys) = keys {
            return called!(self.core.requeue_keys_once(&keys));
        }
        let last = called!(self.core.last_seq())?;
        let mut total = 0;
        loop {
            let sent = called!(self.core.requeue_step(last))?;
            total += sent;
            if sent == 0 {
                return Ok(total);
            }
        }
    }

    async fn telemetry(&self, seqs: Vec<Seq>) -> StoreResult<Vec<Option<Vec<u8>>>> {
        called!(self.core.telemetry_once(&seqs))
    }

    async fn keep_sketches(&self, sketches: Vec<NewSketch>) -> StoreResult<()> {
        called!(self.core.keep_sketches_once(&sketches))
    }

    async fn sketches(&self, seqs: Vec<Seq>) -> StoreResult<Vec<Candidate>> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        called!(self.core.sketches_once(&seqs))
    }

    async fn sketched(&self, after: SketchCursor, limit: u32) -> StoreResult<SketchPage> {
        called!(self.core.sketched_once(after, limit))
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn uncompared(&self, limit: u32, now: Now) -> StoreResult<Vec<Uncompared>> {
        called!(self.core.uncompared_once(limit, self.given(now)))
    }

    async fn compared(&self, compared: Vec<Compared>, again: Vec<Seq>, now: Now) -> StoreResult<u64> {
        called!(self.core.compared_once(&compared, &again, now.wall))
    }

    async fn waiting_parties(&self) -> StoreResult<BTreeMap<Party, u64>> {
        called!(self.core.waiting_parties_once())
    }

    async fn comparison_backlog(&self) -> StoreResult<ComparisonBacklog> {
        called!(self.core.backlog_once())
    }

    async fn erase_session(&self, key: SessionKey, now: Now) -> StoreResult<bool> {
        called!(self.core.erase_session_once(&key, self.given(now)))
    }

    async fn erase_user(&self, deployment: Option<String>, user: String, now: Now) -> StoreResult<u64> {
        let mut total = 0;
        loop {
            let erased = called!(self.core.erase_user_step(deployment.as_deref(), &user, self.given(now)))?;
            total += erased;
            if erased == 0 {
                return Ok(total);
            }
        }
    }

    async fn clear(&self, _now: Now) -> StoreResult<u64> {
        let last = called!(self.core.last_seq())?;
        let mut total = 0;
        loop {
            let cleared = called!(self.core.clear_step(last))?;
            total += cleared;
            if cleared == 0 {
                return Ok(total);
            }
        }
    }

    async fn put_state(&self, key: String, value: Option<Vec<u8>>) -> StoreResult<()> {
        check_memory(&key, value.as_deref())?;
        called!(self.core.put_state_once(&key, value.as_deref()))
    }

    async fn get_state(&self, key: String) -> StoreResult<Option<Vec<u8>>> {
        called!(self.core.get_state_once(&key))
    }

    async fn set_running(&self, running: bool) -> StoreResult<()> {
        called!(self.core.set_running_once(running))
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> StoreResult<Pruned> {
        // Moving what must outlive an hour's partition may take minutes; nobody waits for it.
        match tokio::time::timeout(MAX_PRUNE, self.core.prune_once(retention, now.0)).await {
            Ok(outcome) => outcome.map_err(|fault| fault.for_callers()),
            Err(_) => Err(StoreError::Unavailable("retention took too long; it tries again".to_owned())),
        }
    }

    async fn prune_deployment(
        &self,
        rule: DeploymentRetention,
        after: Timestamp,
        now: Timestamp,
    ) -> StoreResult<(Pruned, Timestamp)> {
        called!(self.core.prune_deployment_once(&rule, after, now))
    }

    fn ready(&self) -> &Notify {
        &self.core.notifier.ready
    }

    async fn health(&self) -> StoreResult<()> {
        called!(self.core.health_once())
    }

    async fn beat(&self, beat: Heartbeat) -> StoreResult<()> {
        called!(self.core.beat_once(&beat))
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRow>> {
        called!(self.core.nodes_once())
    }

    async fn backup(&self, folder: PathBuf) -> StoreResult<()> {
        called!(self.core.dump(&folder))
    }
}
