//! The fallback: while a remote detector is away, the local one scores the sessions that have waited too long. What it
//! scored stays as it is; the rest waits for the detector.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::asking::{self, Effort};
use super::batch_run;
use super::engine::{Engine, Scorer};
use super::isolate::Judged;
use crate::detector::Row;
use crate::domain::batch::{QueueView, Trigger};
use crate::domain::time::{Now, Timestamp};
use crate::shutdown::Shutdown;
use crate::store::{ClaimRequest, StoreResult};

/// Between small batches: sessions that come of age one by one share them.
const PAUSE: Duration = Duration::from_secs(1);

/// The loop's part of the fallback.
#[derive(Default)]
pub(super) struct Fallback {
    /// On the monotonic clock.
    quiet_until: Duration,
}

impl Fallback {
    /// Hands over at most one batch; when to look again, zero for at once, `None` for when something happens.
    pub(super) async fn turn(
        &mut self,
        engine: &Arc<Engine>,
        queue: &QueueView,
        now: Now,
        batches: &mut JoinSet<()>,
        shutdown: &Shutdown,
    ) -> StoreResult<Option<Duration>> {
        let Some(scorer) = engine.fallback() else { return Ok(None) };
        if now.monotonic < self.quiet_until {
            return Ok(Some(self.quiet_until.saturating_sub(now.monotonic)));
        }
        let patience = engine.settings.fallback_after;
        let of_age = queue.oldest_ready.map(|accepted| accepted.plus(patience));
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now.wall);
        if !due(of_age) && !due(queue.next_due) {
            let next = of_age.into_iter().chain(queue.next_due).min();
            return Ok(next.map(|at| at.since(now.wall)));
        }
        // Every place taken: a batch that ends wakes the loop.
        let Ok(permit) = Arc::clone(&engine.local_permits).try_acquire_owned() else { return Ok(None) };
        for (trigger, at) in [(Trigger::Retry, queue.next_due), (Trigger::MaxWait, of_age)] {
            if !due(at) {
                continue;
            }
            let by = now.wall.minus(patience);
            let request = ClaimRequest { accepted_by: Some(by), ..engine.request(&scorer, trigger) };
            let most = request.max as usize;
            let Some(claim) = engine.parts.store.claim(request, now).await? else { continue };
            if claim.members.len() < most {
                self.quiet_until = now.monotonic + PAUSE;
            }
            let (engine, shutdown) = (Arc::clone(engine), shutdown.clone());
            batches.spawn(async move {
                let batch = claim.lease.batch;
                if let Err(error) = batch_run::run(&engine, claim, trigger, &scorer, permit, &shutdown).await {
                    tracing::error!(%error, batch = batch.0, "a batch could not be settled");
                }
            });
            return Ok(Some(Duration::ZERO));
        }
        // The retries that are due have not waited long enough.
        self.quiet_until = now.monotonic + PAUSE;
        Ok(Some(PAUSE))
    }
}

/// Scores `rows` locally. A fault costs no attempt: it says nothing of what the detector would answer.
pub(super) async fn score(engine: &Engine, scorer: &Scorer, rows: &[Row], effort: &mut Effort) -> Judged {
    let mut judged = Judged::default();
    match asking::ask(scorer.detector.as_ref(), &engine.parts.metrics, rows, effort).await {
        Ok((model, outcomes)) => judged.scored(rows, &model, outcomes),
        Err(error) => {
            let message = error.to_string();
            judged.retry(rows, engine.much_later(), false, &message, error.outcome().name());
            judged.error = Some(message);
        }
    }
    judged
}
