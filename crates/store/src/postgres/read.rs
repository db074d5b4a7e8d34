//! Questions asked of the store, each one statement and hence one snapshot.

use std::collections::BTreeMap;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::campaigns;
use super::core::Core;
use super::counts;
use super::fault::Fault;
use super::rows::{self, BATCH_COLUMNS, QUEUE_COLUMNS, RESULT_COLUMNS, SESSION_COLUMNS, number};
use super::sketches;
use crate::campaigns::MIN_MEMBERS;
use crate::encoding::Numbered as _;
use crate::model::{SAMPLED_PLACES, SAMPLED_SESSIONS};
use crate::{
    BatchMember, BatchRow, Cursor, DeadRow, Lookup, MAX_SET, Page, Party, QueueQuery, QueuedRow, ResultQuery,
    ResultRow, Snapshot, StoredSession,
};
use playproof_domain::batch::QueueView;
use playproof_domain::id::{BatchId, Seq, SessionId, SessionKey};
use playproof_domain::queue::State;
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::Decision;
use playproof_domain::time::Timestamp;

fn joined(condition: &str) -> String {
    format!(
        "SELECT {SESSION_COLUMNS}, {QUEUE_COLUMNS}, {RESULT_COLUMNS} FROM sessions s \
         LEFT JOIN queue q ON q.seq = s.seq LEFT JOIN results r ON r.seq = s.seq LEFT JOIN models m ON m.id = r.model \
         WHERE {condition}"
    )
}

/// Sessions by number, in any order, without those that are gone.
pub(super) async fn sessions(client: &impl GenericClient, seqs: &[i64]) -> Result<Vec<StoredSession>, Fault> {
    let statement = client.prepare_cached(&joined("s.seq = ANY($1)")).await?;
    rows::all(&client.query(&statement, &[&seqs]).await?, rows::session)
}

/// A value of a statement.
type Parameter = Box<dyn ToSql + Sync + Send>;

/// Conditions and their values; the first parameter of a statement is its limit.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    values: Vec<Parameter>,
}

impl Conditions {
    /// Adds a condition; each `?` in it is one of the values.
    fn only(&mut self, text: &str, values: impl IntoIterator<Item = Parameter>) {
        let mut pieces = text.split('?');
        let mut numbered = pieces.next().unwrap_or_default().to_owned();
        for (piece, value) in pieces.zip(values) {
            self.values.push(value);
            let number = (self.values.len() + 1).to_string();
            numbered.extend(["$", &number, piece]);
        }
        self.texts.push(numbered);
    }

    fn with<'a>(&'a self, limit: &'a i64) -> Vec<&'a (dyn ToSql + Sync)> {
        let values = self.values.iter().map(|value| &**value as &(dyn ToSql + Sync));
        std::iter::once(limit as &(dyn ToSql + Sync)).chain(values).collect()
    }
}

/// What an index finds: a time, and a deployment or else a decision.
fn indexed(query: &ResultQuery) -> Conditions {
    let mut all = Conditions::default();
    if let Some(since) = query.since {
        all.only("r.scored_at >= ?", [Box::new(since.0) as Parameter]);
    }
    if let Some(until) = query.until {
        all.only("r.scored_at < ?", [Box::new(until.0) as Parameter]);
    }
    match (&query.deployment, query.decision) {
        // Said twice so that the partial index is eligible.
        (Some(deployment), _) if !deployment.is_empty() => {
            let bytes: Parameter = Box::new(deployment.clone().into_bytes());
            all.only("r.deployment <> '\\x' AND r.deployment = ?", [bytes]);
        }
        // Numbers of ours are written out: how rare each is decides which index is best.
        (_, Some(decision)) => all.only(&format!("r.decision = {}", number(decision)), []),
        _ => {}
    }
    if let Some(after) = query.after {
        all.only("(r.scored_at, r.seq) < (?, ?)", [Box::new(after.scored_at.0) as Parameter, Box::new(after.row)]);
    }
    all
}

/// The rest.
fn left_out(query: &ResultQuery, all: &mut Conditions) {
    if let Some(prefix) = &query.id_prefix {
        let prefixes = SessionId::unique_prefixes(prefix).map(|prefix| Box::new(prefix) as Parameter);
        all.only("(starts_with(s.id, ?) OR starts_with(s.id, ?))", prefixes);
    }
    if let (Some(decision), Some(true)) = (query.decision, query.deployment.as_ref().map(|d| !d.is_empty())) {
        all.only(&format!("r.decision = {}", number(decision)), []);
    }
    if query.deployment.as_ref().is_some_and(String::is_empty) {
        all.only("r.deployment = '\\x'", []);
    }
    if let Some(source) = query.source {
        all.only(&format!("r.source = {}", number(source)), []);
    }
    if let Some(reason) = query.reason {
        let mut asked = Reasons::default();
        asked.insert(reason);
        all.only("(r.reasons & ?) <> 0", [Box::new(asked.bits()) as Parameter]);
    }
    if let Some(device) = &query.device {
        all.only("s.device = ?", [Box::new(device.clone().into_bytes()) as Parameter]);
    }
    if let Some(campaign) = query.campaign {
        let sql = "EXISTS (SELECT 1 FROM campaign_members c WHERE c.seq = r.seq AND c.campaign = ?)";
        all.only(sql, [Box::new(campaign.0) as Parameter]);
    }
}

/// The sessions of a user, or those with a label: few, so that the results of all of them are looked at.
fn of_set(query: &ResultQuery, hash: Option<i64>) -> Conditions {
    let mut all = Conditions::default();
    if let (Some(user), Some(hash)) = (&query.user, hash) {
        let sql = format!(
            "r.seq = ANY(ARRAY(SELECT u.seq FROM sessions u WHERE u.user_hash = ? AND u.user_id = ? \
             AND (?::bytea IS NULL OR u.deployment = ?) ORDER BY u.seq DESC LIMIT {MAX_SET}))"
        );
        let [one, other] = [(); 2].map(|()| query.deployment.clone().map(String::into_bytes));
        all.only(
            &sql,
            [Box::new(hash) as Parameter, Box::new(user.clone().into_bytes()), Box::new(one), Box::new(other)],
        );
        if let Some(label) = query.label {
            let sql = format!("EXISTS (SELECT 1 FROM labels l WHERE l.seq = r.seq AND l.label = {})", number(label));
            all.only(&sql, []);
        }
    } else if let Some(label) = query.label {
        let label = number(label);
        let sql = format!(
            "r.seq = ANY(ARRAY(SELECT l.seq FROM labels l JOIN sessions u ON u.seq = l.seq WHERE l.label = {label} \
             AND (?::bytea IS NULL OR u.deployment = ?) ORDER BY l.at DESC LIMIT {MAX_SET}))"
        );
        let [one, other] = [(); 2].map(|()| query.deployment.clone().map(String::into_bytes));
        all.only(&sql, [Box::new(one) as Parameter, Box::new(other)]);
    }
    if let Some(since) = query.since {
        all.only("r.scored_at >= ?", [Box::new(since.0) as Parameter]);
    }
    if let Some(until) = query.until {
        all.only("r.scored_at < ?", [Box::new(until.0) as Parameter]);
    }
    if let Some(deployment) = &query.deployment {
        all.only("r.deployment = ?", [Box::new(deployment.clone().into_bytes()) as Parameter]);
    }
    if let Some(decision) = query.decision {
        all.only(&format!("r.decision = {}", number(decision)), []);
    }
    if let Some(after) = query.after {
        all.only("(r.scored_at, r.seq) < (?, ?)", [Box::new(after.scored_at.0) as Parameter, Box::new(after.row)]);
    }
    all
}

fn joined_conditions(conditions: &[String]) -> String {
    if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") }
}

/// The place of the last row that is looked at.
fn border_sql(conditions: &[String]) -> String {
    let conditions = joined_conditions(conditions);
    format!(
        "SELECT r.scored_at, r.seq FROM results r WHERE {conditions} \
         ORDER BY r.scored_at DESC, r.seq DESC LIMIT 1 OFFSET $1"
    )
}

/// The query of results with these conditions; the parameters are given in their order.
fn results_sql(conditions: &[String], by_score: bool) -> String {
    let conditions = joined_conditions(conditions);
    let order = if by_score { "r.score DESC NULLS LAST, r.seq DESC" } else { "r.scored_at DESC, r.seq DESC" };
    format!(
        "SELECT {RESULT_COLUMNS}, s.deployment, s.id, s.device, s.user_id, \
         (SELECT l.label FROM labels l WHERE l.seq = r.seq) AS label, \
         (SELECT c.id FROM campaign_members g JOIN campaigns c ON c.id = g.campaign \
         WHERE g.seq = r.seq AND c.members >= {MIN_MEMBERS}) AS in_campaign FROM results r JOIN models m ON m.id = r.model \
         JOIN sessions s ON s.seq = r.seq WHERE {conditions} ORDER BY {order} LIMIT $1"
    )
}

/// The statement of [`Core::snapshot_once`].
pub(super) fn snapshot_sql() -> String {
    format!(
        "SELECT c.*, p.running, p.created_at, n.last_value, n.is_called, \
         (SELECT accepted_at FROM queue WHERE state = 0 ORDER BY seq LIMIT 1) AS oldest_ready, \
         (SELECT not_before FROM queue WHERE state = 2 ORDER BY not_before LIMIT 1) AS next_due, \
         (SELECT claimed_at FROM batches ORDER BY id DESC LIMIT 1) AS last_batch \
         FROM (SELECT {} FROM counters) c, scheduler p, session_seq n WHERE p.id = 1",
        counts::SUMS
    )
}

impl Core {
    pub(super) async fn snapshot_once(&self) -> Result<Snapshot, Fault> {
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(&snapshot_sql()).await?;
        let row = held.query_one(&statement, &[]).await?;
        held.release();
        let counts = counts::read(&row)?;
        let last_batch = row.try_get::<_, Option<i64>>("last_batch")?.map(Timestamp);
        let last_seq: i64 = if row.try_get("is_called")? { row.try_get("last_value")? } else { 0 };
        Ok(Snapshot {
            counts,
            queue: QueueView {
                ready: counts.ready,
                oldest_ready: row.try_get::<_, Option<i64>>("oldest_ready")?.map(Timestamp),
                next_due: row.try_get::<_, Option<i64>>("next_due")?.map(Timestamp),
                last_run: last_batch.unwrap_or(Timestamp(row.try_get("created_at")?)),
            },
            last_seq: Seq(last_seq),
            running: row.try_get("running")?,
            last_batch,
        })
    }

    pub(super) async fn session_once(&self, key: &SessionKey) -> Result<Lookup, Fault> {
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(&joined("s.id = $1 AND s.deployment = $2")).await?;
        let params: [&(dyn ToSql + Sync); 2] = [&key.id.unique(), &key.deployment.as_bytes()];
        let found = held.query_opt(&statement, &params).await?;
        let lookup = if let Some(row) = found {
            let mut found = rows::session(&row)?;
            if found.result.as_ref().is_some_and(|result| result.verdict.reasons.contains(Reason::ReplayedMovement)) {
                found.matches = sketches::matches(&*held, found.seq.0).await?;
            }
            found.campaign = campaigns::of_session(&*held, found.seq.0).await?;
            Lookup::Found(Box::new(found))
        } else {
            let statement = held.prepare_cached("SELECT 1 FROM erased WHERE mac = $1").await?;
            let erased = held.query_opt(&statement, &[&self.hasher.hash(key).mac.as_slice()]).await?;
            if erased.is_some() { Lookup::Erased } else { Lookup::Unknown }
        };
        held.release();
        Ok(lookup)
    }

    pub(super) async fn results_once(&self, query: &ResultQuery) -> Result<Page<ResultRow>, Fault> {
        let hash = query.user.as_ref().map(|user| self.hasher.hash_user(user));
        let mut all = if query.is_of_set() { of_set(query, hash) } else { indexed(query) };
        let held = self.pool.get().await?;
        let mut border = None;
        if let Some(window) = query.window.filter(|_| query.leaves_out()) {
            let statement = held.prepare_cached(&border_sql(&all.texts)).await?;
            let row = held.query_opt(&statement, &all.with(&(i64::from(window.max(1)) - 1))).await?;
            let place =
                |row: Row| Ok::<_, Fault>(Cursor { scored_at: Timestamp(row.try_get(0)?), row: row.try_get(1)? });
            border = row.map(place).transpose()?;
        }
        if let Some(border) = border {
            all.only(
                "(r.scored_at, r.seq) >= (?, ?)",
                [Box::new(border.scored_at.0) as Parameter, Box::new(border.row)],
            );
        }
        left_out(query, &mut all);
        let statement = held.prepare_cached(&results_sql(&all.texts, query.by_score)).await?;
        let found = held.query(&statement, &all.with(&(i64::from(query.limit) + 1))).await?;
        held.release();
        Ok(query.page(rows::all(&found, rows::result_row)?, border))
    }

    pub(super) async fn batches_once(&self, before: Option<BatchId>, limit: u32) -> Result<Vec<BatchRow>, Fault> {
        let held = self.pool.get().await?;
        let sql = format!("SELECT {BATCH_COLUMNS} FROM batches WHERE id < $1 ORDER BY id DESC LIMIT $2");
        let statement = held.prepare_cached(&sql).await?;
        let found = held.query(&statement, &[&before.map_or(i64::MAX, |id| id.0), &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, rows::batch)
    }

    pub(super) async fn batch_once(&self, id: BatchId) -> Result<Option<(BatchRow, Vec<BatchMember>)>, Fault> {
        let held = self.pool.get().await?;
        let sql = format!("SELECT {BATCH_COLUMNS} FROM batches WHERE id = $1");
        let statement = held.prepare_cached(&sql).await?;
        let Some(row) = held.query_opt(&statement, &[&id.0]).await? else {
            held.release();
            return Ok(None);
        };
        let members = "SELECT s.deployment, s.id, r.decision, r.score FROM batches b, unnest(b.members) WITH ORDINALITY AS m(seq, place) \
                       JOIN sessions s ON s.seq = m.seq LEFT JOIN results r ON r.seq = s.seq WHERE b.id = $1 ORDER BY m.place";
        let statement = held.prepare_cached(members).await?;
        let keys = held.query(&statement, &[&id.0]).await?;
        held.release();
        let members = rows::all(&keys, |row| {
            let decision = row.try_get::<_, Option<i16>>("decision")?;
            let decision = decision.map(|decision| Decision::from_number(i64::from(decision))).transpose()?;
            Ok(BatchMember { key: rows::key(row)?, decision, score: row.try_get("score")? })
        })?;
        Ok(Some((rows::batch(&row)?, members)))
    }

    pub(super) async fn queued_once(&self, query: &QueueQuery) -> Result<Page<QueuedRow>, Fault> {
        let (at, row) = query.after.map_or((i64::MIN, i64::MAX), |after| (after.scored_at.0, after.row));
        let sql = match query.state {
            State::Ready => "q.state = 0 AND q.seq < $2 AND $1::bigint IS NOT NULL ORDER BY q.seq DESC",
            State::Failed => "q.state = 4 AND q.seq < $2 AND $1::bigint IS NOT NULL ORDER BY q.seq DESC",
            State::Delayed => "q.state = 2 AND (q.not_before, q.seq) > ($1::bigint, $2) ORDER BY q.not_before, q.seq",
            State::Leased | State::Processed => return Ok(Page { rows: vec![], next: None }),
        };
        let sql = format!(
            "SELECT q.seq, q.state, q.attempts, q.lost_leases, q.not_before, q.error, q.accepted_at, s.deployment, s.id, \
             s.device, s.user_id FROM (SELECT * FROM queue q WHERE {sql} LIMIT $3) q JOIN sessions s ON s.seq = q.seq"
        );
        // Without a deployment every row that is looked at is listed.
        let most = query.deployment.as_ref().map_or(query.limit.saturating_add(1).min(query.window), |_| query.window);
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(&sql).await?;
        let found = held.query(&statement, &[&at, &row, &i64::from(most)]).await?;
        held.release();
        let mut looked_at = rows::all(&found, rows::queued)?;
        if query.state == State::Delayed {
            looked_at.sort_by_key(|(place, _)| (place.scored_at, place.row));
        } else {
            looked_at.sort_by_key(|(place, _)| std::cmp::Reverse(place.row));
        }
        Ok(query.page(looked_at))
    }

    pub(super) async fn dead_once(&self, before: Option<Seq>, limit: u32) -> Result<Vec<DeadRow>, Fault> {
        let held = self.pool.get().await?;
        let sql = "SELECT q.seq, q.state, q.attempts, q.lost_leases, q.not_before, q.error, q.accepted_at, \
                   s.deployment, s.id FROM queue q JOIN sessions s ON s.seq = q.seq \
                   WHERE q.state = 4 AND q.seq < $1 ORDER BY q.seq DESC LIMIT $2";
        let statement = held.prepare_cached(sql).await?;
        let found = held.query(&statement, &[&before.map_or(i64::MAX, |seq| seq.0), &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, rows::dead)
    }

    /// Who sent the ready sessions at evenly spaced places.
    pub(super) async fn waiting_parties_once(&self) -> Result<BTreeMap<Party, u64>, Fault> {
        let held = self.pool.get().await?;
        let mut found = BTreeMap::new();
        let edges = "SELECT (SELECT seq FROM queue WHERE state = 0 ORDER BY seq LIMIT 1), \
                     (SELECT seq FROM queue WHERE state = 0 ORDER BY seq DESC LIMIT 1)";
        let row = held.query_one(&held.prepare_cached(edges).await?, &[]).await?;
        let (first, last): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        if let (Some(first), Some(last)) = (first, last) {
            let sql = "SELECT w.seq, s.deployment, s.id FROM (SELECT seq FROM queue WHERE state = 0 AND seq >= $1 ORDER BY seq \
                       LIMIT $2) w JOIN sessions s ON s.seq = w.seq ORDER BY w.seq";
            let statement = held.prepare_cached(sql).await?;
            let mut next = first;
            for place in 0..SAMPLED_PLACES {
                // No session twice where the places lie close together.
                let from = next.max(first + (last - first) / SAMPLED_PLACES * place);
                for row in held.query(&statement, &[&from, &SAMPLED_SESSIONS]).await? {
                    next = row.try_get::<_, i64>(0)? + 1;
                    let deployment: Vec<u8> = row.try_get(1)?;
                    let deployment = String::from_utf8_lossy(&deployment).into_owned();
                    let is_pages = SessionId::from_unique(row.try_get(2)?).is_some_and(|id| id.is_of_page());
                    *found.entry(Party { deployment, is_pages }).or_default() += 1;
                }
            }
        }
        held.release();
        Ok(found)
    }

    pub(super) async fn telemetry_once(&self, seqs: &[Seq]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let held = self.pool.get().await?;
        let asked: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
        let statement = held.prepare_cached(TELEMETRY).await?;
        let found = held.query(&statement, &[&asked]).await?;
        held.release();
        rows::all(&found, |row| Ok(row.try_get(0)?))
    }
}

/// Records in the order asked; the hour of each session names its partition. Hour and number come from one table: from two,
/// the planner takes an hour that it has no statistics of for a few rows and looks a record up by the hour alone.
pub(super) const TELEMETRY: &str = "SELECT coalesce(t.record, k.record) FROM unnest($1::bigint[]) \
    WITH ORDINALITY AS a(seq, place) LEFT JOIN sessions s ON s.seq = a.seq \
    LEFT JOIN telemetry t ON t.hour = s.hour AND t.seq = s.seq LEFT JOIN telemetry_kept k ON k.seq = a.seq \
    ORDER BY a.place";
