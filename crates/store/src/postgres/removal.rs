//! Erasure and what an operator does to many sessions, in steps of bounded size, each one transaction.
//!
//! What was deleted is invisible at once; its bytes leave the database's files as its vacuum and its log move on.

use deadpool_postgres::Transaction;

use super::core::Core;
use super::counts::Moved;
use super::fault::Fault;
use super::pool::now;
use super::queue::write_entries;
use super::rows;
use super::{buckets, deliveries, sketches};
use crate::buckets::BucketChanges;
use crate::encoding::Numbered as _;
use playproof_domain::id::SessionKey;
use playproof_domain::queue::{Entry, Event, State, step};
use playproof_domain::reason::Reasons;
use playproof_domain::time::Timestamp;

/// Most sessions touched in one transaction of a long removal.
pub(super) const STEP: i64 = 500;

/// Why sessions are removed, which decides where they are counted and whether their keys are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// On request, the keys remembered as erased.
    Erased,
    /// With everything else, the keys forgotten.
    Cleared,
    /// By age.
    Pruned,
}

impl Core {
    pub(super) async fn erase_session_once(&self, key: &SessionKey, at: Option<i64>) -> Result<bool, Fault> {
        let sql = "SELECT seq, hour, deployment, id FROM sessions WHERE id = $1 AND deployment = $2 FOR UPDATE";
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let statement = transaction.prepare_cached(sql).await?;
        let found = transaction.query(&statement, &[&key.id.unique(), &key.deployment.as_bytes()]).await?;
        let erased = self.remove(&transaction, &found, Removal::Erased, at).await?;
        transaction.commit().await?;
        held.release();
        Ok(erased > 0)
    }

    /// One step of erasing a user; the number of sessions erased, 0 at the end.
    pub(super) async fn erase_user_step(
        &self,
        deployment: Option<&str>,
        user: &str,
        at: Option<i64>,
    ) -> Result<u64, Fault> {
        let sql = "SELECT seq, hour, deployment, id FROM sessions WHERE user_hash = $1 AND user_id = $2 \
                   AND ($3::bytea IS NULL OR deployment = $3) ORDER BY seq LIMIT $4 FOR UPDATE";
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let statement = transaction.prepare_cached(sql).await?;
        let deployment = deployment.map(str::as_bytes);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&self.hasher.hash_user(user), &user.as_bytes(), &deployment, &STEP];
        let found = transaction.query(&statement, &params).await?;
        let erased = self.remove(&transaction, &found, Removal::Erased, at).await?;
        transaction.commit().await?;
        held.release();
        Ok(erased)
    }

    /// One step of clearing everything up to `last`; the number of sessions removed, 0 at the end.
    pub(super) async fn clear_step(&self, last: i64) -> Result<u64, Fault> {
        let sql = "SELECT seq, hour, deployment, id FROM sessions WHERE seq <= $1 ORDER BY seq LIMIT $2 FOR UPDATE";
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let statement = transaction.prepare_cached(sql).await?;
        let found = transaction.query(&statement, &[&last, &STEP]).await?;
        let cleared = self.remove(&transaction, &found, Removal::Cleared, None).await?;
        transaction.commit().await?;
        held.release();
        Ok(cleared)
    }

    /// Removes every trace of sessions whose rows are locked but their place in the counts. Each statement sees what a
    /// settlement committed that the one before it waited for.
    pub(super) async fn remove(
        &self,
        transaction: &Transaction<'_>,
        sessions: &[tokio_postgres::Row],
        removal: Removal,
        at: Option<i64>,
    ) -> Result<u64, Fault> {
        if sessions.is_empty() {
            return Ok(0);
        }
        let seqs: Vec<i64> = sessions.iter().map(|row| row.get("seq")).collect();
        let hours: Vec<i32> = sessions.iter().map(|row| row.get("hour")).collect();
        let mut moved = Moved::default();
        let statement = transaction.prepare_cached("DELETE FROM queue WHERE seq = ANY($1) RETURNING state").await?;
        for row in transaction.query(&statement, &[&seqs]).await? {
            moved.step(Some(State::from_number(i64::from(row.get::<_, i16>(0)))?), None);
        }
        sketches::forget(transaction, &seqs).await?;
        let sql = "DELETE FROM results r USING sessions s WHERE r.seq = ANY($1) AND s.seq = r.seq \
                   RETURNING r.deployment, r.scored_at, r.model, r.decision, r.reasons, s.device";
        let statement = transaction.prepare_cached(sql).await?;
        let results = transaction.query(&statement, &[&seqs]).await?;
        moved.processed -= i64::try_from(results.len()).unwrap_or(0);
        let mut counts = BucketChanges::default();
        // What retention removes stays counted.
        for row in results.iter().filter(|_| removal != Removal::Pruned) {
            let reasons = Reasons::from_bits(row.try_get("reasons")?);
            buckets::count_row(&mut counts, row, rows::enumerated(row, "decision")?, reasons, -1)?;
        }
        let sql = "DELETE FROM telemetry t USING unnest($1::bigint[], $2::int[]) AS v(seq, hour) \
                   WHERE t.hour = v.hour AND t.seq = v.seq";
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, &[&seqs, &hours]).await?;
        let statement = transaction.prepare_cached("DELETE FROM revisions WHERE seq = ANY($1)").await?;
        transaction.execute(&statement, &[&seqs]).await?;
        let statement = transaction.prepare_cached("DELETE FROM labels WHERE seq = ANY($1)").await?;
        transaction.execute(&statement, &[&seqs]).await?;
        let erased = match removal {
            Removal::Erased => Some(rows::all(sessions, |row| Ok(self.hasher.session_pseudonym(&rows::key(row)?)))?),
            Removal::Cleared | Removal::Pruned => None,
        };
        deliveries::forget(transaction, &seqs, erased).await?;
        let statement = transaction.prepare_cached("DELETE FROM telemetry_kept WHERE seq = ANY($1)").await?;
        transaction.execute(&statement, &[&seqs]).await?;
        let statement = transaction.prepare_cached("DELETE FROM sessions WHERE seq = ANY($1)").await?;
        let removed = transaction.execute(&statement, &[&seqs]).await?;
        let count = i64::try_from(removed).unwrap_or(0);
        match removal {
            Removal::Erased | Removal::Cleared => moved.erased += count,
            Removal::Pruned => moved.pruned += count,
        }
        if removal == Removal::Erased {
            let macs = rows::all(sessions, |row| Ok(self.hasher.hash(&rows::key(row)?).mac))?;
            let macs: Vec<&[u8]> = macs.iter().map(<[u8; 16]>::as_slice).collect();
            let sql = format!(
                "INSERT INTO erased (mac, erased_at) SELECT mac, {} FROM unnest($1::bytea[]) AS v(mac) \
                 ON CONFLICT (mac) DO UPDATE SET erased_at = excluded.erased_at",
                now("$2")
            );
            let statement = transaction.prepare_cached(&sql).await?;
            transaction.execute(&statement, &[&macs, &at]).await?;
        }
        buckets::write(transaction, &mut counts).await?;
        moved.write(transaction).await?;
        Ok(removed)
    }

    /// The last session accepted so far.
    pub(super) async fn last_seq(&self) -> Result<i64, Fault> {
        let held = self.pool.get().await?;
        let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM session_seq";
        let last = held.query_one(sql, &[]).await?.get(0);
        held.release();
        Ok(last)
    }

    /// One step of requeueing all failed sessions accepted up to `last`; the number sent back, 0 at the end.
    pub(super) async fn requeue_step(&self, last: i64) -> Result<u64, Fault> {
        let sql = "SELECT seq, state, attempts, lost_leases, not_before FROM queue \
                   WHERE state = 4 AND seq <= $1 ORDER BY seq LIMIT $2 FOR UPDATE";
        self.requeue_found(sql, &[&last, &STEP]).await
    }

    pub(super) async fn requeue_keys_once(&self, keys: &[SessionKey]) -> Result<u64, Fault> {
        let deployments: Vec<&[u8]> = keys.iter().map(|key| key.deployment.as_bytes()).collect();
        let ids: Vec<&str> = keys.iter().map(|key| key.id.unique()).collect();
        let sql = "SELECT seq, state, attempts, lost_leases, not_before FROM queue WHERE state = 4 AND seq = ANY( \
                   SELECT s.seq FROM unnest($1::bytea[], $2::text[]) AS v(deployment, id) \
                   JOIN sessions s ON s.id = v.id AND s.deployment = v.deployment) ORDER BY seq FOR UPDATE";
        self.requeue_found(sql, &[&deployments, &ids]).await
    }

    async fn requeue_found(
        &self,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<u64, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let statement = transaction.prepare_cached(sql).await?;
        let found = transaction.query(&statement, params).await?;
        let mut moved = Moved::default();
        let mut entries: Vec<(i64, Entry, Option<String>)> = Vec::new();
        for row in &found {
            let entry = rows::entry(row)?;
            if let Ok(next) = step(entry, Event::Requeue) {
                moved.step(Some(entry.state), Some(next.state));
                entries.push((row.get("seq"), next, None));
            }
        }
        if !entries.is_empty() {
            write_entries(&transaction, &entries, Timestamp(0)).await?;
            moved.write(&transaction).await?;
        }
        transaction.commit().await?;
        held.release();
        if !entries.is_empty() {
            self.notifier.notify();
        }
        Ok(entries.len() as u64)
    }
}
