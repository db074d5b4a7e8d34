//! What integrators are told.

use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::results;
use super::rows::{self, enumerated, number};
use super::store::PostgresStore;
use crate::campaigns::campaign_body;
use crate::deliveries::{
    Attempt, Delivery, DeliveryRow, DeliveryState, DeliveryStore, Event, EventKind, KeptDelivery, Place,
};
use crate::encoding::KeyHasher;
use crate::event_body::final_body;
use crate::{StoreError, StoreResult};
use playproof_domain::id::{SessionId, SessionKey};
use playproof_domain::reason::Reasons;
use playproof_domain::time::Timestamp;

/// Whether anybody is to be told anything; nearly always not, and then nothing is written down.
async fn anybody(client: &impl GenericClient) -> Result<bool, Fault> {
    let statement = client.prepare_cached("SELECT EXISTS (SELECT 1 FROM controls WHERE kind = 'webhook')").await?;
    Ok(client.query_one(&statement, &[]).await?.get(0))
}

/// Puts results into the lines of the webhooks that are to be told.
pub(super) async fn announce(
    transaction: &Transaction<'_>,
    scored: &[results::NewResult<'_>],
    at: Timestamp,
) -> Result<(), Fault> {
    if scored.is_empty() || !anybody(transaction).await? {
        return Ok(());
    }
    let seqs: Vec<i64> = scored.iter().map(|new| new.seq).collect();
    let bodies: Vec<String> = scored.iter().map(|new| rows::plain(&final_body(new.verdict)).into_owned()).collect();
    let sql = "INSERT INTO deliveries (webhook, seq, target, kind, body, created_at, state, attempts, not_before) \
               SELECT convert_from(c.name, 'UTF8'), r.seq, '', 0, v.body, $3, 0, 0, $3 \
               FROM unnest($1::bigint[], $2::text[]) AS v(seq, body) JOIN results r ON r.seq = v.seq \
               JOIN controls c ON c.kind = 'webhook' AND (c.value::json->>'final')::boolean \
               AND coalesce(convert_to(c.value::json->>'deploymentId', 'UTF8'), r.deployment) = r.deployment \
               ORDER BY r.seq";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&seqs, &bodies, &at.0]).await?;
    Ok(())
}

/// Puts a step of a campaign's growth into the lines of the webhooks that are to be told.
pub(super) async fn announce_campaign(
    transaction: &Transaction<'_>,
    id: i64,
    members: i64,
    opened: bool,
    at: Timestamp,
) -> Result<(), Fault> {
    if !anybody(transaction).await? {
        return Ok(());
    }
    let row = transaction.query_one("SELECT deployment FROM campaigns WHERE id = $1", &[&id]).await?;
    let body = campaign_body(id, &rows::text(&row, "deployment")?, members);
    let kind = number(if opened { EventKind::CampaignOpened } else { EventKind::CampaignGrown });
    let sql = "INSERT INTO deliveries (webhook, seq, target, kind, body, created_at, state, attempts, not_before) \
               SELECT convert_from(w.name, 'UTF8'), 0, '', $2, $3, $4, 0, 0, $4 FROM campaigns c \
               JOIN controls w ON w.kind = 'webhook' AND (w.value::json->>'campaigns')::boolean \
               AND coalesce(convert_to(w.value::json->>'deploymentId', 'UTF8'), c.deployment) = c.deployment \
               WHERE c.id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&id, &kind, &rows::plain(&body).as_ref(), &at.0]).await?;
    Ok(())
}

/// What is left of deliveries of sessions that are removed: lines of a log, of which nobody can tell whose they were, or
/// nothing.
pub(super) async fn forget(
    transaction: &Transaction<'_>,
    seqs: &[i64],
    erased: Option<Vec<String>>,
) -> Result<(), Fault> {
    let Some(targets) = erased else {
        let statement = transaction.prepare_cached("DELETE FROM deliveries WHERE seq = ANY($1)").await?;
        transaction.execute(&statement, &[&seqs]).await?;
        return Ok(());
    };
    let sql = "UPDATE deliveries d SET seq = 0, target = v.target, body = '', \
               state = CASE d.state WHEN 0 THEN 3 ELSE d.state END \
               FROM unnest($1::bigint[], $2::text[]) AS v(seq, target) WHERE d.seq = v.seq";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&seqs, &targets]).await?;
    Ok(())
}

fn key(row: &Row) -> Result<Option<SessionKey>, Fault> {
    let Some(id) = row.try_get::<_, Option<&str>>("sid")? else { return Ok(None) };
    let wrong = || StoreError::Corrupt("a session identifier that is none".to_owned());
    let id = SessionId::from_unique(id).ok_or_else(wrong)?;
    Ok(Some(SessionKey { deployment: rows::text(row, "deployment")?, id }))
}

fn delivery(row: &Row) -> Result<Delivery, Fault> {
    Ok(Delivery {
        id: row.try_get("id")?,
        kind: enumerated(row, "kind")?,
        key: key(row)?,
        body: row.try_get("body")?,
        created_at: Timestamp(row.try_get("created_at")?),
        attempts: row.try_get::<_, i32>("attempts")?.unsigned_abs(),
    })
}

fn line(row: &Row, hasher: &KeyHasher) -> Result<DeliveryRow, Fault> {
    let mut line = plain_line(row)?;
    if let Some(key) = key(row)? {
        line.target = hasher.session_pseudonym(&key);
    }
    Ok(line)
}

/// A delivery as it is kept.
pub(super) fn kept(row: &Row) -> Result<KeptDelivery, Fault> {
    Ok(KeptDelivery { webhook: row.try_get("webhook")?, body: row.try_get("body")?, row: plain_line(row)? })
}

fn plain_line(row: &Row) -> Result<DeliveryRow, Fault> {
    Ok(DeliveryRow {
        id: row.try_get("id")?,
        kind: enumerated(row, "kind")?,
        target: row.try_get("target")?,
        created_at: Timestamp(row.try_get("created_at")?),
        state: enumerated(row, "state")?,
        attempts: row.try_get::<_, i32>("attempts")?.unsigned_abs(),
        not_before: Timestamp(row.try_get("not_before")?),
        finished_at: row.try_get::<_, Option<i64>>("finished_at")?.map(Timestamp),
        status: row.try_get::<_, Option<i32>>("status")?.and_then(|status| u16::try_from(status).ok()),
        error: row.try_get("error")?,
    })
}

#[async_trait]
impl DeliveryStore for PostgresStore {
    fn webhook_key(&self) -> [u8; 32] {
        self.core.hasher.derived("webhooks 1")
    }

    async fn take_deliveries(
        &self,
        webhook: String,
        limit: u32,
        now: Timestamp,
        lease: Duration,
    ) -> StoreResult<Vec<Delivery>> {
        called!(self.core.take_deliveries_once(&webhook, limit, now, now.plus(lease)))
    }

    async fn record_deliveries(&self, attempts: Vec<Attempt>, at: Timestamp) -> StoreResult<()> {
        called!(self.core.record_deliveries_once(&attempts, at))
    }

    async fn deliveries(&self, webhook: String, before: Option<i64>, limit: u32) -> StoreResult<Vec<DeliveryRow>> {
        called!(self.core.deliveries_once(&webhook, before, limit))
    }

    async fn redeliver(&self, webhook: String, id: Option<i64>, now: Timestamp) -> StoreResult<u64> {
        called!(self.core.redeliver_once(&webhook, id, now))
    }

    async fn test_delivery(&self, webhook: String, body: String, at: Timestamp) -> StoreResult<i64> {
        called!(self.core.test_delivery_once(&webhook, &body, at))
    }

    async fn forget_deliveries(&self, webhook: String) -> StoreResult<()> {
        called!(self.core.forget_deliveries_once(&webhook))
    }

    async fn events(
        &self,
        after: Place,
        until: Timestamp,
        limit: u32,
        deployment: Option<String>,
    ) -> StoreResult<Vec<Event>> {
        called!(self.core.events_once(after, until, limit, deployment.as_deref()))
    }
}

impl Core {
    async fn take_deliveries_once(
        &self,
        webhook: &str,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Delivery>, Fault> {
        // Another node may take the next one of a session while this one is asked for; it finds the first still waiting.
        let sql = "WITH due AS MATERIALIZED (SELECT d.id FROM deliveries d WHERE d.webhook = $1 AND d.state = 0 \
                   AND d.not_before <= $2 AND (d.seq = 0 OR NOT EXISTS (SELECT 1 FROM deliveries e \
                   WHERE e.webhook = d.webhook AND e.seq = d.seq AND e.state = 0 AND e.id < d.id)) \
                   ORDER BY d.not_before, d.id LIMIT $3 FOR UPDATE SKIP LOCKED), \
                   taken AS (UPDATE deliveries d SET not_before = $4, attempts = attempts + 1 FROM due \
                   WHERE d.id = due.id RETURNING d.*) \
                   SELECT t.id, t.kind, t.body, t.created_at, t.attempts, s.deployment, s.id AS sid \
                   FROM taken t LEFT JOIN sessions s ON s.seq = t.seq ORDER BY t.id";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let found = held.query(&statement, &[&webhook, &now.0, &i64::from(limit), &until.0]).await?;
        held.release();
        rows::all(&found, delivery)
    }

    async fn record_deliveries_once(&self, attempts: &[Attempt], at: Timestamp) -> Result<(), Fault> {
        let ids: Vec<i64> = attempts.iter().map(|a| a.id).collect();
        let states: Vec<i16> = attempts.iter().map(|a| number(a.state)).collect();
        let not_before: Vec<i64> = attempts.iter().map(|a| a.not_before.0).collect();
        let statuses: Vec<Option<i32>> = attempts.iter().map(|a| a.status.map(i32::from)).collect();
        let errors: Vec<Option<String>> =
            attempts.iter().map(|a| a.error.as_deref().map(|error| rows::plain(error).into_owned())).collect();
        let waiting = number(DeliveryState::Waiting);
        let sql = "UPDATE deliveries d SET state = v.state, not_before = v.not_before, status = v.status, \
                   error = v.error, finished_at = CASE WHEN v.state <> $7 THEN $6::bigint END \
                   FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::int[], $5::text[]) \
                   AS v(id, state, not_before, status, error) WHERE d.id = v.id AND d.state = $7";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        held.execute(&statement, &[&ids, &states, &not_before, &statuses, &errors, &at.0, &waiting]).await?;
        held.release();
        Ok(())
    }

    async fn deliveries_once(&self, webhook: &str, before: Option<i64>, limit: u32) -> Result<Vec<DeliveryRow>, Fault> {
        let sql = "SELECT d.*, s.deployment, s.id AS sid FROM deliveries d LEFT JOIN sessions s ON s.seq = d.seq \
                   WHERE d.webhook = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3";
        let held = self.pool.get().await?;
        let found = held.query(sql, &[&webhook, &before.unwrap_or(i64::MAX), &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, |row| line(row, &self.hasher))
    }

    async fn redeliver_once(&self, webhook: &str, id: Option<i64>, now: Timestamp) -> Result<u64, Fault> {
        let sql = "UPDATE deliveries SET state = 0, not_before = $3, attempts = 0, \
                   finished_at = NULL WHERE webhook = $1 AND (($2::bigint IS NULL AND state = 2) \
                   OR (id = $2 AND state IN (1, 2) AND (seq <> 0 OR kind >= 2)))";
        let held = self.pool.get().await?;
        let sent = held.execute(sql, &[&webhook, &id, &now.0]).await?;
        held.release();
        Ok(sent)
    }

    async fn test_delivery_once(&self, webhook: &str, body: &str, at: Timestamp) -> Result<i64, Fault> {
        let sql = "INSERT INTO deliveries (webhook, seq, target, kind, body, created_at, state, attempts, not_before) \
                   VALUES ($1, 0, '', 2, $2, $3, 0, 0, $3) RETURNING id";
        let held = self.pool.get().await?;
        let id = held.query_one(sql, &[&webhook, &body, &at.0]).await?.get(0);
        held.release();
        Ok(id)
    }

    async fn forget_deliveries_once(&self, webhook: &str) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        held.execute("DELETE FROM deliveries WHERE webhook = $1", &[&webhook]).await?;
        held.release();
        Ok(())
    }

    async fn events_once(
        &self,
        after: Place,
        until: Timestamp,
        limit: u32,
        deployment: Option<&str>,
    ) -> Result<Vec<Event>, Fault> {
        let sql = "SELECT e.*, s.deployment, s.id, r.score, r.reasons FROM ( \
                   (SELECT f.scored_at AS at, 0::bigint AS kind, f.seq AS number, f.seq, \
                   coalesce((SELECT v.earlier FROM revisions v WHERE v.seq = f.seq ORDER BY v.id LIMIT 1), \
                   f.decision) AS decision, NULL::smallint AS earlier, NULL::smallint AS cause FROM results f \
                   WHERE f.scored_at >= $1 AND f.scored_at <= $4 AND (f.scored_at, 0::bigint, f.seq) > ($1, $2, $3) \
                   AND ($6::bytea IS NULL OR f.deployment = $6) ORDER BY f.scored_at, f.seq LIMIT $5) \
                   UNION ALL (SELECT v.at, 1::bigint, v.id, v.seq, v.later, v.earlier, v.cause \
                   FROM revisions v JOIN results f ON f.seq = v.seq \
                   WHERE v.at >= $1 AND v.at <= $4 AND (v.at, 1::bigint, v.id) > ($1, $2, $3) \
                   AND ($6::bytea IS NULL OR f.deployment = $6) ORDER BY v.at, v.id LIMIT $5)) e \
                   JOIN results r ON r.seq = e.seq JOIN sessions s ON s.seq = e.seq \
                   ORDER BY e.at, e.kind, e.number LIMIT $5";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let deployment = deployment.map(str::as_bytes);
        let asked: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&after.at, &after.kind, &after.number, &until.0, &i64::from(limit), &deployment];
        let found = held.query(&statement, &asked).await?;
        held.release();
        rows::all(&found, |row| {
            let changed = row.try_get::<_, Option<i16>>("cause")?.is_some();
            Ok(Event {
                place: Place { at: row.try_get("at")?, kind: row.try_get("kind")?, number: row.try_get("number")? },
                key: rows::key(row)?,
                decision: enumerated(row, "decision")?,
                change: if changed { Some((enumerated(row, "earlier")?, enumerated(row, "cause")?)) } else { None },
                score: row.try_get("score")?,
                reasons: Reasons::from_bits(row.try_get("reasons")?),
            })
        })
    }
}
