//! The loop: wake, look at the queue, decide, claim, hand the batch to a task; nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::batch_run;
use super::circuit::Permission;
use super::engine::Engine;
use super::fallback::Fallback;
use crate::domain::batch::{Decision, QueueView, Trigger, decide};
use crate::domain::time::Now;
use crate::shutdown::Shutdown;
use crate::store::{Snapshot, StoreResult};

/// How long the loop pauses after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Least time between a look at the queue and the next for new sessions alone. Each commit of the intake says that there
/// are some, a thousand times a second, and a look costs a query.
const MIN_BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// When to look again.
enum Next {
    /// At once: a batch was handed over, perhaps there is another.
    Now,
    /// At this moment, or when something happens.
    At(Option<Instant>),
}

/// Runs until a soft shutdown, then waits for the batches in flight.
pub(super) async fn drive(engine: Arc<Engine>, shutdown: Shutdown) {
    let mut batches = JoinSet::new();
    let mut tick = tokio::time::interval(engine.settings.policy.interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick.reset();
    let mut look = false;
    let mut notes = Notes::default();
    while !shutdown.is_soft() {
        // Registered before the queue is looked at, or what arrives in between would wake nobody.
        let ready = engine.parts.store.ready().notified();
        tokio::pin!(ready);
        ready.as_mut().enable();
        let next_look = Instant::now() + MIN_BETWEEN_LOOKS;

        let at = match turn(&engine, look, &mut notes, &mut batches, &shutdown).await {
            Ok(Next::Now) => continue,
            Ok(Next::At(at)) => at,
            Err(error) => {
                tracing::warn!(%error, "the scheduler could not reach the store; it tries again");
                Some(Instant::now() + STORE_PAUSE)
            }
        };
        look = false;
        tokio::select! {
            // In this order, so that what happens follows from what happened; those that ask for a look come first, or a
            // busy queue would keep them waiting.
            biased;
            Some(_) = batches.join_next() => look = true,
            _ = tick.tick() => look = true,
            () = async {
                ready.await;
                tokio::time::sleep_until(next_look).await;
            } => {}
            () = engine.changed.notified() => {}
            () = sleep_until(at) => {}
            () = shutdown.soft() => {}
        }
    }
    while batches.join_next().await.is_some() {}
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// One look at the queue: at most one batch is claimed.
async fn turn(
    engine: &Arc<Engine>,
    look: bool,
    notes: &mut Notes,
    batches: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> StoreResult<Next> {
    let now = engine.parts.clock.now();
    notes.expiry.check(engine, now).await?;
    // Read before the queue is: a claim that ends in between is then subtracted twice, which only delays a batch. The other
    // way round it would not be subtracted at all, and what is left would run as a full batch of a few.
    let claiming = engine.claiming.load(Ordering::SeqCst);
    let snapshot = engine.parts.store.snapshot().await?;
    engine.outages.remind(engine.parts.detector.source(), &snapshot, now);
    // A detector that is away is probed when nobody waits too: an outage that is over must not seem to last.
    if !snapshot.running || (!has_work(&snapshot) && !engine.circuit().is_open()) {
        return Ok(Next::At(None));
    }
    let permission = engine.circuit().permission(now.monotonic);
    if permission == Permission::Probe {
        engine.circuit().probe(now.monotonic);
        batches.spawn(Arc::clone(engine).probe(shutdown.clone()));
    }
    if permission != Permission::Call {
        let pause = match engine.circuit().permission(now.monotonic) {
            Permission::Wait(pause) => pause,
            // The probe was faster than this.
            Permission::Call | Permission::Probe => return Ok(Next::Now),
        };
        return Ok(match notes.fallback.turn(engine, &snapshot.queue, now, batches, shutdown).await? {
            Some(Duration::ZERO) => Next::Now,
            Some(sooner) => Next::At(Some(Instant::now() + sooner.min(pause))),
            None => Next::At(Some(Instant::now() + pause)),
        });
    }
    let Ok(permit) = Arc::clone(&engine.permits).try_acquire_owned() else {
        // A batch that ends is what the loop waits for.
        return Ok(Next::At(None));
    };
    let mut view = snapshot.queue;
    view.ready = view.ready.saturating_sub(claiming * engine.settings.policy.batch_size);
    let mut decision = decide(&view, &engine.settings.policy, now.wall, look);
    if decision == Decision::Run(Trigger::Retry) && notes.retried_last {
        // Retries that open the circuit each time would leave those in line no turn.
        let in_line = decide(&QueueView { next_due: None, ..view }, &engine.settings.policy, now.wall, look);
        decision = if matches!(in_line, Decision::Run(_)) { in_line } else { decision };
    }
    let trigger = match decision {
        // What a claim under way will take is not known yet; only another full batch is sure to be left.
        Decision::Run(trigger) if claiming > 0 && trigger != Trigger::Full => return Ok(Next::At(None)),
        Decision::Run(trigger) => trigger,
        Decision::Wait(at) => return Ok(Next::At(at.map(|at| Instant::now() + at.since(now.wall)))),
    };
    notes.retried_last = trigger == Trigger::Retry;
    engine.claiming.fetch_add(1, Ordering::SeqCst);
    let (engine, shutdown) = (Arc::clone(engine), shutdown.clone());
    batches.spawn(async move { claim_and_run(&engine, trigger, permit, &shutdown).await });
    Ok(Next::Now)
}

/// Claims a batch and carries it to its end. The loop does not wait for the disk that a claim waits for.
async fn claim_and_run(engine: &Engine, trigger: Trigger, permit: OwnedSemaphorePermit, shutdown: &Shutdown) {
    let scorer = engine.scorer();
    let claimed = engine.parts.store.claim(engine.request(&scorer, trigger), engine.parts.clock.now()).await;
    match &claimed {
        Ok(Some(_)) => {}
        // Somebody else was faster.
        Ok(None) => tokio::time::sleep(Duration::from_millis(50)).await,
        Err(error) => {
            tracing::warn!(%error, "the scheduler could not claim a batch; it tries again");
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }
    engine.claiming.fetch_sub(1, Ordering::SeqCst);
    engine.changed.notify_one();
    let Ok(Some(claim)) = claimed else { return };
    let batch = claim.lease.batch;
    if let Err(error) = batch_run::run(engine, claim, trigger, &scorer, permit, shutdown).await {
        // Its lease runs out and its sessions come back.
        tracing::error!(%error, batch = batch.0, "a batch could not be settled");
    }
}

/// What the loop keeps from turn to turn.
#[derive(Default)]
struct Notes {
    expiry: Expiry,
    fallback: Fallback,
    /// Whether the last batch was one of retries.
    retried_last: bool,
}

/// Returns the sessions of leases that ran out to the queue, whether or not batches may run; looked at once a second.
#[derive(Default)]
struct Expiry {
    /// On the monotonic clock.
    due: Duration,
}

impl Expiry {
    async fn check(&mut self, engine: &Engine, now: Now) -> StoreResult<()> {
        if now.monotonic < self.due {
            return Ok(());
        }
        let lost = engine.parts.store.expire(now).await?;
        self.due = now.monotonic + Duration::from_secs(1);
        if lost > 0 {
            tracing::warn!(sessions = lost, "leases ran out; their sessions are back in the queue");
            engine.parts.metrics.retries("lease_lost", lost);
        }
        Ok(())
    }
}

fn has_work(snapshot: &Snapshot) -> bool {
    snapshot.counts.ready + snapshot.counts.delayed > 0
}
