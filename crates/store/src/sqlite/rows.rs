//! Rows to values and back: the one place that knows column order and how enums are numbered.

use rusqlite::Row;

use super::fault::Fault;
use crate::campaigns::CampaignId;
use crate::encoding::{Numbered as _, features_from_blob};
use crate::labels::Truth;
use crate::{
    BatchEnd, BatchOutcome, BatchRow, Counts, FirstVerdict, Member, ResultRow, StoreError, StoredResult, StoredSession,
    first, scored,
};
use playproof_domain::agreement::Agreement;
use playproof_domain::batch::Trigger;
use playproof_domain::false_discovery::FalseDiscovery;
use playproof_domain::id::{BatchId, Seq, SessionId, SessionKey};
use playproof_domain::queue::{Entry, State};
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, DecisionInputs, ModelIdentity, ScoreKind, Source, Verdict};
use playproof_domain::time::Timestamp;

fn session_id(text: &str) -> Result<SessionId, Fault> {
    SessionId::from_unique(text)
        .ok_or_else(|| StoreError::Corrupt("a session identifier that is none".to_owned()).into())
}

pub(super) fn key(row: &Row<'_>, deployment: &str, id: &str) -> Result<SessionKey, Fault> {
    let text = row.get_ref(id)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(SessionKey { deployment: row.get(deployment)?, id: session_id(text)? })
}

pub(super) fn entry(row: &Row<'_>) -> Result<Entry, Fault> {
    Ok(Entry {
        state: State::from_number(row.get("state")?)?,
        attempts: row.get("session_attempts")?,
        lost_leases: row.get("lost_leases")?,
        not_before: Timestamp(row.get("not_before")?),
    })
}

/// What [`member`] and [`session`] read of a session.
pub(super) const SESSION_COLUMNS: &str = "s.seq, s.deployment, s.id, s.user, s.game, s.device, s.features, s.accepted_at, \
     s.latency_ms, s.reasons AS heuristic_reasons, s.first_decision, s.first_confidence, s.first_score, s.first_model, \
     s.state, s.attempts AS session_attempts, s.lost_leases, s.not_before, s.error";

/// What [`result`] reads of a result and its model.
pub(super) const RESULT_COLUMNS: &str = "r.id AS result_id, r.scored_at, r.decision, r.confidence, r.score, r.raw, \
     r.kind, r.extrapolated, r.source, m.name AS model_name, m.version AS model_version, r.class, r.reasons, \
     r.fallback, r.batch AS result_batch, r.attempts AS result_attempts, r.supported, r.noted, r.surely_replayed, \
     r.scored AS as_scored, r.compared AS compared_under";

/// Bytes that may not be there.
fn bytes<'row>(row: &'row Row<'_>, column: &str) -> Result<Option<&'row [u8]>, Fault> {
    Ok(row.get_ref(column)?.as_blob_or_null().map_err(rusqlite::Error::from)?)
}

/// What the embedded model said at once, where it did.
fn by_model<'row>(row: &'row Row<'_>) -> Result<Option<&'row [u8]>, Fault> {
    bytes(row, "first_model")
}

pub(super) fn member(row: &Row<'_>) -> Result<Member, Fault> {
    Ok(Member {
        seq: Seq(row.get("seq")?),
        key: key(row, "deployment", "id")?,
        game_type: row.get("game")?,
        device_type: row.get("device")?,
        features: features_from_blob(row.get_ref("features")?.as_blob().map_err(rusqlite::Error::from)?)?,
        reasons: Reasons::from_bits(row.get("heuristic_reasons")?),
        scored: first::score(by_model(row)?, row.get("first_score")?)?,
        accepted_at: Timestamp(row.get("accepted_at")?),
        entry: entry(row)?,
    })
}

/// The result in a row that joined one, else `None`.
pub(super) fn result(row: &Row<'_>) -> Result<Option<StoredResult>, Fault> {
    if row.get::<_, Option<i64>>("result_id")?.is_none() {
        return Ok(None);
    }
    let scored = scored::read(bytes(row, "as_scored")?, row.get("supported")?)?;
    let verdict = Verdict {
        decision: Decision::from_number(row.get("decision")?)?,
        confidence: row.get("confidence")?,
        anomaly_score: row.get("score")?,
        raw_score: row.get("raw")?,
        kind: ScoreKind::from_number(row.get("kind")?)?,
        extrapolated: row.get("extrapolated")?,
        source: Source::from_number(row.get("source")?)?,
        model: ModelIdentity { id: row.get("model_name")?, version: row.get("model_version")? },
        class: row.get("class")?,
        reasons: Reasons::from_bits(row.get("reasons")?),
        fallback: row.get("fallback")?,
        basis: basis(row)?,
        thresholds: scored.map(|scored| scored.thresholds),
    };
    Ok(Some(StoredResult {
        verdict,
        batch: row.get::<_, Option<i64>>("result_batch")?.map(BatchId),
        scored_at: Timestamp(row.get("scored_at")?),
        attempts: row.get("result_attempts")?,
        scored,
        compared_under: scored::thresholds(bytes(row, "compared_under")?)?,
    }))
}

/// What a decision followed from, where that is kept.
pub(super) fn basis(row: &Row<'_>) -> Result<Option<DecisionInputs>, Fault> {
    let Some(known_reasons) = row.get("noted")? else { return Ok(None) };
    let surely_replayed = row.get::<_, Option<bool>>("surely_replayed")?.unwrap_or(false);
    Ok(Some(DecisionInputs {
        supported_score: row.get("supported")?,
        known_reasons: Reasons::from_bits(known_reasons),
        surely_replayed,
    }))
}

/// A session joined with its result.
pub(super) fn session(row: &Row<'_>) -> Result<StoredSession, Fault> {
    let member = member(row)?;
    let result = result(row)?;
    let columns = first::Columns {
        decision: Decision::from_number(row.get("first_decision")?)?,
        confidence: row.get("first_confidence")?,
        score: row.get("first_score")?,
        reasons: member.reasons,
        by_model: by_model(row)?,
    };
    let verdict = columns.verdict(result.as_ref())?;
    let first = FirstVerdict { verdict, scored_at: member.accepted_at, latency_ms: row.get("latency_ms")? };
    Ok(StoredSession {
        seq: member.seq,
        key: member.key,
        user_id: row.get("user")?,
        game_type: member.game_type,
        device_type: member.device_type,
        features: member.features,
        reasons: member.reasons,
        entry: member.entry,
        first,
        result,
        last_error: row.get("error")?,
        matches: Vec::new(),
        campaign: None,
    })
}

pub(super) fn result_row(row: &Row<'_>) -> Result<(i64, ResultRow), Fault> {
    let result = result(row)?.ok_or_else(|| StoreError::Corrupt("a result row without a result".to_owned()))?;
    let (key, device_type) = (key(row, "deployment", "id")?, row.get("device")?);
    let label = row.get::<_, Option<i64>>("label")?.map(Truth::from_number).transpose()?;
    let campaign = row.get::<_, Option<i64>>("in_campaign")?.map(CampaignId);
    let user_id = row.get("user")?;
    Ok((row.get("result_id")?, ResultRow { key, device_type, user_id, label, campaign, result }))
}

pub(super) fn batch(row: &Row<'_>) -> Result<BatchRow, Fault> {
    let outcome = row.get::<_, Option<i64>>("outcome")?.map(BatchOutcome::from_number).transpose()?;
    let end = match outcome {
        None => None,
        Some(outcome) => Some(BatchEnd {
            outcome,
            attempts: row.get::<_, Option<u32>>("attempts")?.unwrap_or(0),
            detector_ms: row.get::<_, Option<f64>>("detector_ms")?.unwrap_or(0.0),
            error: row.get("error")?,
            agreement: agreement(row)?,
            false_discovery: false_discovery(row)?,
        }),
    };
    Ok(BatchRow {
        id: BatchId(row.get("id")?),
        trigger: Trigger::from_number(row.get("trigger_kind")?)?,
        size: row.get("size")?,
        owner: row.get("owner")?,
        source: Source::from_number(row.get("source")?)?,
        claimed_at: Timestamp(row.get("claimed_at")?),
        finished_at: row.get::<_, Option<i64>>("finished_at")?.map(Timestamp),
        end,
    })
}

fn agreement(row: &Row<'_>) -> Result<Option<Agreement>, Fault> {
    let Some(rows) = row.get("agreement_rows")? else { return Ok(None) };
    let (rank_correlation, flips) = (row.get("agreement_rank")?, row.get("agreement_flips")?);
    Ok(Some(Agreement { rows, rank_correlation, flips }))
}

fn false_discovery(row: &Row<'_>) -> Result<Option<FalseDiscovery>, Fault> {
    let Some(adjusted_p) = row.get("adjusted_p")? else { return Ok(None) };
    Ok(Some(FalseDiscovery { adjusted_p, sessions: row.get("adjusted_of")? }))
}

/// Runs a query and collects what `read` makes of each row.
pub(super) fn collect<T>(
    statement: &mut rusqlite::Statement<'_>,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut rows = statement.query(params)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

/// The counts in the row of totals.
pub(super) fn counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    Ok(Counts {
        ready: count("ready")?,
        leased: count("leased")?,
        delayed: count("delayed")?,
        processed: count("processed")?,
        failed: count("failed")?,
        erased: count("erased")?,
        pruned: count("pruned")?,
        accepted: count("accepted")?,
    })
}

/// A count as SQLite keeps it.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The members of a batch row.
pub(super) fn member_list(list: &str) -> Result<Vec<i64>, Fault> {
    serde_json::from_str(list).map_err(|e| StoreError::Corrupt(format!("a batch's members: {e}")).into())
}
