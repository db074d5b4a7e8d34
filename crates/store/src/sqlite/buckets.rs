//! Decisions counted by time.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::rows;
use super::state::WriterState;
use super::store::SqliteStore;
use crate::StoreResult;
use crate::buckets::{
    BUCKET_MS, BucketQuery, BucketStore, Buckets, Counted, FOLDS, KeptFacet, LabelledResult, MAX_FOLDED, MAX_LABELLED,
    ReviewBacklog, Summed,
};
use crate::decisions::Cause;
use crate::encoding::Numbered as _;
use crate::export::KeptBucket;
use crate::labels::Truth;
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::{Decision, ModelIdentity, ScoreKind};
use playproof_domain::time::Timestamp;
use playproof_domain::trend::{DeviceClass, Facet, Tally};

/// A result as it is counted before something about it changes.
pub(super) struct Standing {
    deployment: String,
    scored_at: i64,
    device: DeviceClass,
    model: i64,
    pub(super) decision: Decision,
    reasons: Reasons,
}

impl WriterState {
    /// The result of a session as it stands; `None` where there is none.
    pub(super) fn standing(&self, session: i64) -> Result<Option<Standing>, Fault> {
        let sql = "SELECT r.deployment, r.scored_at, s.device, r.model, r.decision, r.reasons FROM results r \
                   JOIN sessions s ON s.seq = r.session WHERE r.session = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = rows::collect(&mut statement, [session], |row| {
            Ok(Standing {
                deployment: row.get("deployment")?,
                scored_at: row.get("scored_at")?,
                device: device(row)?,
                model: row.get("model")?,
                decision: Decision::from_number(row.get("decision")?)?,
                reasons: Reasons::from_bits(row.get("reasons")?),
            })
        })?;
        Ok(found.pop())
    }

    /// Counts what stood no more.
    pub(super) fn uncount(&mut self, standing: &Standing) {
        self.buckets.count(standing.counted(), standing.decision, standing.reasons, -1);
    }

    /// Counts what stands now in place of what stood.
    pub(super) fn recount(&mut self, standing: &Standing, decision: Decision, reasons: Reasons) {
        self.uncount(standing);
        self.buckets.count(standing.counted(), decision, reasons, 1);
    }

    /// Writes what a group changed, once for each row.
    pub(super) fn write_buckets(&mut self) -> Result<(), Fault> {
        if self.buckets.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO decision_buckets (width, slot, deployment, facet, value, passed, reviewed, failed) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET passed = passed + excluded.passed, \
                   reviewed = reviewed + excluded.reviewed, failed = failed + excluded.failed";
        let mut statement = self.connection.prepare_cached(sql)?;
        for ((slot, deployment, facet, value), [passed, reviewed, failed]) in self.buckets.take() {
            statement.execute(params![BUCKET_MS, slot, deployment, facet, value, passed, reviewed, failed])?;
        }
        Ok(())
    }

    fn fold_buckets(&self, keep: Duration, now: Timestamp) -> Result<bool, Fault> {
        let mut more = false;
        for (width, to, age) in FOLDS {
            let before = now.0.saturating_sub(age);
            let before = before - before.rem_euclid(to);
            let sql = "SELECT min(slot) FROM decision_buckets WHERE width = ? AND slot < ?";
            let oldest: Option<i64> =
                self.connection.prepare_cached(sql)?.query_row([width, before], |row| row.get(0))?;
            let Some(oldest) = oldest else { continue };
            let until = before.min(oldest - oldest.rem_euclid(to) + to * MAX_FOLDED);
            more |= until < before;
            let sql = "INSERT INTO decision_buckets SELECT ?2, slot - slot % ?2, deployment, facet, value, sum(passed), \
                       sum(reviewed), sum(failed) FROM decision_buckets WHERE width = ?1 AND slot < ?3 \
                       GROUP BY slot - slot % ?2, deployment, facet, value \
                       HAVING sum(passed) <> 0 OR sum(reviewed) <> 0 OR sum(failed) <> 0 \
                       ON CONFLICT DO UPDATE SET passed = passed + excluded.passed, \
                       reviewed = reviewed + excluded.reviewed, failed = failed + excluded.failed";
            self.connection.prepare_cached(sql)?.execute([width, to, until])?;
            let sql = "DELETE FROM decision_buckets WHERE width = ? AND slot < ?";
            self.connection.prepare_cached(sql)?.execute([width, until])?;
        }
        for (width, ..) in FOLDS.into_iter().chain([(FOLDS[1].1, 0, 0)]) {
            let sql = "DELETE FROM decision_buckets WHERE width = ? AND slot <= ?";
            self.connection.prepare_cached(sql)?.execute([width, now.minus(keep).0.saturating_sub(width)])?;
        }
        Ok(more)
    }
}

impl Standing {
    fn counted(&self) -> Counted<'_> {
        let Self { deployment, scored_at, device, model, .. } = self;
        Counted { deployment, scored_at: *scored_at, device: *device, model: *model }
    }
}

/// The class of a claimed device, of a row that has it.
pub(super) fn device(row: &Row<'_>) -> Result<DeviceClass, Fault> {
    Ok(DeviceClass::of(row.get_ref("device")?.as_str().map_err(rusqlite::Error::from)?))
}

fn read(connection: &Connection, query: &BucketQuery) -> Result<Buckets, Fault> {
    let sql = "SELECT facet, value, CASE facet WHEN 0 THEN deployment ELSE '' END AS whose, \
               CASE WHEN slot < ?2 THEN -1 WHEN facet = 0 THEN (slot - ?2) / ?4 ELSE 0 END AS step, \
               sum(passed) AS passed, sum(reviewed) AS reviewed, sum(failed) AS failed FROM decision_buckets \
               WHERE width IN (300000, 3600000, 86400000) AND slot >= ?1 AND slot < ?3 \
               AND (?5 IS NULL OR deployment = ?5) GROUP BY 1, 2, 3, 4";
    let mut statement = connection.prepare_cached(sql)?;
    let asked = params![query.earlier().0, query.since.0, query.until.0, query.step_ms, query.deployment];
    // Below zero where what was counted is forgotten already.
    let count = |row: &Row<'_>, name: &str| row.get::<_, i64>(name).map(|sum| sum.max(0).unsigned_abs());
    let found = rows::collect(&mut statement, asked, |row| {
        let kept = KeptFacet::from_number(row.get("facet")?)?;
        let (value, whose, step): (i64, String, i64) = (row.get("value")?, row.get("whose")?, row.get("step")?);
        let tally = Tally { pass: count(row, "passed")?, review: count(row, "reviewed")?, fail: count(row, "failed")? };
        Ok((kept, value, whose, step, tally))
    })?;
    let models = models(connection)?;
    let mut sum = Summed::new(query);
    for (kept, value, whose, step, tally) in found {
        let facet = match kept {
            KeptFacet::All => Facet::Deployment(whose),
            KeptFacet::Device => Facet::Device(DeviceClass::from_number(value)?),
            KeptFacet::Reason => Facet::Reason(Reason::from_number(value)?),
            KeptFacet::Model => match models.get(&value) {
                Some(model) => Facet::Model(model.clone()),
                None => continue,
            },
        };
        sum.add(facet, step, tally);
    }
    Ok(sum.done())
}

fn models(connection: &Connection) -> Result<HashMap<i64, ModelIdentity>, Fault> {
    let mut statement = connection.prepare_cached("SELECT id, name, version FROM models")?;
    let models = rows::collect(&mut statement, [], |row| {
        Ok((row.get(0)?, ModelIdentity { id: row.get(1)?, version: row.get(2)? }))
    })?;
    Ok(models.into_iter().collect())
}

/// Every row.
pub(super) fn all(connection: &Connection) -> Result<Vec<KeptBucket>, Fault> {
    let models = models(connection)?;
    let mut statement = connection.prepare("SELECT * FROM decision_buckets")?;
    rows::collect(&mut statement, [], |row| {
        let (facet, value): (i64, i64) = (row.get("facet")?, row.get("value")?);
        let is_model = KeptFacet::from_number(facet)? == KeptFacet::Model;
        Ok(KeptBucket {
            bucket: (row.get("width")?, row.get("slot")?),
            deployment: row.get("deployment")?,
            facet: (facet, value),
            model: models.get(&value).filter(|_| is_model).cloned(),
            counts: [row.get("passed")?, row.get("reviewed")?, row.get("failed")?],
        })
    })
}

fn labelled(connection: &Connection, since: Timestamp, deployment: Option<&str>) -> Result<Vec<LabelledResult>, Fault> {
    let sql = "SELECT l.label, l.at, coalesce((SELECT v.earlier FROM revisions v WHERE v.session = l.session \
               AND v.cause = ?1 ORDER BY v.id LIMIT 1), r.decision) AS decided, r.kind, r.score, r.class, s.device \
               FROM labels l JOIN results r ON r.session = l.session JOIN sessions s ON s.seq = l.session \
               WHERE l.label = ?5 AND l.at >= ?2 AND (?3 IS NULL OR s.deployment = ?3) ORDER BY l.at DESC, l.session DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    let mut all = Vec::new();
    for truth in Truth::ALL {
        let asked = params![Cause::Label.number(), since.0, deployment, MAX_LABELLED, truth.number()];
        all.extend(rows::collect(&mut statement, asked, labelled_row)?);
    }
    Ok(all)
}

fn labelled_row(row: &Row<'_>) -> Result<LabelledResult, Fault> {
    Ok(LabelledResult {
        truth: Truth::from_number(row.get("label")?)?,
        labelled_at: Timestamp(row.get("at")?),
        decided: Decision::from_number(row.get("decided")?)?,
        kind: ScoreKind::from_number(row.get("kind")?)?,
        score: row.get("score")?,
        device: device(row)?,
        class: row.get("class")?,
    })
}

fn review_backlog(connection: &Connection, deployment: Option<&str>, most: u32) -> Result<ReviewBacklog, Fault> {
    // The number is written out, so that the partial index is eligible.
    let [counted, oldest] = match deployment {
        None => [
            "SELECT count(*) FROM (SELECT 1 FROM results WHERE decision = 1 AND ?1 IS NULL ORDER BY scored_at LIMIT ?2)",
            "SELECT scored_at FROM results WHERE decision = 1 AND ?1 IS NULL ORDER BY scored_at LIMIT 1",
        ],
        Some(_) => [
            "SELECT count(*) FROM (SELECT 1 FROM results WHERE decision = 1 AND deployment = ?1 ORDER BY scored_at LIMIT ?2)",
            "SELECT scored_at FROM results WHERE decision = 1 AND deployment = ?1 ORDER BY scored_at LIMIT 1",
        ],
    };
    let waiting: i64 = connection.prepare_cached(counted)?.query_row(params![deployment, most], |row| row.get(0))?;
    let oldest = connection.prepare_cached(oldest)?.query_row([deployment], |row| row.get(0)).optional()?;
    let is_more = waiting >= i64::from(most);
    Ok(ReviewBacklog { waiting: waiting.unsigned_abs(), is_more, oldest: oldest.map(Timestamp) })
}

#[async_trait]
impl BucketStore for SqliteStore {
    async fn buckets(&self, query: BucketQuery) -> StoreResult<Buckets> {
        self.read(move |connection| read(connection, &query)).await
    }

    async fn fold_buckets(&self, keep: Duration, now: Timestamp) -> StoreResult<bool> {
        self.writer.execute(move |state| state.fold_buckets(keep, now)).await
    }

    async fn review_backlog(&self, deployment: Option<String>, most: u32) -> StoreResult<ReviewBacklog> {
        self.read(move |connection| review_backlog(connection, deployment.as_deref(), most)).await
    }

    async fn recent_scores(&self, deployment: Option<String>, most: u32) -> StoreResult<Vec<(Timestamp, Option<f64>)>> {
        self.read(move |connection| {
            // Said twice so that the partial index is eligible.
            let sql = match deployment.as_deref() {
                None => "SELECT scored_at, score, kind FROM results WHERE ?1 IS NULL ORDER BY scored_at DESC LIMIT ?2",
                Some("") => {
                    "SELECT scored_at, score, kind FROM (SELECT * FROM results ORDER BY scored_at DESC LIMIT ?2) \
                     WHERE deployment = ?1"
                }
                Some(_) => {
                    "SELECT scored_at, score, kind FROM results WHERE deployment <> '' AND deployment = ?1 \
                     ORDER BY scored_at DESC LIMIT ?2"
                }
            };
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![deployment, most], |row| {
                let calibrated = ScoreKind::from_number(row.get("kind")?)? == ScoreKind::Calibrated;
                Ok((Timestamp(row.get("scored_at")?), row.get::<_, Option<f64>>("score")?.filter(|_| calibrated)))
            })
        })
        .await
    }

    async fn labelled(&self, since: Timestamp, deployment: Option<String>) -> StoreResult<Vec<LabelledResult>> {
        self.read(move |connection| labelled(connection, since, deployment.as_deref())).await
    }
}
