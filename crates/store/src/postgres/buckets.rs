//! Decisions counted by time.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::rows::{self, enumerated, number};
use super::store::PostgresStore;
use crate::StoreResult;
use crate::buckets::{
    BUCKET_MS, BucketChanges, BucketQuery, BucketStore, Buckets, Counted, FOLDS, KeptFacet, LabelledResult, MAX_FOLDED,
    MAX_LABELLED, ReviewBacklog, Summed,
};
use crate::decisions::Cause;
use crate::encoding::Numbered as _;
use crate::export::KeptBucket;
use crate::labels::Truth;
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::{Decision, ModelIdentity, ScoreKind};
use playproof_domain::time::Timestamp;
use playproof_domain::trend::{DeviceClass, Facet, Tally};

/// Rows that share a count. A transaction changes those of its connection's shard.
const SHARDS: i32 = 8;
/// Who holds this advisory lock adds up old buckets.
const LOCK: i64 = 0x706c_6179_6264;

/// The columns of changed rows, in the order of their keys: slot, deployment, facet, value and the three counts.
#[derive(Default)]
pub(super) struct BucketColumns {
    pub(super) slots: Vec<i64>,
    pub(super) deployments: Vec<Vec<u8>>,
    pub(super) facets: Vec<i16>,
    pub(super) values: Vec<i32>,
    pub(super) counts: [Vec<i64>; 3],
}

impl BucketColumns {
    pub(super) fn of(changes: &mut BucketChanges) -> Self {
        let mut columns = Self::default();
        for ((slot, deployment, facet, value), counts) in changes.take() {
            columns.slots.push(slot);
            columns.deployments.push(deployment.into_bytes());
            columns.facets.push(i16::try_from(facet).unwrap_or(-1));
            columns.values.push(i32::try_from(value).unwrap_or(-1));
            columns.counts.iter_mut().zip(counts).for_each(|(column, count)| column.push(count));
        }
        columns
    }
}

/// The statement that changes rows given by the parameters from `first` on: those of [`BucketColumns`]. All transactions
/// change rows in the order of their keys, so they don't wait for each other in a circle.
pub(super) fn change(first: usize) -> String {
    let [a, b, c, d, e, f, g]: [usize; 7] = std::array::from_fn(|i| first + i);
    format!(
        "INSERT INTO decision_buckets AS b (width, slot, passed, reviewed, failed, facet, shard, value, deployment) \
         SELECT {BUCKET_MS}, slot, passed, reviewed, failed, facet, pg_backend_pid() % {SHARDS}, value, deployment \
         FROM unnest(${a}::bigint[], ${b}::bytea[], ${c}::smallint[], ${d}::int[], ${e}::bigint[], ${f}::bigint[], \
         ${g}::bigint[]) AS c(slot, deployment, facet, value, passed, reviewed, failed) \
         ORDER BY slot, deployment, facet, value \
         ON CONFLICT (width, slot, deployment, facet, value, shard) DO UPDATE SET passed = b.passed + excluded.passed, \
         reviewed = b.reviewed + excluded.reviewed, failed = b.failed + excluded.failed"
    )
}

/// Writes changes. Comes late in a transaction, so that its rows are locked for the commit only, but before its counters.
pub(super) async fn write(client: &impl GenericClient, changes: &mut BucketChanges) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    let columns = BucketColumns::of(changes);
    let statement = client.prepare_cached(&change(1)).await?;
    let [passed, reviewed, failed] = &columns.counts;
    let BucketColumns { slots, deployments, facets, values, .. } = &columns;
    client.execute(&statement, &[slots, deployments, facets, values, passed, reviewed, failed]).await?;
    Ok(())
}

/// Takes rows of another store in, with the numbers of models here.
pub(super) async fn take(
    client: &impl GenericClient,
    kept: &[KeptBucket],
    models: &HashMap<ModelIdentity, i32>,
) -> Result<(), Fault> {
    let sql = "INSERT INTO decision_buckets (width, slot, passed, reviewed, failed, facet, shard, value, deployment) \
               VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8) ON CONFLICT DO NOTHING";
    let statement = client.prepare_cached(sql).await?;
    for KeptBucket { bucket: (width, slot), deployment, facet: (facet, value), model, counts } in kept {
        let value = model.as_ref().and_then(|model| models.get(model)).map_or(*value, |model| i64::from(*model));
        let (facet, value) = (i16::try_from(*facet).unwrap_or(-1), i32::try_from(value).unwrap_or(-1));
        let [passed, reviewed, failed] = counts;
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [width, slot, passed, reviewed, failed, &facet, &value, &deployment.as_bytes()];
        client.execute(&statement, &row).await?;
    }
    Ok(())
}

/// Counts a row of a result, with the columns deployment, `scored_at`, device and model.
pub(super) fn count_row(
    changes: &mut BucketChanges,
    row: &Row,
    decision: Decision,
    reasons: Reasons,
    sign: i64,
) -> Result<(), Fault> {
    let deployment = rows::text(row, "deployment")?;
    let counted = Counted {
        deployment: &deployment,
        scored_at: row.try_get("scored_at")?,
        device: device(row)?,
        model: i64::from(row.try_get::<_, i32>("model")?),
    };
    changes.count(counted, decision, reasons, sign);
    Ok(())
}

fn device(row: &Row) -> Result<DeviceClass, Fault> {
    Ok(DeviceClass::of(&rows::text(row, "device")?))
}

#[async_trait]
impl BucketStore for PostgresStore {
    async fn buckets(&self, query: BucketQuery) -> StoreResult<Buckets> {
        called!(self.core.buckets_once(&query))
    }

    async fn fold_buckets(&self, keep: Duration, now: Timestamp) -> StoreResult<bool> {
        called!(self.core.fold_buckets_once(keep, now))
    }

    async fn review_backlog(&self, deployment: Option<String>, most: u32) -> StoreResult<ReviewBacklog> {
        called!(self.core.review_backlog_once(deployment.as_deref(), most))
    }

    async fn recent_scores(&self, deployment: Option<String>, most: u32) -> StoreResult<Vec<(Timestamp, Option<f64>)>> {
        called!(self.core.recent_scores_once(deployment.as_deref(), most))
    }

    async fn labelled(&self, since: Timestamp, deployment: Option<String>) -> StoreResult<Vec<LabelledResult>> {
        called!(self.core.labelled_once(since, deployment.as_deref()))
    }
}

impl Core {
    pub(super) async fn buckets_once(&self, query: &BucketQuery) -> Result<Buckets, Fault> {
        let sql = "SELECT facet, value, CASE facet WHEN 0 THEN deployment ELSE '' END AS whose, \
                   CASE WHEN slot < $2 THEN -1 WHEN facet = 0 THEN (slot - $2) / $4 ELSE 0 END AS step, \
                   sum(passed)::bigint AS passed, sum(reviewed)::bigint AS reviewed, sum(failed)::bigint AS failed \
                   FROM decision_buckets WHERE width = ANY('{300000, 3600000, 86400000}') AND slot >= $1 AND slot < $3 \
                   AND ($5::bytea IS NULL OR deployment = $5) GROUP BY 1, 2, 3, 4";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let deployment = query.deployment.as_deref().map(str::as_bytes);
        let asked: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&query.earlier().0, &query.since.0, &query.until.0, &query.step_ms, &deployment];
        let found = held.query(&statement, &asked).await?;
        let models = held.query("SELECT id, name, version FROM models", &[]).await?;
        held.release();
        let models = rows::all(&models, |row| {
            let model = ModelIdentity { id: rows::text(row, "name")?, version: rows::text(row, "version")? };
            Ok((row.try_get::<_, i32>("id")?, model))
        })?;
        let models: HashMap<i32, ModelIdentity> = models.into_iter().collect();
        let mut sum = Summed::new(query);
        for row in &found {
            let value: i32 = row.try_get("value")?;
            // Below zero where what was counted is forgotten already.
            let count = |name: &str| row.try_get::<_, i64>(name).map(|sum| sum.max(0).unsigned_abs());
            let tally = Tally { pass: count("passed")?, review: count("reviewed")?, fail: count("failed")? };
            let facet = match enumerated::<KeptFacet>(row, "facet")? {
                KeptFacet::All => Facet::Deployment(rows::text(row, "whose")?),
                KeptFacet::Device => Facet::Device(DeviceClass::from_number(value.into())?),
                KeptFacet::Reason => Facet::Reason(Reason::from_number(value.into())?),
                KeptFacet::Model => match models.get(&value) {
                    Some(model) => Facet::Model(model.clone()),
                    None => continue,
                },
            };
            sum.add(facet, row.try_get("step")?, tally);
        }
        Ok(sum.done())
    }

    async fn fold_buckets_once(&self, keep: Duration, now: Timestamp) -> Result<bool, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let mine = "SELECT pg_try_advisory_xact_lock($1 # hashtextextended(current_schema(), 0))";
        if !transaction.query_one(mine, &[&LOCK]).await?.get::<_, bool>(0) {
            transaction.rollback().await?;
            held.release();
            return Ok(false);
        }
        let mut more = false;
        for (width, to, age) in FOLDS {
            let before = now.0.saturating_sub(age);
            let before = before - before.rem_euclid(to);
            let sql = "SELECT min(slot) FROM decision_buckets WHERE width = $1 AND slot < $2";
            let oldest: Option<i64> = transaction.query_one(sql, &[&width, &before]).await?.get(0);
            let Some(oldest) = oldest else { continue };
            let until = before.min(oldest - oldest.rem_euclid(to) + to * MAX_FOLDED);
            more |= until < before;
            // Locked in the order in which others change them.
            let lock = "SELECT 1 FROM decision_buckets WHERE width = $1 AND slot < $2 \
                        ORDER BY slot, deployment, facet, value FOR UPDATE";
            transaction.execute(lock, &[&width, &until]).await?;
            let sql = "WITH old AS (DELETE FROM decision_buckets WHERE width = $1 AND slot < $3 RETURNING *) \
                       INSERT INTO decision_buckets AS b \
                       (width, slot, passed, reviewed, failed, facet, shard, value, deployment) \
                       SELECT $2, slot - slot % $2, sum(passed), sum(reviewed), sum(failed), facet, 0, value, deployment \
                       FROM old GROUP BY slot - slot % $2, deployment, facet, value \
                       HAVING sum(passed) <> 0 OR sum(reviewed) <> 0 OR sum(failed) <> 0 \
                       ON CONFLICT (width, slot, deployment, facet, value, shard) DO UPDATE SET \
                       passed = b.passed + excluded.passed, reviewed = b.reviewed + excluded.reviewed, \
                       failed = b.failed + excluded.failed";
            transaction.execute(sql, &[&width, &to, &until]).await?;
        }
        for (width, ..) in FOLDS.into_iter().chain([(FOLDS[1].1, 0, 0)]) {
            let sql = "DELETE FROM decision_buckets WHERE width = $1 AND slot <= $2";
            transaction.execute(sql, &[&width, &now.minus(keep).0.saturating_sub(width)]).await?;
        }
        transaction.commit().await?;
        held.release();
        Ok(more)
    }

    pub(super) async fn review_backlog_once(
        &self,
        deployment: Option<&str>,
        most: u32,
    ) -> Result<ReviewBacklog, Fault> {
        let held = self.pool.get().await?;
        // The number is written out, so that the partial index is eligible.
        let whose = if deployment.is_some() { "deployment = $1" } else { "$1::bytea IS NULL" };
        let sql = format!(
            "SELECT count(*), min(scored_at) FROM (SELECT scored_at FROM results WHERE decision = 1 AND {whose} \
             ORDER BY scored_at LIMIT $2) r"
        );
        let statement = held.prepare_cached(&sql).await?;
        let row = held.query_one(&statement, &[&deployment.map(str::as_bytes), &i64::from(most)]).await?;
        held.release();
        let waiting: i64 = row.try_get(0)?;
        let oldest = row.try_get::<_, Option<i64>>(1)?.map(Timestamp);
        Ok(ReviewBacklog { waiting: waiting.unsigned_abs(), is_more: waiting >= i64::from(most), oldest })
    }

    pub(super) async fn recent_scores_once(
        &self,
        deployment: Option<&str>,
        most: u32,
    ) -> Result<Vec<(Timestamp, Option<f64>)>, Fault> {
        // Said twice so that the partial index is eligible.
        let sql = match deployment {
            None => {
                "SELECT scored_at, score, kind FROM results WHERE $1::bytea IS NULL ORDER BY scored_at DESC, seq DESC LIMIT $2"
            }
            Some("") => {
                "SELECT scored_at, score, kind FROM (SELECT * FROM results ORDER BY scored_at DESC, seq DESC LIMIT $2) r \
                 WHERE deployment = $1"
            }
            Some(_) => {
                "SELECT scored_at, score, kind FROM results WHERE deployment <> '\\x' AND deployment = $1 \
                 ORDER BY scored_at DESC, seq DESC LIMIT $2"
            }
        };
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let found = held.query(&statement, &[&deployment.map(str::as_bytes), &i64::from(most)]).await?;
        held.release();
        rows::all(&found, |row| {
            let calibrated = enumerated::<ScoreKind>(row, "kind")? == ScoreKind::Calibrated;
            Ok((Timestamp(row.try_get("scored_at")?), row.try_get::<_, Option<f64>>("score")?.filter(|_| calibrated)))
        })
    }

    pub(super) async fn labelled_once(
        &self,
        since: Timestamp,
        deployment: Option<&str>,
    ) -> Result<Vec<LabelledResult>, Fault> {
        let held = self.pool.get().await?;
        let sql = "SELECT l.label, l.at, coalesce((SELECT v.earlier FROM revisions v WHERE v.seq = l.seq \
                   AND v.cause = $1 ORDER BY v.id LIMIT 1), r.decision) AS decided, r.kind, r.score, r.class, s.device \
                   FROM labels l JOIN results r ON r.seq = l.seq JOIN sessions s ON s.seq = l.seq \
                   WHERE l.label = $5 AND l.at >= $2 AND ($3::bytea IS NULL OR s.deployment = $3) \
                   ORDER BY l.at DESC, l.seq DESC LIMIT $4";
        let statement = held.prepare_cached(sql).await?;
        let deployment = deployment.map(str::as_bytes);
        let (label, most) = (number(Cause::Label), i64::from(MAX_LABELLED));
        let mut found = Vec::new();
        for truth in Truth::ALL {
            let asked: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&label, &since.0, &deployment, &most, &number(truth)];
            found.extend(held.query(&statement, &asked).await?);
        }
        held.release();
        rows::all(&found, |row| {
            Ok(LabelledResult {
                truth: enumerated(row, "label")?,
                labelled_at: Timestamp(row.try_get("at")?),
                decided: enumerated(row, "decided")?,
                kind: enumerated(row, "kind")?,
                score: row.try_get("score")?,
                device: device(row)?,
                class: row.try_get("class")?,
            })
        })
    }
}
