//! The embedded store: one SQLite file in a folder that one process owns.
//!
//! One writer thread commits in groups ([`writer`]); readers have connections of their own. The write-ahead log is
//! synced at every commit, so what was answered survives a power cut on a disk that honours the sync. Deleted content
//! is overwritten (`secure_delete`); erasure also overwrites what moved rows left behind ([`scrub`]) and empties the log.

mod audit;
mod backup;
mod bench;
mod buckets;
mod campaigns;
mod challenges;
mod checkpoint;
mod connection;
mod controls;
mod decisions;
mod deliveries;
mod erase;
mod evidence;
mod export;
mod fault;
mod folder;
mod intake;
mod key_filter;
mod keys;
mod labels;
mod memory;
mod probe;
mod queue;
mod read;
mod reserve;
mod results;
mod rows;
mod schema;
mod scrub;
mod sketches;
mod state;
mod store;
mod writer;

#[cfg(test)]
mod durability_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod removal_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tokio::sync::Notify;

pub use backup::{backup, restore};
pub use folder::DATABASE;
pub use probe::{each_audit_entry, probe};
pub use state::CapacityLimits;
pub use store::SqliteStore;

use self::connection::{WRITER_CACHE_KIB, connect};
use self::fault::Fault;
use self::folder::{cannot_write, keep_private, lock_folder, note_use, refuse_lost};
use self::keys::KeyKind;
use self::reserve::Reserve;
use self::state::WriterState;
use self::store::Readers;
use self::writer::Writer;
use super::encoding::check_memory;
use super::{
    Acceptance, BatchMember, BatchRow, Candidate, Claim, ClaimRequest, Compared, ComparisonBacklog, DeadRow,
    DeploymentRetention, Heartbeat, Lease, Lookup, NewSession, NewSketch, NodeRow, Page, Party, Pruned, QueueQuery,
    QueuedRow, ResultQuery, ResultRow, Retention, SettleCounts, Settlement, SketchCursor, SketchPage, Snapshot, Store,
    StoreError, StoreResult, Uncompared,
};
use playproof_domain::id::{BatchId, Seq, SessionKey};
use playproof_domain::time::{Now, Timestamp};

/// How to open the embedded store.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// The data folder; made when it does not exist.
    pub folder: PathBuf,
    /// Limits on what is kept.
    pub room: CapacityLimits,
    /// The scheduler's state in a store that is new.
    pub autostart: bool,
}

impl SqliteStore {
    /// Opens the store, makes or migrates its file, and returns what an earlier process had leased to the queue.
    ///
    /// # Errors
    /// When the folder cannot be written, another process has it, the file is damaged or from a later version.
    pub fn open(settings: &SqliteSettings, now: Timestamp) -> StoreResult<Self> {
        let lock = lock_folder(&settings.folder)?;
        let again = lock.try_clone().map_err(|e| cannot_write(&settings.folder, &e))?;
        match Self::open_locked(settings, now, lock) {
            // Opening writes too, such as the log's index.
            Err(StoreError::Full(_) | StoreError::Unavailable(_)) if Reserve::of(&settings.folder).spend_if_full() => {
                Self::open_locked(settings, now, again)
            }
            opened => opened,
        }
    }

    fn open_locked(settings: &SqliteSettings, now: Timestamp, mut lock: File) -> StoreResult<Self> {
        let folder = &settings.folder;
        let path = folder.join(DATABASE);
        refuse_lost(folder, &path)?;
        keep_private(folder, &path).map_err(|e| cannot_write(folder, &e))?;
        let mut connection = connect(&path, WRITER_CACHE_KIB).map_err(|fault| fault.for_callers())?;
        prepare(&mut connection, &path, settings, now).map_err(|fault| fault.for_callers())?;
        note_use(&mut lock).map_err(|e| cannot_write(folder, &e))?;
        let hasher = keys::hasher(&connection).map_err(|fault| fault.for_callers())?;
        let mut state =
            WriterState::load(connection, folder.clone(), settings.room).map_err(|fault| fault.for_callers())?;
        void_leases(&mut state, now)
            .or_else(|fault| {
                if fault.is_full_disk() && state.spend_reserve() { void_leases(&mut state, now) } else { Err(fault) }
            })
            .map_err(|fault| fault.for_callers())?;
        // Takes the reserve. A fault is told to the first session, and by `health`.
        let _ = state.check_room();
        let recent = state.keys.recent();
        let ready = Arc::new(Notify::new());
        state.move_log_beside(&path).map_err(|fault| fault.for_callers())?;
        let readers = Arc::new(Readers::new(path));
        let writer = Writer::start(state, Arc::clone(&ready))?;
        Ok(Self {
            folder: folder.clone(),
            writer,
            readers,
            hasher,
            recent,
            damaged: AtomicBool::new(false),
            node: Mutex::default(),
            ready,
            _lock: lock,
        })
    }
}

/// Makes or migrates the schema, keeping a copy of a file that an earlier version wrote.
fn prepare(connection: &mut Connection, path: &Path, settings: &SqliteSettings, now: Timestamp) -> Result<(), Fault> {
    keep_copy(path, schema::version(connection)?, schema::VERSION)?;
    schema::migrate(connection)?;
    let mut secret = [0u8; 32];
    rand::fill(&mut secret);
    let transaction = connection.transaction()?;
    transaction.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('secret', ?)", [secret])?;
    transaction.execute(
        "INSERT OR IGNORE INTO totals (id, ready, leased, delayed, processed, failed, erased, pruned, accepted, \
         running, created_at, indexed) VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?, 0)",
        params![settings.autostart, now.0],
    )?;
    transaction.commit()?;
    Ok(())
}

/// Copies a file of version `found` before it becomes one of version `target`; where to.
fn keep_copy(path: &Path, found: i64, target: i64) -> Result<Option<PathBuf>, Fault> {
    if found == 0 || found >= target {
        return Ok(None);
    }
    let kept = path.with_extension(format!("v{found}.backup"));
    if !kept.exists() {
        // A partial copy must not be taken for a whole one: it gets its name when it is whole.
        let partial = path.with_extension("copying");
        let named = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", kept.display()));
        if partial.exists() {
            fs::remove_file(&partial).map_err(named)?;
        }
        backup::copy(path, &partial)?;
        fs::rename(&partial, &kept).map_err(named)?;
    }
    Ok(Some(kept))
}

fn void_leases(state: &mut WriterState, now: Timestamp) -> Result<(), Fault> {
    state.begin()?;
    let outcome = state.void_leases(now).and_then(|lost| state.commit().map(|()| lost));
    match outcome {
        Ok(0) => Ok(()),
        Ok(lost) => {
            tracing::warn!(sessions = lost, "returned sessions to the queue that an earlier process had in a batch");
            Ok(())
        }
        Err(fault) => {
            state.rollback();
            Err(fault)
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, session: NewSession) -> StoreResult<Acceptance> {
        let hash = self.hasher.hash(&session.key);
        self.writer.execute(move |state| state.accept(&session, hash)).await
    }

    async fn claim(&self, request: ClaimRequest, now: Now) -> StoreResult<Option<Claim>> {
        self.writer.execute(move |state| state.claim(&request, now)).await
    }

    async fn renew(&self, lease: Lease, now: Now) -> StoreResult<()> {
        self.writer.execute(move |state| state.renew(lease, now)).await
    }

    async fn settle(&self, lease: Lease, settlement: Settlement, now: Now) -> StoreResult<SettleCounts> {
        self.writer.execute(move |state| state.settle(lease, &settlement, now)).await
    }

    async fn expire(&self, now: Now) -> StoreResult<u64> {
        self.writer.execute(move |state| state.expire(now)).await
    }

    async fn snapshot(&self) -> StoreResult<Snapshot> {
        self.read(read::snapshot).await
    }

    async fn session(&self, key: SessionKey) -> StoreResult<Lookup> {
        let hash = self.hasher.hash(&key);
        let recent = self.recent.clone();
        self.read(move |connection| read::session(connection, &recent, &key, hash)).await
    }

    async fn results(&self, query: ResultQuery) -> StoreResult<Page<ResultRow>> {
        let recent = self.recent.clone();
        let hash = query.user.as_ref().map(|user| self.hasher.hash_user(user));
        self.read(move |connection| {
            let of_user = hash.map(|hash| recent.candidates(connection, KeyKind::User, hash)).transpose()?;
            read::results(connection, &query, of_user)
        })
        .await
    }

    async fn batches(&self, before: Option<BatchId>, limit: u32) -> StoreResult<Vec<BatchRow>> {
        self.read(move |connection| read::batches(connection, before, limit)).await
    }

    async fn batch(&self, id: BatchId) -> StoreResult<Option<(BatchRow, Vec<BatchMember>)>> {
        self.read(move |connection| read::batch(connection, id)).await
    }

    async fn dead(&self, before: Option<Seq>, limit: u32) -> StoreResult<Vec<DeadRow>> {
        self.read(move |connection| read::dead(connection, before, limit)).await
    }

    async fn queued(&self, query: QueueQuery) -> StoreResult<Page<QueuedRow>> {
        self.read(move |connection| read::queued(connection, &query)).await
    }

    async fn requeue(&self, keys: Option<Vec<SessionKey>>, now: Now) -> StoreResult<u64> {
        if let Some(keys) = keys {
            return self.writer.execute(move |state| state.requeue_keys(&keys, now.wall)).await;
        }
        let last = self.writer.execute(|state| Ok(state.last_seq())).await?;
        self.repeat(move |state| state.requeue_step(last, now.wall)).await
    }

    async fn telemetry(&self, seqs: Vec<Seq>) -> StoreResult<Vec<Option<Vec<u8>>>> {
        self.read(move |connection| read::telemetry(connection, &seqs)).await
    }

    async fn keep_sketches(&self, sketches: Vec<NewSketch>) -> StoreResult<()> {
        if sketches.is_empty() {
            return Ok(());
        }
        self.writer.execute(move |state| state.keep_sketches(&sketches)).await
    }

    async fn sketches(&self, seqs: Vec<Seq>) -> StoreResult<Vec<Candidate>> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        self.read(move |connection| sketches::sketches(connection, &seqs)).await
    }

    async fn sketched(&self, after: SketchCursor, limit: u32) -> StoreResult<SketchPage> {
        self.read(move |connection| sketches::sketched(connection, after, limit)).await
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn uncompared(&self, limit: u32, _now: Now) -> StoreResult<Vec<Uncompared>> {
        self.read(move |connection| sketches::uncompared(connection, limit)).await
    }

    async fn compared(&self, compared: Vec<Compared>, again: Vec<Seq>, now: Now) -> StoreResult<u64> {
        self.writer.execute(move |state| state.compared(&compared, &again, now.wall)).await
    }

    async fn waiting_parties(&self) -> StoreResult<BTreeMap<Party, u64>> {
        self.read(read::waiting_parties).await
    }

    async fn comparison_backlog(&self) -> StoreResult<ComparisonBacklog> {
        self.read(sketches::backlog).await
    }

    async fn erase_session(&self, key: SessionKey, now: Now) -> StoreResult<bool> {
        let erased = self.writer.execute(move |state| state.erase_session(&key, now.wall)).await?;
        self.remove_traces().await?;
        Ok(erased)
    }

    async fn erase_user(&self, deployment: Option<String>, user: String, now: Now) -> StoreResult<u64> {
        let step = move |state: &mut WriterState| state.erase_user_step(deployment.as_deref(), &user, now.wall);
        let erased = self.repeat(step).await?;
        self.remove_traces().await?;
        Ok(erased)
    }

    async fn clear(&self, _now: Now) -> StoreResult<u64> {
        let last = self.writer.execute(|state| Ok(state.last_seq())).await?;
        let cleared = self.repeat(move |state| state.clear_step(last)).await?;
        self.remove_traces().await?;
        Ok(cleared)
    }

    async fn put_state(&self, key: String, value: Option<Vec<u8>>) -> StoreResult<()> {
        check_memory(&key, value.as_deref())?;
        self.writer.execute(move |state| memory::put(&state.connection, &key, value.as_deref())).await
    }

    async fn get_state(&self, key: String) -> StoreResult<Option<Vec<u8>>> {
        self.read(move |connection| memory::get(connection, &key)).await
    }

    async fn set_running(&self, running: bool) -> StoreResult<()> {
        self.writer
            .execute(move |state| {
                state.running = running;
                state.wake();
                Ok(())
            })
            .await
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> StoreResult<Pruned> {
        self.writer.execute(move |state| state.prune(retention, now)).await
    }

    async fn prune_deployment(
        &self,
        rule: DeploymentRetention,
        after: Timestamp,
        now: Timestamp,
    ) -> StoreResult<(Pruned, Timestamp)> {
        self.writer.execute(move |state| state.prune_deployment(&rule, after, now)).await
    }

    fn ready(&self) -> &Notify {
        &self.ready
    }

    async fn health(&self) -> StoreResult<()> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err(StoreError::Corrupt("a part of it could not be read; restore a backup".to_owned()));
        }
        self.writer.execute(WriterState::probe).await
    }

    // One process owns the folder, so who asks is the one node there is.
    async fn beat(&self, beat: Heartbeat) -> StoreResult<()> {
        let mut node = self.node.lock().unwrap_or_else(PoisonError::into_inner);
        let row = NodeRow {
            id: beat.id,
            version: beat.version,
            address: beat.address,
            started_at: beat.started_at,
            silent_for: Duration::ZERO,
            draining: beat.draining,
        };
        *node = (!beat.leaving).then(|| (row, Instant::now()));
        Ok(())
    }

    async fn nodes(&self) -> StoreResult<Vec<NodeRow>> {
        let node = self.node.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(node.into_iter().map(|(node, at)| NodeRow { silent_for: at.elapsed(), ..node }).collect())
    }

    async fn backup(&self, folder: PathBuf) -> StoreResult<()> {
        let data = self.folder.clone();
        let copied = tokio::task::spawn_blocking(move || backup(&data, &folder)).await;
        copied.map_err(|e| StoreError::Unavailable(e.to_string()))?
    }
}
