//! Writing results: once per session, in the transaction that takes it out of the queue.

use std::collections::HashMap;

use deadpool_postgres::Transaction;

use super::core::Core;
use super::fault::Fault;
use super::rows::{number, plain, whole};
use crate::{StoreError, scored};
use playproof_domain::id::BatchId;
use playproof_domain::queue::Entry;
use playproof_domain::result::{ModelIdentity, Verdict};
use playproof_domain::time::Timestamp;

/// A result about to be written.
pub(super) struct NewResult<'a> {
    pub(super) seq: i64,
    /// The session's last place in the queue.
    pub(super) entry: Entry,
    pub(super) verdict: &'a Verdict,
}

/// The columns of verdicts, side by side.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) confidence: Vec<f64>,
    pub(super) score: Vec<Option<f64>>,
    pub(super) raw: Vec<Option<f64>>,
    pub(super) reasons: Vec<i64>,
    pub(super) model: Vec<i32>,
    pub(super) decision: Vec<i16>,
    pub(super) kind: Vec<i16>,
    pub(super) source: Vec<i16>,
    pub(super) extrapolated: Vec<bool>,
    pub(super) fallback: Vec<bool>,
    pub(super) class: Vec<std::borrow::Cow<'a, str>>,
    pub(super) supported_score: Vec<Option<f64>>,
    pub(super) known_reasons: Vec<Option<i64>>,
    pub(super) surely_replayed: Vec<Option<bool>>,
    pub(super) scored: Vec<Option<Vec<u8>>>,
}

impl<'a> Columns<'a> {
    pub(super) fn push(&mut self, verdict: &'a Verdict, models: &HashMap<ModelIdentity, i32>) -> Result<(), Fault> {
        let model = models.get(&verdict.model);
        let model = model.ok_or_else(|| StoreError::Corrupt("a model without a number".to_owned()))?;
        self.confidence.push(verdict.confidence);
        self.score.push(verdict.anomaly_score);
        self.raw.push(verdict.raw_score);
        self.reasons.push(verdict.reasons.bits());
        self.model.push(*model);
        self.decision.push(number(verdict.decision));
        self.kind.push(number(verdict.kind));
        self.source.push(number(verdict.source));
        self.extrapolated.push(verdict.extrapolated);
        self.fallback.push(verdict.fallback);
        self.class.push(plain(&verdict.class));
        self.supported_score.push(verdict.basis.and_then(|basis| basis.supported_score));
        self.known_reasons.push(verdict.basis.map(|basis| basis.known_reasons.bits()));
        self.surely_replayed.push(verdict.basis.map(|basis| basis.surely_replayed));
        self.scored.push(verdict.as_scored().map(|as_scored| scored::bytes(&as_scored)));
        Ok(())
    }
}

/// Takes scored sessions out of the queue and writes their results; the table's key is the last guard against a second
/// result.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    scored: &[NewResult<'_>],
    models: &HashMap<ModelIdentity, i32>,
    batch: BatchId,
    now: Timestamp,
) -> Result<(), Fault> {
    if scored.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for new in scored {
        columns.push(new.verdict, models)?;
    }
    let seqs: Vec<i64> = scored.iter().map(|new| new.seq).collect();
    let not_before: Vec<i64> = scored.iter().map(|new| new.entry.not_before.0).collect();
    let attempts: Vec<i32> = scored.iter().map(|new| whole(new.entry.attempts + 1)).collect();
    let lost: Vec<i32> = scored.iter().map(|new| whole(new.entry.lost_leases)).collect();
    let sql = "WITH done AS (DELETE FROM queue WHERE seq = ANY($1)) \
        INSERT INTO results (seq, scored_at, batch, confidence, score, raw, reasons, not_before, model, attempts, \
        lost_leases, decision, kind, source, extrapolated, fallback, class, deployment, supported, noted, \
        surely_replayed, scored) \
        SELECT v.seq, $2, $3, v.confidence, v.score, v.raw, v.reasons, v.not_before, v.model, v.attempts, v.lost, \
        v.decision, v.kind, v.source, v.extrapolated, v.fallback, v.class, s.deployment, v.supported, v.noted, \
        v.surely_replayed, v.scored \
        FROM unnest($1::bigint[], $4::float8[], $5::float8[], $6::float8[], $7::bigint[], $8::bigint[], $9::int[], \
        $10::int[], $11::int[], $12::smallint[], $13::smallint[], $14::smallint[], $15::boolean[], $16::boolean[], \
        $17::text[], $18::float8[], $19::bigint[], $20::boolean[], $21::bytea[]) AS v(seq, confidence, score, raw, reasons, not_before, model, attempts, lost, decision, kind, \
        source, extrapolated, fallback, class, supported, noted, surely_replayed, scored) JOIN sessions s ON s.seq = v.seq";
    let statement = transaction.prepare_cached(sql).await?;
    let written = transaction
        .execute(
            &statement,
            &[
                &seqs,
                &now.0,
                &batch.0,
                &columns.confidence,
                &columns.score,
                &columns.raw,
                &columns.reasons,
                &not_before,
                &columns.model,
                &attempts,
                &lost,
                &columns.decision,
                &columns.kind,
                &columns.source,
                &columns.extrapolated,
                &columns.fallback,
                &columns.class,
                &columns.supported_score,
                &columns.known_reasons,
                &columns.surely_replayed,
                &columns.scored,
            ],
        )
        .await?;
    if written != scored.len() as u64 {
        return Err(StoreError::Corrupt(format!("{written} results of {} were written", scored.len())).into());
    }
    Ok(())
}

impl Core {
    /// The number of a model, stored once, whatever becomes of what is written with it.
    pub(super) async fn model(&self, model: &ModelIdentity) -> Result<i32, Fault> {
        if let Some(id) = self.models().get(model) {
            return Ok(*id);
        }
        let held = self.pool.get().await?;
        let (name, version) = (model.id.as_bytes(), model.version.as_bytes());
        let insert = "INSERT INTO models (name, version) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        held.execute(insert, &[&name, &version]).await?;
        let find = "SELECT id FROM models WHERE name = $1 AND version = $2";
        let id = held.query_one(find, &[&name, &version]).await?.get(0);
        held.release();
        self.models().insert(model.clone(), id);
        Ok(id)
    }
}
