//! Erasure and retention: what removes sessions, and how the counts and the bytes follow.

use std::time::Duration;

use rusqlite::params;

use super::fault::Fault;
use super::keys::{Key, KeyKind};
use super::results::{TELEMETRY_KEPT, TELEMETRY_KEPT_LONGER};
use super::state::{STEP, WriterState};
use super::{challenges, deliveries, rows, sketches};
use crate::encoding::{KeyHasher, Numbered as _};
use crate::{DeploymentRetention, Pruned, Retention};
use playproof_domain::id::SessionKey;
use playproof_domain::queue::{Entry, State};
use playproof_domain::time::Timestamp;

/// Why a session is removed, which decides where it is counted.
#[derive(Clone, Copy)]
pub(super) enum Removal<'a> {
    /// On request, its key remembered as erased.
    Erased(&'a KeyHasher, &'a SessionKey),
    /// With everything else, its key forgotten.
    Cleared,
    /// By age.
    Pruned,
}

impl WriterState {
    /// Removes every trace of one session but its place in the counts.
    fn remove(&mut self, seq: i64, state: State, removal: Removal<'_>) -> Result<(), Fault> {
        // What retention removes stays counted.
        if !matches!(removal, Removal::Pruned)
            && let Some(standing) = self.standing(seq)?
        {
            self.uncount(&standing);
        }
        self.connection.prepare_cached("DELETE FROM results WHERE session = ?")?.execute([seq])?;
        self.connection.prepare_cached("DELETE FROM telemetry WHERE session = ?")?.execute([seq])?;
        self.connection.prepare_cached("DELETE FROM revisions WHERE session = ?")?.execute([seq])?;
        self.connection.prepare_cached("DELETE FROM labels WHERE session = ?")?.execute([seq])?;
        let erased = if let Removal::Erased(hasher, key) = removal { Some((hasher, key)) } else { None };
        deliveries::forget(&self.connection, seq, erased)?;
        super::sketches::forget(&self.connection, seq)?;
        let delete = "DELETE FROM sessions WHERE seq = ? RETURNING id_hash, user";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?));
        let (hash, user) = self.connection.prepare_cached(delete)?.query_row([seq], read)?;
        self.keys.remove(&self.connection, Key { kind: KeyKind::Session, hash, seq })?;
        if let Some(user) = user {
            let user = self.hasher().hash_user(&user);
            self.keys.remove(&self.connection, Key { kind: KeyKind::User, hash: user, seq })?;
        }
        self.count(Some(state), None);
        self.recheck_room();
        match removal {
            Removal::Erased(..) | Removal::Cleared => self.counts.erased += 1,
            Removal::Pruned => self.counts.pruned += 1,
        }
        Ok(())
    }

    fn remember_erased(&self, hasher: &KeyHasher, key: &SessionKey, now: Timestamp) -> Result<(), Fault> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO erased (mac, erased_at) VALUES (?, ?)")?
            .execute(params![hasher.hash(key).mac, now.0])?;
        Ok(())
    }

    pub(super) fn erase_session(&mut self, key: &SessionKey, now: Timestamp) -> Result<bool, Fault> {
        let hasher = self.hasher();
        let mut found = Vec::new();
        for seq in self.keys.recent().candidates(&self.connection, KeyKind::Session, hasher.hash(key).short)? {
            let sql = "SELECT seq, state FROM sessions WHERE seq = ? AND deployment = ? AND id = ?";
            let mut statement = self.connection.prepare_cached(sql)?;
            let params = params![seq, key.deployment, key.id.unique()];
            found.extend(rows::collect(&mut statement, params, seq_and_state)?);
        }
        for (seq, state) in &found {
            self.remove(*seq, *state, Removal::Erased(&hasher, key))?;
        }
        if !found.is_empty() {
            self.remember_erased(&hasher, key, now)?;
        }
        Ok(!found.is_empty())
    }

    /// One step of erasing a user; the number of sessions erased, 0 at the end.
    pub(super) fn erase_user_step(
        &mut self,
        deployment: Option<&str>,
        user: &str,
        now: Timestamp,
    ) -> Result<u64, Fault> {
        let hasher = self.hasher();
        let mut found = Vec::new();
        for seq in self.keys.recent().candidates(&self.connection, KeyKind::User, hasher.hash_user(user))? {
            let sql = "SELECT seq, state, deployment, id FROM sessions \
                       WHERE seq = ?1 AND user = ?2 AND (?3 IS NULL OR deployment = ?3)";
            let mut statement = self.connection.prepare_cached(sql)?;
            found.extend(rows::collect(&mut statement, params![seq, user, deployment], |row| {
                Ok((seq_and_state(row)?, rows::key(row, "deployment", "id")?))
            })?);
            if found.len() as u64 >= u64::from(STEP) {
                break;
            }
        }
        for ((seq, state), key) in &found {
            self.remove(*seq, *state, Removal::Erased(&hasher, key))?;
            self.remember_erased(&hasher, key, now)?;
        }
        Ok(found.len() as u64)
    }

    /// One step of clearing everything up to `last`; the number of sessions removed, 0 at the end.
    pub(super) fn clear_step(&mut self, last: i64) -> Result<u64, Fault> {
        let found = {
            let mut statement = self
                .connection
                .prepare_cached("SELECT seq, state FROM sessions WHERE seq <= ? ORDER BY seq LIMIT ?")?;
            rows::collect(&mut statement, params![last, STEP], seq_and_state)?
        };
        for (seq, state) in &found {
            self.remove(*seq, *state, Removal::Cleared)?;
        }
        Ok(found.len() as u64)
    }

    pub(super) fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, Fault> {
        let mut pruned = Pruned::default();
        let short = self.is_short_of_room()?;
        let compared = sketches::compared_before(&self.connection)?;
        for (class, age) in
            [(TELEMETRY_KEPT, retention.telemetry), (TELEMETRY_KEPT_LONGER, retention.telemetry_flagged)]
        {
            // Short of room, the oldest finished telemetry goes whatever its age, a step at a time.
            let age = if short && pruned.telemetry == 0 { Duration::ZERO } else { age };
            pruned.telemetry += self.prune_telemetry(class, now.minus(age).min(compared))?;
        }
        pruned.sessions = self.prune_sessions(now.minus(retention.results))?;
        let old = now.minus(retention.results).0;
        let batches = self
            .connection
            .prepare_cached(
                "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE finished_at IS NOT NULL AND finished_at < ? LIMIT ?)",
            )?
            .execute(params![old, STEP])?;
        let tombstones = self
            .connection
            .prepare_cached("DELETE FROM erased WHERE mac IN (SELECT mac FROM erased WHERE erased_at < ? LIMIT ?)")?
            .execute(params![old, STEP])?;
        let told = self
            .connection
            .prepare_cached(
                "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE created_at < ? LIMIT ?)",
            )?
            .execute(params![old, STEP])?;
        let challenges = challenges::forget(&self.connection, now)?;
        let others = batches.max(tombstones).max(told).max(challenges);
        let most = pruned.telemetry.max(pruned.sessions).max(others as u64);
        pruned.more = most >= u64::from(STEP);
        self.recheck_room();
        Ok(pruned)
    }

    /// One step of a deployment's own retention, and how far the walk over its results has come.
    pub(super) fn prune_deployment(
        &mut self,
        rule: &DeploymentRetention,
        after: Timestamp,
        now: Timestamp,
    ) -> Result<(Pruned, Timestamp), Fault> {
        let mut pruned = Pruned::default();
        if let Some(age) = rule.results {
            let before = now.minus(age);
            let scored = "SELECT s.seq, s.state FROM results r JOIN sessions s ON s.seq = r.session \
                          WHERE r.deployment = ?1 AND r.deployment <> '' AND r.scored_at <= ?2 \
                          ORDER BY r.scored_at LIMIT ?3";
            let dead =
                "SELECT seq, state FROM sessions WHERE state = 4 AND deployment = ?1 AND finished_at <= ?2 LIMIT ?3";
            for sql in [scored, dead] {
                let due = {
                    let mut statement = self.connection.prepare_cached(sql)?;
                    rows::collect(&mut statement, params![rule.deployment, before.0, STEP], seq_and_state)?
                };
                let removed = self.remove_aged(&due)?;
                pruned.sessions += removed;
                pruned.more |= removed >= u64::from(STEP);
            }
        }
        let mut reached = after;
        if let Some(age) = rule.telemetry {
            let before = now.minus(age).min(sketches::compared_before(&self.connection)?);
            let (until, more) = self.walk_deployment(&rule.deployment, after, before)?;
            reached = until.max(after);
            let scored = "SELECT s.seq FROM results r JOIN sessions s ON s.seq = r.session \
                          WHERE r.deployment = ?1 AND r.deployment <> '' AND r.scored_at > ?2 AND r.scored_at <= ?3 \
                          AND s.telemetry > 0 LIMIT ?4";
            let dead = "SELECT seq FROM sessions WHERE state = 4 AND deployment = ?1 AND finished_at > ?2 \
                        AND finished_at <= ?3 AND telemetry > 0 LIMIT ?4";
            let all = i64::MAX;
            for (sql, from, until, limit) in
                [(scored, after, until, all), (dead, Timestamp(i64::MIN), before, i64::from(STEP))]
            {
                let due = {
                    let mut statement = self.connection.prepare_cached(sql)?;
                    let params = params![rule.deployment, from.0, until.0, limit];
                    rows::collect(&mut statement, params, |row| Ok(row.get::<_, i64>(0)?))?
                };
                self.drop_telemetry(&due)?;
                pruned.telemetry += due.len() as u64;
                pruned.more |= due.len() as u64 >= u64::from(STEP);
            }
            pruned.more |= more;
        }
        self.recheck_room();
        Ok((pruned, reached))
    }

    /// Where a step of the walk over a deployment's results that starts behind `after` ends, and whether it goes on after
    /// it: all results of one moment are in one step, so that the next one may start after it.
    fn walk_deployment(
        &self,
        deployment: &str,
        after: Timestamp,
        before: Timestamp,
    ) -> Result<(Timestamp, bool), Fault> {
        let sql = "SELECT scored_at FROM results WHERE deployment = ?1 AND deployment <> '' AND scored_at > ?2 \
                   AND scored_at <= ?3 ORDER BY scored_at LIMIT 1 OFFSET ?4";
        let mut statement = self.connection.prepare_cached(sql)?;
        let params = params![deployment, after.0, before.0, STEP - 1];
        let full = rows::collect(&mut statement, params, |row| Ok(row.get::<_, i64>(0)?))?;
        Ok(full.first().map_or((before, false), |at| (Timestamp(*at), true)))
    }

    /// Only finished sessions have a telemetry class, so this never touches one that still waits for its score.
    fn prune_telemetry(&mut self, class: i64, before: Timestamp) -> Result<u64, Fault> {
        let due = {
            let mut statement = self.connection.prepare_cached(
                "SELECT seq FROM sessions WHERE telemetry = ? AND telemetry > 0 AND finished_at <= ? \
                 ORDER BY finished_at LIMIT ?",
            )?;
            rows::collect(&mut statement, params![class, before.0, STEP], |row| Ok(row.get::<_, i64>(0)?))?
        };
        self.drop_telemetry(&due)?;
        Ok(due.len() as u64)
    }

    fn drop_telemetry(&self, sessions: &[i64]) -> Result<(), Fault> {
        for seq in sessions {
            self.connection.prepare_cached("DELETE FROM telemetry WHERE session = ?")?.execute([seq])?;
            self.connection.prepare_cached("UPDATE sessions SET telemetry = 0 WHERE seq = ?")?.execute([seq])?;
        }
        Ok(())
    }

    fn prune_sessions(&mut self, before: Timestamp) -> Result<u64, Fault> {
        let due = {
            let mut statement = self.connection.prepare_cached(
                "SELECT seq, state FROM sessions WHERE finished_at IS NOT NULL AND finished_at <= ? \
                 ORDER BY finished_at LIMIT ?",
            )?;
            rows::collect(&mut statement, params![before.0, STEP], seq_and_state)?
        };
        let removed = self.remove_aged(&due)?;
        let mut oldest = self.connection.prepare_cached("SELECT min(seq) FROM sessions")?;
        let oldest: Option<i64> = oldest.query_row([], |row| row.get(0))?;
        let next = rows::stored(self.counts.accepted) + 1;
        self.keys.forget_before(&self.connection, oldest.unwrap_or(next))?;
        Ok(removed)
    }

    fn remove_aged(&mut self, sessions: &[(i64, State)]) -> Result<u64, Fault> {
        for (seq, state) in sessions {
            self.remove(*seq, *state, Removal::Pruned)?;
        }
        Ok(sessions.len() as u64)
    }

    /// One step of requeueing all failed sessions accepted up to `last`; the number sent back, 0 at the end.
    pub(super) fn requeue_step(&mut self, last: i64, now: Timestamp) -> Result<u64, Fault> {
        let failed = {
            let sql = "SELECT seq, state, attempts AS session_attempts, lost_leases, not_before FROM sessions \
                       WHERE state = 4 AND seq <= ? ORDER BY seq LIMIT ?";
            let mut statement = self.connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![last, STEP], seq_and_entry)?
        };
        let mut sent = 0;
        for (seq, entry) in failed {
            sent += u64::from(self.requeue_one(seq, entry, now)?);
        }
        Ok(sent)
    }

    pub(super) fn requeue_keys(&mut self, keys: &[SessionKey], now: Timestamp) -> Result<u64, Fault> {
        let hasher = self.hasher();
        let mut sent = 0;
        for key in keys {
            let mut failed = Vec::new();
            for seq in self.keys.recent().candidates(&self.connection, KeyKind::Session, hasher.hash(key).short)? {
                let sql = "SELECT seq, state, attempts AS session_attempts, lost_leases, not_before FROM sessions \
                           WHERE seq = ? AND deployment = ? AND id = ? AND state = 4";
                let mut statement = self.connection.prepare_cached(sql)?;
                let params = params![seq, key.deployment, key.id.unique()];
                failed.extend(rows::collect(&mut statement, params, seq_and_entry)?);
            }
            for (seq, entry) in failed {
                sent += u64::from(self.requeue_one(seq, entry, now)?);
            }
        }
        Ok(sent)
    }

    /// The last session accepted so far.
    pub(super) fn last_seq(&self) -> i64 {
        rows::stored(self.counts.accepted)
    }
}

fn seq_and_state(row: &rusqlite::Row<'_>) -> Result<(i64, State), Fault> {
    Ok((row.get("seq")?, State::from_number(row.get("state")?)?))
}

fn seq_and_entry(row: &rusqlite::Row<'_>) -> Result<(i64, Entry), Fault> {
    Ok((row.get("seq")?, rows::entry(row)?))
}
