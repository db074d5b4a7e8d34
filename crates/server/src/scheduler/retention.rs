//! Retention: removes what is past its age, in small steps between which everybody else gets a turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use crate::domain::time::{Now, Timestamp};
use crate::shutdown::Shutdown;
use crate::store::controls::{RETENTION, RetentionRule};
use crate::store::{DeploymentRetention, Store, StoreResult};

/// Time between looks.
const PRUNE_INTERVAL: Duration = Duration::from_secs(30);
/// How far a look at a deployment starts behind where the last one ended: settlements that began earlier may have been
/// committed since.
const OVERLAP: Duration = Duration::from_secs(60);
/// A wall clock that moves this far against the monotonic one was set by somebody.
const JUMP: Duration = Duration::from_secs(3600);

/// A clock that is this far ahead of the last look at it is taken for one that was set wrongly. What was away for longer,
/// or comes from an old backup, looks alike; in both cases an operator says whether what is old may go.
const FAR: Duration = Duration::from_secs(3 * 86_400);
/// How often the clock is written down.
const WRITTEN_EVERY: Duration = Duration::from_secs(3600);
/// Where.
const CLOCK: &str = "retention.clock";

/// When the clock was last written down, if it is so far ahead of that now that nothing is pruned.
///
/// # Errors
/// When the store is away.
pub async fn paused(store: &dyn Store, now: Timestamp) -> StoreResult<Option<Timestamp>> {
    Ok(last_look(store).await?.filter(|last| now.since(*last) > FAR))
}

/// Takes the clock for right: what is past its time by it is pruned from now on.
///
/// # Errors
/// When the store is away.
pub async fn resume(store: &dyn Store, now: Timestamp) -> StoreResult<()> {
    store.put_state(CLOCK.to_owned(), Some(now.0.to_le_bytes().to_vec())).await
}

async fn last_look(store: &dyn Store) -> StoreResult<Option<Timestamp>> {
    let last = store.get_state(CLOCK.to_owned()).await?;
    Ok(last.and_then(|bytes| Some(Timestamp(i64::from_le_bytes(bytes.try_into().ok()?)))))
}

/// Whether something may be pruned by this clock; writes it down now and then.
async fn is_trusted(store: &dyn Store, now: Timestamp) -> StoreResult<bool> {
    let last = last_look(store).await?;
    if last.is_some_and(|last| now.since(last) > FAR) {
        return Ok(false);
    }
    if last.is_none_or(|last| now.since(last).max(last.since(now)) >= WRITTEN_EVERY) {
        resume(store, now).await?;
    }
    Ok(true)
}

/// Runs until a soft shutdown.
pub(super) async fn keep(engine: Arc<Engine>, shutdown: Shutdown) {
    let started = engine.parts.clock.now();
    let mut every = tokio::time::interval(PRUNE_INTERVAL);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut warned, mut paused_before) = (false, false);
    let mut reached = HashMap::new();
    loop {
        tokio::select! {
            biased;
            _ = every.tick() => {}
            () = shutdown.soft() => return,
        }
        let now = engine.parts.clock.now();
        if jumped(started, now) {
            // A clock that is a year ahead would prune everything; an operator has to restart the node.
            if !std::mem::replace(&mut warned, true) {
                tracing::error!("the wall clock jumped by over an hour; nothing is pruned until the node is restarted");
            }
            continue;
        }
        match is_trusted(engine.parts.store.as_ref(), now.wall).await {
            Ok(true) => paused_before = false,
            Ok(false) => {
                if !std::mem::replace(&mut paused_before, true) {
                    tracing::error!(
                        "the clock is over three days ahead of the last look at it; nothing is pruned until an operator \
                         sets it right, or agrees with POST /api/v1/retention/resume"
                    );
                }
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "retention could not run; it tries again later");
                continue;
            }
        }
        prune(&engine, now, &shutdown).await;
        if let Err(error) = prune_deployments(&engine, now, &mut reached, &shutdown).await {
            tracing::warn!(%error, "a deployment's retention could not run; it tries again later");
        }
    }
}

/// Whether the wall clock moved by over an hour against the monotonic one.
fn jumped(started: Now, now: Now) -> bool {
    let expected = started.wall.plus(now.monotonic.saturating_sub(started.monotonic));
    now.wall.since(expected).max(expected.since(now.wall)) > JUMP
}

async fn prune(engine: &Engine, now: Now, shutdown: &Shutdown) {
    fold(engine, now, shutdown).await;
    loop {
        match engine.parts.store.prune(engine.settings.retention, now.wall).await {
            Ok(pruned) => {
                if pruned.telemetry + pruned.sessions > 0 {
                    tracing::info!(telemetry = pruned.telemetry, sessions = pruned.sessions, "retention");
                }
                if !pruned.more || shutdown.is_soft() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "retention could not run; it tries again later");
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Adds up old counts.
async fn fold(engine: &Engine, now: Now, shutdown: &Shutdown) {
    while !shutdown.is_soft() {
        match engine.parts.store.fold_buckets(engine.settings.retention_counts, now.wall).await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "old counts could not be added up; it is tried again later");
                return;
            }
        }
    }
}

/// Removes what deployments keep for less time than the settings say. `reached` is how far the walk over each one's results
/// has come.
async fn prune_deployments(
    engine: &Engine,
    now: Now,
    reached: &mut HashMap<String, Timestamp>,
    shutdown: &Shutdown,
) -> StoreResult<()> {
    let store = &engine.parts.store;
    let (_, controls) = store.controls().await?;
    for control in controls.into_iter().filter(|control| control.kind == RETENTION) {
        // Whoever reads controls for the API tells of one that is none.
        let Ok(rule) = serde_json::from_str::<RetentionRule>(&control.value) else { continue };
        let (results, telemetry) = rule.spans();
        let rule = DeploymentRetention { deployment: control.name, results, telemetry };
        let mut after = reached.get(&rule.deployment).map_or(Timestamp(0), |at| at.minus(OVERLAP));
        loop {
            let pruned;
            (pruned, after) = store.prune_deployment(rule.clone(), after, now.wall).await?;
            reached.insert(rule.deployment.clone(), after);
            if pruned.telemetry + pruned.sessions > 0 {
                tracing::info!(telemetry = pruned.telemetry, sessions = pruned.sessions, "a deployment's retention");
            }
            if shutdown.is_soft() {
                return Ok(());
            }
            if !pruned.more {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wall_clock_that_was_set_counts_as_a_jump() {
        let at = |wall_s: i64, monotonic_s: u64| Now {
            wall: Timestamp(wall_s * 1000),
            monotonic: Duration::from_secs(monotonic_s),
        };
        let started = at(1_000_000, 0);
        assert!(!jumped(started, at(1_000_000 + 86_400, 86_400)), "a day that passed is no jump");
        assert!(!jumped(started, at(1_003_000, 10)));
        assert!(jumped(started, at(1_004_000, 10)));
        assert!(jumped(started, at(990_000, 10)));
    }
}
