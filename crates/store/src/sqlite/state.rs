//! What the writer thread owns: the connection, the totals, the leases of this process, and the rules of room.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::checkpoint::{Checkpointer, LogLimits};
use super::connection::BUSY;
use super::fault::{DISK_FULL, Fault};
use super::keys::{self, KeyIndex};
use super::reserve::Reserve;
use super::rows;
use crate::buckets::BucketChanges;
use crate::encoding::KeyHasher;
use crate::{Counts, Member, StoreError};
use playproof_domain::id::LeaseToken;
use playproof_domain::queue::{Entry, State};
use playproof_domain::result::ModelIdentity;
use playproof_domain::time::Timestamp;
use playproof_domain::trend::DeviceClass;

/// Most sessions touched in one transaction of a long removal.
pub(super) const STEP: u32 = 500;

/// How much room there must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityLimits {
    /// Most waiting sessions.
    pub queue_limit: u64,
    /// Most bytes of data in the file; `None`: as much as the disk holds.
    pub store_limit: Option<u64>,
    /// Least bytes free on the disk.
    pub min_free_disk: u64,
}

/// One member of a lease.
#[derive(Clone, Debug)]
pub(super) struct LeasedMember {
    pub(super) entry: Entry,
    pub(super) deployment: String,
    pub(super) device: DeviceClass,
}

impl LeasedMember {
    pub(super) fn of(member: &Member) -> Self {
        let device = DeviceClass::of(&member.device_type);
        Self { entry: member.entry, deployment: member.key.deployment.clone(), device }
    }
}

/// A lease held in this process. Leases of an earlier process are void, so they need no place on disk.
#[derive(Clone, Debug)]
pub(super) struct HeldLease {
    pub(super) token: LeaseToken,
    pub(super) length: Duration,
    /// On the monotonic clock.
    pub(super) expires: Duration,
    /// Members that are not settled yet, by seq.
    pub(super) members: HashMap<i64, LeasedMember>,
}

/// What a rollback must bring back.
#[derive(Clone, Default)]
struct Saved {
    counts: Counts,
    running: bool,
    last_batch: Option<Timestamp>,
    leases: HashMap<i64, Arc<HeldLease>>,
    woken: bool,
}

pub(super) struct WriterState {
    pub(super) connection: Connection,
    pub(super) counts: Counts,
    /// What the present transaction changes of the counts by time.
    pub(super) buckets: BucketChanges,
    pub(super) running: bool,
    pub(super) last_batch: Option<Timestamp>,
    pub(super) leases: HashMap<i64, Arc<HeldLease>>,
    pub(super) room: CapacityLimits,
    saved: Saved,
    secret: KeyHasher,
    models: HashMap<ModelIdentity, i64>,
    pub(super) keys: KeyIndex,
    folder: PathBuf,
    woken: bool,
    room_checked: Option<std::time::Instant>,
    room_fault: Option<StoreError>,
    reserve: Reserve,
    complained: Option<std::time::Instant>,
    checkpointer: Option<Checkpointer>,
}

impl WriterState {
    pub(super) fn load(connection: Connection, folder: PathBuf, room: CapacityLimits) -> Result<Self, Fault> {
        let totals = "SELECT ready, leased, delayed, processed, failed, erased, pruned, accepted, running, last_batch \
                      FROM totals WHERE id = 1";
        let (counts, running, last_batch) = connection.query_row(totals, [], |row| {
            Ok((rows::counts(row)?, row.get("running")?, row.get::<_, Option<i64>>("last_batch")?))
        })?;
        let secret = keys::hasher(&connection)?;
        let keys = KeyIndex::load(&connection, rows::stored(counts.accepted))?;
        let reserve = Reserve::of(&folder);
        Ok(Self {
            connection,
            counts,
            buckets: BucketChanges::default(),
            running,
            last_batch: last_batch.map(Timestamp),
            leases: HashMap::new(),
            room,
            saved: Saved::default(),
            secret,
            models: HashMap::new(),
            keys,
            folder,
            woken: false,
            room_checked: None,
            room_fault: None,
            reserve,
            complained: None,
            checkpointer: None,
        })
    }

    pub(super) fn hasher(&self) -> KeyHasher {
        self.secret.clone()
    }

    pub(super) fn begin(&mut self) -> Result<(), Fault> {
        self.saved = Saved {
            counts: self.counts,
            running: self.running,
            last_batch: self.last_batch,
            leases: self.leases.clone(),
            woken: self.woken,
        };
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), Fault> {
        self.write_buckets()?;
        self.keys.write_piece(&self.connection, rows::stored(self.counts.accepted))?;
        let changed = self.counts != self.saved.counts
            || self.running != self.saved.running
            || self.last_batch != self.saved.last_batch;
        if changed {
            let c = self.counts;
            self.connection
                .prepare_cached(
                    "UPDATE totals SET ready = ?, leased = ?, delayed = ?, processed = ?, failed = ?, erased = ?, \
                     pruned = ?, accepted = ?, running = ?, last_batch = ? WHERE id = 1",
                )?
                .execute(params![
                    rows::stored(c.ready),
                    rows::stored(c.leased),
                    rows::stored(c.delayed),
                    rows::stored(c.processed),
                    rows::stored(c.failed),
                    rows::stored(c.erased),
                    rows::stored(c.pruned),
                    rows::stored(c.accepted),
                    self.running,
                    self.last_batch.map(|t| t.0),
                ])?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.keys.committed();
        Ok(())
    }

    pub(super) fn rollback(&mut self) {
        // After some errors SQLite has rolled back by itself; then this one finds no transaction, which is as well.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let saved = std::mem::take(&mut self.saved);
        self.counts = saved.counts;
        self.buckets.clear();
        self.running = saved.running;
        self.last_batch = saved.last_batch;
        self.leases = saved.leases;
        self.models.clear();
        self.keys.rolled_back();
        self.room_checked = None;
        self.woken = saved.woken;
    }

    /// Whether a failure may be logged: one line a second tells as much as a thousand.
    pub(super) fn may_complain(&mut self) -> bool {
        let quiet = self.complained.is_some_and(|at| at.elapsed() < Duration::from_secs(1));
        if !quiet {
            self.complained = Some(std::time::Instant::now());
        }
        !quiet
    }

    /// Says that sessions may have become claimable, to whoever waits, once the group is committed.
    pub(super) fn wake(&mut self) {
        self.woken = true;
    }

    pub(super) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    /// Moves the counts of one session between states; `None` is "not in the store".
    pub(super) fn count(&mut self, from: Option<State>, to: Option<State>) {
        if let Some(slot) = from.map(|state| self.slot(state)) {
            *slot = slot.saturating_sub(1);
        }
        if let Some(slot) = to.map(|state| self.slot(state)) {
            *slot += 1;
        }
        if matches!(to, Some(State::Ready | State::Delayed)) {
            self.woken = true;
        }
    }

    fn slot(&mut self, state: State) -> &mut u64 {
        match state {
            State::Ready => &mut self.counts.ready,
            State::Leased => &mut self.counts.leased,
            State::Delayed => &mut self.counts.delayed,
            State::Processed => &mut self.counts.processed,
            State::Failed => &mut self.counts.failed,
        }
    }

    /// The number of a model, stored once.
    pub(super) fn model(&mut self, model: &ModelIdentity) -> Result<i64, Fault> {
        if let Some(id) = self.models.get(model) {
            return Ok(*id);
        }
        let find = "SELECT id FROM models WHERE name = ? AND version = ?";
        let found = self.connection.query_row(find, params![model.id, model.version], |row| row.get(0)).optional()?;
        let id = if let Some(id) = found {
            id
        } else {
            let insert = "INSERT INTO models (name, version) VALUES (?, ?)";
            self.connection.execute(insert, params![model.id, model.version])?;
            self.connection.last_insert_rowid()
        };
        self.models.insert(model.clone(), id);
        Ok(id)
    }

    /// Refuses new sessions while the disk or the store's own limit leaves no room. Looked at twice a second: a check
    /// for each session would cost more than storing it.
    pub(super) fn check_room(&mut self) -> Result<(), Fault> {
        let fresh = self.room_checked.is_some_and(|at| at.elapsed() < Duration::from_millis(500));
        if !fresh {
            self.room_checked = Some(std::time::Instant::now());
            self.room_fault = self.room_fault()?;
        }
        self.room_fault.clone().map_or(Ok(()), |fault| Err(fault.into()))
    }

    fn room_fault(&mut self) -> Result<Option<StoreError>, Fault> {
        let usage = self.usage()?;
        self.reserve.hold(usage.disk_free);
        if let Some(limit) = self.room.store_limit
            && usage.data >= limit
        {
            let message =
                format!("it holds {} of {limit} bytes; raise PLAYPROOF_STORE_LIMIT or shorten retention", usage.data);
            return Ok(Some(StoreError::Full(message)));
        }
        if usage.disk_free.saturating_add(usage.reusable) < self.room.min_free_disk {
            let message = format!(
                "{} bytes are free on the disk, fewer than PLAYPROOF_MIN_FREE_DISK; free some space",
                usage.disk_free
            );
            return Ok(Some(StoreError::Full(message)));
        }
        if self.reserve.is_spent() {
            return Ok(Some(StoreError::Full(DISK_FULL.to_owned())));
        }
        Ok(None)
    }

    /// Whether the disk is full and what was held for that is spent: what can wait for room does.
    pub(super) fn is_out_of_room(&mut self) -> Result<bool, Fault> {
        match self.check_room() {
            Err(Fault::Store(StoreError::Full(_))) => Ok(self.reserve.is_spent()),
            checked => checked.map(|()| false),
        }
    }

    /// Makes the room that is held for a full disk free, for all but new sessions; `false` where there is none.
    pub(super) fn spend_reserve(&mut self) -> bool {
        self.recheck_room();
        let spent = self.reserve.spend();
        if spent {
            tracing::warn!("the disk is full; erasure goes on in the room that was held for it, sessions wait");
        }
        spent
    }

    /// Looks at the room again before the next session: something was removed.
    pub(super) fn recheck_room(&mut self) {
        self.room_checked = None;
    }

    /// Writes something small, which fails where nothing can be written.
    pub(super) fn probe(&mut self) -> Result<(), Fault> {
        self.check_room()?;
        self.connection.prepare_cached("UPDATE totals SET running = running WHERE id = 1")?.execute([])?;
        Ok(())
    }

    /// Whether telemetry of finished sessions should go early because room is short.
    pub(super) fn is_short_of_room(&self) -> Result<bool, Fault> {
        let usage = self.usage()?;
        // A twentieth below the limit: pruning starts before intake has to refuse.
        let near = self.room.store_limit.is_some_and(|limit| usage.data >= limit - limit / 20);
        Ok(near || usage.disk_free.saturating_add(usage.reusable) < self.room.min_free_disk)
    }

    fn usage(&self) -> Result<Usage, Fault> {
        let pragma = |name: &str| -> Result<u64, Fault> {
            let value: i64 = self.connection.pragma_query_value(None, name, |row| row.get(0))?;
            Ok(value.unsigned_abs())
        };
        let (size, pages, free) = (pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?);
        let disk_free = match rustix::fs::statvfs(&self.folder) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
            Err(error) => return Err(StoreError::Unavailable(format!("the data folder: {error}")).into()),
        };
        Ok(Usage { data: (pages - free) * size, reusable: free * size, disk_free })
    }

    /// Moves the write-ahead log into the file and empties it, so that erased bytes are in neither. `false` when a
    /// reader holds it.
    pub(super) fn empty_log(&mut self) -> Result<bool, Fault> {
        match self.try_empty_log() {
            Err(fault) if fault.is_full_disk() && self.spend_reserve() => self.try_empty_log(),
            emptied => emptied,
        }
    }

    fn try_empty_log(&self) -> Result<bool, Fault> {
        // Not a moment's wait for readers here: everybody's writes would wait along.
        self.connection.busy_timeout(Duration::ZERO)?;
        let empty = || self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        let busy = match &self.checkpointer {
            Some(checkpointer) => checkpointer.while_held(empty),
            None => empty(),
        };
        self.connection.busy_timeout(BUSY)?;
        Ok(busy? == 0)
    }

    /// From now on has the log moved into the file at `path` by a thread of its own.
    pub(super) fn move_log_beside(&mut self, path: &Path) -> Result<(), Fault> {
        self.checkpointer = Some(Checkpointer::start(&mut self.connection, path, LogLimits::default())?);
        Ok(())
    }

    /// Moves the last pages of a long log, where the thread that moves the others asks for it.
    pub(super) fn finish_checkpoint(&self) {
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.finish(&self.connection);
        }
    }

    pub(super) fn close(mut self) {
        // Two cannot move the log at once.
        drop(self.checkpointer.take());
        let _ = self.empty_log();
        let _ = self.connection.close();
    }
}

struct Usage {
    data: u64,
    reusable: u64,
    disk_free: u64,
}
