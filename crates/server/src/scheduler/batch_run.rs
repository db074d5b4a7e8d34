//! One batch from lease to settled. No loop over batches here, so that each fault is one test.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

use super::detector_call::{self, Effort};
use super::engine::{Engine, Scorer};
use super::evidence::{self, When};
use super::isolate::{self, Judged, Judgement};
use super::kept_reaches::Looked;
use super::records::{Records, Wanted};
use super::{reuse, shadow};
use crate::detector::Row;
use crate::detector::embedded::kept::Traits;
use crate::domain::batch::Trigger;
use crate::domain::false_discovery::FalseDiscovery;
use crate::domain::id::Seq;
use crate::domain::result::{Decision, Verdict};
use crate::shutdown::Shutdown;
use crate::store::{
    BatchEnd, BatchOutcome, Claim, Lease, Member, MemberOutcome, SettleCounts, Settlement, StoreError, StoreResult,
};
use crate::traces;

/// What a batch run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    /// Sessions claimed.
    pub(super) claimed: u64,
    /// Sessions that got their result.
    pub(super) scored: u64,
}

/// Runs a claimed batch to its end. A hard shutdown or a lost lease ends it early; the sessions are then given back, or
/// belong to somebody else already.
///
/// `permit` is the batch's place among those in flight; it is free for the next one as soon as the detector has
/// answered and the batch has a place among those compared, so that neither comparing nor waiting for the disk keeps the
/// detector idle.
pub(super) async fn run(
    engine: &Engine,
    claim: Claim,
    trigger: Trigger,
    scorer: &Scorer,
    permit: OwnedSemaphorePermit,
    shutdown: &Shutdown,
) -> StoreResult<Ran> {
    let started = Instant::now();
    let lease = claim.lease;
    let claimed = claim.members.len();
    let when = evidence::when(engine, &claim, trigger);
    let (settlement, verdicts) = tokio::select! {
        biased;
        done = judge(engine, scorer, &claim, when, permit) => done?,
        lost = keep_lease(engine, lease) => {
            tracing::warn!(batch = lease.batch.0, "the lease was lost; the work on the batch is dropped");
            return Err(lost);
        }
        () = shutdown.hard() => (given_back("the process was stopped"), Vec::new()),
    };
    let outcome = settlement.end.as_ref().map_or(BatchOutcome::Abandoned, |end| end.outcome);
    let agreement = settlement.end.as_ref().and_then(|end| end.agreement);
    let settled = engine.parts.store.settle(lease, settlement, engine.parts.clock.now()).await?;
    if when == When::After {
        engine.uncompared.notify_one();
    }
    if scorer.fallback {
        engine.outages.scored_by_fallback(settled.processed, engine.parts.clock.now());
    }
    report(engine, &claim, &verdicts, settled);
    if let Some(agreement) = agreement {
        engine.parts.metrics.shadow(&agreement);
    }
    // A batch that was given back did not end; its sessions are in another one soon.
    if outcome != BatchOutcome::Abandoned {
        engine.parts.metrics.batch(outcome, trigger, claimed, started.elapsed());
        traces::batch(&traces::Batch {
            id: lease.batch.0,
            detector: scorer.detector.source().name(),
            trigger: trigger.name(),
            outcome: outcome.name(),
            sessions: claimed,
            took: started.elapsed(),
            ended: engine.parts.clock.now().wall,
        });
    }
    tracing::debug!(
        batch = lease.batch.0,
        trigger = trigger.name(),
        outcome = outcome.name(),
        sessions = claimed,
        processed = settled.processed,
        delayed = settled.delayed,
        failed = settled.failed,
        took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "batch"
    );
    if settled.delayed + settled.failed > 0 {
        tracing::warn!(
            batch = lease.batch.0,
            delayed = settled.delayed,
            failed = settled.failed,
            "sessions of a batch were not scored"
        );
    }
    Ok(Ran { claimed: claimed as u64, scored: settled.processed })
}

/// Tells metrics and waiters what was written.
fn report(engine: &Engine, claim: &Claim, verdicts: &[(Seq, Verdict)], settled: SettleCounts) {
    let now = engine.parts.clock.now().wall;
    let mut keys = Vec::with_capacity(claim.members.len());
    let mut verdicts = verdicts.iter().peekable();
    for member in &claim.members {
        if let Some((_, verdict)) = verdicts.next_if(|(seq, _)| *seq == member.seq) {
            engine.parts.metrics.result(verdict, now.since(member.accepted_at));
        }
        keys.push(member.key.clone());
    }
    if settled.processed + settled.failed > 0 {
        engine.parts.settled.notify(&keys);
    }
}

/// Renews the lease while the detector works; returns only when it is lost.
async fn keep_lease(engine: &Engine, lease: Lease) -> StoreError {
    let mut every = tokio::time::interval(engine.settings.lease / 3);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    every.tick().await;
    loop {
        every.tick().await;
        match engine.parts.store.renew(lease, engine.parts.clock.now()).await {
            Ok(()) => {}
            Err(lost @ StoreError::LeaseLost(_)) => return lost,
            // The store may be back before the lease runs out.
            Err(error) => tracing::warn!(%error, batch = lease.batch.0, "could not renew the lease"),
        }
    }
}

/// A settlement that returns every member untouched.
fn given_back(why: &str) -> Settlement {
    let end = BatchEnd::without_detector(BatchOutcome::Abandoned, Some(why.to_owned()));
    Settlement { outcomes: Vec::new(), end: Some(end), ..Settlement::default() }
}

/// Scores the members, and looks at them beside others.
async fn judge(
    engine: &Engine,
    scorer: &Scorer,
    claim: &Claim,
    when: When,
    permit: OwnedSemaphorePermit,
) -> StoreResult<(Settlement, Vec<(Seq, Verdict)>)> {
    let (mut settlement, mut verdicts, movements) = work(engine, scorer, claim, when == When::Before).await?;
    // Nobody closes the semaphore; without a place the batch would be compared beside too many others, which is no fault.
    let comparing = if when == When::Before { engine.comparing.acquire().await.ok() } else { None };
    drop(permit);
    engine.changed.notify_one();
    match when {
        When::Before => evidence::add(engine, claim, movements, &mut settlement, &mut verdicts).await?,
        When::After => {
            evidence::later(&mut settlement, &verdicts);
            engine.parts.metrics.compared_later(verdicts.len());
        }
        When::Never => engine.parts.metrics.not_compared(verdicts.len()),
    }
    drop(comparing);
    Ok((settlement, verdicts))
}

/// Scores the members and says what to write about each; verdicts are in the order of the members. Also the movements of
/// those that can be compared, where they `compare`.
async fn work(
    engine: &Engine,
    scorer: &Scorer,
    claim: &Claim,
    compare: bool,
) -> StoreResult<(Settlement, Vec<(Seq, Verdict)>, Vec<Looked>)> {
    let set = scorer.detector.feature_set();
    let split = reuse::split(scorer.detector.as_ref(), &claim.members);
    let recalled = split.recall();
    let shadow = if scorer.fallback { None } else { shadow::prepare(engine, claim) };
    let unscored: HashSet<Seq> = split.unscored.iter().map(|member| member.seq).collect();
    let wanted = claim.members.iter().map(|member| Wanted {
        seq: member.seq,
        key: member.key.clone(),
        row: (unscored.contains(&member.seq) || recalled.get(&member.seq) == Some(&Traits::FromRow)).then_some(set),
        shadow_row: shadow.as_ref().and_then(|shadow| shadow.wanted(member.seq)),
        movement: compare,
    });
    let mut records = Records::read(engine.parts.store.as_ref(), wanted.collect()).await?;
    let said = split.said(&recalled, &records);
    let (rows, without) = records.rows(set, &split.unscored);
    let attempts = claim.members.iter().map(|m| m.entry.attempts).max().unwrap_or(0).saturating_add(1);
    let backoff = engine.settings.backoff.delay(attempts, engine.parts.randomness.share());
    let mut effort = Effort { backoff, ..Effort::default() };
    let shadow = shadow.map(|shadow| shadow.start(claim, &rows, &mut records));
    let mut judged = match (rows.is_empty(), scorer.fallback) {
        (true, _) => Judged::default(),
        (false, true) => score_by_fallback(engine, scorer, &rows, &mut effort).await,
        (false, false) => isolate::score(engine, &rows, &mut effort).await,
    };
    judged.outcomes.extend(said);
    let p_values: Vec<(Seq, f64)> = judged.outcomes.iter().filter_map(|(seq, o)| Some((*seq, o.p_value()?))).collect();
    let members: HashMap<Seq, &Member> = claim.members.iter().map(|m| (m.seq, m)).collect();
    let without = without.into_iter().map(|(seq, error)| (seq, Judgement::Rejected(error)));
    let outcomes: Vec<(Seq, MemberOutcome)> = without
        .chain(judged.outcomes)
        .filter_map(|(seq, judgement)| Some((seq, member_outcome(engine, scorer, members.get(&seq)?, judgement))))
        .collect();
    let count = |matching: fn(&MemberOutcome) -> bool| outcomes.iter().filter(|(_, o)| matching(o)).count();
    let scored = count(|o| matches!(o, MemberOutcome::Scored(_)));
    let rejected = count(|o| matches!(o, MemberOutcome::Rejected { .. }));
    let outcome = match (scored, rejected) {
        (all, _) if all == claim.members.len() => BatchOutcome::Scored,
        (0, all) if all == claim.members.len() => BatchOutcome::Failed,
        (0, 0) => BatchOutcome::Retried,
        _ => BatchOutcome::Partial,
    };
    let mut verdicts = Vec::with_capacity(scored);
    let by_seq: HashMap<Seq, &MemberOutcome> = outcomes.iter().map(|(seq, outcome)| (*seq, outcome)).collect();
    for member in &claim.members {
        if let Some(MemberOutcome::Scored(verdict)) = by_seq.get(&member.seq) {
            verdicts.push((member.seq, verdict.as_ref().clone()));
        }
    }
    let failed = |seq: Seq| verdicts.iter().any(|(other, v)| *other == seq && v.decision == Decision::Fail);
    let p_values: Vec<(f64, bool)> = p_values.into_iter().map(|(seq, p)| (p, failed(seq))).collect();
    let false_discovery = FalseDiscovery::of(&p_values);
    let agreement = match shadow {
        Some(shadow) => shadow.agreement(&verdicts).await,
        None => None,
    };
    let detector_ms = effort.spent.as_secs_f64() * 1000.0;
    let end =
        BatchEnd { outcome, attempts: effort.calls, detector_ms, error: judged.error, agreement, false_discovery };
    Ok((Settlement { outcomes, end: Some(end), ..Settlement::default() }, verdicts, records.into_movements()))
}

/// Scores `rows` with the local detector while the remote one is away. A fault costs no attempt: it says nothing of what the detector would answer.
async fn score_by_fallback(engine: &Engine, scorer: &Scorer, rows: &[Row], effort: &mut Effort) -> Judged {
    let mut judged = Judged::default();
    match detector_call::ask(scorer.detector.as_ref(), &engine.parts.metrics, rows, effort).await {
        Ok((models, outcomes)) => judged.scored(rows, &models, outcomes),
        Err(error) => {
            let message = error.to_string();
            judged.retry(rows, engine.much_later(), false, &message, error.outcome().name());
            judged.error = Some(message);
        }
    }
    judged
}

fn member_outcome(engine: &Engine, scorer: &Scorer, member: &Member, judgement: Judgement) -> MemberOutcome {
    let max_attempts = engine.settings.backoff.max_attempts;
    let rejected = |error: String| {
        if !scorer.fallback {
            return MemberOutcome::Rejected { error };
        }
        // The detector may well be able to score what its stand-in cannot.
        engine.parts.metrics.retries("permanent", 1);
        MemberOutcome::Retry { not_before: engine.much_later(), counts: false, max_attempts, error }
    };
    match judgement {
        Judgement::Scored(model, outcome) => {
            let source = scorer.detector.source();
            match detector_call::verdict(
                member,
                outcome,
                model,
                source,
                &engine.parts.thresholds.of(&member.key.deployment),
            ) {
                Ok(verdict) => MemberOutcome::Scored(Box::new(Verdict { fallback: scorer.fallback, ..verdict })),
                Err(error) => rejected(error),
            }
        }
        Judgement::Rejected(error) => rejected(error),
        Judgement::Retry { not_before, counts, error, reason } => {
            engine.parts.metrics.retries(reason, 1);
            MemberOutcome::Retry { not_before, counts, max_attempts, error }
        }
    }
}
