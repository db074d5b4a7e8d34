//! Sessions alike as one.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::store::SqliteStore;
use super::{decisions, deliveries, rows};
use crate::StoreResult;
use crate::campaigns::{
    CampaignId, CampaignMember, CampaignPage, CampaignQuery, CampaignRow, CampaignStore, Group, MAX_OPEN, MIN_MEMBERS,
    groups, growth_step,
};
use crate::decisions::DecidedResult;
use crate::encoding::Numbered as _;
use crate::labels::Truth;
use playproof_domain::id::Seq;
use playproof_domain::result::Decision;
use playproof_domain::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// Makes sessions and those they are like members of one campaign. Webhooks are told when it reaches a step of growth.
pub(super) fn join(connection: &Connection, sessions: impl Iterator<Item = i64>, at: Timestamp) -> Result<(), Fault> {
    let (mut pairs, mut campaigns, mut sizes) = (Vec::new(), HashMap::new(), HashMap::new());
    let mut others = connection.prepare_cached("SELECT other FROM matches WHERE session = ?")?;
    let mut campaign_of = connection.prepare_cached(
        "SELECT c.id, c.members FROM campaign_members m JOIN campaigns c ON c.id = m.campaign WHERE m.session = ?",
    )?;
    for session in sessions {
        for other in rows::collect(&mut others, [session], |row| Ok(row.get::<_, i64>(0)?))? {
            pairs.push((session, other));
        }
    }
    for seq in pairs.iter().flat_map(|(session, other)| [session, other]) {
        let found = campaign_of.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((id, members)) = found {
            campaigns.insert(*seq, id);
            sizes.insert(id, members);
        }
    }
    for group in groups(&pairs, &campaigns, &sizes) {
        write(connection, &group, at)?;
    }
    Ok(())
}

fn write(connection: &Connection, group: &Group, at: Timestamp) -> Result<(), Fault> {
    let id = match (group.into, group.joining.first()) {
        (Some(id), _) => id,
        (None, Some(session)) => {
            let sql = "INSERT INTO campaigns (deployment, members, last, told) \
                       SELECT deployment, 0, 0, 0 FROM sessions WHERE seq = ?";
            connection.prepare_cached(sql)?.execute([session])?;
            connection.last_insert_rowid()
        }
        (None, None) => return Ok(()),
    };
    // SQLite counts rows in 63 bits.
    let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let mut added = 0;
    for merged in &group.merged {
        let sql = "UPDATE campaign_members SET campaign = ?2 WHERE campaign = ?1";
        added += count(connection.prepare_cached(sql)?.execute([*merged, id])?);
        let sql = "UPDATE campaigns SET merged_into = ?2, members = 0, last = 0 WHERE id = ?1 OR merged_into = ?1";
        connection.prepare_cached(sql)?.execute([*merged, id])?;
    }
    for seq in &group.joining {
        let sql = "INSERT INTO campaign_members (session, campaign) VALUES (?, ?)";
        added += count(connection.prepare_cached(sql)?.execute([*seq, id])?);
    }
    let sql = "UPDATE campaigns SET members = members + ?2, last = \
               (SELECT max(session) FROM campaign_members WHERE campaign = ?1) WHERE id = ?1 \
               RETURNING deployment, members, told";
    let (deployment, members, told): (String, i64, i64) = connection
        .prepare_cached(sql)?
        .query_row(params![id, added], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let step = growth_step(members);
    if step > told {
        connection.prepare_cached("UPDATE campaigns SET told = ?2 WHERE id = ?1")?.execute([id, step])?;
        deliveries::announce_campaign(connection, id, &deployment, members, told == 0, at)?;
    }
    Ok(())
}

/// Takes a session out of its campaign. One without members is forgotten, with the numbers that lead to it.
pub(super) fn forget(connection: &Connection, session: i64) -> Result<(), Fault> {
    let sql = "DELETE FROM campaign_members WHERE session = ? RETURNING campaign";
    let Some(id) = connection.prepare_cached(sql)?.query_row([session], |row| row.get::<_, i64>(0)).optional()? else {
        return Ok(());
    };
    let sql = "UPDATE campaigns SET members = members - 1, last = \
               coalesce((SELECT max(session) FROM campaign_members WHERE campaign = ?1), 0) WHERE id = ?1 \
               RETURNING members";
    let left: i64 = connection.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
    if left == 0 {
        connection.prepare_cached("DELETE FROM campaigns WHERE id = ?1 OR merged_into = ?1")?.execute([id])?;
    }
    Ok(())
}

/// The campaign of a session that is in one of at least [`MIN_MEMBERS`].
pub(super) fn of_session(connection: &Connection, session: i64) -> Result<Option<CampaignId>, Fault> {
    let sql = "SELECT c.id FROM campaign_members m JOIN campaigns c ON c.id = m.campaign \
               WHERE m.session = ? AND c.members >= ?";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([session, MIN_MEMBERS], |row| Ok(CampaignId(row.get(0)?))).optional()?)
}

/// The sum over a campaign's members.
fn row(connection: &Connection, id: i64, deployment: String, now: Timestamp) -> Result<Option<CampaignRow>, Fault> {
    let sql = "SELECT count(*) AS members, count(DISTINCT s.user) AS users, min(s.accepted_at) AS first, \
               max(s.accepted_at) AS last, count(*) FILTER (WHERE r.decision = 0) AS d0, \
               count(*) FILTER (WHERE r.decision = 1) AS d1, count(*) FILTER (WHERE r.decision = 2) AS d2, \
               count(*) FILTER (WHERE l.label = 0) AS human, count(*) FILTER (WHERE l.label = 1) AS bot, \
               count(*) FILTER (WHERE s.accepted_at > ?2) AS hour, count(*) FILTER (WHERE s.accepted_at > ?3) AS day \
               FROM campaign_members c JOIN sessions s ON s.seq = c.session LEFT JOIN results r ON r.session = c.session \
               LEFT JOIN labels l ON l.session = c.session WHERE c.campaign = ?1";
    let (hour, day) = (now.0.saturating_sub(HOUR_MS), now.0.saturating_sub(24 * HOUR_MS));
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query_row([id, hour, day], |row| {
        let number = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
        Ok(CampaignRow {
            id: CampaignId(id),
            deployment,
            members: number("members")?,
            users: number("users")?,
            first_seen: Timestamp(row.get::<_, Option<i64>>("first")?.unwrap_or_default()),
            last_seen: Timestamp(row.get::<_, Option<i64>>("last")?.unwrap_or_default()),
            best_source: None,
            decisions: [number("d0")?, number("d1")?, number("d2")?],
            labelled: [number("human")?, number("bot")?],
            growth: [number("hour")?, number("day")?],
        })
    })?;
    if found.members == 0 {
        return Ok(None);
    }
    let sql = "SELECT s.deployment, s.id FROM (SELECT m.other, count(*) AS times FROM campaign_members c \
               JOIN matches m ON m.session = c.session AND m.place = 0 WHERE c.campaign = ? GROUP BY m.other \
               ORDER BY times DESC, m.other LIMIT 1) b JOIN sessions s ON s.seq = b.other";
    let mut statement = connection.prepare_cached(sql)?;
    let best = rows::collect(&mut statement, [id], |row| rows::key(row, "deployment", "id"))?;
    found.best_source = best.into_iter().next().map(|key| key.id);
    Ok(Some(found))
}

fn list(connection: &Connection, query: &CampaignQuery) -> Result<CampaignPage, Fault> {
    let sql = "SELECT id, deployment, last FROM campaigns WHERE members >= ?1 AND (?2 IS NULL OR deployment = ?2) \
               AND (last, id) < (?3, ?4) ORDER BY last DESC, id DESC LIMIT ?5";
    let (last, id) = query.after.map_or((i64::MAX, i64::MAX), |(seq, id)| (seq.0, id.0));
    let asked = params![query.min_members.max(1), query.deployment, last, id, i64::from(query.limit) + 1];
    let mut statement = connection.prepare_cached(sql)?;
    let mut found: Vec<(i64, String, i64)> =
        rows::collect(&mut statement, asked, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(id, _, last)| (Seq(*last), CampaignId(*id)));
    let mut rows = Vec::with_capacity(found.len());
    for (id, deployment, _) in found {
        rows.extend(row(connection, id, deployment, query.now)?);
    }
    Ok(CampaignPage { rows, next })
}

fn member(row: &Row<'_>) -> Result<CampaignMember, Fault> {
    Ok(CampaignMember {
        seq: Seq(row.get("seq")?),
        key: rows::key(row, "deployment", "id")?,
        user_id: row.get("user")?,
        accepted_at: Timestamp(row.get("accepted_at")?),
        decision: row.get::<_, Option<i64>>("decision")?.map(Decision::from_number).transpose()?,
        label: row.get::<_, Option<i64>>("label")?.map(Truth::from_number).transpose()?,
    })
}

#[async_trait]
impl CampaignStore for SqliteStore {
    async fn campaigns(&self, query: CampaignQuery) -> StoreResult<CampaignPage> {
        self.read(move |connection| list(connection, &query)).await
    }

    async fn open_campaigns(&self, since: Timestamp, deployment: Option<String>) -> StoreResult<(u64, u64)> {
        self.read(move |connection| {
            let sql = "SELECT count(*), coalesce(sum(c.members), 0) FROM (SELECT members, last FROM campaigns \
                       WHERE members >= ?1 AND (?2 IS NULL OR deployment = ?2) ORDER BY last DESC LIMIT ?3) c \
                       JOIN sessions s ON s.seq = c.last WHERE s.accepted_at > ?4";
            let asked = params![MIN_MEMBERS, deployment, MAX_OPEN, since.0];
            let found = connection.prepare_cached(sql)?.query_row(asked, |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (open, members): (i64, i64) = found;
            Ok((open.unsigned_abs(), members.unsigned_abs()))
        })
        .await
    }

    async fn campaign(
        &self,
        id: CampaignId,
        deployment: Option<String>,
        now: Timestamp,
    ) -> StoreResult<Option<CampaignRow>> {
        self.read(move |connection| {
            let sql = "SELECT t.id, t.deployment FROM campaigns c JOIN campaigns t ON t.id = coalesce(c.merged_into, c.id) \
                       WHERE c.id = ?1 AND t.members >= ?3 AND (?2 IS NULL OR t.deployment = ?2)";
            let mut statement = connection.prepare_cached(sql)?;
            let asked = params![id.0, deployment, MIN_MEMBERS];
            let found = statement.query_row(asked, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            match found {
                Some((id, deployment)) => row(connection, id, deployment, now),
                None => Ok(None),
            }
        })
        .await
    }

    async fn campaign_members(
        &self,
        id: CampaignId,
        before: Option<Seq>,
        limit: u32,
    ) -> StoreResult<Vec<CampaignMember>> {
        self.read(move |connection| {
            let sql = "SELECT s.seq, s.deployment, s.id, s.user, s.accepted_at, r.decision, l.label \
                       FROM campaign_members c JOIN sessions s ON s.seq = c.session \
                       LEFT JOIN results r ON r.session = c.session LEFT JOIN labels l ON l.session = c.session \
                       WHERE c.campaign = ?1 AND c.session < ?2 ORDER BY c.session DESC LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![id.0, before.map_or(i64::MAX, |seq| seq.0), limit], member)
        })
        .await
    }

    async fn campaign_standings(&self, id: CampaignId, after: Seq, limit: u32) -> StoreResult<Vec<DecidedResult>> {
        self.read(move |connection| {
            let sql = "SELECT s.seq, s.deployment, s.id, r.kind, r.score, r.decision, r.supported, r.noted, \
                       r.surely_replayed, l.session IS NOT NULL AS labelled FROM campaign_members c \
                       JOIN results r ON r.session = c.session JOIN sessions s ON s.seq = c.session \
                       LEFT JOIN labels l ON l.session = c.session \
                       WHERE c.campaign = ?1 AND c.session > ?2 ORDER BY c.session LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![id.0, after.0, limit], decisions::standing)
        })
        .await
    }
}
