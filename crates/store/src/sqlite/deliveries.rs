//! What integrators are told.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::fault::Fault;
use super::rows;
use super::store::SqliteStore;
use crate::campaigns::campaign_body;
use crate::decisions::{Cause, Revision};
use crate::deliveries::{
    Attempt, Delivery, DeliveryRow, DeliveryState, DeliveryStore, Event, EventKind, KeptDelivery, Place,
};
use crate::encoding::{KeyHasher, Numbered as _};
use crate::event_body::{changed_body, final_body};
use crate::{StoreError, StoreResult};
use playproof_domain::id::SessionKey;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decision, Verdict};
use playproof_domain::time::Timestamp;

/// Whether anybody is to be told anything; nearly always not, and then nothing is written down.
fn anybody(connection: &Connection) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM controls WHERE kind = 'webhook' LIMIT 1")?.exists([])?)
}

fn announce(
    connection: &Connection,
    kind: EventKind,
    seq: i64,
    deployment: &str,
    body: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    let wanted = match kind {
        EventKind::Final => "$.final",
        EventKind::CampaignOpened | EventKind::CampaignGrown => "$.campaigns",
        EventKind::Changed | EventKind::Test => "$.changed",
    };
    let sql = "INSERT INTO deliveries (webhook, session, target, kind, body, created_at, state, attempts, not_before) \
               SELECT c.name, ?1, '', ?2, ?3, ?4, 0, 0, ?4 FROM controls c WHERE c.kind = 'webhook' \
               AND json_extract(c.value, ?5) AND coalesce(json_extract(c.value, '$.deploymentId'), ?6) = ?6";
    connection.prepare_cached(sql)?.execute(params![seq, kind.number(), body, at.0, wanted, deployment])?;
    Ok(())
}

/// Puts a result into the line of every webhook that is to be told.
pub(super) fn announce_final(
    connection: &Connection,
    seq: i64,
    deployment: &str,
    verdict: &Verdict,
    at: Timestamp,
) -> Result<(), Fault> {
    if !anybody(connection)? {
        return Ok(());
    }
    announce(connection, EventKind::Final, seq, deployment, &final_body(verdict), at)
}

/// Puts a change into the line of every webhook that is to be told.
pub(super) fn announce_changed(connection: &Connection, revision: &Revision, at: Timestamp) -> Result<(), Fault> {
    if !anybody(connection)? {
        return Ok(());
    }
    let mut deployment = connection.prepare_cached("SELECT deployment FROM results WHERE session = ?")?;
    let deployment: String = deployment.query_row([revision.seq.0], |row| row.get(0))?;
    announce(connection, EventKind::Changed, revision.seq.0, &deployment, &changed_body(revision), at)
}

/// Puts a step of a campaign's growth into the line of every webhook that is to be told.
pub(super) fn announce_campaign(
    connection: &Connection,
    id: i64,
    deployment: &str,
    members: i64,
    opened: bool,
    at: Timestamp,
) -> Result<(), Fault> {
    if !anybody(connection)? {
        return Ok(());
    }
    let kind = if opened { EventKind::CampaignOpened } else { EventKind::CampaignGrown };
    announce(connection, kind, 0, deployment, &campaign_body(id, deployment, members), at)
}

/// What is left of a session's deliveries: lines of a log, of which nobody can tell whose they were, or nothing.
pub(super) fn forget(
    connection: &Connection,
    seq: i64,
    erased: Option<(&KeyHasher, &SessionKey)>,
) -> Result<(), Fault> {
    let Some((hasher, key)) = erased else {
        connection.prepare_cached("DELETE FROM deliveries WHERE session = ?")?.execute([seq])?;
        return Ok(());
    };
    let sql = "UPDATE deliveries SET session = 0, target = ?2, body = '', \
               state = CASE state WHEN 0 THEN 3 ELSE state END WHERE session = ?1";
    connection.prepare_cached(sql)?.execute(params![seq, hasher.session_pseudonym(key)])?;
    Ok(())
}

fn unsigned<T: TryFrom<i64>>(number: i64) -> Result<T, Fault> {
    T::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} in deliveries")).into())
}

fn key(row: &Row<'_>) -> Result<Option<SessionKey>, Fault> {
    if row.get::<_, Option<String>>("sid")?.is_none() {
        return Ok(None);
    }
    rows::key(row, "deployment", "sid").map(Some)
}

fn delivery(row: &Row<'_>) -> Result<Delivery, Fault> {
    Ok(Delivery {
        id: row.get("id")?,
        kind: EventKind::from_number(row.get("kind")?)?,
        key: key(row)?,
        body: row.get("body")?,
        created_at: Timestamp(row.get("created_at")?),
        attempts: unsigned(row.get("attempts")?)?,
    })
}

fn line(row: &Row<'_>, hasher: &KeyHasher) -> Result<DeliveryRow, Fault> {
    let mut line = plain_line(row)?;
    if let Some(key) = key(row)? {
        line.target = hasher.session_pseudonym(&key);
    }
    Ok(line)
}

/// A delivery as it is kept.
pub(super) fn kept(row: &Row<'_>) -> Result<KeptDelivery, Fault> {
    Ok(KeptDelivery { webhook: row.get("webhook")?, body: row.get("body")?, row: plain_line(row)? })
}

fn plain_line(row: &Row<'_>) -> Result<DeliveryRow, Fault> {
    Ok(DeliveryRow {
        id: row.get("id")?,
        kind: EventKind::from_number(row.get("kind")?)?,
        target: row.get("target")?,
        created_at: Timestamp(row.get("created_at")?),
        state: DeliveryState::from_number(row.get("state")?)?,
        attempts: unsigned(row.get("attempts")?)?,
        not_before: Timestamp(row.get("not_before")?),
        finished_at: row.get::<_, Option<i64>>("finished_at")?.map(Timestamp),
        status: row.get::<_, Option<i64>>("status")?.map(unsigned).transpose()?,
        error: row.get("error")?,
    })
}

/// A delivery `d` with the key of its session.
const WITH_KEY: &str =
    "SELECT d.*, s.deployment, s.id AS sid FROM deliveries d LEFT JOIN sessions s ON s.seq = d.session";

#[async_trait]
impl DeliveryStore for SqliteStore {
    fn webhook_key(&self) -> [u8; 32] {
        self.hasher.derived("webhooks 1")
    }

    async fn take_deliveries(
        &self,
        webhook: String,
        limit: u32,
        now: Timestamp,
        lease: Duration,
    ) -> StoreResult<Vec<Delivery>> {
        let until = now.plus(lease);
        self.writer
            .execute(move |state| {
                let sql = "SELECT id FROM deliveries d WHERE webhook = ?1 AND state = 0 AND not_before <= ?2 \
                           AND (session = 0 OR NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.webhook = d.webhook \
                           AND e.session = d.session AND e.state = 0 AND e.id < d.id)) ORDER BY not_before, id LIMIT ?3";
                let mut due = state.connection.prepare_cached(sql)?;
                let due = rows::collect(&mut due, params![webhook, now.0, limit], |row| Ok(row.get::<_, i64>(0)?))?;
                let mut taken = Vec::with_capacity(due.len());
                for id in due {
                    let sql = "UPDATE deliveries SET not_before = ?2, attempts = attempts + 1 WHERE id = ?1";
                    state.connection.prepare_cached(sql)?.execute(params![id, until.0])?;
                    let mut found = state.connection.prepare_cached(&format!("{WITH_KEY} WHERE d.id = ?"))?;
                    taken.extend(rows::collect(&mut found, [id], delivery)?);
                }
                Ok(taken)
            })
            .await
    }

    async fn record_deliveries(&self, attempts: Vec<Attempt>, at: Timestamp) -> StoreResult<()> {
        self.writer
            .execute(move |state| {
                for Attempt { id, state: to, not_before, status, error } in &attempts {
                    let ended = (*to != DeliveryState::Waiting).then_some(at.0);
                    let sql = "UPDATE deliveries SET state = ?2, not_before = ?3, finished_at = ?4, status = ?5, \
                               error = ?6 WHERE id = ?1 AND state = 0";
                    let row = params![id, to.number(), not_before.0, ended, status, error];
                    state.connection.prepare_cached(sql)?.execute(row)?;
                }
                Ok(())
            })
            .await
    }

    async fn deliveries(&self, webhook: String, before: Option<i64>, limit: u32) -> StoreResult<Vec<DeliveryRow>> {
        let hasher = self.hasher.clone();
        self.read(move |connection| {
            let sql = format!("{WITH_KEY} WHERE d.webhook = ? AND d.id < ? ORDER BY d.id DESC LIMIT ?");
            let mut statement = connection.prepare_cached(&sql)?;
            rows::collect(&mut statement, params![webhook, before.unwrap_or(i64::MAX), limit], |row| line(row, &hasher))
        })
        .await
    }

    async fn redeliver(&self, webhook: String, id: Option<i64>, now: Timestamp) -> StoreResult<u64> {
        self.writer
            .execute(move |state| {
                let sql = "UPDATE deliveries SET state = 0, not_before = ?3, attempts = 0, \
                           finished_at = NULL WHERE webhook = ?1 AND ((?2 IS NULL AND state = 2) \
                           OR (id = ?2 AND state IN (1, 2) AND (session <> 0 OR kind >= 2)))";
                Ok(state.connection.prepare_cached(sql)?.execute(params![webhook, id, now.0])? as u64)
            })
            .await
    }

    async fn test_delivery(&self, webhook: String, body: String, at: Timestamp) -> StoreResult<i64> {
        self.writer
            .execute(move |state| {
                let sql = "INSERT INTO deliveries (webhook, session, target, kind, body, created_at, state, attempts, \
                           not_before) VALUES (?1, 0, '', 2, ?2, ?3, 0, 0, ?3)";
                state.connection.prepare_cached(sql)?.execute(params![webhook, body, at.0])?;
                Ok(state.connection.last_insert_rowid())
            })
            .await
    }

    async fn forget_deliveries(&self, webhook: String) -> StoreResult<()> {
        self.writer
            .execute(move |state| {
                state.connection.prepare_cached("DELETE FROM deliveries WHERE webhook = ?")?.execute([&webhook])?;
                Ok(())
            })
            .await
    }

    async fn events(
        &self,
        after: Place,
        until: Timestamp,
        limit: u32,
        deployment: Option<String>,
    ) -> StoreResult<Vec<Event>> {
        self.read(move |connection| {
            let sql = "SELECT e.*, s.deployment, s.id, r.score, r.reasons FROM ( \
                       SELECT * FROM (SELECT f.scored_at AS at, 0 AS kind, f.session AS number, f.session, \
                       coalesce((SELECT v.earlier FROM revisions v WHERE v.session = f.session ORDER BY v.id LIMIT 1), \
                       f.decision) AS decision, NULL AS earlier, NULL AS cause FROM results f \
                       WHERE f.scored_at >= ?1 AND f.scored_at <= ?4 AND (f.scored_at, 0, f.session) > (?1, ?2, ?3) \
                       AND (?6 IS NULL OR f.deployment = ?6) ORDER BY f.scored_at, f.session LIMIT ?5) \
                       UNION ALL SELECT * FROM (SELECT v.at, 1, v.id, v.session, v.later, v.earlier, v.cause \
                       FROM revisions v JOIN results f ON f.session = v.session \
                       WHERE v.at >= ?1 AND v.at <= ?4 AND (v.at, 1, v.id) > (?1, ?2, ?3) \
                       AND (?6 IS NULL OR f.deployment = ?6) ORDER BY v.at, v.id LIMIT ?5)) e \
                       JOIN results r ON r.session = e.session JOIN sessions s ON s.seq = e.session \
                       ORDER BY e.at, e.kind, e.number LIMIT ?5";
            let mut statement = connection.prepare_cached(sql)?;
            let asked = params![after.at, after.kind, after.number, until.0, limit, deployment];
            rows::collect(&mut statement, asked, |row| {
                let change = match (row.get("earlier")?, row.get("cause")?) {
                    (Some(earlier), Some(cause)) => Some((Decision::from_number(earlier)?, Cause::from_number(cause)?)),
                    _ => None,
                };
                Ok(Event {
                    place: Place { at: row.get("at")?, kind: row.get("kind")?, number: row.get("number")? },
                    key: rows::key(row, "deployment", "id")?,
                    decision: Decision::from_number(row.get("decision")?)?,
                    change,
                    score: row.get("score")?,
                    reasons: Reasons::from_bits(row.get("reasons")?),
                })
            })
        })
        .await
    }
}
