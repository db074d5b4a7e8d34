//! A manual run: what is ready at the call, in batches, beside whatever else runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::batch_run::{self, Ran};
use super::circuit::Permission;
use super::engine::Engine;
use crate::domain::batch::Trigger;
use crate::domain::id::{BatchId, Seq};
use crate::shutdown::Shutdown;
use crate::store::{ClaimRequest, StoreResult};

/// Most batches of one manual run.
const MAX_BATCHES: usize = 20;
/// The longest a manual run makes its caller wait.
const MAX_DURATION: Duration = Duration::from_secs(25);

/// What a manual run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManualRun {
    /// Sessions that were in its finished batches.
    pub processed: u64,
    /// Of these, scored.
    pub success: u64,
    /// Of these, not scored.
    pub failed: u64,
    /// Its batches.
    pub batches: Vec<BatchId>,
    /// Sessions that were ready at the call and have no result yet.
    pub remaining: u64,
}

pub(super) async fn run(engine: Arc<Engine>, shutdown: Shutdown) -> StoreResult<ManualRun> {
    let deadline = Instant::now() + MAX_DURATION;
    let before = engine.parts.store.snapshot().await?;
    let wanted = before.counts.ready;
    let mut manual = ManualRun::default();
    let mut running = JoinSet::new();
    while manual.batches.len() < MAX_BATCHES && Instant::now() < deadline && !shutdown.is_soft() {
        match next(&engine, &shutdown, before.last_seq, &mut running, deadline).await? {
            Some(batch) => manual.batches.push(batch),
            None => break,
        }
    }
    while let Ok(Some(ended)) = timeout_at(deadline, running.join_next()).await {
        let ran: Ran = ended.unwrap_or_default();
        manual.processed += ran.claimed;
        manual.success += ran.scored;
    }
    manual.failed = manual.processed - manual.success;
    // What still runs goes on by itself.
    running.detach_all();
    let after = engine.parts.store.snapshot().await?;
    manual.remaining = wanted.saturating_sub(manual.success).min(after.counts.unprocessed());
    Ok(manual)
}

/// Claims one batch of what was ready at the call and hands it to a task of its own.
async fn next(
    engine: &Arc<Engine>,
    shutdown: &Shutdown,
    up_to: Seq,
    running: &mut JoinSet<Ran>,
    deadline: Instant,
) -> StoreResult<Option<BatchId>> {
    let permission = || engine.circuit().permission(engine.parts.clock.now().monotonic);
    if permission() == Permission::Probe {
        // While the scheduler is stopped nobody else asks. It goes on when this run ends.
        engine.circuit().probe(engine.parts.clock.now().monotonic);
        let _ = timeout_at(deadline, engine.home.spawn(Arc::clone(engine).probe(shutdown.clone()))).await;
    }
    if permission() != Permission::Call {
        return Ok(None);
    }
    let Ok(Ok(permit)) = timeout_at(deadline, Arc::clone(&engine.permits).acquire_owned()).await else {
        return Ok(None);
    };
    let scorer = engine.scorer();
    let request = ClaimRequest { up_to: Some(up_to), ..engine.request(&scorer, Trigger::Manual) };
    let Some(claim) = engine.parts.store.claim(request, engine.parts.clock.now()).await? else {
        return Ok(None);
    };
    let batch = claim.lease.batch;
    let claimed = claim.members.len() as u64;
    let (engine, shutdown) = (Arc::clone(engine), shutdown.clone());
    let home = engine.home.clone();
    let work = async move {
        let ran = batch_run::run(&engine, claim, Trigger::Manual, &scorer, permit, &shutdown).await;
        ran.unwrap_or_else(|error| {
            tracing::error!(%error, batch = batch.0, "a batch could not be settled");
            // The loop may have found every place taken.
            engine.changed.notify_one();
            Ran { claimed, scored: 0 }
        })
    };
    running.spawn_on(work, &home);
    Ok(Some(batch))
}
