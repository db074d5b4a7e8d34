//! Taking in a store whole from elsewhere, a page of sessions a transaction, and reading it back for the check.
//!
//! How far it came is part of each transaction, so a copy that was broken off goes on where it was.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::rows::{self, QUEUE_COLUMNS, RESULT_COLUMNS, SESSION_COLUMNS, number, plain, whole as int};
use super::store::PostgresStore;
use super::{attached, audit, buckets, campaigns, challenges, controls, sketches};
use crate::audit::Entry;
use crate::controls::Control;
use crate::encoding::{KeyHasher, features_to_blob};
use crate::export::{ExportedSession, ExportedStore};
use crate::{Counts, Matches, NewSketch, StoreError, StoreResult, first, scored};
use playproof_domain::id::Seq;
use playproof_domain::queue::State;
use playproof_domain::record::SessionDigest;
use playproof_domain::sketch::Sketch;
use playproof_domain::time::Timestamp;

/// Where the last session copied is kept while a copy is under way.
const PROGRESS: &str = "copied_up_to";
/// Under which the end of a copy is kept.
const DONE: &str = "copy_done";

impl PostgresStore {
    /// Begins a copy into this store, or goes on with one from the same source; the last session that is there.
    ///
    /// # Errors
    /// When the store holds sessions that are not part of this copy, or a copy into it has ended.
    pub async fn begin_copy(&self, secret: &[u8]) -> StoreResult<Seq> {
        called!(self.core.begin_copy_once(secret))
    }

    /// Takes a page of sessions in, in their order.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn take_page(&self, page: &[ExportedSession], secret: &[u8]) -> StoreResult<()> {
        let hasher = KeyHasher::new(secret)?;
        called!(self.core.take_page_once(page, &hasher))
    }

    /// Ends a copy: what there is beside sessions, and counts of sessions that are no more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_copy(&self, rest: &ExportedStore, counts: Counts) -> StoreResult<()> {
        called!(self.core.end_copy_once(rest, counts))
    }

    /// Up to `limit` sessions after one, in their order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn whole(&self, after: Seq, limit: u32) -> StoreResult<Vec<ExportedSession>> {
        called!(self.core.whole_once(after, limit))
    }
}

/// What to keep of a session's movement.
fn new_sketch(whole: &ExportedSession) -> Option<NewSketch> {
    Some(NewSketch { seq: whole.session.seq, sketch: whole.sketch.clone()? })
}

impl Core {
    async fn begin_copy_once(&self, secret: &[u8]) -> Result<Seq, Fault> {
        let held = self.pool.get().await?;
        let progress = held.query_opt("SELECT value FROM meta WHERE name = $1", &[&PROGRESS]).await?;
        let done = held.query_opt("SELECT 1 FROM meta WHERE name = $1", &[&DONE]).await?.is_some();
        let mine: Vec<u8> = held.query_one("SELECT value FROM meta WHERE name = 'secret'", &[]).await?.get(0);
        let refused = |why: &str| Err(StoreError::InUse(format!("{why}; name an empty database")).into());
        let reached = match progress {
            Some(_) if mine != secret => return refused("a copy of another store is under way into it"),
            Some(_) if done => return refused("a copy into it has ended"),
            Some(row) => i64::from_le_bytes(row.get::<_, Vec<u8>>(0).try_into().unwrap_or_default()),
            None => {
                if held.query_opt("SELECT 1 FROM sessions LIMIT 1", &[]).await?.is_some() {
                    return refused("it holds sessions already");
                }
                let managed = "SELECT 1 WHERE EXISTS (SELECT 1 FROM controls) OR EXISTS (SELECT 1 FROM audit)";
                if held.query_opt(managed, &[]).await?.is_some() {
                    return refused("something was made or managed in it already");
                }
                held.execute("UPDATE meta SET value = $1 WHERE name = 'secret'", &[&secret]).await?;
                let zero = 0i64.to_le_bytes();
                held.execute("INSERT INTO meta (name, value) VALUES ($1, $2)", &[&PROGRESS, &zero.as_slice()]).await?;
                // Nodes that are started by mistake must not run batches of half a store.
                held.execute("UPDATE scheduler SET running = false", &[]).await?;
                0
            }
        };
        held.release();
        Ok(Seq(reached))
    }

    #[expect(clippy::too_many_lines, reason = "one row after the other, column by column")]
    async fn take_page_once(&self, page: &[ExportedSession], hasher: &KeyHasher) -> Result<(), Fault> {
        let mut models = HashMap::new();
        for result in page.iter().filter_map(|whole| whole.session.result.as_ref()) {
            let model = &result.verdict.model;
            if !models.contains_key(model) {
                models.insert(model.clone(), self.model(model).await?);
            }
        }
        let Some(last) = page.last().map(|whole| whole.session.seq.0) else { return Ok(()) };
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let session = "INSERT INTO sessions (seq, accepted_at, user_hash, latency_ms, reasons, first_confidence, \
            first_score, hour, first_decision, id, deployment, digest, game, device, user_id, features, first_model) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, ($2::bigint / 3600000)::int, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
        let session = transaction.prepare_cached(session).await?;
        let record = "INSERT INTO telemetry (seq, hour, record) VALUES ($1, ($2::bigint / 3600000)::int, $3)";
        let record = transaction.prepare_cached(record).await?;
        let waiting = "INSERT INTO queue (seq, accepted_at, not_before, finished_at, attempts, lost_leases, state, \
            telemetry, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let waiting = transaction.prepare_cached(waiting).await?;
        let result = "INSERT INTO results (seq, scored_at, batch, confidence, score, raw, reasons, not_before, model, \
            attempts, lost_leases, decision, kind, source, extrapolated, fallback, class, deployment, supported, \
            noted, surely_replayed, scored, compared) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
            $18, $19, $20, $21, $22, $23)";
        let result = transaction.prepare_cached(result).await?;
        let mut moved = super::counts::Moved::default();
        for whole in page {
            let s = &whole.session;
            let (at, first, entry) = (s.first.scored_at.0, &s.first.verdict, &s.entry);
            let deployment = s.key.deployment.as_bytes();
            let features = features_to_blob(&s.features);
            let user = whole.user_id.as_deref();
            let at_once = s.result.as_ref().is_some_and(|result| result.batch.is_none());
            let first_model = if at_once { None } else { first::by_model(first) };
            transaction
                .execute(
                    &session,
                    &[
                        &s.seq.0,
                        &at,
                        &user.map(|user| hasher.hash_user(user)),
                        &s.first.latency_ms,
                        &s.reasons.bits(),
                        &first.confidence,
                        &first.anomaly_score.unwrap_or(0.0),
                        &number(first.decision),
                        &s.key.id.unique(),
                        &deployment,
                        &whole.digest.0.as_slice(),
                        &s.game_type.as_bytes(),
                        &s.device_type.as_bytes(),
                        &user.map(str::as_bytes),
                        &features.as_slice(),
                        &first_model,
                    ],
                )
                .await?;
            if let Some(bytes) = &whole.record {
                transaction.execute(&record, &[&s.seq.0, &at, bytes]).await?;
            }
            // Nobody holds a lease on a store that is being moved.
            let state = if entry.state == State::Leased { State::Ready } else { entry.state };
            moved.step(None, Some(state));
            if let Some(r) = &s.result {
                let v = &r.verdict;
                transaction
                    .execute(
                        &result,
                        &[
                            &s.seq.0,
                            &r.scored_at.0,
                            &r.batch.map(|batch| batch.0),
                            &v.confidence,
                            &v.anomaly_score,
                            &v.raw_score,
                            &v.reasons.bits(),
                            &entry.not_before.0,
                            &models.get(&v.model).copied().unwrap_or(0),
                            &int(r.attempts),
                            &int(entry.lost_leases),
                            &number(v.decision),
                            &number(v.kind),
                            &number(v.source),
                            &v.extrapolated,
                            &v.fallback,
                            &plain(&v.class),
                            &deployment,
                            &v.basis.and_then(|basis| basis.supported_score),
                            &v.basis.map(|basis| basis.known_reasons.bits()),
                            &v.basis.map(|basis| basis.surely_replayed),
                            &r.scored.map(|as_scored| scored::bytes(&as_scored)),
                            &r.compared_under.map(|under| scored::thresholds_bytes(&under)),
                        ],
                    )
                    .await?;
            } else {
                transaction
                    .execute(
                        &waiting,
                        &[
                            &s.seq.0,
                            &at,
                            &entry.not_before.0,
                            &whole.finished_at.map(|at| at.0),
                            &int(entry.attempts),
                            &int(entry.lost_leases),
                            &number(state),
                            &whole.record.is_some(),
                            &s.last_error.as_deref().map(plain),
                        ],
                    )
                    .await?;
            }
        }
        let sketches: Vec<NewSketch> = page.iter().filter_map(new_sketch).collect();
        sketches::keep(&transaction, &sketches).await?;
        let of = |whole: &ExportedSession| Matches { seq: whole.session.seq, others: whole.matches.clone() };
        sketches::keep_matches(&transaction, &page.iter().map(of).collect::<Vec<_>>()).await?;
        let joining: Vec<i64> = page.iter().filter(|w| !w.matches.is_empty()).map(|w| w.session.seq.0).collect();
        campaigns::join(&transaction, &joining, None).await?;
        for only_sketch in [false, true] {
            let waits = |whole: &&ExportedSession| whole.uncompared.is_some_and(|(_, only)| only == only_sketch);
            let seqs: Vec<i64> = page.iter().filter(waits).map(|whole| whole.session.seq.0).collect();
            let since: Vec<i64> = page.iter().filter(waits).filter_map(|w| Some(w.uncompared?.0.0)).collect();
            let sql = "INSERT INTO uncompared (seq, since, only_sketch) \
                       SELECT v.seq, v.since, $3 FROM unnest($1::bigint[], $2::bigint[]) AS v(seq, since)";
            transaction.execute(sql, &[&seqs, &since, &only_sketch]).await?;
        }
        attached::take(&transaction, page).await?;
        let reached = last.to_le_bytes();
        transaction.execute("UPDATE meta SET value = $2 WHERE name = $1", &[&PROGRESS, &reached.as_slice()]).await?;
        transaction.execute("SELECT setval('session_seq', $1)", &[&last]).await?;
        let count = i64::try_from(page.len()).unwrap_or(0);
        transaction.execute("UPDATE counters SET accepted = accepted + $1 WHERE shard = 0", &[&count]).await?;
        moved.write(&transaction).await?;
        transaction.commit().await?;
        held.release();
        Ok(())
    }

    async fn end_copy_once(&self, rest: &ExportedStore, counts: Counts) -> Result<(), Fault> {
        let mut models = HashMap::new();
        for model in rest.buckets.iter().filter_map(|bucket| bucket.model.as_ref()) {
            if !models.contains_key(model) {
                models.insert(model.clone(), self.model(model).await?);
            }
        }
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        for (batch, members) in &rest.batches {
            let members: Vec<i64> = members.iter().map(|seq| seq.0).collect();
            let end = batch.end.as_ref();
            let sql = "INSERT INTO batches (id, token, lease_ms, expires_at, pending, members, trigger_kind, owner, \
                source, claimed_at, finished_at, outcome, attempts, detector_ms, error, agreement_rows, \
                agreement_rank, agreement_flips, adjusted_p, adjusted_of) OVERRIDING SYSTEM VALUE \
                VALUES ($1, 0, 0, 0, '{}', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
                ON CONFLICT (id) DO NOTHING";
            let statement = transaction.prepare_cached(sql).await?;
            transaction
                .execute(
                    &statement,
                    &[
                        &batch.id.0,
                        &members,
                        &number(batch.trigger),
                        &plain(&batch.owner),
                        &number(batch.source),
                        &batch.claimed_at.0,
                        &batch.finished_at.unwrap_or(batch.claimed_at).0,
                        &end.map(|end| number(end.outcome)),
                        &end.map(|end| int(end.attempts)),
                        &end.map(|end| end.detector_ms),
                        &end.and_then(|end| end.error.as_deref().map(plain)),
                        &end.and_then(|end| end.agreement).map(|a| int(a.rows)),
                        &end.and_then(|end| end.agreement).and_then(|a| a.rank_correlation),
                        &end.and_then(|end| end.agreement).map(|a| int(a.flips)),
                        &end.and_then(|end| end.false_discovery).map(|f| f.adjusted_p),
                        &end.and_then(|end| end.false_discovery).map(|f| int(f.sessions)),
                    ],
                )
                .await?;
        }
        attached::take_deliveries(&transaction, Seq(0), &rest.deliveries).await?;
        for Control { kind, name, value } in &rest.controls {
            controls::write(&transaction, kind, name, value).await?;
        }
        transaction.execute("UPDATE controls_version SET version = version + 1", &[]).await?;
        for Entry { id, entry, link } in &rest.audit {
            audit::append(&transaction, *id, entry, link).await?;
        }
        attached::number_on(&transaction).await?;
        for (name, value) in &rest.memories {
            let sql = "INSERT INTO memory (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
            transaction.execute(sql, &[&name.as_bytes(), value]).await?;
        }
        for (mac, at) in &rest.erased {
            let sql = "INSERT INTO erased (mac, erased_at) VALUES ($1, $2) ON CONFLICT (mac) DO NOTHING";
            transaction.execute(sql, &[mac, &at.0]).await?;
        }
        buckets::take(&transaction, &rest.buckets, &models).await?;
        challenges::take(&transaction, &rest.challenges).await?;
        // Of sessions that are no more only their number is left.
        let gone = [counts.erased, counts.pruned, counts.erased + counts.pruned];
        let [erased, pruned, accepted] = gone.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let sql =
            "UPDATE counters SET erased = erased + $1, pruned = pruned + $2, accepted = accepted + $3 WHERE shard = 0";
        transaction.execute(sql, &[&erased, &pruned, &accepted]).await?;
        let last = i64::try_from(counts.accepted).unwrap_or(i64::MAX).max(1);
        transaction.execute("SELECT setval('session_seq', $1, $2)", &[&last, &(counts.accepted > 0)]).await?;
        transaction.execute("UPDATE scheduler SET running = $1", &[&rest.running]).await?;
        transaction.execute("INSERT INTO meta (name, value) VALUES ($1, '')", &[&DONE]).await?;
        transaction.commit().await?;
        held.release();
        Ok(())
    }

    async fn whole_once(&self, after: Seq, limit: u32) -> Result<Vec<ExportedSession>, Fault> {
        let held = self.pool.get().await?;
        let page = whole(&*held, after, limit).await?;
        held.release();
        Ok(page)
    }
}

/// Up to `limit` sessions after one, in their order.
pub(super) async fn whole(client: &impl GenericClient, after: Seq, limit: u32) -> Result<Vec<ExportedSession>, Fault> {
    let sql = format!(
        "SELECT {SESSION_COLUMNS}, {QUEUE_COLUMNS}, {RESULT_COLUMNS}, s.digest, s.user_id, \
             coalesce(q.finished_at, r.scored_at) AS ended_at, coalesce(t.record, k.record) AS record, \
             h.sketch, ARRAY(SELECT x.other FROM matches x WHERE x.seq = s.seq ORDER BY x.place) AS matches, \
             w.since, w.only_sketch \
             FROM (SELECT * FROM sessions WHERE seq > $1 ORDER BY seq LIMIT $2) s \
             LEFT JOIN queue q ON q.seq = s.seq LEFT JOIN results r ON r.seq = s.seq \
             LEFT JOIN models m ON m.id = r.model LEFT JOIN telemetry t ON t.hour = s.hour AND t.seq = s.seq \
             LEFT JOIN telemetry_kept k ON k.seq = s.seq \
             LEFT JOIN sketches h ON h.seq = s.seq LEFT JOIN uncompared w ON w.seq = s.seq ORDER BY s.seq"
    );
    let statement = client.prepare_cached(&sql).await?;
    let found = client.query(&statement, &[&after.0, &i64::from(limit)]).await?;
    let mut page = rows::all(&found, |row| {
        let user: Option<Vec<u8>> = row.try_get("user_id")?;
        let digest: &[u8] = row.try_get("digest")?;
        Ok(ExportedSession {
            session: rows::session(row)?,
            user_id: user.map(|user| String::from_utf8_lossy(&user).into_owned()),
            digest: SessionDigest(digest.try_into().unwrap_or_default()),
            finished_at: row.try_get::<_, Option<i64>>("ended_at")?.map(Timestamp),
            record: row.try_get("record")?,
            sketch: row.try_get::<_, Option<Vec<u8>>>("sketch")?.map(Sketch::from_bytes),
            matches: row.try_get::<_, Vec<i64>>("matches")?.into_iter().map(Seq).collect(),
            uncompared: row
                .try_get::<_, Option<i64>>("since")?
                .map(|since| Ok::<_, Fault>((Timestamp(since), row.try_get("only_sketch")?)))
                .transpose()?,
            label: None,
            revisions: Vec::new(),
            deliveries: Vec::new(),
        })
    })?;
    attached::add(client, &mut page).await?;
    Ok(page)
}
