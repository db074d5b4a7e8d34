//! Questions asked of the store, each in one short read transaction on a connection of its own.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::keys::{KeyKind, RecentKeys};
use super::rows::{self, RESULT_COLUMNS, SESSION_COLUMNS};
use crate::campaigns::MIN_MEMBERS;
use crate::encoding::{KeyHash, Numbered as _};
use crate::model::{SAMPLED_PLACES, SAMPLED_SESSIONS};
use crate::{
    BatchMember, BatchRow, Cursor, DeadRow, Lookup, MAX_SET, Page, Party, QueueQuery, QueuedRow, ResultQuery,
    ResultRow, Snapshot, StoreError, StoredSession,
};
use playproof_domain::batch::QueueView;
use playproof_domain::id::{BatchId, Seq, SessionId, SessionKey};
use playproof_domain::queue::State;
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::Decision;
use playproof_domain::time::Timestamp;

/// Who sent the ready sessions at evenly spaced places.
pub(super) fn waiting_parties(connection: &Connection) -> Result<BTreeMap<Party, u64>, Fault> {
    let edge = |order: &str| -> Result<Option<i64>, Fault> {
        let sql = format!("SELECT seq FROM sessions WHERE state = 0 ORDER BY seq {order} LIMIT 1");
        Ok(connection.prepare_cached(&sql)?.query_row([], |row| row.get(0)).optional()?)
    };
    let mut found = BTreeMap::new();
    let (Some(first), Some(last)) = (edge("ASC")?, edge("DESC")?) else { return Ok(found) };
    let sql = "SELECT seq, deployment, id FROM sessions WHERE state = 0 AND seq >= ? ORDER BY seq LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut next = first;
    for place in 0..SAMPLED_PLACES {
        // No session twice where the places lie close together.
        let from = next.max(first + (last - first) / SAMPLED_PLACES * place);
        let mut rows = statement.query([from, SAMPLED_SESSIONS])?;
        while let Some(row) = rows.next()? {
            next = row.get::<_, i64>(0)? + 1;
            let key = rows::key(row, "deployment", "id")?;
            *found.entry(Party { is_pages: key.id.is_of_page(), deployment: key.deployment }).or_default() += 1;
        }
    }
    Ok(found)
}

pub(super) fn snapshot(connection: &Connection) -> Result<Snapshot, Fault> {
    // One statement, hence one snapshot.
    let sql = "SELECT t.*, \
               (SELECT s.accepted_at FROM sessions s WHERE s.state = 0 ORDER BY s.seq LIMIT 1) AS oldest_ready, \
               (SELECT s.not_before FROM sessions s WHERE s.state = 2 ORDER BY s.not_before LIMIT 1) AS next_due \
               FROM totals t WHERE t.id = 1";
    let snapshot = connection.prepare_cached(sql)?.query_row([], |row| {
        let counts = rows::counts(row)?;
        let last_batch = row.get::<_, Option<i64>>("last_batch")?.map(Timestamp);
        let last_run = last_batch.unwrap_or(Timestamp(row.get("created_at")?));
        Ok(Snapshot {
            counts,
            queue: QueueView {
                ready: counts.ready,
                oldest_ready: row.get::<_, Option<i64>>("oldest_ready")?.map(Timestamp),
                next_due: row.get::<_, Option<i64>>("next_due")?.map(Timestamp),
                last_run,
            },
            last_seq: Seq(rows::stored(counts.accepted)),
            running: row.get("running")?,
            last_batch,
        })
    })?;
    Ok(snapshot)
}

fn joined(condition: &str) -> String {
    format!(
        "SELECT {SESSION_COLUMNS}, {RESULT_COLUMNS} FROM sessions s \
         LEFT JOIN results r ON r.session = s.seq LEFT JOIN models m ON m.id = r.model WHERE {condition}"
    )
}

fn with_matches(connection: &Connection, mut session: StoredSession) -> Result<StoredSession, Fault> {
    if session.result.as_ref().is_some_and(|result| result.verdict.reasons.contains(Reason::ReplayedMovement)) {
        session.matches = super::sketches::matches(connection, session.seq.0)?;
    }
    session.campaign = super::campaigns::of_session(connection, session.seq.0)?;
    Ok(session)
}

pub(super) fn session_by_seq(connection: &Connection, seq: i64) -> Result<StoredSession, Fault> {
    let mut statement = connection.prepare_cached(&joined("s.seq = ?"))?;
    let found = rows::collect(&mut statement, [seq], rows::session)?;
    let found = found.into_iter().next().ok_or_else(|| StoreError::Corrupt(format!("session {seq} vanished")))?;
    with_matches(connection, found)
}

pub(super) fn session(
    connection: &Connection,
    recent: &RecentKeys,
    key: &SessionKey,
    hash: KeyHash,
) -> Result<Lookup, Fault> {
    for seq in recent.candidates(connection, KeyKind::Session, hash.short)? {
        let mut statement = connection.prepare_cached(&joined("s.seq = ? AND s.deployment = ? AND s.id = ?"))?;
        let params = params![seq, key.deployment, key.id.unique()];
        if let Some(found) = rows::collect(&mut statement, params, rows::session)?.into_iter().next() {
            return Ok(Lookup::Found(Box::new(with_matches(connection, found)?)));
        }
    }
    let erased = connection.prepare_cached("SELECT 1 FROM erased WHERE mac = ?")?.exists([hash.mac])?;
    Ok(if erased { Lookup::Erased } else { Lookup::Unknown })
}

/// Conditions and their values.
#[derive(Default)]
struct Conditions {
    texts: Vec<&'static str>,
    values: Vec<Value>,
}

impl Conditions {
    fn only(&mut self, text: &'static str, values: impl IntoIterator<Item = Value>) {
        self.texts.push(text);
        self.values.extend(values);
    }

    fn sql(&self) -> String {
        if self.texts.is_empty() { "1".to_owned() } else { self.texts.join(" AND ") }
    }
}

/// What an index finds: a time, and a deployment or else a decision.
fn indexed(query: &ResultQuery) -> Conditions {
    let mut all = Conditions::default();
    if let Some(since) = query.since {
        all.only("r.scored_at >= ?", [since.0.into()]);
    }
    if let Some(until) = query.until {
        all.only("r.scored_at < ?", [until.0.into()]);
    }
    match (&query.deployment, query.decision) {
        // Said twice so that the partial index is eligible.
        (Some(deployment), _) if !deployment.is_empty() => {
            all.only("r.deployment <> '' AND r.deployment = ?", [deployment.clone().into()]);
        }
        (_, Some(decision)) => all.only("r.decision = ?", [decision.number().into()]),
        _ => {}
    }
    if let Some(after) = query.after {
        all.only("(r.scored_at, r.id) < (?, ?)", [after.scored_at.0.into(), after.row.into()]);
    }
    all
}

/// The rest; `+` keeps the indexes out of it.
fn left_out(query: &ResultQuery, all: &mut Conditions) {
    if let Some(prefix) = &query.id_prefix {
        let [server, page] = SessionId::unique_prefixes(prefix).map(Value::from);
        let sql = "(substr(s.id, 1, length(?)) = ? OR substr(s.id, 1, length(?)) = ?)";
        all.only(sql, [server.clone(), server, page.clone(), page]);
    }
    if let (Some(decision), Some(true)) = (query.decision, query.deployment.as_ref().map(|d| !d.is_empty())) {
        all.only("+r.decision = ?", [decision.number().into()]);
    }
    if query.deployment.as_ref().is_some_and(String::is_empty) {
        all.only("+r.deployment = ''", []);
    }
    if let Some(source) = query.source {
        all.only("r.source = ?", [source.number().into()]);
    }
    if let Some(reason) = query.reason {
        let mut asked = Reasons::default();
        asked.insert(reason);
        all.only("(r.reasons & ?) <> 0", [asked.bits().into()]);
    }
    if let Some(device) = &query.device {
        all.only("s.device = ?", [device.clone().into()]);
    }
    if let Some(campaign) = query.campaign {
        let sql = "EXISTS (SELECT 1 FROM campaign_members c WHERE c.session = r.session AND c.campaign = ?)";
        all.only(sql, [campaign.0.into()]);
    }
}

/// The sessions of a user, or those with a label: few, so that the results of all of them are looked at.
fn of_set(query: &ResultQuery, of_user: Option<Vec<i64>>) -> Result<Conditions, Fault> {
    let mut all = Conditions::default();
    if let (Some(user), Some(mut seqs)) = (&query.user, of_user) {
        seqs.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        let list = serde_json::to_string(&seqs).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let sql = "r.session IN (SELECT u.seq FROM json_each(?) j CROSS JOIN sessions u ON u.seq = j.value \
                   WHERE u.user = ? AND (? IS NULL OR u.deployment = ?) LIMIT ?)";
        let deployment = Value::from(query.deployment.clone());
        all.only(sql, [list.into(), user.clone().into(), deployment.clone(), deployment, i64::from(MAX_SET).into()]);
        if let Some(label) = query.label {
            let sql = "EXISTS (SELECT 1 FROM labels l WHERE l.session = r.session AND l.label = ?)";
            all.only(sql, [label.number().into()]);
        }
    } else if let Some(label) = query.label {
        let sql = "r.session IN (SELECT l.session FROM labels l CROSS JOIN sessions u ON u.seq = l.session \
                   WHERE l.label = ? AND (? IS NULL OR u.deployment = ?) ORDER BY l.at DESC LIMIT ?)";
        let deployment = Value::from(query.deployment.clone());
        all.only(sql, [label.number().into(), deployment.clone(), deployment, i64::from(MAX_SET).into()]);
    }
    // `+` keeps the indexes by time out of it.
    if let Some(since) = query.since {
        all.only("+r.scored_at >= ?", [since.0.into()]);
    }
    if let Some(until) = query.until {
        all.only("+r.scored_at < ?", [until.0.into()]);
    }
    if let Some(deployment) = &query.deployment {
        all.only("+r.deployment = ?", [deployment.clone().into()]);
    }
    if let Some(decision) = query.decision {
        all.only("+r.decision = ?", [decision.number().into()]);
    }
    if let Some(after) = query.after {
        all.only("(+r.scored_at, +r.id) < (?, ?)", [after.scored_at.0.into(), after.row.into()]);
    }
    Ok(all)
}

/// `of_user` are the sessions that may be of the user asked for.
pub(super) fn results(
    connection: &Connection,
    query: &ResultQuery,
    of_user: Option<Vec<i64>>,
) -> Result<Page<ResultRow>, Fault> {
    let mut all = if query.is_of_set() { of_set(query, of_user)? } else { indexed(query) };
    let mut border = None;
    if let Some(window) = query.window.filter(|_| query.leaves_out()) {
        let sql = format!(
            "SELECT r.scored_at, r.id FROM results r WHERE {} ORDER BY r.scored_at DESC, r.id DESC LIMIT 1 OFFSET ?",
            all.sql()
        );
        let last = i64::from(window.max(1)) - 1;
        let values = all.values.iter().cloned().chain([last.into()]);
        let mut statement = connection.prepare_cached(&sql)?;
        let place = |row: &Row<'_>| Ok(Cursor { scored_at: Timestamp(row.get(0)?), row: row.get(1)? });
        border = statement.query_row(rusqlite::params_from_iter(values), place).optional()?;
    }
    if let Some(border) = border {
        all.only("(r.scored_at, r.id) >= (?, ?)", [border.scored_at.0.into(), border.row.into()]);
    }
    left_out(query, &mut all);
    let order = match (query.by_score, query.is_of_set()) {
        (true, _) => "r.score DESC NULLS LAST, r.id DESC",
        (false, true) => "+r.scored_at DESC, +r.id DESC",
        (false, false) => "r.scored_at DESC, r.id DESC",
    };
    // Crossed joins keep their order: results come in that of an index, whatever is asked of their sessions.
    let sql = format!(
        "SELECT {RESULT_COLUMNS}, s.deployment, s.id, s.device, s.user, \
         (SELECT label FROM labels WHERE session = r.session) AS label, \
         (SELECT c.id FROM campaign_members g JOIN campaigns c ON c.id = g.campaign \
         WHERE g.session = r.session AND c.members >= {MIN_MEMBERS}) AS in_campaign FROM results r \
         CROSS JOIN models m ON m.id = r.model CROSS JOIN sessions s ON s.seq = r.session \
         WHERE {} ORDER BY {order} LIMIT ?",
        all.sql()
    );
    all.values.push(i64::from(query.limit).saturating_add(1).into());
    let mut statement = connection.prepare_cached(&sql)?;
    let found = rows::collect(&mut statement, rusqlite::params_from_iter(all.values), rows::result_row)?;
    Ok(query.page(found, border))
}

pub(super) fn batches(connection: &Connection, before: Option<BatchId>, limit: u32) -> Result<Vec<BatchRow>, Fault> {
    let mut statement = connection.prepare_cached("SELECT * FROM batches WHERE id < ? ORDER BY id DESC LIMIT ?")?;
    rows::collect(&mut statement, params![before.map_or(i64::MAX, |id| id.0), limit], rows::batch)
}

pub(super) fn batch(connection: &Connection, id: BatchId) -> Result<Option<(BatchRow, Vec<BatchMember>)>, Fault> {
    let mut statement = connection.prepare_cached("SELECT * FROM batches WHERE id = ?")?;
    let read = |row: &Row<'_>| Ok((rows::batch(row)?, row.get::<_, String>("members")?));
    let Some((batch, list)) = rows::collect(&mut statement, [id.0], read)?.into_iter().next() else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(
        "SELECT s.deployment, s.id, r.decision, r.score FROM sessions s LEFT JOIN results r ON r.session = s.seq WHERE s.seq = ?",
    )?;
    let mut members = Vec::new();
    for seq in rows::member_list(&list)? {
        members.extend(rows::collect(&mut statement, [seq], |row| {
            let decision = row.get::<_, Option<i64>>("decision")?.map(Decision::from_number).transpose()?;
            Ok(BatchMember { key: rows::key(row, "deployment", "id")?, decision, score: row.get("score")? })
        })?);
    }
    Ok(Some((batch, members)))
}

pub(super) fn queued(connection: &Connection, query: &QueueQuery) -> Result<Page<QueuedRow>, Fault> {
    let (at, row) = query.after.map_or((i64::MIN, i64::MAX), |after| (after.scored_at.0, after.row));
    let sql = match query.state {
        State::Ready => "s.state = 0 AND s.seq < ?2 AND ?1 IS NOT NULL ORDER BY s.seq DESC",
        State::Failed => "s.state = 4 AND s.seq < ?2 AND ?1 IS NOT NULL ORDER BY s.seq DESC",
        State::Delayed => "s.state = 2 AND (s.not_before, s.seq) > (?1, ?2) ORDER BY s.not_before, s.seq",
        State::Leased | State::Processed => return Ok(Page { rows: vec![], next: None }),
    };
    let sql = format!("SELECT {SESSION_COLUMNS} FROM sessions s WHERE {sql} LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    // Without a deployment every row that is looked at is listed.
    let most = query.deployment.as_ref().map_or(query.limit.saturating_add(1).min(query.window), |_| query.window);
    let looked_at = rows::collect(&mut statement, params![at, row, most], |row| {
        let (seq, entry) = (Seq(row.get("seq")?), rows::entry(row)?);
        let queued = QueuedRow {
            seq,
            key: rows::key(row, "deployment", "id")?,
            device_type: row.get("device")?,
            user_id: row.get("user")?,
            accepted_at: Timestamp(row.get("accepted_at")?),
            entry,
            error: row.get("error")?,
        };
        Ok((Cursor { scored_at: entry.not_before, row: seq.0 }, queued))
    })?;
    Ok(query.page(looked_at))
}

pub(super) fn dead(connection: &Connection, before: Option<Seq>, limit: u32) -> Result<Vec<DeadRow>, Fault> {
    let sql =
        format!("SELECT {SESSION_COLUMNS} FROM sessions s WHERE s.state = 4 AND s.seq < ? ORDER BY s.seq DESC LIMIT ?");
    let mut statement = connection.prepare_cached(&sql)?;
    rows::collect(&mut statement, params![before.map_or(i64::MAX, |seq| seq.0), limit], |row| {
        Ok(DeadRow {
            seq: Seq(row.get("seq")?),
            key: rows::key(row, "deployment", "id")?,
            accepted_at: Timestamp(row.get("accepted_at")?),
            entry: rows::entry(row)?,
            error: row.get("error")?,
        })
    })
}

pub(super) fn telemetry(connection: &Connection, seqs: &[Seq]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
    let mut statement = connection.prepare_cached("SELECT record FROM telemetry WHERE session = ?")?;
    let mut records = Vec::with_capacity(seqs.len());
    for seq in seqs {
        records.push(statement.query_row([seq.0], |row| row.get(0)).optional()?);
    }
    Ok(records)
}
