//! Which sessions have which key, and which user: an index by keyed hash that is written in sorted runs.
//!
//! Hashes are random, so an index kept up to date with every session would dirty a page of its own for each. New keys
//! therefore wait in memory, and now and then all that wait go to the table in order, a piece with each group, so that a
//! page is written once for many of them. What had not gone yet when the process ended is read from the sessions again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};

use super::fault::Fault;
use crate::encoding::KeyHasher;

/// Keys in memory from which a run starts.
const RUN: usize = 16_384;
/// Keys of a run written with one group.
const CHUNK: usize = 512;

/// Keys that may not be in the table yet, as (hash, session); shared with the readers.
#[derive(Clone, Default)]
pub(super) struct RecentKeys(Arc<Mutex<BTreeSet<(i64, i64)>>>);

impl RecentKeys {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<(i64, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions whose key or user may have this hash. Memory comes first: what leaves it is in the table already.
    pub(super) fn candidates(&self, connection: &Connection, hash: i64) -> Result<Vec<i64>, Fault> {
        let mut found: Vec<i64> = self.lock().range((hash, i64::MIN)..=(hash, i64::MAX)).map(|(_, seq)| *seq).collect();
        // In order, as the range is.
        let recent = found.clone();
        let mut statement = connection.prepare_cached("SELECT seq FROM keys WHERE hash = ?")?;
        let mut rows = statement.query([hash])?;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            if recent.binary_search(&seq).is_err() {
                found.push(seq);
            }
        }
        Ok(found)
    }
}

/// The writer's side of the index.
#[derive(Default)]
pub(super) struct KeyIndex {
    recent: RecentKeys,
    /// What is left of the run under way, in order.
    run: VecDeque<(i64, i64)>,
    /// The last session of the run under way.
    run_end: i64,
    /// Every session up to this one is in the table.
    indexed: i64,
    /// Since the transaction began: new keys, keys of removed sessions, and keys that went to the table.
    added: Vec<(i64, i64)>,
    removed: BTreeSet<(i64, i64)>,
    written: Vec<(i64, i64)>,
}

impl KeyIndex {
    /// The index as an earlier process left it.
    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        let indexed = connection.query_row("SELECT indexed FROM totals WHERE id = 1", [], |row| row.get(0))?;
        let index = Self { indexed, ..Self::default() };
        let hasher = hasher(connection)?;
        let mut statement = connection.prepare("SELECT seq, id_hash, user FROM sessions WHERE seq > ?")?;
        let mut rows = statement.query([indexed])?;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            let mut recent = index.recent.lock();
            recent.insert((row.get(1)?, seq));
            if let Some(user) = row.get::<_, Option<String>>(2)? {
                recent.insert((hasher.hash_user(&user), seq));
            }
        }
        Ok(index)
    }

    pub(super) fn recent(&self) -> RecentKeys {
        self.recent.clone()
    }

    pub(super) fn add(&mut self, hash: i64, seq: i64) {
        self.recent.lock().insert((hash, seq));
        self.added.push((hash, seq));
    }

    pub(super) fn remove(&mut self, connection: &Connection, hash: i64, seq: i64) -> Result<(), Fault> {
        connection.prepare_cached("DELETE FROM keys WHERE hash = ? AND seq = ?")?.execute([hash, seq])?;
        // It stays in memory until the removal is on disk: a reader must find the session or learn that it was erased.
        self.removed.insert((hash, seq));
        Ok(())
    }

    /// Writes a piece of the run under way, starting one when enough keys wait; part of every transaction.
    pub(super) fn write_piece(&mut self, connection: &Connection, last_seq: i64) -> Result<(), Fault> {
        if self.run.is_empty() {
            let recent = self.recent.lock();
            if recent.len() < RUN {
                return Ok(());
            }
            self.run = recent.iter().copied().collect();
            self.run_end = last_seq;
        }
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO keys (hash, seq) VALUES (?, ?)")?;
        for key in self.run.drain(..CHUNK.min(self.run.len())) {
            // A session removed since the run began must not come back.
            if self.recent.lock().contains(&key) && !self.removed.contains(&key) {
                insert.execute(params![key.0, key.1])?;
                self.written.push(key);
            }
        }
        if self.run.is_empty() {
            self.indexed = self.run_end;
            connection.prepare_cached("UPDATE totals SET indexed = ? WHERE id = 1")?.execute([self.indexed])?;
        }
        Ok(())
    }

    /// The transaction is on disk: what went to the table leaves the memory.
    pub(super) fn committed(&mut self) {
        let mut recent = self.recent.lock();
        for key in self.written.drain(..).chain(std::mem::take(&mut self.removed)) {
            recent.remove(&key);
        }
        self.added.clear();
    }

    /// The transaction never was.
    pub(super) fn rolled_back(&mut self) {
        let mut recent = self.recent.lock();
        self.removed.clear();
        for key in self.added.drain(..) {
            recent.remove(&key);
        }
        // A run is started over: writing a key twice changes nothing.
        self.run.clear();
        self.written.clear();
    }
}

/// The hasher with the file's secret.
pub(super) fn hasher(connection: &Connection) -> Result<KeyHasher, Fault> {
    let secret: Vec<u8> = connection.query_row("SELECT value FROM meta WHERE name = 'secret'", [], |row| row.get(0))?;
    Ok(KeyHasher::new(&secret)?)
}
