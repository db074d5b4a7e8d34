//! Retention by age, in steps of bounded size.
//!
//! Telemetry that is kept for hours goes with its partition, an hour's at a time: what must outlive it, the records of
//! sessions that were reviewed, failed or finished late, moves to `telemetry_kept` first, and a partition that holds an
//! unfinished session stays. Telemetry kept for less goes row by row, as results and keys do.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::challenges;
use super::core::Core;
use super::fault::Fault;
use super::pool::Held;
use super::removal::{Removal, STEP};
use super::sketches::compared_before;
use crate::encoding::Numbered as _;
use crate::{Pruned, Retention};
use playproof_domain::result::Decision;

/// Milliseconds of a partition.
pub(super) const HOUR: i64 = 3_600_000;
/// Telemetry kept for at least this long goes by partition, and so up to an hour late.
const BY_PARTITION: Duration = Duration::from_secs(4 * 3600);
/// How far back a walk starts behind where the last one ended: settlements that began earlier may have been committed
/// since.
const OVERLAP: i64 = 60_000;
/// Partitions made ahead.
const AHEAD: i64 = 3;
/// Who holds this advisory lock makes or drops partitions.
const LOCK: i64 = 0x706c_6179_7061;

impl Core {
    pub(super) async fn prune_once(&self, retention: Retention, now: i64) -> Result<Pruned, Fault> {
        let mut held = self.pool.get().await?;
        let mut pruned = Pruned::default();
        let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let compared = compared_before(&*held).await?;
        let telemetry_before = |age: Duration| before(age).min(compared.0);
        let by_partition = retention.telemetry >= BY_PARTITION;
        if by_partition {
            self.make_partitions(&held, now).await?;
            let dropped = drop_partition(&mut held, telemetry_before(retention.telemetry), now).await?;
            pruned.telemetry += dropped.records;
            pruned.more |= dropped.more;
        }
        for (flagged, age) in [(false, retention.telemetry), (true, retention.telemetry_flagged)] {
            let (records, more) = kept(&held, flagged, telemetry_before(age)).await?;
            pruned.telemetry += records;
            pruned.more |= more;
            if !by_partition {
                let (records, more) = walk(&mut held, flagged, telemetry_before(age)).await?;
                pruned.telemetry += records;
                pruned.more |= more;
            }
        }
        pruned.telemetry += failed(&held, before(retention.telemetry_flagged)).await?;
        let sessions = self.prune_sessions(&mut held, before(retention.results)).await?;
        pruned.sessions = sessions;
        let old = before(retention.results);
        let batches = "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE finished_at IS NOT NULL \
                       AND finished_at < $1 ORDER BY finished_at LIMIT $2)";
        let batches = held.execute(batches, &[&old, &STEP]).await?;
        let erased = "DELETE FROM erased WHERE mac IN (SELECT mac FROM erased WHERE erased_at < $1 \
                      ORDER BY erased_at LIMIT $2)";
        let erased = held.execute(erased, &[&old, &STEP]).await?;
        let told = "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE created_at < $1 \
                    ORDER BY created_at LIMIT $2)";
        let told = held.execute(told, &[&old, &STEP]).await?;
        let challenges = challenges::forget(&held, now).await?;
        held.release();
        pruned.more |= sessions.max(batches).max(erased).max(told).max(challenges) >= STEP.unsigned_abs();
        Ok(pruned)
    }

    /// Sessions that were finished at `before` or earlier, and all they have.
    async fn prune_sessions(&self, held: &mut Held, before: i64) -> Result<u64, Fault> {
        let transaction = held.transaction().await?;
        // Failed ones are locked in the queue, so that none is sent back to it meanwhile.
        let sql = "SELECT seq FROM queue WHERE finished_at IS NOT NULL AND finished_at <= $1 \
                   ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED";
        let statement = transaction.prepare_cached(sql).await?;
        let failed = transaction.query(&statement, &[&before, &STEP]).await?;
        let sql = "SELECT seq FROM results WHERE scored_at <= $1 ORDER BY scored_at, seq LIMIT $2";
        let statement = transaction.prepare_cached(sql).await?;
        let rest = STEP - i64::try_from(failed.len()).unwrap_or(STEP);
        let scored = transaction.query(&statement, &[&before, &rest]).await?;
        let removed = self.remove_aged(&transaction, &failed, &scored).await?;
        transaction.commit().await?;
        Ok(removed)
    }

    /// Removes sessions that are past their time, those that somebody else holds another time.
    pub(super) async fn remove_aged(
        &self,
        transaction: &Transaction<'_>,
        failed: &[Row],
        scored: &[Row],
    ) -> Result<u64, Fault> {
        let seqs: Vec<i64> = failed.iter().chain(scored).map(|row| row.get(0)).collect();
        let sql = "SELECT s.seq, s.hour, s.deployment, s.id FROM (SELECT DISTINCT unnest($1::bigint[]) AS seq) v \
                   JOIN sessions s ON s.seq = v.seq ORDER BY s.seq FOR UPDATE OF s SKIP LOCKED";
        let statement = transaction.prepare_cached(sql).await?;
        let found = transaction.query(&statement, &[&seqs]).await?;
        self.remove(transaction, &found, Removal::Pruned, None).await
    }

    /// Makes the partitions of this hour and the next ones.
    pub(super) async fn make_partitions(&self, held: &Held, now: i64) -> Result<(), Fault> {
        let hour = now.div_euclid(HOUR);
        for hour in hour..hour + AHEAD {
            let there = "SELECT to_regclass(quote_ident(current_schema()) || '.telemetry_h' || $1) IS NOT NULL";
            if held.query_one(there, &[&hour.to_string()]).await?.get(0) {
                continue;
            }
            // Held to the end of the statement block's transaction; whoever comes second finds it made.
            let make = format!(
                "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); \
                 CREATE TABLE IF NOT EXISTS telemetry_h{hour} (LIKE telemetry INCLUDING DEFAULTS INCLUDING STORAGE) \
                 WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.5); \
                 COMMIT"
            );
            held.batch_execute(&make).await?;
            let attach = format!(
                "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); \
                 DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = 'telemetry_h{hour}'::regclass) \
                 THEN ALTER TABLE telemetry ATTACH PARTITION telemetry_h{hour} FOR VALUES FROM ({hour}) TO ({next}); \
                 END IF; END $$; COMMIT",
                next = hour + 1
            );
            held.batch_execute(&attach).await?;
        }
        Ok(())
    }
}

/// Names and hours of the partitions, the oldest first.
pub(super) const PARTITIONS: &str = "SELECT c.relname::text, substr(c.relname, 12)::bigint AS hour FROM pg_inherits i \
    JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'telemetry'::regclass AND c.relname ~ '^telemetry_h[0-9]+$' ORDER BY 2";

/// What was done about one partition.
struct Dropped {
    records: u64,
    more: bool,
}

/// Drops the oldest partition that is past its time, when nothing in it is unfinished.
async fn drop_partition(held: &mut Held, before: i64, now: i64) -> Result<Dropped, Fault> {
    let nothing = Dropped { records: 0, more: false };
    for row in held.query(PARTITIONS, &[]).await? {
        let (name, hour): (String, i64) = (row.get(0), row.get(1));
        if (hour + 1) * HOUR > before || (hour + 1) * HOUR > now {
            break;
        }
        let transaction = held.transaction().await?;
        let locked: bool = transaction.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?.get(0);
        if !locked {
            return Ok(nothing);
        }
        let waits = format!(
            "SELECT EXISTS (SELECT 1 FROM queue WHERE seq BETWEEN (SELECT min(seq) FROM {name}) \
             AND (SELECT max(seq) FROM {name}) AND EXISTS (SELECT 1 FROM {name} t WHERE t.hour = $1 AND t.seq = queue.seq))"
        );
        let hour = i32::try_from(hour).unwrap_or(i32::MAX);
        if transaction.query_one(&waits, &[&hour]).await?.get(0) {
            transaction.rollback().await?;
            continue;
        }
        // A table scan of what is about to go, once: the setting holds for this transaction.
        let plan = "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL statement_timeout = '10min'; \
                    SET LOCAL lock_timeout = '2s'";
        transaction.batch_execute(plan).await?;
        let keep = format!(
            "INSERT INTO telemetry_kept (seq, finished_at, flagged, record) \
             SELECT t.seq, r.scored_at, r.decision <> $1 OR l.seq IS NOT NULL, t.record FROM {name} t \
             JOIN results r ON r.seq = t.seq LEFT JOIN labels l ON l.seq = t.seq \
             WHERE r.decision <> $1 OR l.seq IS NOT NULL OR r.scored_at > $2 ON CONFLICT DO NOTHING"
        );
        let moved = transaction.execute(&keep, &[&super::rows::number(Decision::Pass), &before]).await?;
        let all: i64 = transaction.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await?.get(0);
        transaction.batch_execute(&format!("DROP TABLE {name}")).await?;
        transaction.commit().await?;
        return Ok(Dropped { records: all.unsigned_abs().saturating_sub(moved), more: true });
    }
    Ok(nothing)
}

/// Records that outlived their partition and are past their time now.
async fn kept(held: &Held, flagged: bool, before: i64) -> Result<(u64, bool), Fault> {
    let sql = "DELETE FROM telemetry_kept WHERE seq = ANY(ARRAY(SELECT seq FROM telemetry_kept \
               WHERE flagged = $1 AND finished_at <= $2 ORDER BY finished_at LIMIT $3))";
    let statement = held.prepare_cached(sql).await?;
    let removed = held.execute(&statement, &[&flagged, &before, &STEP]).await?;
    Ok((removed, removed >= STEP.unsigned_abs()))
}

/// Records of failed sessions.
async fn failed(held: &Held, before: i64) -> Result<u64, Fault> {
    let sql = "WITH due AS (SELECT seq FROM queue WHERE finished_at IS NOT NULL AND finished_at <= $1 AND telemetry \
               ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED), \
               marked AS (UPDATE queue SET telemetry = false WHERE seq = ANY(ARRAY(SELECT seq FROM due))) \
               DELETE FROM telemetry t USING due d, sessions s \
               WHERE s.seq = d.seq AND t.hour = s.hour AND t.seq = s.seq";
    let statement = held.prepare_cached(sql).await?;
    Ok(held.execute(&statement, &[&before, &STEP]).await?)
}

/// Goes through the results of a class in the order of their time, from where the last walk ended, and removes the
/// telemetry of those past their time.
async fn walk(held: &mut Held, flagged: bool, before: i64) -> Result<(u64, bool), Fault> {
    let transaction = held.transaction().await?;
    let sql = "INSERT INTO retention (flagged, scored_at) VALUES ($1, 0) ON CONFLICT (flagged) DO UPDATE \
               SET scored_at = retention.scored_at RETURNING scored_at";
    let reached: i64 = transaction.query_one(sql, &[&flagged]).await?.get(0);
    let decisions: Vec<i16> = Decision::ALL
        .into_iter()
        .filter(|decision| (*decision != Decision::Pass) == flagged)
        .map(|decision| i16::try_from(decision.number()).unwrap_or(-1))
        .collect();
    let from = reached.saturating_sub(OVERLAP);
    // All of the last time in the step, so that the next one may start after it.
    let sql = "SELECT r.scored_at FROM results r WHERE r.decision = ANY($1) AND r.scored_at > $2 AND r.scored_at <= $3 \
               ORDER BY r.scored_at OFFSET $4 LIMIT 1";
    let statement = transaction.prepare_cached(sql).await?;
    let place = STEP - 1;
    let full = transaction.query_opt(&statement, &[&decisions, &reached, &before, &place]).await?;
    let (until, more) = full.map_or((before, false), |row| (row.get(0), true));
    let sql = "DELETE FROM telemetry t USING results r, sessions s WHERE r.decision = ANY($1) AND r.scored_at > $2 \
               AND r.scored_at <= $3 AND s.seq = r.seq AND t.hour = s.hour AND t.seq = s.seq \
               AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.seq = r.seq)";
    let statement = transaction.prepare_cached(sql).await?;
    let removed = transaction.execute(&statement, &[&decisions, &from, &until]).await?;
    transaction
        .execute("UPDATE retention SET scored_at = greatest(scored_at, $2) WHERE flagged = $1", &[&flagged, &until])
        .await?;
    transaction.commit().await?;
    Ok((removed, more))
}
