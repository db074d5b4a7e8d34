//! Rows to values and back: the one place that knows column names and how values are kept.

use tokio_postgres::Row;

use super::fault::Fault;
use crate::campaigns::CampaignId;
use crate::encoding::{Numbered, features_from_blob};
use crate::labels::Truth;
use crate::{
    BatchEnd, BatchOutcome, BatchRow, Cursor, DeadRow, FirstVerdict, Member, QueuedRow, ResultRow, StoreError,
    StoredResult, StoredSession, first, scored,
};
use playproof_domain::agreement::Agreement;
use playproof_domain::batch::Trigger;
use playproof_domain::false_discovery::FalseDiscovery;
use playproof_domain::id::{BatchId, Seq, SessionId, SessionKey};
use playproof_domain::queue::{Entry, State};
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, DecisionInputs, ModelIdentity, ScoreKind, Verdict};
use playproof_domain::time::Timestamp;

/// What [`member`] and [`session`] read of a session `s` and its place `q` in the queue.
pub(super) const SESSION_COLUMNS: &str = "s.seq, s.deployment, s.id, s.user_id, s.game, s.device, s.features, s.accepted_at, \
    s.latency_ms, s.reasons AS heuristic_reasons, s.first_decision, s.first_confidence, s.first_score, \
    s.first_model";

/// What [`entry`] reads.
pub(super) const QUEUE_COLUMNS: &str = "q.seq AS queued, q.state, q.attempts, q.lost_leases, q.not_before, q.error";

/// What [`result`] reads of a result `r` and its model `m`.
pub(super) const RESULT_COLUMNS: &str = "r.seq AS result_seq, r.scored_at, r.decision, r.confidence, r.score, r.raw, \
    r.kind, r.extrapolated, r.source, m.name AS model_name, m.version AS model_version, r.class, r.reasons, \
    r.fallback, r.batch AS result_batch, r.attempts AS result_attempts, r.lost_leases AS result_lost, \
    r.not_before AS result_not_before, r.supported, r.noted, r.surely_replayed, r.scored AS as_scored, \
    r.compared AS compared_under";

/// The number of an enum as a column holds it.
pub(super) fn number<T: Numbered>(value: T) -> i16 {
    i16::try_from(value.number()).unwrap_or(-1)
}

pub(super) fn enumerated<T: Numbered>(row: &Row, column: &str) -> Result<T, Fault> {
    Ok(T::from_number(i64::from(row.try_get::<_, i16>(column)?))?)
}

fn count(row: &Row, column: &str) -> Result<u32, Fault> {
    Ok(row.try_get::<_, i32>(column)?.unsigned_abs())
}

/// Text that was kept as bytes.
pub(super) fn text(row: &Row, column: &str) -> Result<String, Fault> {
    let bytes: Vec<u8> = row.try_get(column)?;
    String::from_utf8(bytes).map_err(|_| StoreError::Corrupt(format!("{column} is no text")).into())
}

/// Text of this program or a detector as a text column takes it.
pub(super) fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

pub(super) fn key(row: &Row) -> Result<SessionKey, Fault> {
    let id = SessionId::from_unique(row.try_get("id")?)
        .ok_or_else(|| StoreError::Corrupt("a session identifier that is none".to_owned()))?;
    Ok(SessionKey { deployment: text(row, "deployment")?, id })
}

/// A place in the queue.
pub(super) fn entry(row: &Row) -> Result<Entry, Fault> {
    Ok(Entry {
        state: enumerated(row, "state")?,
        attempts: count(row, "attempts")?,
        lost_leases: count(row, "lost_leases")?,
        not_before: Timestamp(row.try_get("not_before")?),
    })
}

/// A session that waits, with its place.
pub(super) fn member(row: &Row) -> Result<Member, Fault> {
    Ok(Member {
        seq: Seq(row.try_get("seq")?),
        key: key(row)?,
        game_type: text(row, "game")?,
        device_type: text(row, "device")?,
        features: features_from_blob(row.try_get("features")?)?,
        reasons: Reasons::from_bits(row.try_get("heuristic_reasons")?),
        scored: first::score(row.try_get("first_model")?, row.try_get("first_score")?)?,
        accepted_at: Timestamp(row.try_get("accepted_at")?),
        entry: entry(row)?,
    })
}

/// The result in a row that joined one, else `None`.
fn result(row: &Row) -> Result<Option<StoredResult>, Fault> {
    if row.try_get::<_, Option<i64>>("result_seq")?.is_none() {
        return Ok(None);
    }
    let scored = scored::read(row.try_get("as_scored")?, row.try_get("supported")?)?;
    let verdict = Verdict {
        decision: enumerated(row, "decision")?,
        confidence: row.try_get("confidence")?,
        anomaly_score: row.try_get("score")?,
        raw_score: row.try_get("raw")?,
        kind: enumerated::<ScoreKind>(row, "kind")?,
        extrapolated: row.try_get("extrapolated")?,
        source: enumerated(row, "source")?,
        model: ModelIdentity { id: text(row, "model_name")?, version: text(row, "model_version")? },
        class: row.try_get("class")?,
        reasons: Reasons::from_bits(row.try_get("reasons")?),
        fallback: row.try_get("fallback")?,
        basis: basis(row)?,
        thresholds: scored.map(|scored| scored.thresholds),
    };
    Ok(Some(StoredResult {
        verdict,
        batch: row.try_get::<_, Option<i64>>("result_batch")?.map(BatchId),
        scored_at: Timestamp(row.try_get("scored_at")?),
        attempts: count(row, "result_attempts")?,
        scored,
        compared_under: scored::thresholds(row.try_get("compared_under")?)?,
    }))
}

/// What a decision followed from, where that is kept.
pub(super) fn basis(row: &Row) -> Result<Option<DecisionInputs>, Fault> {
    let Some(known_reasons) = row.try_get("noted")? else { return Ok(None) };
    let surely_replayed = row.try_get::<_, Option<bool>>("surely_replayed")?.unwrap_or(false);
    Ok(Some(DecisionInputs {
        supported_score: row.try_get("supported")?,
        known_reasons: Reasons::from_bits(known_reasons),
        surely_replayed,
    }))
}

/// A session joined with its place in the queue or its result.
pub(super) fn session(row: &Row) -> Result<StoredSession, Fault> {
    let result = result(row)?;
    let entry = match &result {
        None if row.try_get::<_, Option<i64>>("queued")?.is_none() => {
            let seq: i64 = row.try_get("seq")?;
            return Err(StoreError::Corrupt(format!("session {seq} is neither waiting nor finished")).into());
        }
        None => entry(row)?,
        Some(result) => Entry {
            state: State::Processed,
            attempts: result.attempts.saturating_sub(1),
            lost_leases: count(row, "result_lost")?,
            not_before: Timestamp(row.try_get("result_not_before")?),
        },
    };
    let reasons = Reasons::from_bits(row.try_get("heuristic_reasons")?);
    let columns = first::Columns {
        decision: enumerated::<Decision>(row, "first_decision")?,
        confidence: row.try_get("first_confidence")?,
        score: row.try_get("first_score")?,
        reasons,
        by_model: row.try_get("first_model")?,
    };
    let verdict = columns.verdict(result.as_ref())?;
    let accepted_at = Timestamp(row.try_get("accepted_at")?);
    let last_error = if result.is_some() { None } else { row.try_get("error")? };
    Ok(StoredSession {
        seq: Seq(row.try_get("seq")?),
        key: key(row)?,
        user_id: user(row)?,
        game_type: text(row, "game")?,
        device_type: text(row, "device")?,
        features: features_from_blob(row.try_get("features")?)?,
        reasons,
        entry,
        first: FirstVerdict { verdict, scored_at: accepted_at, latency_ms: row.try_get("latency_ms")? },
        result,
        last_error,
        matches: Vec::new(),
        campaign: None,
    })
}

pub(super) fn result_row(row: &Row) -> Result<(i64, ResultRow), Fault> {
    let result = result(row)?.ok_or_else(|| StoreError::Corrupt("a result row without a result".to_owned()))?;
    let label = row.try_get::<_, Option<i16>>("label")?;
    let label = label.map(|label| Truth::from_number(i64::from(label))).transpose()?;
    let campaign = row.try_get::<_, Option<i64>>("in_campaign")?.map(CampaignId);
    let (key, device_type, user_id) = (key(row)?, text(row, "device")?, user(row)?);
    Ok((row.try_get("result_seq")?, ResultRow { key, device_type, user_id, label, campaign, result }))
}

fn user(row: &Row) -> Result<Option<String>, Fault> {
    let user: Option<Vec<u8>> = row.try_get("user_id")?;
    Ok(user.map(|user| String::from_utf8_lossy(&user).into_owned()))
}

/// A session without a result, and its place in a list.
pub(super) fn queued(row: &Row) -> Result<(Cursor, QueuedRow), Fault> {
    let (seq, entry) = (Seq(row.try_get("seq")?), entry(row)?);
    let queued = QueuedRow {
        seq,
        key: key(row)?,
        device_type: text(row, "device")?,
        user_id: user(row)?,
        accepted_at: Timestamp(row.try_get("accepted_at")?),
        entry,
        error: row.try_get("error")?,
    };
    Ok((Cursor { scored_at: entry.not_before, row: seq.0 }, queued))
}

pub(super) fn dead(row: &Row) -> Result<DeadRow, Fault> {
    Ok(DeadRow {
        seq: Seq(row.try_get("seq")?),
        key: key(row)?,
        accepted_at: Timestamp(row.try_get("accepted_at")?),
        entry: entry(row)?,
        error: row.try_get("error")?,
    })
}

/// What [`batch`] reads.
pub(super) const BATCH_COLUMNS: &str = "id, trigger_kind, cardinality(members) AS size, owner, source, claimed_at, \
    finished_at, outcome, attempts, detector_ms, error, agreement_rows, agreement_rank, agreement_flips, \
    adjusted_p, adjusted_of";

pub(super) fn batch(row: &Row) -> Result<BatchRow, Fault> {
    let end = match row.try_get::<_, Option<i16>>("outcome")? {
        None => None,
        Some(outcome) => Some(BatchEnd {
            outcome: BatchOutcome::from_number(i64::from(outcome))?,
            attempts: count(row, "attempts")?,
            detector_ms: row.try_get("detector_ms")?,
            error: row.try_get("error")?,
            agreement: agreement(row)?,
            false_discovery: false_discovery(row)?,
        }),
    };
    Ok(BatchRow {
        id: BatchId(row.try_get("id")?),
        trigger: enumerated::<Trigger>(row, "trigger_kind")?,
        size: count(row, "size")?,
        owner: row.try_get("owner")?,
        source: enumerated(row, "source")?,
        claimed_at: Timestamp(row.try_get("claimed_at")?),
        finished_at: row.try_get::<_, Option<i64>>("finished_at")?.map(Timestamp),
        end,
    })
}

fn agreement(row: &Row) -> Result<Option<Agreement>, Fault> {
    if row.try_get::<_, Option<i32>>("agreement_rows")?.is_none() {
        return Ok(None);
    }
    let (rows, flips) = (count(row, "agreement_rows")?, count(row, "agreement_flips")?);
    Ok(Some(Agreement { rows, rank_correlation: row.try_get("agreement_rank")?, flips }))
}

fn false_discovery(row: &Row) -> Result<Option<FalseDiscovery>, Fault> {
    let Some(adjusted_p) = row.try_get("adjusted_p")? else { return Ok(None) };
    Ok(Some(FalseDiscovery { adjusted_p, sessions: count(row, "adjusted_of")? }))
}

/// Reads every row.
pub(super) fn all<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    rows.iter().map(read).collect()
}

/// A count as a column takes it.
pub(super) fn whole(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
