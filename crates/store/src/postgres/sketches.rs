//! Sketches of movements, the sessions that results name, and what is still to be compared.

use deadpool_postgres::{GenericClient, Transaction};

use super::core::Core;
use super::fault::Fault;
use super::pool::now;
use super::rows::{self, enumerated, number};
use super::{buckets, campaigns, decisions};
use crate::buckets::BucketChanges;
use crate::decisions::{Cause, Revision, replay_detail};
use crate::{
    Candidate, Compared, ComparisonBacklog, Matches, NewSketch, SketchCursor, SketchPage, StoreError, Uncompared,
    scored,
};
use playproof_domain::evidence::NAMED;
use playproof_domain::id::{Seq, SessionId};
use playproof_domain::reason::Reasons;
use playproof_domain::sketch::Sketch;
use playproof_domain::time::Timestamp;

/// Sessions and users of kept sketches.
pub(super) const CANDIDATES: &str = "SELECT k.seq, k.sketch, s.user_id, s.id, \
    (SELECT count(*) >= $2 FROM matches m WHERE m.seq = k.seq) AS is_copy \
    FROM sketches k JOIN sessions s ON s.seq = k.seq WHERE k.seq = ANY($1)";
/// Sketches by the transaction that kept them. Whatever a transaction keeps that was not over when the page was read, and
/// none of a later one, may still become visible behind the page: the next pass begins with the oldest of them.
pub(super) const SKETCHED: &str = "SELECT k.seq, k.kept::text AS kept, \
    pg_snapshot_xmin(pg_current_snapshot())::text AS oldest FROM sketches k \
    WHERE k.kept IS NOT NULL AND (k.kept, k.seq) > ($1::text::xid8, $2) ORDER BY k.kept, k.seq LIMIT $3";
/// How long sessions to be compared are a node's, ms.
const TAKEN_MS: i64 = 60_000;

impl Core {
    pub(super) async fn keep_sketches_once(&self, sketches: &[NewSketch]) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        keep(&*held, sketches).await?;
        held.release();
        Ok(())
    }

    pub(super) async fn sketches_once(&self, seqs: &[Seq]) -> Result<Vec<Candidate>, Fault> {
        let seqs: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
        let held = self.pool.get().await?;
        let most = i64::try_from(NAMED).unwrap_or(i64::MAX);
        let statement = held.prepare_cached(CANDIDATES).await?;
        let found = held.query(&statement, &[&seqs, &most]).await?;
        held.release();
        rows::all(&found, |row| {
            let user: Option<Vec<u8>> = row.try_get("user_id")?;
            let is_of_page = SessionId::from_unique(row.try_get("id")?).is_some_and(|id| id.is_of_page());
            Ok(Candidate {
                seq: Seq(row.try_get("seq")?),
                user_id: user.filter(|_| !is_of_page).map(|user| String::from_utf8_lossy(&user).into_owned()),
                is_of_page,
                is_copy: row.try_get("is_copy")?,
                sketch: Sketch::from_bytes(row.try_get("sketch")?),
            })
        })
    }

    pub(super) async fn sketched_once(&self, after: SketchCursor, limit: u32) -> Result<SketchPage, Fault> {
        let held = self.pool.get().await?;
        let statement = held.prepare_cached(SKETCHED).await?;
        let transaction = after.transaction.to_string();
        let found = held.query(&statement, &[&transaction, &after.seq, &i64::from(limit)]).await?;
        held.release();
        let more = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let seqs = rows::all(&found, |row| Ok(Seq(row.try_get("seq")?)))?;
        let id = |row: &tokio_postgres::Row, column: &str| -> Result<u64, Fault> {
            let text: &str = row.try_get(column)?;
            Ok(text.parse().map_err(|_| StoreError::Corrupt(format!("a transaction named {text}")))?)
        };
        let next = match (found.last(), seqs.last()) {
            (Some(row), Some(seq)) if more => SketchCursor { transaction: id(row, "kept")?, seq: seq.0 },
            (Some(row), _) => {
                let (last, oldest) = (id(row, "kept")?, id(row, "oldest")?);
                // Nothing is missed before the oldest transaction that is not over; what was seen of later ones comes again.
                SketchCursor { transaction: oldest.min(last.saturating_add(1)), seq: 0 }
            }
            _ => after,
        };
        Ok(SketchPage { seqs, next, more })
    }

    pub(super) async fn uncompared_once(&self, limit: u32, at: Option<i64>) -> Result<Vec<Uncompared>, Fault> {
        let held = self.pool.get().await?;
        let sql = format!(
            "WITH taken AS (UPDATE uncompared u SET taken_until = {now} + {TAKEN_MS} FROM (SELECT w.seq FROM uncompared w \
             JOIN results r ON r.seq = w.seq WHERE w.taken_until <= {now} ORDER BY w.seq LIMIT $2 \
             FOR UPDATE OF w SKIP LOCKED) t WHERE u.seq = t.seq \
             RETURNING u.seq, u.only_sketch) \
             SELECT s.seq, s.deployment, s.id, s.user_id, r.kind, r.score, r.decision, r.supported, r.noted, \
             r.surely_replayed, l.seq IS NOT NULL AS labelled, coalesce(k.record, t.record) AS record, u.only_sketch \
             FROM taken u JOIN sessions s ON s.seq = u.seq JOIN results r ON r.seq = u.seq \
             LEFT JOIN labels l ON l.seq = u.seq LEFT JOIN telemetry t ON t.hour = s.hour AND t.seq = s.seq \
             LEFT JOIN telemetry_kept k ON k.seq = s.seq ORDER BY s.seq",
            now = now("$1")
        );
        let statement = held.prepare_cached(&sql).await?;
        let found = held.query(&statement, &[&at, &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, |row| {
            let user: Option<Vec<u8>> = row.try_get("user_id")?;
            Ok(Uncompared {
                standing: decisions::standing(row)?,
                user_id: user.map(|user| String::from_utf8_lossy(&user).into_owned()),
                record: row.try_get("record")?,
                only_sketch: row.try_get("only_sketch")?,
            })
        })
    }

    pub(super) async fn compared_once(
        &self,
        compared: &[Compared],
        again: &[Seq],
        at: Timestamp,
    ) -> Result<u64, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let seqs: Vec<i64> = compared.iter().map(|one| one.seq.0).collect();
        let statement = transaction.prepare_cached("DELETE FROM uncompared WHERE seq = ANY($1) RETURNING seq").await?;
        let forgotten = transaction.query(&statement, &[&seqs]).await?;
        let forgotten = rows::all(&forgotten, |row| Ok(row.try_get::<_, i64>(0)?))?;
        let mut found: Vec<_> = compared
            .iter()
            .filter(|one| forgotten.contains(&one.seq.0))
            .filter_map(|one| Some((one, one.found?)))
            .collect();
        found.sort_by_key(|(one, _)| one.seq.0);
        let matches: Vec<Matches> =
            found.iter().map(|(one, _)| Matches { seq: one.seq, others: one.matches.clone() }).collect();
        keep_matches(&transaction, &matches).await?;
        let joining: Vec<i64> = matches.iter().map(|one| one.seq.0).collect();
        campaigns::join(&transaction, &joining, Some(at)).await?;
        let seqs: Vec<i64> = found.iter().map(|(one, _)| one.seq.0).collect();
        let known_reasons: Vec<i64> = found.iter().map(|(_, alike)| alike.basis.known_reasons.bits()).collect();
        let surely: Vec<bool> = found.iter().map(|(_, alike)| alike.basis.surely_replayed).collect();
        let decisions: Vec<i16> = found.iter().map(|(_, alike)| number(alike.decided.decision)).collect();
        let reasons: Vec<i64> = found.iter().map(|(_, alike)| alike.decided.reasons.bits()).collect();
        let under: Vec<Vec<u8>> = found.iter().map(|(_, alike)| scored::thresholds_bytes(&alike.thresholds)).collect();
        let (mut changed, mut counts) = (0, BucketChanges::default());
        if !found.is_empty() {
            let sql = "SELECT r.seq, r.deployment, r.scored_at, r.model, r.decision, r.reasons, s.device \
                       FROM (SELECT DISTINCT unnest($1::bigint[]) AS seq) v JOIN results r ON r.seq = v.seq \
                       JOIN sessions s ON s.seq = r.seq ORDER BY r.seq FOR UPDATE OF r";
            let statement = transaction.prepare_cached(sql).await?;
            let stood = transaction.query(&statement, &[&seqs]).await?;
            for row in &stood {
                let reasons = Reasons::from_bits(row.try_get("reasons")?);
                buckets::count_row(&mut counts, row, enumerated(row, "decision")?, reasons, -1)?;
            }
            let sql = "UPDATE results r SET noted = v.noted, surely_replayed = v.surely, \
                       reasons = CASE WHEN r.decision = v.decision THEN v.reasons ELSE r.reasons END, \
                       compared = v.under \
                       FROM unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::smallint[], $5::bigint[], \
                       $6::bytea[]) AS v(seq, noted, surely, decision, reasons, under), sessions s \
                       WHERE r.seq = v.seq AND s.seq = r.seq \
                       RETURNING r.seq, r.deployment, r.scored_at, r.model, r.decision, r.reasons, s.device";
            let statement = transaction.prepare_cached(sql).await?;
            let standing =
                transaction.query(&statement, &[&seqs, &known_reasons, &surely, &decisions, &reasons, &under]).await?;
            let mut revisions = Vec::new();
            for row in &standing {
                let (seq, earlier) = (row.try_get::<_, i64>("seq")?, enumerated(row, "decision")?);
                let reasons = Reasons::from_bits(row.try_get("reasons")?);
                buckets::count_row(&mut counts, row, earlier, reasons, 1)?;
                let Some((_, alike)) = found.iter().find(|(one, _)| one.seq.0 == seq) else { continue };
                if alike.decided.decision != earlier {
                    let (seq, decided, detail) = (Seq(seq), alike.decided, replay_detail(&alike.thresholds));
                    revisions.push(Revision { seq, earlier, decided, cause: Cause::Replay, detail });
                }
            }
            if !revisions.is_empty() {
                changed = decisions::revise(&transaction, &revisions, at, &mut counts).await?;
            }
        }
        let again: Vec<i64> = again.iter().map(|seq| seq.0).collect();
        compare_later(&transaction, &again, at).await?;
        buckets::write(&transaction, &mut counts).await?;
        transaction.commit().await?;
        held.release();
        Ok(changed)
    }

    pub(super) async fn backlog_once(&self) -> Result<ComparisonBacklog, Fault> {
        let held = self.pool.get().await?;
        let sql =
            "SELECT count(*), min(u.since) FROM uncompared u JOIN results r ON r.seq = u.seq WHERE NOT u.only_sketch";
        let row = held.query_one(sql, &[]).await?;
        held.release();
        let (sessions, oldest): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        Ok(ComparisonBacklog { sessions: sessions.unsigned_abs(), oldest: oldest.map(Timestamp) })
    }
}

/// All sessions that were scored at this time or before are compared: no later telemetry may go for its age.
pub(super) async fn compared_before(client: &impl GenericClient) -> Result<Timestamp, Fault> {
    let sql = "SELECT min(r.scored_at) FROM uncompared u JOIN results r ON r.seq = u.seq WHERE NOT u.only_sketch";
    let oldest: Option<i64> = client.query_one(sql, &[]).await?.try_get(0)?;
    Ok(Timestamp(oldest.map_or(i64::MAX, |at| at.saturating_sub(1))))
}

/// Keeps sketches of sessions that are there, each once.
pub(super) async fn keep(client: &impl GenericClient, new: &[NewSketch]) -> Result<(), Fault> {
    if new.is_empty() {
        return Ok(());
    }
    let seqs: Vec<i64> = new.iter().map(|sketch| sketch.seq.0).collect();
    let sketches: Vec<&[u8]> = new.iter().map(|sketch| sketch.sketch.bytes()).collect();
    // One of the layout before is kept anew.
    let sql = "INSERT INTO sketches (seq, sketch) SELECT v.seq, v.sketch FROM unnest($1::bigint[], $2::bytea[]) \
               AS v(seq, sketch) JOIN sessions s ON s.seq = v.seq ORDER BY v.seq \
               ON CONFLICT (seq) DO UPDATE SET sketch = excluded.sketch, kept = excluded.kept \
               WHERE sketches.kept IS NULL";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&seqs, &sketches]).await?;
    Ok(())
}

/// Keeps whom sessions are like, in place of whom they were.
pub(super) async fn keep_matches(transaction: &Transaction<'_>, matches: &[Matches]) -> Result<(), Fault> {
    let all: Vec<i64> = matches.iter().map(|one| one.seq.0).collect();
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for one in matches {
        for (place, other) in (0i16..).zip(&one.others) {
            columns.0.push(one.seq.0);
            columns.1.push(place);
            columns.2.push(other.0);
        }
    }
    if columns.0.is_empty() {
        return Ok(());
    }
    let statement = transaction.prepare_cached("DELETE FROM matches WHERE seq = ANY($1)").await?;
    transaction.execute(&statement, &[&all]).await?;
    // One may have been erased since it was found; its number names nobody then.
    let sql =
        "INSERT INTO matches (seq, place, other) SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[])";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&columns.0, &columns.1, &columns.2]).await?;
    Ok(())
}

/// Remembers that sessions are still to be compared, once they are settled.
pub(super) async fn compare_later(transaction: &Transaction<'_>, seqs: &[i64], since: Timestamp) -> Result<(), Fault> {
    if seqs.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO uncompared (seq, since) SELECT s.seq, $2 FROM (SELECT DISTINCT unnest($1::bigint[]) AS seq) v \
               JOIN sessions s ON s.seq = v.seq ORDER BY s.seq ON CONFLICT (seq) DO UPDATE SET only_sketch = false, taken_until = 0";
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&seqs, &since.0]).await?;
    Ok(())
}

/// Removes every trace of sessions' sketches, and their names from the results of others and from campaigns.
pub(super) async fn forget(transaction: &Transaction<'_>, seqs: &[i64]) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM matches WHERE seq = ANY($1)",
        "DELETE FROM matches WHERE other = ANY($1)",
        "DELETE FROM uncompared WHERE seq = ANY($1)",
        "DELETE FROM sketches WHERE seq = ANY($1)",
    ] {
        let statement = transaction.prepare_cached(sql).await?;
        transaction.execute(&statement, &[&seqs]).await?;
    }
    campaigns::forget(transaction, seqs).await
}

/// The sessions that a result names as having the same movement, the closest first.
pub(super) async fn matches(client: &impl GenericClient, seq: i64) -> Result<Vec<SessionId>, Fault> {
    let sql = "SELECT s.deployment, s.id FROM matches m JOIN sessions s ON s.seq = m.other WHERE m.seq = $1 \
               ORDER BY m.place";
    let statement = client.prepare_cached(sql).await?;
    rows::all(&client.query(&statement, &[&seq]).await?, |row| Ok(rows::key(row)?.id))
}
