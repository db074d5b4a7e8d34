//! Retention of one deployment, in steps of bounded size.

use deadpool_postgres::Transaction;

use super::core::Core;
use super::fault::Fault;
use super::removal::STEP;
use super::sketches::compared_before;
use crate::{DeploymentRetention, Pruned};
use playproof_domain::time::Timestamp;

impl Core {
    /// One step, and how far the walk over the deployment's results has come.
    pub(super) async fn prune_deployment_once(
        &self,
        rule: &DeploymentRetention,
        after: Timestamp,
        now: Timestamp,
    ) -> Result<(Pruned, Timestamp), Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let mut pruned = Pruned::default();
        if let Some(age) = rule.results {
            pruned.sessions = self.prune_sessions_of(&transaction, rule, now.minus(age)).await?;
            pruned.more = pruned.sessions >= STEP.unsigned_abs();
        }
        let mut reached = after;
        if let Some(age) = rule.telemetry {
            let before = now.minus(age).min(compared_before(&transaction).await?);
            let (records, until, more) = walk(&transaction, rule, after, before).await?;
            let failed = failed(&transaction, rule, now.minus(age)).await?;
            pruned.telemetry = records + failed;
            pruned.more |= more || failed >= STEP.unsigned_abs();
            reached = until.max(after);
        }
        transaction.commit().await?;
        held.release();
        Ok((pruned, reached))
    }

    /// Sessions that were finished at `before` or earlier, and all they have.
    async fn prune_sessions_of(
        &self,
        transaction: &Transaction<'_>,
        rule: &DeploymentRetention,
        before: Timestamp,
    ) -> Result<u64, Fault> {
        let deployment = rule.deployment.as_bytes();
        // Failed ones are locked in the queue, so that none is sent back to it meanwhile.
        let sql = "SELECT q.seq FROM queue q JOIN sessions s ON s.seq = q.seq WHERE q.finished_at IS NOT NULL \
                   AND q.finished_at <= $1 AND s.deployment = $2 ORDER BY q.finished_at LIMIT $3 \
                   FOR UPDATE OF q SKIP LOCKED";
        let statement = transaction.prepare_cached(sql).await?;
        let failed = transaction.query(&statement, &[&before.0, &deployment, &STEP]).await?;
        let sql = "SELECT seq FROM results WHERE deployment = $2 AND deployment <> '\\x' AND scored_at <= $1 \
                   ORDER BY scored_at, seq LIMIT $3";
        let statement = transaction.prepare_cached(sql).await?;
        let rest = STEP - i64::try_from(failed.len()).unwrap_or(STEP);
        let scored = transaction.query(&statement, &[&before.0, &deployment, &rest]).await?;
        self.remove_aged(transaction, &failed, &scored).await
    }
}

/// Goes on through the deployment's results in the order of their time and removes the telemetry of those past theirs:
/// how many records, how far it came and whether more follow.
async fn walk(
    transaction: &Transaction<'_>,
    rule: &DeploymentRetention,
    after: Timestamp,
    before: Timestamp,
) -> Result<(u64, Timestamp, bool), Fault> {
    let deployment = rule.deployment.as_bytes();
    // All of the last time in the step, so that the next one may start after it.
    let sql = "SELECT scored_at FROM results WHERE deployment = $1 AND deployment <> '\\x' AND scored_at > $2 \
               AND scored_at <= $3 ORDER BY scored_at OFFSET $4 LIMIT 1";
    let statement = transaction.prepare_cached(sql).await?;
    let full = transaction.query_opt(&statement, &[&deployment, &after.0, &before.0, &(STEP - 1)]).await?;
    let (until, more) = full.map_or((before, false), |row| (Timestamp(row.get(0)), true));
    let sql = "SELECT r.seq, s.hour FROM results r JOIN sessions s ON s.seq = r.seq WHERE r.deployment = $1 \
               AND r.deployment <> '\\x' AND r.scored_at > $2 AND r.scored_at <= $3";
    let statement = transaction.prepare_cached(sql).await?;
    let due = transaction.query(&statement, &[&deployment, &after.0, &until.0]).await?;
    Ok((forget(transaction, &due).await?, until, more))
}

/// Removes the telemetry of sessions that could not be scored and are past their time.
async fn failed(transaction: &Transaction<'_>, rule: &DeploymentRetention, before: Timestamp) -> Result<u64, Fault> {
    let sql = "WITH due AS (SELECT q.seq, s.hour FROM queue q JOIN sessions s ON s.seq = q.seq \
               WHERE q.finished_at IS NOT NULL AND q.finished_at <= $1 AND q.telemetry AND s.deployment = $2 \
               ORDER BY q.finished_at LIMIT $3 FOR UPDATE OF q SKIP LOCKED) \
               UPDATE queue q SET telemetry = false FROM due d WHERE q.seq = d.seq RETURNING d.seq, d.hour";
    let statement = transaction.prepare_cached(sql).await?;
    let due = transaction.query(&statement, &[&before.0, &rule.deployment.as_bytes(), &STEP]).await?;
    forget(transaction, &due).await
}

/// Removes the telemetry of sessions, wherever it lies; how many records.
async fn forget(transaction: &Transaction<'_>, sessions: &[tokio_postgres::Row]) -> Result<u64, Fault> {
    if sessions.is_empty() {
        return Ok(0);
    }
    let seqs: Vec<i64> = sessions.iter().map(|row| row.get("seq")).collect();
    let hours: Vec<i32> = sessions.iter().map(|row| row.get("hour")).collect();
    let sql = "DELETE FROM telemetry t USING unnest($1::bigint[], $2::int[]) AS v(seq, hour) \
               WHERE t.hour = v.hour AND t.seq = v.seq";
    let statement = transaction.prepare_cached(sql).await?;
    let records = transaction.execute(&statement, &[&seqs, &hours]).await?;
    let statement = transaction.prepare_cached("DELETE FROM telemetry_kept WHERE seq = ANY($1)").await?;
    Ok(records + transaction.execute(&statement, &[&seqs]).await?)
}
