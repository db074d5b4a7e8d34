//! Decisions that are made anew.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::fault::Fault;
use super::results::{TELEMETRY_KEPT, TELEMETRY_KEPT_LONGER};
use super::state::WriterState;
use super::store::SqliteStore;
use super::{deliveries, rows};
use crate::StoreResult;
use crate::decisions::{Cause, DecidedResult, DecisionStore, Revised, Revision};
use crate::encoding::Numbered as _;
use playproof_domain::id::Seq;
use playproof_domain::result::{Decision, ScoreKind};
use playproof_domain::time::Timestamp;

/// A change of a decision.
pub(super) fn revised(row: &Row<'_>) -> Result<Revised, Fault> {
    Ok(Revised {
        at: Timestamp(row.get("at")?),
        cause: Cause::from_number(row.get("cause")?)?,
        earlier: Decision::from_number(row.get("earlier")?)?,
        later: Decision::from_number(row.get("later")?)?,
        detail: row.get("detail")?,
    })
}

/// How a session's decision stands, of a row with all its columns.
pub(super) fn standing(row: &Row<'_>) -> Result<DecidedResult, Fault> {
    Ok(DecidedResult {
        seq: Seq(row.get("seq")?),
        key: rows::key(row, "deployment", "id")?,
        kind: ScoreKind::from_number(row.get("kind")?)?,
        score: row.get("score")?,
        basis: rows::basis(row)?,
        decision: Decision::from_number(row.get("decision")?)?,
        labelled: row.get("labelled")?,
    })
}

#[async_trait]
impl DecisionStore for SqliteStore {
    async fn standings(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<DecidedResult>> {
        self.read(move |connection| {
            let sql = "SELECT s.seq, s.deployment, s.id, r.kind, r.score, r.decision, r.supported, r.noted, \
                       r.surely_replayed, l.session IS NOT NULL AS labelled FROM results r \
                       JOIN sessions s ON s.seq = r.session LEFT JOIN labels l ON l.session = r.session \
                       WHERE r.session > ?1 AND (?2 IS NULL OR r.deployment = ?2) ORDER BY r.session LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![after.0, deployment, limit], standing)
        })
        .await
    }

    async fn revise(&self, revisions: Vec<Revision>, at: Timestamp) -> StoreResult<u64> {
        self.writer
            .execute(move |state| {
                let mut changed = 0;
                for revision in &revisions {
                    changed += u64::from(revise(state, revision, at)?);
                }
                Ok(changed)
            })
            .await
    }

    async fn revisions(&self, seq: Seq) -> StoreResult<Vec<Revised>> {
        self.read(move |connection| {
            let sql = "SELECT at, cause, earlier, later, detail FROM revisions WHERE session = ? ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, [seq.0], revised)
        })
        .await
    }
}

/// Changes one decision where the earlier one still stands; whether it did.
pub(super) fn revise(state: &mut WriterState, revision: &Revision, at: Timestamp) -> Result<bool, Fault> {
    let Revision { seq, earlier, decided, cause, detail } = revision;
    let sql = "UPDATE results SET decision = ?3, confidence = ?4, reasons = ?5 WHERE session = ?1 AND decision = ?2 \
               AND (?6 OR NOT EXISTS (SELECT 1 FROM labels WHERE session = ?1))";
    let Some(standing) = state.standing(seq.0)? else { return Ok(false) };
    let by_label = *cause == Cause::Label;
    let (later, reasons) = (decided.decision.number(), decided.reasons.bits());
    let new = params![seq.0, earlier.number(), later, decided.confidence, reasons, by_label];
    if state.connection.prepare_cached(sql)?.execute(new)? == 0 {
        return Ok(false);
    }
    state.recount(&standing, decided.decision, decided.reasons);
    let sql = "INSERT INTO revisions (session, at, cause, earlier, later, detail) VALUES (?, ?, ?, ?, ?, ?)";
    let row = params![seq.0, at.0, cause.number(), earlier.number(), later, detail];
    state.connection.prepare_cached(sql)?.execute(row)?;
    deliveries::announce_changed(&state.connection, revision, at)?;
    // Its path is of interest now; where it no longer is, it stays as long as it was promised.
    if decided.decision != Decision::Pass {
        let sql = "UPDATE sessions SET telemetry = ? WHERE seq = ? AND telemetry = ?";
        let class = params![TELEMETRY_KEPT_LONGER, seq.0, TELEMETRY_KEPT];
        state.connection.prepare_cached(sql)?.execute(class)?;
    }
    Ok(true)
}
