//! Questions asked of the store, each one statement and hence one snapshot.

use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use super::Core;
use super::counts;
use super::fault::Fault;
use super::rows::{self, BATCH_COLUMNS, QUEUE_COLUMNS, RESULT_COLUMNS, SESSION_COLUMNS, number};
use super::sketches;
use crate::domain::batch::QueueView;
use crate::domain::id::{BatchId, Seq, SessionKey};
use crate::domain::reason::Reason;
use crate::domain::time::Timestamp;
use crate::store::{BatchRow, Cursor, DeadRow, Lookup, Page, ResultQuery, ResultRow, Snapshot, StoredSession};

fn joined(condition: &str) -> String {
    format!(
        "SELECT {SESSION_COLUMNS}, {QUEUE_COLUMNS}, {RESULT_COLUMNS} FROM sessions s \
         LEFT JOIN queue q ON q.seq = s.seq LEFT JOIN results r ON r.seq = s.seq LEFT JOIN models m ON m.id = r.model \
         WHERE {condition}"
    )
}

/// Sessions by number, in any order, without those that are gone.
pub(super) async fn sessions(client: &impl GenericClient, seqs: &[i64]) -> Result<Vec<StoredSession>, Fault> {
    let statement = client.prepare_cached(&joined("s.seq = ANY($1)")).await?;
    rows::all(&client.query(&statement, &[&seqs]).await?, rows::session)
}

/// The query of results with these conditions; the parameters are given in their order.
pub(super) fn results_sql(conditions: &[String]) -> String {
    let conditions = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    format!(
        "SELECT {RESULT_COLUMNS}, s.deployment, s.id FROM results r JOIN models m ON m.id = r.model \
         JOIN sessions s ON s.seq = r.seq WHERE {conditions} ORDER BY r.scored_at DESC, r.seq DESC LIMIT $1"
    )
}

/// The statement of [`Core::snapshot_once`].
pub(super) fn snapshot_sql() -> String {
    format!(
        "SELECT c.*, p.running, p.created_at, n.last_value, n.is_called, \
         (SELECT accepted_at FROM queue WHERE state = 0 ORDER BY seq LIMIT 1) AS oldest_ready, \
         (SELECT not_before FROM queue WHERE state = 2 ORDER BY not_before LIMIT 1) AS next_due, \
         (SELECT claimed_at FROM batches ORDER BY id DESC LIMIT 1) AS last_batch \
         FROM (SELECT {} FROM counters) c, scheduler p, session_seq n WHERE p.id = 1",
        counts::SUMS
    )
}

impl Core {
    pub(super) async fn snapshot_once(&self) -> Result<Snapshot, Fault> {
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(&snapshot_sql()).await?;
        let row = held.query_one(&statement, &[]).await?;
        held.release();
        let counts = counts::read(&row)?;
        let last_batch = row.try_get::<_, Option<i64>>("last_batch")?.map(Timestamp);
        let last_seq: i64 = if row.try_get("is_called")? { row.try_get("last_value")? } else { 0 };
        Ok(Snapshot {
            counts,
            queue: QueueView {
                ready: counts.ready,
                oldest_ready: row.try_get::<_, Option<i64>>("oldest_ready")?.map(Timestamp),
                next_due: row.try_get::<_, Option<i64>>("next_due")?.map(Timestamp),
                last_run: last_batch.unwrap_or(Timestamp(row.try_get("created_at")?)),
            },
            last_seq: Seq(last_seq),
            running: row.try_get("running")?,
            last_batch,
        })
    }

    pub(super) async fn session_once(&self, key: &SessionKey) -> Result<Lookup, Fault> {
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(&joined("s.id = $1 AND s.deployment = $2")).await?;
        let params: [&(dyn ToSql + Sync); 2] = [&key.id.as_str(), &key.deployment.as_bytes()];
        let found = held.query_opt(&statement, &params).await?;
        let lookup = if let Some(row) = found {
            let mut found = rows::session(&row)?;
            if found.result.as_ref().is_some_and(|result| result.verdict.reasons.contains(Reason::ReplayedMovement)) {
                found.matches = sketches::matches(&*held, found.seq.0).await?;
            }
            Lookup::Found(Box::new(found))
        } else {
            let statement = held.prepare_cached("SELECT 1 FROM erased WHERE mac = $1").await?;
            let erased = held.query_opt(&statement, &[&self.hasher.hash(key).mac.as_slice()]).await?;
            if erased.is_some() { Lookup::Erased } else { Lookup::Unknown }
        };
        held.release();
        Ok(lookup)
    }

    pub(super) async fn results_once(&self, query: &ResultQuery) -> Result<Page<ResultRow>, Fault> {
        let limit = i64::from(query.limit) + 1;
        let (decision, source) = (query.decision.map(number), query.source.map(number));
        let (since, until) = (query.since.map(|t| t.0), query.until.map(|t| t.0));
        let deployment = query.deployment.as_deref().map(str::as_bytes);
        let after = query.after.map(|cursor| (cursor.scored_at.0, cursor.row));
        let mut conditions = Vec::new();
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&limit];
        // Numbers of ours, written out: how rare each is decides which index is best.
        if let Some(decision) = decision {
            conditions.push(format!("r.decision = {decision}"));
        }
        if let Some(source) = source {
            conditions.push(format!("r.source = {source}"));
        }
        if let Some(since) = &since {
            values.push(since);
            conditions.push(format!("r.scored_at >= ${}", values.len()));
        }
        if let Some(until) = &until {
            values.push(until);
            conditions.push(format!("r.scored_at < ${}", values.len()));
        }
        if let Some(deployment) = &deployment {
            // Said twice so that the partial index is eligible.
            if !deployment.is_empty() {
                conditions.push("r.deployment <> '\\x'".to_owned());
            }
            values.push(deployment);
            conditions.push(format!("r.deployment = ${}", values.len()));
        }
        if let Some((scored_at, seq)) = &after {
            values.push(scored_at);
            values.push(seq);
            conditions.push(format!("(r.scored_at, r.seq) < (${}, ${})", values.len() - 1, values.len()));
        }
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(&results_sql(&conditions)).await?;
        let mut found = rows::all(&held.query(&statement, &values).await?, rows::result_row)?;
        held.release();
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next =
            found.last().filter(|_| more).map(|(row, result)| Cursor { scored_at: result.result.scored_at, row: *row });
        Ok(Page { rows: found.into_iter().map(|(_, row)| row).collect(), next })
    }

    pub(super) async fn batches_once(&self, before: Option<BatchId>, limit: u32) -> Result<Vec<BatchRow>, Fault> {
        let held = self.pool.get().await?;
        let sql = format!("SELECT {BATCH_COLUMNS} FROM batches WHERE id < $1 ORDER BY id DESC LIMIT $2");
        let statement = held.prepare_cached(&sql).await?;
        let found = held.query(&statement, &[&before.map_or(i64::MAX, |id| id.0), &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, rows::batch)
    }

    pub(super) async fn batch_once(&self, id: BatchId) -> Result<Option<(BatchRow, Vec<SessionKey>)>, Fault> {
        let held = self.pool.get().await?;
        let sql = format!("SELECT {BATCH_COLUMNS} FROM batches WHERE id = $1");
        let statement = held.prepare_cached(&sql).await?;
        let Some(row) = held.query_opt(&statement, &[&id.0]).await? else {
            held.release();
            return Ok(None);
        };
        let members = "SELECT s.deployment, s.id FROM batches b, unnest(b.members) WITH ORDINALITY AS m(seq, place) \
                       JOIN sessions s ON s.seq = m.seq WHERE b.id = $1 ORDER BY m.place";
        let statement = held.prepare_cached(members).await?;
        let keys = held.query(&statement, &[&id.0]).await?;
        held.release();
        Ok(Some((rows::batch(&row)?, rows::all(&keys, rows::key)?)))
    }

    pub(super) async fn dead_once(&self, before: Option<Seq>, limit: u32) -> Result<Vec<DeadRow>, Fault> {
        let held = self.pool.get().await?;
        let sql = "SELECT q.seq, q.state, q.attempts, q.lost_leases, q.not_before, q.error, q.accepted_at, \
                   s.deployment, s.id FROM queue q JOIN sessions s ON s.seq = q.seq \
                   WHERE q.state = 4 AND q.seq < $1 ORDER BY q.seq DESC LIMIT $2";
        let statement = held.prepare_cached(sql).await?;
        let found = held.query(&statement, &[&before.map_or(i64::MAX, |seq| seq.0), &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, rows::dead)
    }

    pub(super) async fn telemetry_once(&self, seqs: &[Seq]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let held = self.pool.get().await?;
        let asked: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
        let statement = held.prepare_cached(TELEMETRY).await?;
        let found = held.query(&statement, &[&asked]).await?;
        held.release();
        rows::all(&found, |row| Ok(row.try_get(0)?))
    }
}

/// Records in the order asked; the hour of each session names its partition.
pub(super) const TELEMETRY: &str = "SELECT coalesce(t.record, k.record) FROM unnest($1::bigint[]) \
    WITH ORDINALITY AS a(seq, place) LEFT JOIN sessions s ON s.seq = a.seq \
    LEFT JOIN telemetry t ON t.hour = s.hour AND t.seq = a.seq LEFT JOIN telemetry_kept k ON k.seq = a.seq \
    ORDER BY a.place";
