//! Which sessions have which key, and which user: an index by keyed hash that is written in sorted runs.
//!
//! Hashes are random, so an index kept up to date with every session would dirty a page of its own for each. New keys
//! therefore wait in memory, and now and then all that wait go to the table in order, a piece with each group, so that a
//! page is written once for many of them. What had not gone yet when the process ended is read from the sessions again.
//!
//! The table is in segments of a million sessions, the time before the hash: a run goes into a part of bounded size, so
//! that it dirties as few pages after years as on the first day. A segment that gets no more keys is sealed with a filter
//! of its sessions' hashes, kept in memory and in the file: a look-up reads the segment that is being filled, and of the
//! others almost only the one that has the key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::key_filter::KeyFilter;
use crate::encoding::KeyHasher;

/// Keys in memory from which a run starts.
const RUN: usize = 16_384;
/// Keys of a run written with one group.
const CHUNK: usize = 512;
/// Sessions of a segment, as a power of two.
const SEGMENT_BITS: u32 = 20;
/// Sessions whose keys are written at once when a file is opened whose index is far behind.
const CATCH_UP: i64 = 200_000;

/// What a hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyKind {
    /// Deployment and identifier of a session.
    Session,
    /// A user.
    User,
}

impl KeyKind {
    fn number(self) -> i64 {
        match self {
            Self::Session => 0,
            Self::User => 1,
        }
    }
}

/// An entry of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: KeyKind,
    pub(super) hash: i64,
    pub(super) seq: i64,
}

impl Key {
    fn segment(self) -> i64 {
        self.seq >> SEGMENT_BITS
    }
}

/// Keys that may not be in the table yet, and the segments of the table; shared with the readers.
#[derive(Clone, Default)]
pub(super) struct RecentKeys(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    recent: BTreeSet<Key>,
    /// Those of the table that hold keys, with the filter of a sealed one.
    segments: BTreeMap<i64, Option<Arc<KeyFilter>>>,
}

impl RecentKeys {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sessions whose key or user may have this hash. Memory comes first: what leaves it is in the table already.
    pub(super) fn candidates(&self, connection: &Connection, kind: KeyKind, hash: i64) -> Result<Vec<i64>, Fault> {
        let (mut found, segments): (Vec<i64>, Vec<i64>) = {
            let shared = self.lock();
            let range = Key { kind, hash, seq: i64::MIN }..=Key { kind, hash, seq: i64::MAX };
            let may_hold = |filter: &Option<Arc<KeyFilter>>| match (kind, filter) {
                (KeyKind::Session, Some(filter)) => filter.may_hold(hash),
                (KeyKind::Session, None) | (KeyKind::User, _) => true,
            };
            let segments = shared.segments.iter().filter(|(_, filter)| may_hold(filter)).map(|(segment, _)| *segment);
            (shared.recent.range(range).map(|key| key.seq).collect(), segments.collect())
        };
        // In order, as the range is.
        let recent = found.clone();
        let sql = "SELECT seq FROM keys WHERE kind = ? AND segment = ? AND hash = ?";
        let mut statement = connection.prepare_cached(sql)?;
        for segment in segments {
            let mut rows = statement.query([kind.number(), segment, hash])?;
            while let Some(row) = rows.next()? {
                let seq = row.get(0)?;
                if recent.binary_search(&seq).is_err() {
                    found.push(seq);
                }
            }
        }
        Ok(found)
    }
}

/// The writer's side of the index.
#[derive(Default)]
pub(super) struct KeyIndex {
    recent: RecentKeys,
    /// What is left of the run under way, in the table's order.
    run: VecDeque<Key>,
    /// The last session of the run under way.
    run_end: i64,
    /// Every session up to this one is in the table.
    indexed: i64,
    /// Since the transaction began: new keys, keys of removed sessions, keys that went to the table, and segments that
    /// were sealed.
    added: Vec<Key>,
    removed: BTreeSet<Key>,
    written: Vec<Key>,
    sealed: Vec<(i64, KeyFilter)>,
    /// Segments before this one are empty since the transaction began.
    empty_before: Option<i64>,
}

impl KeyIndex {
    /// The index as an earlier process left it, or as a file of an earlier version is brought to it.
    pub(super) fn load(connection: &Connection, last_seq: i64) -> Result<Self, Fault> {
        let indexed = connection.query_row("SELECT indexed FROM totals WHERE id = 1", [], |row| row.get(0))?;
        let mut index = Self { indexed, ..Self::default() };
        let hasher = hasher(connection)?;
        index.load_segments(connection)?;
        while last_seq - index.indexed > CATCH_UP {
            let until = index.indexed + CATCH_UP;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let keys = keys_of(connection, &hasher, index.indexed, until)?;
            let written = index.write_all(connection, keys, until);
            connection.execute_batch(if written.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
            written?;
            index.committed();
        }
        let keys = keys_of(connection, &hasher, index.indexed, i64::MAX)?;
        index.recent.lock().recent.extend(keys);
        Ok(index)
    }

    fn load_segments(&self, connection: &Connection) -> Result<(), Fault> {
        let next = "SELECT segment FROM keys WHERE kind = ? AND segment > ? ORDER BY kind, segment LIMIT 1";
        let mut next = connection.prepare(next)?;
        let mut filter = connection.prepare("SELECT filter FROM key_filters WHERE segment = ?")?;
        let mut segment = i64::MIN;
        while let Some(found) = next.query_row([KeyKind::Session.number(), segment], |row| row.get(0)).optional()? {
            segment = found;
            let bytes: Option<Vec<u8>> = filter.query_row([segment], |row| row.get(0)).optional()?;
            let filter = bytes.map(|bytes| KeyFilter::from_bytes(&bytes)).transpose()?;
            self.recent.lock().segments.insert(segment, filter.map(Arc::new));
        }
        Ok(())
    }

    pub(super) fn recent(&self) -> RecentKeys {
        self.recent.clone()
    }

    pub(super) fn add(&mut self, key: Key) {
        self.recent.lock().recent.insert(key);
        self.added.push(key);
    }

    pub(super) fn remove(&mut self, connection: &Connection, key: Key) -> Result<(), Fault> {
        let sql = "DELETE FROM keys WHERE kind = ? AND segment = ? AND hash = ? AND seq = ?";
        connection.prepare_cached(sql)?.execute([key.kind.number(), key.segment(), key.hash, key.seq])?;
        // It stays in memory until the removal is on disk: a reader must find the session or learn that it was erased.
        self.removed.insert(key);
        Ok(())
    }

    /// Writes a piece of the run under way, starting one when enough keys wait; part of every transaction.
    pub(super) fn write_piece(&mut self, connection: &Connection, last_seq: i64) -> Result<(), Fault> {
        if self.run.is_empty() {
            let shared = self.recent.lock();
            if shared.recent.len() < RUN {
                return Ok(());
            }
            let run = shared.recent.iter().copied().collect();
            self.run = in_order(run).into();
            self.run_end = last_seq;
        }
        let mut insert = connection.prepare_cached(INSERT)?;
        for key in self.run.drain(..CHUNK.min(self.run.len())) {
            // A session removed since the run began must not come back.
            if self.recent.lock().recent.contains(&key) && !self.removed.contains(&key) {
                insert.execute([key.kind.number(), key.segment(), key.hash, key.seq])?;
                self.written.push(key);
            }
        }
        if self.run.is_empty() {
            self.has_indexed(connection, self.run_end)?;
        }
        Ok(())
    }

    /// Writes keys of all sessions up to `last_seq` at once, those that don't wait in memory.
    pub(super) fn write_all(&mut self, connection: &Connection, keys: Vec<Key>, last_seq: i64) -> Result<(), Fault> {
        let mut insert = connection.prepare_cached(INSERT)?;
        for key in in_order(keys) {
            insert.execute([key.kind.number(), key.segment(), key.hash, key.seq])?;
            self.written.push(key);
        }
        self.has_indexed(connection, last_seq)
    }

    /// Every session up to `last_seq` is in the table now, so the segments before its own get no more keys.
    fn has_indexed(&mut self, connection: &Connection, last_seq: i64) -> Result<(), Fault> {
        self.indexed = last_seq;
        connection.prepare_cached("UPDATE totals SET indexed = ? WHERE id = 1")?.execute([last_seq])?;
        let current = (last_seq + 1) >> SEGMENT_BITS;
        let mut complete: BTreeSet<i64> = self.written.iter().map(|key| key.segment()).collect();
        complete.extend(self.recent.lock().segments.iter().filter(|(_, filter)| filter.is_none()).map(|(at, _)| *at));
        for segment in complete.into_iter().filter(|segment| *segment < current) {
            let mut statement = connection.prepare_cached("SELECT hash FROM keys WHERE kind = ? AND segment = ?")?;
            let hashes = statement.query_map([KeyKind::Session.number(), segment], |row| row.get(0))?;
            let filter = KeyFilter::of(&hashes.collect::<Result<Vec<i64>, _>>()?);
            let sql = "INSERT OR REPLACE INTO key_filters (segment, filter) VALUES (?, ?)";
            connection.prepare_cached(sql)?.execute(params![segment, filter.to_bytes()])?;
            self.sealed.push((segment, filter));
        }
        Ok(())
    }

    /// Forgets the segments whose sessions are all gone, where `oldest` is the first session there is.
    pub(super) fn forget_before(&mut self, connection: &Connection, oldest: i64) -> Result<(), Fault> {
        let oldest = oldest >> SEGMENT_BITS;
        if self.recent.lock().segments.first_key_value().is_some_and(|(segment, _)| *segment < oldest) {
            connection.prepare_cached("DELETE FROM key_filters WHERE segment < ?")?.execute([oldest])?;
            self.empty_before = Some(oldest);
        }
        Ok(())
    }

    /// The transaction is on disk: what went to the table leaves the memory.
    pub(super) fn committed(&mut self) {
        let mut shared = self.recent.lock();
        if let Some(oldest) = self.empty_before.take() {
            shared.segments.retain(|segment, _| *segment >= oldest);
        }
        for key in &self.written {
            shared.segments.entry(key.segment()).or_default();
        }
        for (segment, filter) in self.sealed.drain(..) {
            shared.segments.insert(segment, Some(Arc::new(filter)));
        }
        for key in self.written.drain(..).chain(std::mem::take(&mut self.removed)) {
            shared.recent.remove(&key);
        }
        self.added.clear();
    }

    /// The transaction never was.
    pub(super) fn rolled_back(&mut self) {
        let mut shared = self.recent.lock();
        self.removed.clear();
        for key in self.added.drain(..) {
            shared.recent.remove(&key);
        }
        // A run is started over: writing a key twice changes nothing.
        self.run.clear();
        self.written.clear();
        self.sealed.clear();
        self.empty_before = None;
    }
}

const INSERT: &str = "INSERT OR IGNORE INTO keys (kind, segment, hash, seq) VALUES (?, ?, ?, ?)";

/// Keys in the order of the table.
fn in_order(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_unstable_by_key(|key| (key.kind, key.segment(), key.hash, key.seq));
    keys
}

/// The keys of the sessions after one and up to another.
fn keys_of(connection: &Connection, hasher: &KeyHasher, after: i64, until: i64) -> Result<Vec<Key>, Fault> {
    let mut keys = Vec::new();
    let mut statement = connection.prepare("SELECT seq, id_hash, user FROM sessions WHERE seq > ? AND seq <= ?")?;
    let mut rows = statement.query([after, until])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        keys.push(Key { kind: KeyKind::Session, hash: row.get(1)?, seq });
        if let Some(user) = row.get::<_, Option<String>>(2)? {
            keys.push(Key { kind: KeyKind::User, hash: hasher.hash_user(&user), seq });
        }
    }
    Ok(keys)
}

/// The hasher with the file's secret.
pub(super) fn hasher(connection: &Connection) -> Result<KeyHasher, Fault> {
    let secret: Vec<u8> = connection.query_row("SELECT value FROM meta WHERE name = 'secret'", [], |row| row.get(0))?;
    Ok(KeyHasher::new(&secret)?)
}
