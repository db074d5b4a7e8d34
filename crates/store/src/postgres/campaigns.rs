//! Sessions alike as one.

use std::collections::HashMap;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::rows::{self, number};
use super::store::PostgresStore;
use super::{decisions, deliveries};
use crate::campaigns::{
    CampaignId, CampaignMember, CampaignPage, CampaignQuery, CampaignRow, CampaignStore, Group, MAX_OPEN, MIN_MEMBERS,
    groups, growth_step,
};
use crate::decisions::DecidedResult;
use crate::encoding::Numbered as _;
use crate::labels::Truth;
use crate::{StoreError, StoreResult};
use playproof_domain::id::Seq;
use playproof_domain::result::Decision;
use playproof_domain::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;
/// How often campaigns are read again because others became one meanwhile.
const MAX_ROUNDS: usize = 8;

/// Makes sessions and those they are like members of one campaign. Webhooks are told when it reaches a step of growth, unless
/// `at` is `None`.
pub(super) async fn join(transaction: &Transaction<'_>, sessions: &[i64], at: Option<Timestamp>) -> Result<(), Fault> {
    if sessions.is_empty() {
        return Ok(());
    }
    let sql = "SELECT m.seq, m.other FROM matches m JOIN sessions s ON s.seq = m.other WHERE m.seq = ANY($1)";
    let statement = transaction.prepare_cached(sql).await?;
    let pairs = transaction.query(&statement, &[&sessions]).await?;
    let pairs: Vec<(i64, i64)> = rows::all(&pairs, |row| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    if pairs.is_empty() {
        return Ok(());
    }
    let mut seqs: Vec<i64> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let (campaigns, sizes) = locked(transaction, &seqs).await?;
    for group in groups(&pairs, &campaigns, &sizes) {
        write(transaction, &group, at).await?;
    }
    Ok(())
}

/// The campaigns of sessions and how many members those have. Nobody else changes these campaigns until the transaction is
/// over: they are locked in the order of their numbers, and read again where their members moved while that took.
async fn locked(transaction: &Transaction<'_>, seqs: &[i64]) -> Result<(HashMap<i64, i64>, HashMap<i64, i64>), Fault> {
    let members = transaction.prepare_cached("SELECT seq, campaign FROM campaign_members WHERE seq = ANY($1)").await?;
    let lock = transaction
        .prepare_cached("SELECT c.id, c.members FROM (SELECT DISTINCT unnest($1::bigint[]) AS id) v JOIN campaigns c ON c.id = v.id \
             ORDER BY c.id FOR UPDATE OF c")
        .await?;
    let mut sizes: HashMap<i64, i64> = HashMap::new();
    for _ in 0..MAX_ROUNDS {
        let found = transaction.query(&members, &[&seqs]).await?;
        let campaigns: HashMap<i64, i64> =
            rows::all(&found, |row| Ok((row.try_get(0)?, row.try_get(1)?)))?.into_iter().collect();
        let mut ids: Vec<i64> = campaigns.values().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.iter().all(|id| sizes.contains_key(id)) {
            return Ok((campaigns, sizes));
        }
        let found = transaction.query(&lock, &[&ids]).await?;
        sizes.extend(rows::all(&found, |row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?)))?);
    }
    Err(StoreError::Unavailable("campaigns became one over and over while a session joined them".to_owned()).into())
}

async fn write(transaction: &Transaction<'_>, group: &Group, at: Option<Timestamp>) -> Result<(), Fault> {
    let id: i64 = match (group.into, group.joining.first()) {
        (Some(id), _) => id,
        (None, Some(session)) => {
            let sql = "INSERT INTO campaigns (id, deployment, members, last, told) \
                       SELECT nextval('campaign_id'), deployment, 0, 0, 0 FROM sessions WHERE seq = $1 RETURNING id";
            let statement = transaction.prepare_cached(sql).await?;
            // It may have been erased since it was found.
            let Some(row) = transaction.query_opt(&statement, &[session]).await? else { return Ok(()) };
            row.try_get(0)?
        }
        (None, None) => return Ok(()),
    };
    let mut added = 0;
    if !group.merged.is_empty() {
        let sql = "UPDATE campaign_members SET campaign = $2 WHERE campaign = ANY($1)";
        let statement = transaction.prepare_cached(sql).await?;
        added += transaction.execute(&statement, &[&group.merged, &id]).await?;
        let sql = "UPDATE campaigns SET merged_into = $2, members = 0, last = 0 \
                   WHERE id = ANY($1) OR merged_into = ANY($1)";
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, &[&group.merged, &id]).await?;
    }
    // One that another transaction put into a campaign meanwhile stays there until the next is like both.
    let sql = "INSERT INTO campaign_members (seq, campaign) SELECT s.seq, $2 FROM (SELECT DISTINCT unnest($1::bigint[]) AS seq) v \
               JOIN sessions s ON s.seq = v.seq ORDER BY s.seq ON CONFLICT (seq) DO NOTHING";
    let statement = transaction.prepare_cached(sql).await?;
    added += transaction.execute(&statement, &[&group.joining, &id]).await?;
    let sql = "UPDATE campaigns SET members = members + $2, last = \
               coalesce((SELECT max(seq) FROM campaign_members WHERE campaign = $1), 0) WHERE id = $1 \
               RETURNING members, told";
    let statement = transaction.prepare_cached(sql).await?;
    let row = transaction.query_one(&statement, &[&id, &added.cast_signed()]).await?;
    let (members, told): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let step = growth_step(members);
    if step > told {
        transaction.execute("UPDATE campaigns SET told = $2 WHERE id = $1", &[&id, &step]).await?;
        if let Some(at) = at {
            deliveries::announce_campaign(transaction, id, members, told == 0, at).await?;
        }
    }
    if members == 0 {
        transaction.execute("DELETE FROM campaigns WHERE id = $1", &[&id]).await?;
    }
    Ok(())
}

/// Takes sessions out of their campaigns. Campaigns without members are forgotten, with the numbers that lead to them.
pub(super) async fn forget(transaction: &Transaction<'_>, seqs: &[i64]) -> Result<(), Fault> {
    let (campaigns, sizes) = locked(transaction, seqs).await?;
    if campaigns.is_empty() {
        return Ok(());
    }
    let members: Vec<i64> = campaigns.keys().copied().collect();
    let statement = transaction.prepare_cached("DELETE FROM campaign_members WHERE seq = ANY($1)").await?;
    transaction.execute(&statement, &[&members]).await?;
    let ids: Vec<i64> = sizes.into_keys().collect();
    let gone: Vec<i64> = ids.iter().map(|id| count(campaigns.values().filter(|of| *of == id).count())).collect();
    let sql = "UPDATE campaigns c SET members = c.members - v.gone, last = \
               coalesce((SELECT max(m.seq) FROM campaign_members m WHERE m.campaign = c.id), 0) \
               FROM unnest($1::bigint[], $2::bigint[]) AS v(id, gone) WHERE c.id = v.id RETURNING c.id, c.members";
    let statement = transaction.prepare_cached(sql).await?;
    let left = transaction.query(&statement, &[&ids, &gone]).await?;
    let left: Vec<(i64, i64)> = rows::all(&left, |row| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    let empty: Vec<i64> = left.into_iter().filter(|(_, members)| *members == 0).map(|(id, _)| id).collect();
    if !empty.is_empty() {
        let sql = "DELETE FROM campaigns WHERE id = ANY($1) OR merged_into = ANY($1)";
        transaction.execute(sql, &[&empty]).await?;
    }
    Ok(())
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The campaign of a session that is in one of at least [`MIN_MEMBERS`].
pub(super) async fn of_session(client: &impl GenericClient, seq: i64) -> Result<Option<CampaignId>, Fault> {
    let sql = "SELECT c.id FROM campaign_members m JOIN campaigns c ON c.id = m.campaign \
               WHERE m.seq = $1 AND c.members >= $2";
    let statement = client.prepare_cached(sql).await?;
    let found = client.query_opt(&statement, &[&seq, &MIN_MEMBERS]).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?.map(CampaignId))
}

/// The sum over a campaign's members.
async fn row(
    client: &impl GenericClient,
    id: i64,
    deployment: String,
    now: Timestamp,
) -> Result<Option<CampaignRow>, Fault> {
    let sql = "SELECT count(*) AS members, count(DISTINCT s.user_id) AS users, min(s.accepted_at) AS first, \
               max(s.accepted_at) AS last, count(*) FILTER (WHERE r.decision = $4) AS d0, \
               count(*) FILTER (WHERE r.decision = $5) AS d1, count(*) FILTER (WHERE r.decision = $6) AS d2, \
               count(*) FILTER (WHERE l.label = $7) AS human, count(*) FILTER (WHERE l.label = $8) AS bot, \
               count(*) FILTER (WHERE s.accepted_at > $2) AS hour, count(*) FILTER (WHERE s.accepted_at > $3) AS day \
               FROM campaign_members c JOIN sessions s ON s.seq = c.seq LEFT JOIN results r ON r.seq = c.seq \
               LEFT JOIN labels l ON l.seq = c.seq WHERE c.campaign = $1";
    let (hour, day) = (now.0.saturating_sub(HOUR_MS), now.0.saturating_sub(24 * HOUR_MS));
    let statement = client.prepare_cached(sql).await?;
    let [d0, d1, d2] = Decision::ALL.map(number);
    let [human, bot] = Truth::ALL.map(number);
    let found = client.query_one(&statement, &[&id, &hour, &day, &d0, &d1, &d2, &human, &bot]).await?;
    let counted = |name: &str| found.try_get::<_, i64>(name).map(i64::unsigned_abs);
    let time = |name: &str| found.try_get::<_, Option<i64>>(name).map(|at| Timestamp(at.unwrap_or_default()));
    if counted("members")? == 0 {
        return Ok(None);
    }
    let sql = "SELECT s.deployment, s.id FROM (SELECT m.other, count(*) AS times FROM campaign_members c \
               JOIN matches m ON m.seq = c.seq AND m.place = 0 WHERE c.campaign = $1 GROUP BY m.other \
               ORDER BY times DESC, m.other LIMIT 1) b JOIN sessions s ON s.seq = b.other";
    let statement = client.prepare_cached(sql).await?;
    let best = client.query_opt(&statement, &[&id]).await?;
    Ok(Some(CampaignRow {
        id: CampaignId(id),
        deployment,
        members: counted("members")?,
        users: counted("users")?,
        first_seen: time("first")?,
        last_seen: time("last")?,
        best_source: best.map(|row| rows::key(&row)).transpose()?.map(|key| key.id),
        decisions: [counted("d0")?, counted("d1")?, counted("d2")?],
        labelled: [counted("human")?, counted("bot")?],
        growth: [counted("hour")?, counted("day")?],
    }))
}

fn member(row: &Row) -> Result<CampaignMember, Fault> {
    let user: Option<Vec<u8>> = row.try_get("user_id")?;
    let named = |name: &str| row.try_get::<_, Option<i16>>(name).map(|value| value.map(i64::from));
    Ok(CampaignMember {
        seq: Seq(row.try_get("seq")?),
        key: rows::key(row)?,
        user_id: user.map(|user| String::from_utf8_lossy(&user).into_owned()),
        accepted_at: Timestamp(row.try_get("accepted_at")?),
        decision: named("decision")?.map(Decision::from_number).transpose()?,
        label: named("label")?.map(Truth::from_number).transpose()?,
    })
}

#[async_trait]
impl CampaignStore for PostgresStore {
    async fn campaigns(&self, query: CampaignQuery) -> StoreResult<CampaignPage> {
        called!(self.core.campaigns_once(&query))
    }

    async fn open_campaigns(&self, since: Timestamp, deployment: Option<String>) -> StoreResult<(u64, u64)> {
        called!(self.core.open_campaigns_once(since, deployment.as_deref()))
    }

    async fn campaign(
        &self,
        id: CampaignId,
        deployment: Option<String>,
        now: Timestamp,
    ) -> StoreResult<Option<CampaignRow>> {
        called!(self.core.campaign_once(id, deployment.as_deref(), now))
    }

    async fn campaign_members(
        &self,
        id: CampaignId,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<CampaignMember>> {
        called!(self.core.campaign_members_once(id, before, limit))
    }

    async fn campaign_standings(&self, id: CampaignId, after: Seq, limit: u32) -> StoreResult<Vec<DecidedResult>> {
        called!(self.core.campaign_standings_once(id, after, limit))
    }
}

impl Core {
    pub(super) async fn campaigns_once(&self, query: &CampaignQuery) -> Result<CampaignPage, Fault> {
        let sql = "SELECT id, deployment, last FROM campaigns WHERE members >= $1 \
                   AND ($2::bytea IS NULL OR deployment = $2) AND (last, id) < ($3, $4) \
                   ORDER BY last DESC, id DESC LIMIT $5";
        let (last, id) = query.after.map_or((i64::MAX, i64::MAX), |(seq, id)| (seq.0, id.0));
        let deployment = query.deployment.as_ref().map(String::as_bytes);
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let limit = i64::from(query.limit) + 1;
        let found = held.query(&statement, &[&query.min_members.max(1), &deployment, &last, &id, &limit]).await?;
        let mut found: Vec<(i64, String, i64)> =
            rows::all(&found, |row| Ok((row.try_get("id")?, rows::text(row, "deployment")?, row.try_get("last")?)))?;
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(id, _, last)| (Seq(*last), CampaignId(*id)));
        let mut rows = Vec::with_capacity(found.len());
        for (id, deployment, _) in found {
            rows.extend(row(&*held, id, deployment, query.now).await?);
        }
        held.release();
        Ok(CampaignPage { rows, next })
    }

    pub(super) async fn open_campaigns_once(
        &self,
        since: Timestamp,
        deployment: Option<&str>,
    ) -> Result<(u64, u64), Fault> {
        let sql = "SELECT count(*), coalesce(sum(c.members), 0)::bigint FROM (SELECT members, last FROM campaigns \
                   WHERE members >= $1 AND ($2::bytea IS NULL OR deployment = $2) ORDER BY last DESC LIMIT $3) c \
                   JOIN sessions s ON s.seq = c.last WHERE s.accepted_at > $4";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let deployment = deployment.map(str::as_bytes);
        let row = held.query_one(&statement, &[&MIN_MEMBERS, &deployment, &i64::from(MAX_OPEN), &since.0]).await?;
        held.release();
        let (open, members): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok((open.unsigned_abs(), members.unsigned_abs()))
    }

    pub(super) async fn campaign_once(
        &self,
        id: CampaignId,
        deployment: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<CampaignRow>, Fault> {
        let sql = "SELECT t.id, t.deployment FROM campaigns c JOIN campaigns t ON t.id = coalesce(c.merged_into, c.id) \
                   WHERE c.id = $1 AND t.members >= $3 AND ($2::bytea IS NULL OR t.deployment = $2)";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let deployment = deployment.map(str::as_bytes);
        let campaign = match held.query_opt(&statement, &[&id.0, &deployment, &MIN_MEMBERS]).await? {
            Some(found) => row(&*held, found.try_get("id")?, rows::text(&found, "deployment")?, now).await?,
            None => None,
        };
        held.release();
        Ok(campaign)
    }

    pub(super) async fn campaign_members_once(
        &self,
        id: CampaignId,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<Vec<CampaignMember>, Fault> {
        let sql = "SELECT s.seq, s.deployment, s.id, s.user_id, s.accepted_at, r.decision, l.label \
                   FROM campaign_members c JOIN sessions s ON s.seq = c.seq LEFT JOIN results r ON r.seq = c.seq \
                   LEFT JOIN labels l ON l.seq = c.seq WHERE c.campaign = $1 AND c.seq < $2 \
                   ORDER BY c.seq DESC LIMIT $3";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let before = before.map_or(i64::MAX, |seq| seq.0);
        let found = held.query(&statement, &[&id.0, &before, &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, member)
    }

    async fn campaign_standings_once(
        &self,
        id: CampaignId,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<DecidedResult>, Fault> {
        let sql = "SELECT s.seq, s.deployment, s.id, r.kind, r.score, r.decision, r.supported, r.noted, \
                   r.surely_replayed, l.seq IS NOT NULL AS labelled FROM campaign_members c \
                   JOIN results r ON r.seq = c.seq JOIN sessions s ON s.seq = c.seq LEFT JOIN labels l ON l.seq = c.seq \
                   WHERE c.campaign = $1 AND c.seq > $2 ORDER BY c.seq LIMIT $3";
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(sql).await?;
        let found = held.query(&statement, &[&id.0, &after.0, &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, decisions::standing)
    }
}
