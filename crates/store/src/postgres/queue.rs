//! Claiming, renewing, settling and recovering batches: the state machine's steps as SQL.
//!
//! Lock order: a batch's row, then its sessions' rows in the queue by number, then rows of buckets by key, then one row of
//! counters.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use futures_util::future::try_join5;

use super::core::Core;
use super::counts::Moved;
use super::fault::Fault;
use super::pool::now;
use super::rows::{self, QUEUE_COLUMNS, SESSION_COLUMNS, number, plain, whole};
use super::{buckets, campaigns, deliveries, results, sketches};
use crate::buckets::{BucketChanges, Counted};
use crate::settlement::{self, Plan};
use crate::{
    BatchEnd, Claim, ClaimRequest, Lease, Matches, Member, MemberOutcome, SettleCounts, Settlement, StoreError,
};
use playproof_domain::batch::Trigger;
use playproof_domain::id::BatchId;
use playproof_domain::queue::{Entry, Event, State, step};
use playproof_domain::time::Timestamp;
use playproof_domain::trend::DeviceClass;

/// Leases that one transaction ends at most.
const MAX_EXPIRED: i64 = 20;

impl Core {
    pub(super) async fn claim_once(&self, request: &ClaimRequest, at: Option<i64>) -> Result<Option<Claim>, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let mut members = candidates(&transaction, request, at).await?;
        if members.is_empty() {
            transaction.rollback().await?;
            held.release();
            return Ok(None);
        }
        let mut moved = Moved::default();
        for member in &mut members {
            let before = member.entry.state;
            member.entry = step(member.entry, Event::Claim).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            moved.step(Some(before), Some(member.entry.state));
        }
        let seqs: Vec<i64> = members.iter().map(|m| m.seq.0).collect();
        let sql = format!(
            "WITH new AS (INSERT INTO batches \
               (token, lease_ms, expires_at, pending, members, trigger_kind, owner, source, claimed_at) \
               SELECT $1, $2, t.now + $2, $3, $3, $4, $5, $6, t.now FROM (SELECT {} AS now) t RETURNING id), \
             taken AS (UPDATE queue SET state = $8, batch = (SELECT id FROM new) WHERE seq = ANY($3)) \
             SELECT id FROM new",
            now("$7")
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let length = i64::try_from(request.lease.as_millis()).unwrap_or(i64::MAX);
        let row = transaction
            .query_one(
                &statement,
                &[
                    &request.token.0.cast_signed(),
                    &length,
                    &seqs,
                    &number(request.trigger),
                    &plain(&request.owner),
                    &number(request.source),
                    &at,
                    &number(State::Leased),
                ],
            )
            .await?;
        moved.write(&transaction).await?;
        transaction.commit().await?;
        held.release();
        Ok(Some(Claim { lease: Lease { batch: BatchId(row.get(0)), token: request.token }, members }))
    }

    pub(super) async fn renew_once(&self, lease: Lease, at: Option<i64>) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        let sql = format!(
            "UPDATE batches SET expires_at = {} + lease_ms WHERE id = $1 AND token = $2 AND finished_at IS NULL",
            now("$3")
        );
        let statement = held.prepare_cached(&sql).await?;
        let renewed = held.execute(&statement, &[&lease.batch.0, &lease.token.0.cast_signed(), &at]).await?;
        held.release();
        if renewed == 0 { Err(StoreError::LeaseLost(lease.batch.0).into()) } else { Ok(()) }
    }

    pub(super) async fn settle_once(
        &self,
        lease: Lease,
        settlement: &Settlement,
        at: Option<i64>,
    ) -> Result<SettleCounts, Fault> {
        let mut models = HashMap::new();
        for (_, outcome) in &settlement.outcomes {
            if let MemberOutcome::Scored(verdict) = outcome
                && !models.contains_key(&verdict.model)
            {
                models.insert(verdict.model.clone(), self.model(&verdict.model).await?);
            }
        }
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let sql = format!(
            "SELECT pending, {} AS now FROM batches WHERE id = $1 AND token = $2 AND finished_at IS NULL FOR UPDATE",
            now("$3")
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let found = transaction.query_opt(&statement, &[&lease.batch.0, &lease.token.0.cast_signed(), &at]).await?;
        let lost = || Fault::from(StoreError::LeaseLost(lease.batch.0));
        let Some(found) = found else {
            transaction.rollback().await?;
            held.release();
            return Err(lost());
        };
        let (pending, now): (Vec<i64>, i64) = (found.get("pending"), found.get("now"));
        let entries = lock(&transaction, lease.batch, &pending).await?;
        let plan = Plan::settle(lease, pending, |seq| entries.get(&seq).map(|locked| locked.entry), settlement)?;
        let work = Work { batch: lease.batch, now: Timestamp(now), plan, locked: &entries };
        let moved = work.write(&transaction, &models, settlement.end.as_ref()).await?;
        transaction.commit().await?;
        held.release();
        if moved.ready > 0 || moved.delayed > 0 {
            self.notifier.notify();
        }
        Ok(work.plan.counts())
    }

    /// Ends some leases that have run out; how many, and how many sessions came back.
    pub(super) async fn expire_once(&self, at: Option<i64>) -> Result<(u64, u64), Fault> {
        let mut held = self.pool.get().await?;
        let due = format!(
            "SELECT id, pending, {0} AS now FROM batches WHERE finished_at IS NULL AND expires_at <= {0} \
             ORDER BY expires_at LIMIT {MAX_EXPIRED} FOR UPDATE SKIP LOCKED",
            now("$1")
        );
        let transaction = held.transaction().await?;
        let statement = transaction.prepare_cached(&due).await?;
        let found = transaction.query(&statement, &[&at]).await?;
        let mut lost = 0;
        for row in &found {
            let (id, pending): (i64, Vec<i64>) = (row.get("id"), row.get("pending"));
            let (batch, now) = (BatchId(id), Timestamp(row.get("now")));
            let entries = lock(&transaction, batch, &pending).await?;
            let plan = Plan::lose(pending, |seq| entries.get(&seq).map(|locked| locked.entry), now)?;
            let work = Work { batch, now, plan, locked: &entries };
            work.write(&transaction, &HashMap::new(), Some(&settlement::lost_batch())).await?;
            let settled = work.plan.counts();
            lost += settled.returned + settled.delayed + settled.failed;
        }
        transaction.commit().await?;
        held.release();
        if lost > 0 {
            self.notifier.notify();
        }
        Ok((found.len() as u64, lost))
    }
}

async fn candidates(
    transaction: &Transaction<'_>,
    request: &ClaimRequest,
    at: Option<i64>,
) -> Result<Vec<Member>, Fault> {
    let up_to = request.up_to.map_or(i64::MAX, |seq| seq.0);
    let accepted_by = request.accepted_by.map_or(i64::MAX, |time| time.0);
    let max = i64::from(request.max);
    // The queue's rows first, and locked; what they need of the key table after.
    if request.trigger != Trigger::Retry {
        let sql = format!(
            "SELECT {SESSION_COLUMNS}, {QUEUE_COLUMNS} FROM (SELECT * FROM queue WHERE state = 0 AND seq <= $1 \
             ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED) q JOIN sessions s ON s.seq = q.seq"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let mut line = rows::all(&transaction.query(&statement, &[&up_to, &max]).await?, rows::member)?;
        line.sort_unstable_by_key(|m| m.seq);
        return Ok(settlement::accepted_by(line, Timestamp(accepted_by)));
    }
    let sql = format!(
        "SELECT {SESSION_COLUMNS}, {QUEUE_COLUMNS} FROM (SELECT * FROM queue WHERE state = 2 \
         AND not_before <= {} AND seq <= $1 AND accepted_at <= $3 ORDER BY not_before, seq LIMIT $2 \
         FOR UPDATE SKIP LOCKED) q JOIN sessions s ON s.seq = q.seq",
        now("$4")
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let found = transaction.query(&statement, &[&up_to, &max, &accepted_by, &at]).await?;
    let mut due = rows::all(&found, rows::member)?;
    due.sort_unstable_by_key(|m| (m.entry.not_before, m.seq));
    Ok(settlement::alone_or_together(due))
}

/// A member of a batch whose place in the queue is locked.
struct Locked {
    entry: Entry,
    deployment: String,
    device: DeviceClass,
}

/// Locks the members of a batch that are still there; their places in the queue.
async fn lock(transaction: &Transaction<'_>, batch: BatchId, pending: &[i64]) -> Result<HashMap<i64, Locked>, Fault> {
    let sql = "SELECT q.seq, q.state, q.attempts, q.lost_leases, q.not_before, s.deployment, s.device \
               FROM (SELECT DISTINCT unnest($1::bigint[]) AS seq) v JOIN queue q ON q.seq = v.seq JOIN sessions s ON s.seq = q.seq \
               WHERE q.batch = $2 AND q.state = 1 ORDER BY q.seq FOR UPDATE OF q";
    let statement = transaction.prepare_cached(sql).await?;
    let found = transaction.query(&statement, &[&pending, &batch.0]).await?;
    let entries = rows::all(&found, |row| {
        let (deployment, device) = (rows::text(row, "deployment")?, DeviceClass::of(&rows::text(row, "device")?));
        Ok((row.try_get("seq")?, Locked { entry: rows::entry(row)?, deployment, device }))
    })?;
    Ok(entries.into_iter().collect())
}

/// What a transaction does to the members of one batch.
struct Work<'a> {
    batch: BatchId,
    now: Timestamp,
    plan: Plan<'a>,
    locked: &'a HashMap<i64, Locked>,
}

impl Work<'_> {
    /// Writes all of it, `end` as the batch's end; which sessions went from where to where.
    async fn write(
        &self,
        transaction: &Transaction<'_>,
        models: &HashMap<playproof_domain::result::ModelIdentity, i32>,
        end: Option<&BatchEnd>,
    ) -> Result<Moved, Fault> {
        let Self { batch, now, plan, locked } = self;
        let (mut moved, mut scored, mut stepped) = (Moved::default(), Vec::new(), Vec::new());
        for step in &plan.steps {
            moved.step(Some(step.from), Some(step.entry.state));
            match step.verdict {
                Some(verdict) => scored.push(results::NewResult { seq: step.seq, entry: step.entry, verdict }),
                None => stepped.push((step.seq, step.entry, step.error.map(|error| plain(error).into_owned()))),
            }
        }
        let left: Vec<i64> = plan.left.iter().copied().collect();
        let matches: Vec<Matches> = plan.matches.iter().copied().cloned().collect();
        // None of them needs what another one writes, so all go in one round trip.
        try_join5(
            results::write(transaction, &scored, models, *batch, *now),
            write_entries(transaction, &stepped, *now),
            write_batch(transaction, *batch, &left, end, *now),
            sketches::keep_matches(transaction, &matches),
            sketches::compare_later(transaction, &plan.uncompared, *now),
        )
        .await?;
        deliveries::announce(transaction, &scored, *now).await?;
        // Late, as other settlements wait for the campaigns that it changes.
        let joining: Vec<i64> = matches.iter().map(|one| one.seq.0).collect();
        campaigns::join(transaction, &joining, Some(*now)).await?;
        let mut counts = BucketChanges::default();
        for new in &scored {
            let (Some(member), Some(model)) = (locked.get(&new.seq), models.get(&new.verdict.model)) else { continue };
            let Locked { deployment, device, .. } = member;
            let counted = Counted { deployment, scored_at: now.0, device: *device, model: i64::from(*model) };
            counts.count(counted, new.verdict.decision, new.verdict.reasons, 1);
        }
        buckets::write(transaction, &mut counts).await?;
        moved.write(transaction).await?;
        Ok(moved)
    }
}

/// Writes new places in the queue; an error that is `None` leaves the last one as it is.
pub(super) async fn write_entries(
    transaction: &Transaction<'_>,
    entries: &[(i64, Entry, Option<String>)],
    now: Timestamp,
) -> Result<(), Fault> {
    if entries.is_empty() {
        return Ok(());
    }
    let column = |read: fn(&Entry) -> i64| entries.iter().map(|(_, entry, _)| read(entry)).collect::<Vec<i64>>();
    let seqs: Vec<i64> = entries.iter().map(|(seq, _, _)| *seq).collect();
    let states: Vec<i16> = entries.iter().map(|(_, entry, _)| number(entry.state)).collect();
    let attempts: Vec<i32> = entries.iter().map(|(_, entry, _)| whole(entry.attempts)).collect();
    let lost: Vec<i32> = entries.iter().map(|(_, entry, _)| whole(entry.lost_leases)).collect();
    let errors: Vec<Option<&str>> = entries.iter().map(|(_, _, error)| error.as_deref()).collect();
    let sql = "UPDATE queue q SET state = v.state, attempts = v.attempts, lost_leases = v.lost, \
               not_before = v.not_before, finished_at = CASE WHEN v.state = 4 THEN $7::bigint END, \
               error = coalesce(v.error, q.error) \
               FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::int[], $5::bigint[], $6::text[]) \
               AS v(seq, state, attempts, lost, not_before, error) WHERE q.seq = v.seq";
    let statement = transaction.prepare_cached(sql).await?;
    transaction
        .execute(&statement, &[&seqs, &states, &attempts, &lost, &column(|e| e.not_before.0), &errors, &now.0])
        .await?;
    Ok(())
}

async fn write_batch(
    transaction: &Transaction<'_>,
    batch: BatchId,
    pending: &[i64],
    end: Option<&BatchEnd>,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(end) = end else {
        let statement = transaction.prepare_cached("UPDATE batches SET pending = $2 WHERE id = $1").await?;
        transaction.execute(&statement, &[&batch.0, &pending]).await?;
        return Ok(());
    };
    let sql = "UPDATE batches SET pending = '{}', finished_at = $2, outcome = $3, attempts = $4, detector_ms = $5, \
               error = $6, agreement_rows = $7, agreement_rank = $8, agreement_flips = $9, \
               adjusted_p = $10, adjusted_of = $11 WHERE id = $1";
    let statement = transaction.prepare_cached(sql).await?;
    transaction
        .execute(
            &statement,
            &[
                &batch.0,
                &now.0,
                &number(end.outcome),
                &whole(end.attempts),
                &end.detector_ms,
                &end.error.as_deref().map(plain),
                &end.agreement.map(|a| whole(a.rows)),
                &end.agreement.and_then(|a| a.rank_correlation),
                &end.agreement.map(|a| whole(a.flips)),
                &end.false_discovery.map(|f| f.adjusted_p),
                &end.false_discovery.map(|f| whole(f.sessions)),
            ],
        )
        .await?;
    Ok(())
}
