//! One batch from lease to settled. No loop over batches here, so that each fault is one test.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::engine::Engine;
use super::isolate;
use crate::detector::{Answer, DetectorError, Outcome, Row};
use crate::domain::batch::Trigger;
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::heuristic;
use crate::domain::id::Seq;
use crate::domain::pairing::{PairingError, pair};
use crate::domain::record;
use crate::domain::result::{ModelIdentity, Verdict};
use crate::metrics::CallOutcome;
use crate::shutdown::Shutdown;
use crate::store::{
    BatchEnd, BatchOutcome, Claim, Lease, Member, MemberOutcome, Settled, Settlement, StoreError, StoreResult,
};

/// What a batch run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ran {
    /// Sessions claimed.
    pub(super) claimed: u64,
    /// Sessions that got their result.
    pub(super) scored: u64,
}

/// Why a call brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// The detector said so.
    Detector(DetectorError),
    /// The answer does not belong to the question: nothing of it is believed.
    Mismatch(PairingError),
}

/// Outcomes in the order of the rows asked about, and the model that gave them.
pub(super) type CallResult = Result<(ModelIdentity, Vec<Outcome>), CallError>;

/// Calls made and time spent, for the batch row, and how long retries of this run wait.
#[derive(Debug, Default)]
pub(super) struct Effort {
    pub(super) calls: u32,
    pub(super) spent: Duration,
    pub(super) backoff: Duration,
}

/// Runs a claimed batch to its end. A hard shutdown or a lost lease ends it early; the sessions are then given back, or
/// belong to somebody else already.
///
/// `permit` is the batch's place among those in flight; it is free for the next one as soon as the detector has
/// answered, so that waiting for the disk does not keep the detector idle.
pub(super) async fn run(
    engine: &Engine,
    claim: Claim,
    trigger: Trigger,
    permit: OwnedSemaphorePermit,
    shutdown: &Shutdown,
) -> StoreResult<Ran> {
    let started = Instant::now();
    let lease = claim.lease;
    let claimed = claim.members.len();
    let (settlement, verdicts) = tokio::select! {
        done = work(engine, &claim) => done?,
        lost = keep_lease(engine, lease) => {
            tracing::warn!(batch = lease.batch.0, "the lease was lost; the work on the batch is dropped");
            return Err(lost);
        }
        () = shutdown.hard() => (given_back("the process was stopped"), Vec::new()),
    };
    drop(permit);
    engine.changed.notify_one();
    let outcome = settlement.end.as_ref().map_or(BatchOutcome::Abandoned, |end| end.outcome);
    let settled = engine.parts.store.settle(lease, settlement, engine.parts.clock.now()).await?;
    report(engine, &claim, &verdicts, settled);
    // A batch that was given back did not end; its sessions are in another one soon.
    if outcome != BatchOutcome::Abandoned {
        engine.parts.metrics.batch(outcome, trigger, claimed, started.elapsed());
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
fn report(engine: &Engine, claim: &Claim, verdicts: &[(Seq, Verdict)], settled: Settled) {
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
    let end = BatchEnd {
        outcome: BatchOutcome::Abandoned,
        attempts: 0,
        detector_ms: 0.0,
        error: Some(why.to_owned()),
        agreement: None,
    };
    Settlement { outcomes: Vec::new(), end: Some(end) }
}

/// Scores the members and says what to write about each; verdicts are in the order of the members.
async fn work(engine: &Engine, claim: &Claim) -> StoreResult<(Settlement, Vec<(Seq, Verdict)>)> {
    let (rows, mut outcomes) = rows(engine, &claim.members).await?;
    let attempts = claim.members.iter().map(|m| m.entry.attempts).max().unwrap_or(0).saturating_add(1);
    let backoff = engine.settings.backoff.delay(attempts, rand::random());
    let mut effort = Effort { backoff, ..Effort::default() };
    let mut error = None;
    if !rows.is_empty() {
        let judged = isolate::score(engine, &rows, &mut effort).await;
        error = judged.error;
        outcomes.extend(
            judged.outcomes.into_iter().map(|(seq, judgement)| (seq, member_outcome(engine, claim, seq, judgement))),
        );
    }
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
    for member in &claim.members {
        let found = outcomes.iter().find(|(seq, _)| *seq == member.seq);
        if let Some((seq, MemberOutcome::Scored(verdict))) = found {
            verdicts.push((*seq, verdict.as_ref().clone()));
        }
    }
    let detector_ms = effort.spent.as_secs_f64() * 1000.0;
    let end = BatchEnd { outcome, attempts: effort.calls, detector_ms, error, agreement: None };
    Ok((Settlement { outcomes, end: Some(end) }, verdicts))
}

fn member_outcome(engine: &Engine, claim: &Claim, seq: Seq, judgement: isolate::Judgement) -> MemberOutcome {
    match judgement {
        isolate::Judgement::Scored(model, Outcome::Calibrated { raw, calibrated, class }) => {
            let member = claim.members.iter().find(|m| m.seq == seq);
            let reasons = member.map(|m| heuristic::noted(m.reasons, m.features.total_moves)).unwrap_or_default();
            let source = engine.parts.detector.source();
            let thresholds = &engine.settings.thresholds;
            MemberOutcome::Scored(Box::new(Verdict::calibrated(
                raw,
                &calibrated,
                &class,
                reasons,
                source,
                model,
                thresholds,
            )))
        }
        isolate::Judgement::Scored(model, Outcome::Flagged(flagged)) => {
            let member = claim.members.iter().find(|m| m.seq == seq);
            let reasons = member.map(|m| heuristic::noted(m.reasons, m.features.total_moves)).unwrap_or_default();
            let source = engine.parts.detector.source();
            let verdict = Verdict::flagged(flagged, reasons, source, model, &engine.settings.thresholds);
            MemberOutcome::Scored(Box::new(verdict))
        }
        isolate::Judgement::Scored(_, Outcome::Rejected(error)) | isolate::Judgement::Rejected(error) => {
            MemberOutcome::Rejected { error }
        }
        isolate::Judgement::Retry { not_before, counts, error, reason } => {
            engine.parts.metrics.retries(reason, 1);
            let max_attempts = engine.settings.backoff.max_attempts;
            MemberOutcome::Retry { not_before, counts, max_attempts, error }
        }
    }
}

/// The members as the detector wants to see them; those whose telemetry it needs and that have none are rejected.
async fn rows(engine: &Engine, members: &[Member]) -> StoreResult<(Vec<Row>, Vec<(Seq, MemberOutcome)>)> {
    let set = engine.parts.detector.feature_set();
    let row = |member: &Member, features| Row {
        id: member.seq,
        game_type: member.game_type.clone(),
        device_type: member.device_type.clone(),
        features,
    };
    if set == FeatureSet::V1 {
        let rows = members.iter().map(|member| row(member, member.features.values().to_vec())).collect();
        return Ok((rows, Vec::new()));
    }
    let records = engine.parts.store.telemetry(members.iter().map(|m| m.seq).collect()).await?;
    // Off the async workers: a batch of long sessions would keep every request behind it waiting.
    let extracted = tokio::task::spawn_blocking(move || extract(set, records)).await;
    let extracted = extracted.map_err(|e| StoreError::Unavailable(format!("features could not be computed: {e}")))?;
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    for (member, features) in members.iter().zip(extracted) {
        match features {
            Ok(features) => rows.push(row(member, features)),
            Err(error) => rejected.push((member.seq, MemberOutcome::Rejected { error })),
        }
    }
    Ok((rows, rejected))
}

/// The feature rows of compact records, or why there is none.
fn extract(set: FeatureSet, records: Vec<Option<Vec<u8>>>) -> Vec<Result<Vec<f64>, String>> {
    let mut extractor = Extractor::default();
    let mut extract = |record: Option<Vec<u8>>| {
        let record = record.ok_or("its telemetry is gone, and the model needs it")?;
        let session = record::decode(&record).map_err(|damaged| damaged.to_string())?;
        let mut features = Vec::new();
        extractor.extract(set, &session, &mut features);
        Ok(features)
    };
    records.into_iter().map(&mut extract).collect()
}

/// One call to the detector, counted, its answer paired by id.
pub(super) async fn call(engine: &Engine, rows: &[Row], effort: &mut Effort) -> CallResult {
    let started = Instant::now();
    let asked = engine.parts.detector.score(rows).await;
    let result = asked.map_err(CallError::Detector).and_then(|Answer { model, outcomes }| {
        let ids: Vec<Seq> = rows.iter().map(|row| row.id).collect();
        let paired = pair(&ids, outcomes).map_err(CallError::Mismatch)?;
        // A score that is no number, or on no scale, is an answer that says nothing; it must not become a verdict.
        let usable = paired.iter().all(|outcome| match outcome {
            Outcome::Calibrated { raw, calibrated, .. } => raw.is_finite() && calibrated.is_sound(),
            Outcome::Rejected(_) | Outcome::Flagged(_) => true,
        });
        if usable { Ok((model, paired)) } else { Err(CallError::Mismatch(PairingError::NotANumber)) }
    });
    let took = started.elapsed();
    effort.calls += 1;
    effort.spent += took;
    let outcome = match &result {
        Ok(_) => CallOutcome::Ok,
        Err(CallError::Detector(DetectorError::Transient { .. })) => CallOutcome::Transient,
        Err(CallError::Detector(DetectorError::Permanent { .. })) => CallOutcome::Permanent,
        Err(CallError::Detector(DetectorError::Unavailable { .. })) => CallOutcome::Unavailable,
        Err(CallError::Detector(DetectorError::Unusable { .. }) | CallError::Mismatch(_)) => CallOutcome::Mismatch,
    };
    engine.parts.metrics.detector_call(engine.parts.detector.source(), outcome, took);
    result
}
