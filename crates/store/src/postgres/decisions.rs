//! Decisions that are made anew.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::buckets;
use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::rows::{self, enumerated, number};
use super::store::PostgresStore;
use crate::StoreResult;
use crate::buckets::BucketChanges;
use crate::decisions::{Cause, DecidedResult, DecisionStore, Revised, Revision};
use crate::event_body::changed_body;
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::time::Timestamp;

/// A change of a decision.
pub(super) fn revised(row: &Row) -> Result<Revised, Fault> {
    Ok(Revised {
        at: Timestamp(row.try_get("at")?),
        cause: enumerated(row, "cause")?,
        earlier: enumerated(row, "earlier")?,
        later: enumerated(row, "later")?,
        detail: row.try_get("detail")?,
    })
}

#[async_trait]
impl DecisionStore for PostgresStore {
    async fn standings(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<DecidedResult>> {
        called!(self.core.standings_once(after, limit, deployment.as_deref()))
    }

    async fn revise(&self, revisions: Vec<Revision>, at: Timestamp) -> StoreResult<u64> {
        called!(self.core.revise_once(&revisions, at))
    }

    async fn revisions(&self, seq: Seq) -> StoreResult<Vec<Revised>> {
        called!(self.core.revisions_once(seq))
    }
}

/// How a session's decision stands, of a row with all its columns.
pub(super) fn standing(row: &Row) -> Result<DecidedResult, Fault> {
    Ok(DecidedResult {
        seq: Seq(row.try_get("seq")?),
        key: rows::key(row)?,
        kind: enumerated(row, "kind")?,
        score: row.try_get("score")?,
        basis: rows::basis(row)?,
        decision: enumerated(row, "decision")?,
        labelled: row.try_get("labelled")?,
    })
}

impl Core {
    pub(super) async fn standings_once(
        &self,
        after: Seq,
        limit: u32,
        deployment: Option<&str>,
    ) -> Result<Vec<DecidedResult>, Fault> {
        let sql = "SELECT r.seq, s.deployment, s.id, r.kind, r.score, r.decision, r.supported, r.noted, \
                   r.surely_replayed, l.seq IS NOT NULL AS labelled FROM results r JOIN sessions s ON s.seq = r.seq \
                   LEFT JOIN labels l ON l.seq = r.seq \
                   WHERE r.seq > $1 AND ($2::bytea IS NULL OR r.deployment = $2) ORDER BY r.seq LIMIT $3";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let deployment = deployment.map(str::as_bytes);
        let found = held.query(&statement, &[&after.0, &deployment, &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, standing)
    }

    async fn revise_once(&self, revisions: &[Revision], at: Timestamp) -> Result<u64, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let mut counts = BucketChanges::default();
        let changed = revise(&transaction, revisions, at, &mut counts).await?;
        buckets::write(&transaction, &mut counts).await?;
        transaction.commit().await?;
        held.release();
        Ok(changed)
    }

    async fn revisions_once(&self, seq: Seq) -> Result<Vec<Revised>, Fault> {
        let held = self.pool.get().await?;
        let sql = "SELECT at, cause, earlier, later, detail FROM revisions WHERE seq = $1 ORDER BY id";
        let found = held.query(sql, &[&seq.0]).await?;
        held.release();
        rows::all(&found, revised)
    }
}

/// Changes decisions where the earlier ones still stand; how many. `counts` takes what that changes of the buckets.
pub(super) async fn revise(
    client: &Transaction<'_>,
    revisions: &[Revision],
    at: Timestamp,
    counts: &mut BucketChanges,
) -> Result<u64, Fault> {
    let seqs: Vec<i64> = revisions.iter().map(|r| r.seq.0).collect();
    let earlier: Vec<i16> = revisions.iter().map(|r| number(r.earlier)).collect();
    let later: Vec<i16> = revisions.iter().map(|r| number(r.decided.decision)).collect();
    let confidence: Vec<f64> = revisions.iter().map(|r| r.decided.confidence).collect();
    let reasons: Vec<i64> = revisions.iter().map(|r| r.decided.reasons.bits()).collect();
    let causes: Vec<i16> = revisions.iter().map(|r| number(r.cause)).collect();
    let details: Vec<&str> = revisions.iter().map(|r| r.detail.as_str()).collect();
    let bodies: Vec<String> = revisions.iter().map(changed_body).collect();
    // Locked, so that what stood is what is replaced.
    let sql = "SELECT r.seq, r.deployment, r.scored_at, r.model, r.reasons, s.device \
               FROM (SELECT DISTINCT unnest($1::bigint[]) AS seq) v JOIN results r ON r.seq = v.seq \
               JOIN sessions s ON s.seq = r.seq ORDER BY r.seq FOR UPDATE OF r";
    let statement = client.prepare_cached(sql).await?;
    let stood = client.query(&statement, &[&seqs]).await?;
    let sql = "WITH v AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], \
                   $4::float8[], $5::bigint[], $6::smallint[], $7::text[], $10::text[]) \
                   AS v(seq, earlier, later, confidence, reasons, cause, detail, body)), \
                   changed AS (UPDATE results r SET decision = v.later, confidence = v.confidence, reasons = v.reasons \
                   FROM v WHERE r.seq = v.seq AND r.decision = v.earlier \
                   AND (v.cause = $8 OR NOT EXISTS (SELECT 1 FROM labels l WHERE l.seq = v.seq)) \
                   RETURNING v.seq, v.cause, v.earlier, v.later, v.detail, v.body, r.deployment), \
                   told AS (INSERT INTO deliveries (webhook, seq, target, kind, body, created_at, state, attempts, \
                   not_before) SELECT convert_from(c.name, 'UTF8'), n.seq, '', 1, n.body, $9, 0, 0, $9 FROM changed n \
                   JOIN controls c ON c.kind = 'webhook' AND (c.value::json->>'changed')::boolean \
                   AND coalesce(convert_to(c.value::json->>'deploymentId', 'UTF8'), n.deployment) = n.deployment \
                   ORDER BY n.seq) \
                   INSERT INTO revisions (seq, at, cause, earlier, later, detail) \
                   SELECT seq, $9, cause, earlier, later, detail FROM changed ORDER BY seq RETURNING seq";
    let statement = client.prepare_cached(sql).await?;
    let label = number(Cause::Label);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 10] =
        [&seqs, &earlier, &later, &confidence, &reasons, &causes, &details, &label, &at.0, &bodies];
    let changed = rows::all(&client.query(&statement, &values).await?, |row| Ok(row.try_get::<_, i64>(0)?))?;
    let changed: HashSet<i64> = changed.into_iter().collect();
    let new: HashMap<i64, &Revision> = revisions.iter().map(|revision| (revision.seq.0, revision)).collect();
    for row in &stood {
        let seq: i64 = row.try_get("seq")?;
        let Some(revision) = new.get(&seq).filter(|_| changed.contains(&seq)) else { continue };
        buckets::count_row(counts, row, revision.earlier, Reasons::from_bits(row.try_get("reasons")?), -1)?;
        buckets::count_row(counts, row, revision.decided.decision, revision.decided.reasons, 1)?;
    }
    Ok(changed.len() as u64)
}
