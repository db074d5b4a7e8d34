//! Which sketches have which key: an index that is written in sorted runs, as that of the session keys is.
//!
//! Keys are as good as random, so new ones wait in memory, bounded, and go to the table in order, a piece with each
//! group. What had not gone when the process ended is read from the sketches that still wait.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::rows;
use crate::domain::id::{Seq, SessionId};
use crate::domain::sketch::{Ballot, Entry, Probe, ROWS, Sketch};
use crate::store::{Candidate, NewSketch};

/// Keys in memory from which a run starts; with those that come while it is written, some 20 MB.
const RUN: usize = 262_144;
/// Keys of a run written with one group: more than a group brings.
const PIECE: usize = 4_096;

/// Key, session and span.
type Row = (u32, i64, u32);

/// Rows that may not be in the table yet; shared with the readers.
#[derive(Clone, Default)]
pub(super) struct RecentSketches(Arc<Mutex<BTreeSet<Row>>>);

impl RecentSketches {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The windows kept under a key. Memory comes first: what leaves it is in the table already.
    fn found(&self, connection: &Connection, key: u32, found: &mut Vec<(i64, u16, u16)>) -> Result<(), Fault> {
        found.clear();
        let window = |session: i64, span: u32| {
            let [a, b, c, d] = span.to_be_bytes();
            (session, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        };
        let recent = self.lock();
        let range = recent.range((key, i64::MIN, 0)..=(key, i64::MAX, u32::MAX));
        found.extend(range.rev().take(ROWS).map(|(_, session, span)| window(*session, *span)));
        drop(recent);
        let in_memory = found.len();
        let mut statement = connection
            .prepare_cached("SELECT session, span FROM sketch_keys WHERE key = ? ORDER BY session DESC LIMIT ?")?;
        let mut rows = statement.query(params![key, i64::try_from(ROWS - in_memory).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let row = window(row.get(0)?, row.get(1)?);
            if !found[..in_memory].contains(&row) {
                found.push(row);
            }
        }
        Ok(())
    }

    /// The candidates for one movement.
    pub(super) fn candidates(&self, connection: &Connection, probes: &[Probe]) -> Result<Vec<Candidate>, Fault> {
        let mut ballot = Ballot::default();
        let mut found = Vec::new();
        for probe in probes {
            self.found(connection, probe.key, &mut found)?;
            ballot.add(probe.window, &found);
        }
        let mut statement = connection.prepare_cached(
            "SELECT k.sketch, s.user FROM sketches k JOIN sessions s ON s.seq = k.session WHERE k.session = ?",
        )?;
        let mut candidates = Vec::new();
        for (session, hits) in ballot.elected() {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            if let Some((sketch, user_id)) = statement.query_row([session], read).optional()? {
                candidates.push(Candidate { seq: Seq(session), user_id, sketch: Sketch::from_bytes(sketch), hits });
            }
        }
        Ok(candidates)
    }
}

/// The writer's side of the index.
#[derive(Default)]
pub(super) struct SketchIndex {
    recent: RecentSketches,
    /// What is left of the run under way, in order, and the sketches it is of.
    run: VecDeque<Row>,
    run_of: BTreeSet<i64>,
    /// Since the transaction began: new rows, rows of removed sessions, and rows that went to the table.
    added: Vec<Row>,
    removed: BTreeSet<Row>,
    written: Vec<Row>,
}

impl SketchIndex {
    /// The index as an earlier process left it.
    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        let index = Self::default();
        let mut statement = connection
            .prepare("SELECT k.session, k.entries FROM sketches_waiting w JOIN sketches k USING (session)")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let session = row.get(0)?;
            index.recent.lock().extend(decode(&row.get::<_, Vec<u8>>(1)?).map(|(key, span)| (key, session, span)));
        }
        Ok(index)
    }

    pub(super) fn recent(&self) -> RecentSketches {
        self.recent.clone()
    }

    /// Keeps a sketch and whom it matches.
    pub(super) fn keep(&mut self, connection: &Connection, new: &NewSketch) -> Result<(), Fault> {
        let session = new.seq.0;
        connection
            .prepare_cached("INSERT INTO sketches (session, sketch, entries) VALUES (?, ?, ?)")?
            .execute(params![session, new.sketch.bytes(), encode(&new.entries)])?;
        connection.prepare_cached("INSERT INTO sketches_waiting (session) VALUES (?)")?.execute([session])?;
        for (place, other) in (0i64..).zip(&new.matches) {
            // Only those still there: one may have been erased since it was found.
            connection
                .prepare_cached(
                    "INSERT INTO matches (session, place, other) SELECT ?1, ?2, seq FROM sessions WHERE seq = ?3",
                )?
                .execute(params![session, place, other.0])?;
        }
        for entry in &new.entries {
            let row = (entry.key, session, span(*entry));
            if self.recent.lock().insert(row) {
                self.added.push(row);
            }
        }
        Ok(())
    }

    /// Removes every trace of a session's sketch, and its name from the results of others.
    pub(super) fn forget(&mut self, connection: &Connection, session: i64) -> Result<(), Fault> {
        connection.prepare_cached("DELETE FROM matches WHERE session = ?")?.execute([session])?;
        connection.prepare_cached("DELETE FROM matches WHERE other = ?")?.execute([session])?;
        let mut delete = connection.prepare_cached("DELETE FROM sketches WHERE session = ? RETURNING entries")?;
        let entries = rows::collect(&mut delete, [session], |row| Ok(row.get::<_, Vec<u8>>(0)?))?;
        for (key, span) in entries.iter().flat_map(|entries| decode(entries)) {
            connection
                .prepare_cached("DELETE FROM sketch_keys WHERE key = ? AND session = ? AND span = ?")?
                .execute(params![key, session, span])?;
            self.removed.insert((key, session, span));
        }
        connection.prepare_cached("DELETE FROM sketches_waiting WHERE session = ?")?.execute([session])?;
        Ok(())
    }

    /// Writes a piece of the run under way, starting one when enough rows wait; part of every transaction.
    pub(super) fn write_piece(&mut self, connection: &Connection) -> Result<(), Fault> {
        if self.run.is_empty() {
            let recent = self.recent.lock();
            if recent.len() < RUN {
                return Ok(());
            }
            self.run = recent.iter().copied().collect();
            self.run_of = self.run.iter().map(|(_, session, _)| *session).collect();
        }
        let mut insert =
            connection.prepare_cached("INSERT OR IGNORE INTO sketch_keys (key, session, span) VALUES (?, ?, ?)")?;
        for row in self.run.drain(..PIECE.min(self.run.len())) {
            // A session removed since the run began must not come back.
            if self.recent.lock().contains(&row) && !self.removed.contains(&row) {
                insert.execute(params![row.0, row.1, row.2])?;
                self.written.push(row);
            }
        }
        if self.run.is_empty() {
            let mut done = connection.prepare_cached("DELETE FROM sketches_waiting WHERE session = ?")?;
            for session in std::mem::take(&mut self.run_of) {
                done.execute([session])?;
            }
        }
        Ok(())
    }

    /// The transaction is on disk: what went to the table leaves the memory.
    pub(super) fn committed(&mut self) {
        let mut recent = self.recent.lock();
        for row in self.written.drain(..).chain(std::mem::take(&mut self.removed)) {
            recent.remove(&row);
        }
        self.added.clear();
    }

    /// The transaction never was.
    pub(super) fn rolled_back(&mut self) {
        let mut recent = self.recent.lock();
        self.removed.clear();
        for row in self.added.drain(..) {
            recent.remove(&row);
        }
        // A run is started over: writing a row twice changes nothing.
        self.run.clear();
        self.written.clear();
    }
}

/// The sessions that a result names as having the same movement.
pub(super) fn matches(connection: &Connection, session: i64) -> Result<Vec<SessionId>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT s.deployment, s.id FROM matches m JOIN sessions s ON s.seq = m.other WHERE m.session = ? ORDER BY m.place",
    )?;
    rows::collect(&mut statement, [session], |row| Ok(rows::key(row, "deployment", "id")?.id))
}

fn span(entry: Entry) -> u32 {
    u32::from(entry.begin) << 16 | u32::from(entry.end)
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| [entry.key.to_le_bytes(), span(*entry).to_le_bytes()].concat()).collect()
}

fn decode(entries: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap_or_default());
    entries.chunks_exact(8).map(move |entry| (number(&entry[..4]), number(&entry[4..])))
}
