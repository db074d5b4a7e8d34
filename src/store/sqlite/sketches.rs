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
use crate::domain::sketch::{Ballot, ROWS, Sketch};
use crate::store::{Candidate, NewSketch};

/// Keys in memory from which a run starts; with those that come while it is written, some 20 MB.
const RUN: usize = 262_144;
/// Keys of a run written with one group: more than a group brings.
const PIECE: usize = 4_096;

/// Key and session.
type Row = (i32, i64);

/// Rows that may not be in the table yet; shared with the readers.
#[derive(Clone, Default)]
pub(super) struct RecentSketches(Arc<Mutex<BTreeSet<Row>>>);

impl RecentSketches {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest sessions kept under a key. Memory comes first: what leaves it is in the table already.
    fn found(&self, connection: &Connection, key: i32, found: &mut Vec<i64>) -> Result<(), Fault> {
        found.clear();
        let recent = self.lock();
        found.extend(recent.range((key, i64::MIN)..=(key, i64::MAX)).rev().take(ROWS).map(|(_, session)| *session));
        drop(recent);
        let in_memory = found.len();
        if in_memory == ROWS {
            return Ok(());
        }
        let mut statement =
            connection.prepare_cached("SELECT session FROM sketch_keys WHERE key = ? ORDER BY session DESC LIMIT ?")?;
        let mut rows = statement.query(params![key, i64::try_from(ROWS).unwrap_or(i64::MAX)])?;
        while let (true, Some(row)) = (found.len() < ROWS, rows.next()?) {
            let session = row.get(0)?;
            if !found[..in_memory].contains(&session) {
                found.push(session);
            }
        }
        Ok(())
    }

    /// The candidates for one movement.
    pub(super) fn candidates(&self, connection: &Connection, keys: &[u32]) -> Result<Vec<Candidate>, Fault> {
        let mut ballot = Ballot::default();
        let mut found = Vec::new();
        for key in keys {
            self.found(connection, key.cast_signed(), &mut found)?;
            ballot.add(found.iter().copied());
        }
        let mut statement = connection.prepare_cached(
            "SELECT k.sketch, s.user FROM sketches k JOIN sessions s ON s.seq = k.session WHERE k.session = ?",
        )?;
        let mut candidates = Vec::new();
        for session in ballot.elected() {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            if let Some((sketch, user_id)) = statement.query_row([session], read).optional()? {
                candidates.push(Candidate { seq: Seq(session), user_id, sketch: Sketch::from_bytes(sketch) });
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
        let mut statement =
            connection.prepare("SELECT k.session, k.sketch FROM sketches_waiting w JOIN sketches k USING (session)")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let session = row.get(0)?;
            index.recent.lock().extend(keys(&Sketch::from_bytes(row.get(1)?)).map(|key| (key, session)));
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
            .prepare_cached("INSERT INTO sketches (session, sketch) VALUES (?, ?)")?
            .execute(params![session, new.sketch.bytes()])?;
        connection.prepare_cached("INSERT INTO sketches_waiting (session) VALUES (?)")?.execute([session])?;
        for (place, other) in (0i64..).zip(&new.matches) {
            // Only those still there: one may have been erased since it was found.
            connection
                .prepare_cached(
                    "INSERT INTO matches (session, place, other) SELECT ?1, ?2, seq FROM sessions WHERE seq = ?3",
                )?
                .execute(params![session, place, other.0])?;
        }
        let mut recent = self.recent.lock();
        self.added.extend(keys(&new.sketch).map(|key| (key, session)).filter(|row| recent.insert(*row)));
        Ok(())
    }

    /// Removes every trace of a session's sketch, and its name from the results of others.
    pub(super) fn forget(&mut self, connection: &Connection, session: i64) -> Result<(), Fault> {
        connection.prepare_cached("DELETE FROM matches WHERE session = ?")?.execute([session])?;
        connection.prepare_cached("DELETE FROM matches WHERE other = ?")?.execute([session])?;
        let mut delete = connection.prepare_cached("DELETE FROM sketches WHERE session = ? RETURNING sketch")?;
        let kept = rows::collect(&mut delete, [session], |row| Ok(Sketch::from_bytes(row.get(0)?)))?;
        for key in kept.iter().flat_map(keys) {
            connection
                .prepare_cached("DELETE FROM sketch_keys WHERE key = ? AND session = ?")?
                .execute(params![key, session])?;
            self.removed.insert((key, session));
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
            self.run_of = self.run.iter().map(|(_, session)| *session).collect();
        }
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO sketch_keys (key, session) VALUES (?, ?)")?;
        for row in self.run.drain(..PIECE.min(self.run.len())) {
            // A session removed since the run began must not come back.
            if self.recent.lock().contains(&row) && !self.removed.contains(&row) {
                insert.execute(params![row.0, row.1])?;
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

/// The keys of a sketch as the table has them.
fn keys(sketch: &Sketch) -> impl Iterator<Item = i32> + use<> {
    sketch.keys().into_iter().map(u32::cast_signed)
}
