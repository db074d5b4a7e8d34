//! Accepting sessions in groups: one task makes whatever arrived while the last commit ran into the next transaction,
//! a row each in a handful of multi-row inserts. An answer leaves when its group is committed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use super::buckets::{self, BucketColumns};
use super::core::Core;
use super::fault::Fault;
use super::pool::{called, now};
use super::read;
use super::rows::{self, number, plain};
use super::schema::SHARDS;
use super::waiting::Waiting;
use crate::buckets::{BucketChanges, Counted};
use crate::encoding::features_to_blob;
use crate::event_body::final_body;
use crate::{Acceptance, NewSession, StoreError, StoredSession, first, scored};
use playproof_domain::id::Seq;
use playproof_domain::record::SessionDigest;
use playproof_domain::result::{ModelIdentity, Verdict};
use playproof_domain::trend::DeviceClass;

/// Most sessions of one transaction.
const MAX_GROUP: usize = 256;
/// Most bytes of records in one transaction.
const MAX_GROUP_BYTES: usize = 4 << 20;
/// Runs until the store is dropped.
pub(super) async fn run(store: Weak<Core>, mut arriving: mpsc::Receiver<Waiting>) {
    let mut again = VecDeque::new();
    loop {
        if again.is_empty() {
            let Some(first) = arriving.recv().await else { return };
            again.push_back(first);
        }
        let group = gather(&mut again, &mut arriving);
        let Some(store) = store.upgrade() else { return };
        again.extend(answer(&store, group).await);
    }
}

/// Takes what waits, at most one session of a key: a repetition is looked at when the first is stored.
fn gather(again: &mut VecDeque<Waiting>, arriving: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let (mut group, mut later) = (Vec::new(), VecDeque::new());
    let (mut keys, mut bytes) = (HashSet::new(), 0);
    while group.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES {
        let Some(next) = again.pop_front().or_else(|| arriving.try_recv().ok()) else { break };
        if keys.insert(next.session.key.clone()) {
            bytes += next.session.record.len();
            group.push(next);
        } else {
            later.push_back(next);
        }
    }
    later.append(again);
    *again = later;
    group
}

/// Answers a group; those that another node was just faster with come back, to be looked at again.
async fn answer(store: &Arc<Core>, group: Vec<Waiting>) -> Vec<Waiting> {
    let sessions: Vec<&NewSession> = group.iter().map(|waiting| &waiting.session).collect();
    let mut of_this_data = false;
    let outcome = called!(async {
        let outcome = store.accept_group(&sessions).await;
        of_this_data = matches!(&outcome, Err(fault) if fault.is_of_this_data());
        outcome
    });
    let mut again = Vec::new();
    match outcome {
        Ok(outcomes) => {
            if outcomes.iter().any(|outcome| matches!(outcome, Some(Acceptance::New(_)))) {
                store.notifier.notify();
            }
            for (waiting, outcome) in group.into_iter().zip(outcomes) {
                match outcome {
                    // A caller that went away does not need its answer; the session is stored all the same.
                    Some(outcome) => drop(waiting.reply.send(Ok(outcome))),
                    None => again.push(waiting),
                }
            }
        }
        // One of them is at fault: each goes alone.
        Err(_) if of_this_data && group.len() > 1 => {
            for waiting in group {
                again.extend(Box::pin(answer(store, vec![waiting])).await);
            }
        }
        Err(error) => group.into_iter().for_each(|waiting| drop(waiting.reply.send(Err(error.clone())))),
    }
    again
}

/// What is known of a session before it is stored.
#[derive(Clone, Copy)]
enum Known {
    As(i64, SessionDigest),
    Erased,
    /// Its challenge was used for a session that is no more.
    Used,
}

impl Core {
    /// One outcome per session, `None` where it must be looked at again.
    async fn accept_group(&self, group: &[&NewSession]) -> Result<Vec<Option<Acceptance>>, Fault> {
        let mut models = HashMap::new();
        for new in group.iter().filter(|new| new.is_final) {
            let model = &new.first.verdict.model;
            if !models.contains_key(model) {
                models.insert(model.clone(), self.model(model).await?);
            }
        }
        let held = self.pool.get().await?;
        let (known, unprocessed) = self.look(&held, group).await?;
        let mut outcomes: Vec<Option<Acceptance>> = vec![None; group.len()];
        let mut places = self.queue_limit.saturating_sub(unprocessed);
        let (mut new, mut repeated) = (Vec::new(), Vec::new());
        let room = self.room.fault(&held).await?;
        let mut refused = None;
        for (place, session) in group.iter().enumerate() {
            outcomes[place] = match known.get(&place) {
                Some(Known::Erased) => Some(Acceptance::Erased),
                Some(Known::Used) => Some(Acceptance::Conflict),
                Some(Known::As(_, digest)) if *digest != session.digest => Some(Acceptance::Conflict),
                Some(Known::As(seq, _)) => {
                    repeated.push((place, *seq));
                    None
                }
                None if !session.is_final && places == 0 => Some(Acceptance::QueueFull),
                None => {
                    places -= u64::from(!session.is_final);
                    new.push(place);
                    None
                }
            };
        }
        if let Some(fault) = room
            && !new.is_empty()
        {
            refused = Some(fault);
            new.clear();
        }
        if !new.is_empty() {
            for (place, seq) in self.insert(&held, group, &new, &models).await? {
                outcomes[place] = Some(Acceptance::New(Seq(seq)));
            }
        }
        if !repeated.is_empty() {
            let seqs: Vec<i64> = repeated.iter().map(|(_, seq)| *seq).collect();
            let mut sessions: HashMap<i64, StoredSession> =
                read::sessions(&*held, &seqs).await?.into_iter().map(|session| (session.seq.0, session)).collect();
            for (place, seq) in repeated {
                // One that vanished meanwhile is looked at again.
                outcomes[place] = sessions.remove(&seq).map(|session| Acceptance::Duplicate(Box::new(session)));
            }
        }
        held.release();
        match refused {
            // Those that are known have had their answer from nobody yet: the whole group is told, and asks again.
            Some(fault) => Err(fault.into()),
            None => Ok(outcomes),
        }
    }

    /// Which sessions are known, and how many of all are unprocessed.
    async fn look(
        &self,
        client: &deadpool_postgres::Object,
        group: &[&NewSession],
    ) -> Result<(HashMap<usize, Known>, u64), Fault> {
        let deployments: Vec<&[u8]> = group.iter().map(|new| new.key.deployment.as_bytes()).collect();
        let ids: Vec<&str> = group.iter().map(|new| new.key.id.unique()).collect();
        let hashes: Vec<[u8; 16]> = group.iter().map(|new| self.hasher.hash(&new.key).mac).collect();
        let macs: Vec<&[u8]> = hashes.iter().map(<[u8; 16]>::as_slice).collect();
        let numbers = challenge_numbers(group);
        let sql = "SELECT a.place, s.seq, s.digest FROM unnest($1::bytea[], $2::text[]) \
                   WITH ORDINALITY AS a(deployment, id, place) JOIN sessions s \
                   ON s.id = a.id AND s.deployment = a.deployment \
                   UNION ALL SELECT a.place, NULL, NULL FROM unnest($3::bytea[]) WITH ORDINALITY AS a(mac, place) \
                   JOIN erased e ON e.mac = a.mac \
                   UNION ALL SELECT a.place, 1, NULL FROM unnest($4::bytea[]) WITH ORDINALITY AS a(number, place) \
                   JOIN challenges c ON c.number = a.number \
                   UNION ALL SELECT 0, sum(ready + leased + delayed)::bigint, NULL FROM counters";
        let statement = client.prepare_cached(sql).await?;
        let (mut known, mut unprocessed) = (HashMap::new(), 0);
        for row in client.query(&statement, &[&deployments, &ids, &macs, &numbers]).await? {
            let place: i64 = row.get(0);
            let seq: Option<i64> = row.get(1);
            let Some(place) = usize::try_from(place).ok().and_then(|place| place.checked_sub(1)) else {
                unprocessed = u64::try_from(seq.unwrap_or(0)).unwrap_or(0);
                continue;
            };
            let digest = row.get::<_, Option<&[u8]>>(2).and_then(|digest| <[u8; 16]>::try_from(digest).ok());
            match (seq, digest) {
                (Some(seq), Some(digest)) => known.insert(place, Known::As(seq, SessionDigest(digest))),
                // A live session is no erased one, whatever was before it; and an erased one used its challenge.
                (Some(_), None) => Some(*known.entry(place).or_insert(Known::Used)),
                (None, _) if matches!(known.get(&place), Some(Known::As(..))) => None,
                (None, _) => known.insert(place, Known::Erased),
            };
        }
        Ok((known, unprocessed))
    }

    /// Stores new sessions, in their order; place and number of each.
    #[expect(clippy::too_many_lines, reason = "one column after the other")]
    async fn insert(
        &self,
        client: &deadpool_postgres::Object,
        group: &[&NewSession],
        places: &[usize],
        models: &HashMap<ModelIdentity, i32>,
    ) -> Result<Vec<(usize, i64)>, Fault> {
        let new: Vec<&NewSession> = places.iter().map(|place| group[*place]).collect();
        let deployments: Vec<&[u8]> = new.iter().map(|n| n.key.deployment.as_bytes()).collect();
        let ids: Vec<&str> = new.iter().map(|n| n.key.id.unique()).collect();
        let users: Vec<Option<&[u8]>> = new.iter().map(|n| n.user_id.as_deref().map(str::as_bytes)).collect();
        let hashes: Vec<Option<i64>> =
            new.iter().map(|n| n.user_id.as_deref().map(|user| self.hasher.hash_user(user))).collect();
        let games: Vec<&[u8]> = new.iter().map(|n| n.game_type.as_bytes()).collect();
        let devices: Vec<&[u8]> = new.iter().map(|n| n.device_type.as_bytes()).collect();
        let digests: Vec<&[u8]> = new.iter().map(|n| n.digest.0.as_slice()).collect();
        let blobs: Vec<[u8; 224]> = new.iter().map(|n| features_to_blob(&n.features)).collect();
        let features: Vec<&[u8]> = blobs.iter().map(<[u8; 224]>::as_slice).collect();
        let times: Vec<i64> = new.iter().map(|n| n.first.scored_at.0).collect();
        let latencies: Vec<f64> = new.iter().map(|n| n.first.latency_ms).collect();
        let of = |n: &&NewSession| if n.is_final { n.first.verdict.reasons } else { n.reasons }.bits();
        let reasons: Vec<i64> = new.iter().map(of).collect();
        let decisions: Vec<i16> = new.iter().map(|n| number(n.first.verdict.decision)).collect();
        let confidences: Vec<f64> = new.iter().map(|n| n.first.verdict.confidence).collect();
        let scores: Vec<f64> = new.iter().map(|n| n.first.verdict.anomaly_score.unwrap_or(0.0)).collect();
        let first_model = |n: &&NewSession| if n.is_final { None } else { first::by_model(&n.first.verdict) };
        let first_models: Vec<Option<Vec<u8>>> = new.iter().map(first_model).collect();
        let records: Vec<&[u8]> = new.iter().map(|n| n.record.as_slice()).collect();
        let finals: Vec<Option<&Verdict>> = new.iter().map(|n| n.is_final.then_some(&n.first.verdict)).collect();
        let of = |verdict: &&Verdict| models.get(&verdict.model).copied();
        let model: Vec<Option<i32>> = finals.iter().map(|v| v.as_ref().and_then(of)).collect();
        let score: Vec<Option<f64>> = finals.iter().map(|v| v.and_then(|v| v.anomaly_score)).collect();
        let raw: Vec<Option<f64>> = finals.iter().map(|v| v.and_then(|v| v.raw_score)).collect();
        let kind: Vec<Option<i16>> = finals.iter().map(|v| v.map(|v| number(v.kind))).collect();
        let source: Vec<Option<i16>> = finals.iter().map(|v| v.map(|v| number(v.source))).collect();
        let extrapolated: Vec<Option<bool>> = finals.iter().map(|v| v.map(|v| v.extrapolated)).collect();
        let fallback: Vec<Option<bool>> = finals.iter().map(|v| v.map(|v| v.fallback)).collect();
        let class: Vec<Option<Cow<'_, str>>> = finals.iter().map(|v| v.map(|v| plain(&v.class))).collect();
        let basis = |v: Option<&Verdict>| v.and_then(|v| v.basis);
        let supported_score: Vec<Option<f64>> =
            finals.iter().map(|v| basis(*v).and_then(|b| b.supported_score)).collect();
        let known_reasons: Vec<Option<i64>> =
            finals.iter().map(|v| basis(*v).map(|b| b.known_reasons.bits())).collect();
        let surely: Vec<Option<bool>> = finals.iter().map(|v| basis(*v).map(|b| b.surely_replayed)).collect();
        let scored: Vec<Option<Vec<u8>>> =
            finals.iter().map(|v| v.and_then(Verdict::as_scored).map(|as_scored| scored::bytes(&as_scored))).collect();
        let bodies: Vec<Option<String>> =
            finals.iter().map(|v| v.map(|v| plain(&final_body(v)).into_owned())).collect();
        let numbers = challenge_numbers(&new);
        let expiries: Vec<Option<i64>> =
            new.iter().map(|n| n.challenge.as_ref().map(|used| used.expires_at.0)).collect();
        let hostnames: Vec<Option<&str>> =
            new.iter().map(|n| n.challenge.as_ref().and_then(|used| used.hostname.as_deref())).collect();
        let changed = counted(&new, &model);
        let [passed, reviewed, failed] = &changed.counts;
        let at = self.time.given(new.first().map_or(0, |n| n.first.scored_at.0));
        let statement = client.prepare_cached(&insertion()).await?;
        let stored = client
            .query(
                &statement,
                &[
                    &deployments,
                    &ids,
                    &users,
                    &hashes,
                    &games,
                    &devices,
                    &digests,
                    &features,
                    &times,
                    &latencies,
                    &reasons,
                    &decisions,
                    &confidences,
                    &scores,
                    &records,
                    &at,
                    &model,
                    &score,
                    &raw,
                    &kind,
                    &source,
                    &extrapolated,
                    &fallback,
                    &class,
                    &supported_score,
                    &known_reasons,
                    &surely,
                    &bodies,
                    &first_models,
                    &numbers,
                    &expiries,
                    &hostnames,
                    &scored,
                    &changed.slots,
                    &changed.deployments,
                    &changed.facets,
                    &changed.values,
                    passed,
                    reviewed,
                    failed,
                ],
            )
            .await?;
        let place = |row: &tokio_postgres::Row| {
            let place = usize::try_from(row.try_get::<_, i64>("place")? - 1).unwrap_or(usize::MAX);
            let place = places.get(place).copied();
            let place = place.ok_or_else(|| StoreError::Corrupt("a row that was not written".to_owned()))?;
            Ok((place, row.try_get("seq")?))
        };
        rows::all(&stored, place)
    }
}

/// What results of new sessions change of the counts by time; `models` has the number of each one's model, if it has a
/// result.
fn counted(new: &[&NewSession], models: &[Option<i32>]) -> BucketColumns {
    let mut counts = BucketChanges::default();
    for (new, model) in new.iter().zip(models) {
        let (Some(model), verdict) = (model, &new.first.verdict) else { continue };
        let (deployment, scored_at) = (new.key.deployment.as_str(), new.first.scored_at.0);
        let device = DeviceClass::of(&new.device_type);
        let counted = Counted { deployment, scored_at, device, model: i64::from(*model) };
        counts.count(counted, verdict.decision, verdict.reasons, 1);
    }
    BucketColumns::of(&mut counts)
}

/// The challenges that sessions came with, in their order.
fn challenge_numbers<'a>(sessions: &[&'a NewSession]) -> Vec<Option<&'a [u8]>> {
    sessions.iter().map(|new| new.challenge.as_ref().map(|used| used.number.as_slice())).collect()
}

/// One statement, hence one transaction and one round trip. A key that another node stored since the look makes the whole
/// of it fail, and the group is looked at again; that is rare, and telling the rows apart would cost every group a join.
fn insertion() -> String {
    format!(
        "WITH input AS MATERIALIZED (SELECT nextval('session_seq') AS seq, u.*, ({now} / 3600000)::int AS hour \
           FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[], \
           $8::bytea[], $9::bigint[], $10::float8[], $11::bigint[], $12::smallint[], $13::float8[], $14::float8[], \
           $15::bytea[], $17::int[], $18::float8[], $19::float8[], $20::smallint[], $21::smallint[], $22::boolean[], \
           $23::boolean[], $24::text[], $25::float8[], $26::bigint[], $27::boolean[], $28::text[], $29::bytea[], $30::bytea[], \
           $31::bigint[], $32::text[], $33::bytea[]) WITH ORDINALITY AS u(deployment, id, user_id, user_hash, game, device, digest, \
           features, at, latency, reasons, decision, confidence, first_score, record, model, score, raw, kind, source, \
           extrapolated, fallback, class, supported, noted, surely_replayed, body, first_model, challenge, expires_at, hostname, \
           scored, place)), \
         keys AS (INSERT INTO sessions (seq, accepted_at, user_hash, latency_ms, reasons, first_confidence, \
           first_score, hour, first_decision, id, deployment, digest, game, device, user_id, features, first_model) \
           SELECT seq, at, user_hash, latency, reasons, confidence, first_score, hour, decision, id, deployment, \
           digest, game, device, user_id, features, first_model FROM input), \
         records AS (INSERT INTO telemetry (seq, hour, record) SELECT seq, hour, record FROM input), \
         line AS (INSERT INTO queue (seq, accepted_at, not_before, attempts, lost_leases, state) \
           SELECT seq, at, 0, 0, 0, 0 FROM input WHERE model IS NULL), \
         done AS (INSERT INTO results (seq, scored_at, batch, confidence, score, raw, reasons, not_before, model, \
           attempts, lost_leases, decision, kind, source, extrapolated, fallback, class, deployment, supported, noted, \
           surely_replayed, scored) \
           SELECT seq, at, NULL, confidence, score, raw, reasons, 0, model, 1, 0, decision, kind, source, \
           extrapolated, fallback, class, deployment, supported, noted, surely_replayed, scored FROM input WHERE model IS NOT NULL), \
         told AS (INSERT INTO deliveries (webhook, seq, target, kind, body, created_at, state, attempts, not_before) \
           SELECT convert_from(c.name, 'UTF8'), i.seq, '', 0, i.body, i.at, 0, 0, i.at FROM input i \
           JOIN controls c ON c.kind = 'webhook' AND (c.value::json->>'final')::boolean \
           AND coalesce(convert_to(c.value::json->>'deploymentId', 'UTF8'), i.deployment) = i.deployment \
           WHERE i.model IS NOT NULL ORDER BY i.seq), \
         used AS (INSERT INTO challenges (number, expires_at, hostname) SELECT challenge, expires_at, hostname FROM input \
           WHERE challenge IS NOT NULL), \
         later AS (INSERT INTO uncompared (seq, since) SELECT seq, at FROM input WHERE model IS NOT NULL ORDER BY seq), \
         bucketed AS ({buckets} RETURNING 1), \
         counted AS (UPDATE counters SET ready = ready + c.waiting, processed = processed + c.finished, \
           accepted = accepted + c.waiting + c.finished \
           FROM (SELECT count(*) FILTER (WHERE model IS NULL) AS waiting, \
           count(*) FILTER (WHERE model IS NOT NULL) AS finished FROM input) c, \
           (SELECT count(*) FROM bucketed) AS before \
           WHERE shard = pg_backend_pid() % {SHARDS}) \
         SELECT place, seq FROM input",
        now = now("$16"),
        // Counted before the counters: rows are locked in that order everywhere.
        buckets = buckets::change(34),
    )
}
