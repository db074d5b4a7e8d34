//! Sketches of movements, the sessions that results name, and what is still to be compared.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::rows;
use super::state::WriterState;
use super::{campaigns, decisions};
use crate::decisions::{Cause, Revision, replay_detail};
use crate::encoding::Numbered as _;
use crate::{
    Candidate, Compared, ComparisonBacklog, FoundAlike, Matches, NewSketch, SketchCursor, SketchPage, StoreError,
    Uncompared, scored,
};
use playproof_domain::evidence::NAMED;
use playproof_domain::id::{Seq, SessionId};
use playproof_domain::reason::Reasons;
use playproof_domain::result::Decision;
use playproof_domain::sketch::Sketch;
use playproof_domain::time::Timestamp;

impl WriterState {
    pub(super) fn keep_sketches(&self, sketches: &[NewSketch]) -> Result<(), Fault> {
        for new in sketches {
            self.connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO sketches (session, sketch) SELECT seq, ? FROM sessions WHERE seq = ?",
                )?
                .execute(params![new.sketch.bytes(), new.seq.0])?;
        }
        Ok(())
    }

    /// Remembers that a session is still to be compared, once it is settled.
    pub(super) fn compare_later(&self, session: i64, since: Timestamp) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO uncompared (session, since, only_sketch) SELECT seq, ?, 0 FROM sessions \
                 WHERE seq = ? ON CONFLICT (session) DO UPDATE SET only_sketch = 0",
            )?
            .execute(params![since.0, session])?;
        Ok(())
    }

    /// Keeps whom a settled session is like, in place of whom it was, before
    /// [`campaigns::join`] makes it a member of their campaign.
    pub(super) fn keep_matches(&self, matches: &Matches) -> Result<(), Fault> {
        self.connection.prepare_cached("DELETE FROM matches WHERE session = ?")?.execute([matches.seq.0])?;
        for (place, other) in (0i64..).zip(&matches.others) {
            // Only those still there: one may have been erased since it was found.
            self.connection
                .prepare_cached(
                    "INSERT INTO matches (session, place, other) SELECT ?1, ?2, o.seq FROM sessions o, sessions s \
                     WHERE o.seq = ?3 AND s.seq = ?1",
                )?
                .execute(params![matches.seq.0, place, other.0])?;
        }
        Ok(())
    }

    pub(super) fn compared(&mut self, compared: &[Compared], again: &[Seq], at: Timestamp) -> Result<u64, Fault> {
        let mut changed = 0;
        for one in compared {
            let forgotten =
                self.connection.prepare_cached("DELETE FROM uncompared WHERE session = ?")?.execute([one.seq.0])?;
            let Some(FoundAlike { basis, decided, thresholds }) = one.found.filter(|_| forgotten > 0) else { continue };
            self.keep_matches(&Matches { seq: one.seq, others: one.matches.clone() })?;
            let Some(standing) = self.standing(one.seq.0)? else { continue };
            let sql = "UPDATE results SET noted = ?2, surely_replayed = ?3, reasons = CASE WHEN decision = ?4 THEN ?5 \
                       ELSE reasons END, compared = ?6 WHERE session = ?1 RETURNING decision, reasons";
            let values = params![
                one.seq.0,
                basis.known_reasons.bits(),
                basis.surely_replayed,
                decided.decision.number(),
                decided.reasons.bits(),
                scored::thresholds_bytes(&thresholds)
            ];
            let stands = self.connection.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
            let (earlier, reasons) = stands?;
            let earlier = Decision::from_number(earlier)?;
            self.recount(&standing, earlier, Reasons::from_bits(reasons));
            if earlier != decided.decision {
                let detail = replay_detail(&thresholds);
                let revision = Revision { seq: one.seq, earlier, decided, cause: Cause::Replay, detail };
                changed += u64::from(decisions::revise(self, &revision, at)?);
            }
        }
        campaigns::join(&self.connection, compared.iter().map(|one| one.seq.0), at)?;
        for seq in again {
            self.compare_later(seq.0, at)?;
        }
        Ok(changed)
    }
}

pub(super) fn sketches(connection: &Connection, seqs: &[Seq]) -> Result<Vec<Candidate>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT k.sketch, s.user, s.id, (SELECT count(*) >= ?2 FROM matches m WHERE m.session = k.session) \
         FROM sketches k JOIN sessions s ON s.seq = k.session WHERE k.session = ?1",
    )?;
    let most = i64::try_from(NAMED).unwrap_or(i64::MAX);
    let mut candidates = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let read = |row: &rusqlite::Row<'_>| {
            let id: String = row.get(2)?;
            let is_of_page = SessionId::from_unique(&id).is_some_and(|id| id.is_of_page());
            let user_id = row.get::<_, Option<String>>(1)?.filter(|_| !is_of_page);
            let (sketch, is_copy) = (Sketch::from_bytes(row.get(0)?), row.get(3)?);
            Ok(Candidate { seq: *seq, user_id, is_of_page, is_copy, sketch })
        };
        candidates.extend(statement.query_row(params![seq.0, most], read).optional()?);
    }
    Ok(candidates)
}

pub(super) fn sketched(connection: &Connection, after: SketchCursor, limit: u32) -> Result<SketchPage, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT session FROM sketches WHERE session > ? ORDER BY session LIMIT ?")?;
    let seqs = rows::collect(&mut statement, params![after.seq, limit], |row| Ok(Seq(row.get(0)?)))?;
    let next = SketchCursor { transaction: 0, seq: seqs.last().map_or(after.seq, |seq| seq.0) };
    Ok(SketchPage { more: seqs.len() >= usize::try_from(limit).unwrap_or(usize::MAX), seqs, next })
}

pub(super) fn uncompared(connection: &Connection, limit: u32) -> Result<Vec<Uncompared>, Fault> {
    let sql = "SELECT s.seq, s.deployment, s.id, s.user, r.kind, r.score, r.decision, r.supported, r.noted, \
               r.surely_replayed, l.session IS NOT NULL AS labelled, t.record, u.only_sketch FROM uncompared u \
               JOIN sessions s ON s.seq = u.session JOIN results r ON r.session = u.session \
               LEFT JOIN labels l ON l.session = u.session LEFT JOIN telemetry t ON t.session = u.session \
               WHERE u.session > 0 ORDER BY u.session LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    rows::collect(&mut statement, [limit], |row| {
        Ok(Uncompared {
            standing: decisions::standing(row)?,
            user_id: row.get("user")?,
            record: row.get("record")?,
            only_sketch: row.get("only_sketch")?,
        })
    })
}

pub(super) fn backlog(connection: &Connection) -> Result<ComparisonBacklog, Fault> {
    let sql = "SELECT count(*), min(u.since) FROM uncompared u JOIN results r ON r.session = u.session WHERE NOT u.only_sketch";
    let (sessions, oldest): (i64, Option<i64>) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sessions = u64::try_from(sessions).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    Ok(ComparisonBacklog { sessions, oldest: oldest.map(Timestamp) })
}

/// All sessions that were finished at this time or before are compared: no later telemetry may go for its age.
pub(super) fn compared_before(connection: &Connection) -> Result<Timestamp, Fault> {
    let sql = "SELECT min(min(s.finished_at, r.scored_at)) FROM uncompared u JOIN results r ON r.session = u.session \
               JOIN sessions s ON s.seq = u.session WHERE NOT u.only_sketch";
    let oldest: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(Timestamp(oldest.map_or(i64::MAX, |at| at.saturating_sub(1))))
}

/// Removes every trace of a session's sketch, and its name from the results of others and from its campaign.
pub(super) fn forget(connection: &Connection, session: i64) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM matches WHERE session = ?")?.execute([session])?;
    connection.prepare_cached("DELETE FROM matches WHERE other = ?")?.execute([session])?;
    connection.prepare_cached("DELETE FROM sketches WHERE session = ?")?.execute([session])?;
    connection.prepare_cached("DELETE FROM uncompared WHERE session = ?")?.execute([session])?;
    campaigns::forget(connection, session)
}

/// The sessions that a result names as having the same movement.
pub(super) fn matches(connection: &Connection, session: i64) -> Result<Vec<SessionId>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT s.deployment, s.id FROM matches m JOIN sessions s ON s.seq = m.other WHERE m.session = ? ORDER BY m.place",
    )?;
    rows::collect(&mut statement, [session], |row| Ok(rows::key(row, "deployment", "id")?.id))
}
