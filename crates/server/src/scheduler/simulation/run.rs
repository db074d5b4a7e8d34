//! One schedule, from its seed to what became of every session.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::ledger::{check, check_batches, key};
use super::node::{Node, Running};
use super::plan::Deed;
use super::world::World;
use crate::clock::Clock as _;
use crate::domain::features::v1;
use crate::domain::heuristic::Heuristic;
use crate::domain::record::SessionDigest;
use crate::domain::result::{Thresholds, Verdict};
use crate::metrics::Metrics;
use crate::store::{Acceptance, FirstVerdict, NewSession, Store as _};

/// Longest time, simulated, in which every session ends once faults have ceased.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long what is late may still come, simulated.
const AFTERMATH: Duration = Duration::from_secs(20);
/// Number of the first session that is sent after faults have ceased.
const FRESH: u64 = 1_000;
/// How long a node may take to end beyond its grace period, simulated.
const LEAVE: Duration = Duration::from_secs(60);

/// What a schedule came to.
pub(super) struct Ran {
    /// The promise that did not hold.
    pub(super) broken: Option<String>,
    /// Of everything that happened, in its order.
    pub(super) digest: u64,
    /// The same in words, where it was kept.
    pub(super) lines: Vec<String>,
}

/// Runs the schedule of a seed.
pub(super) fn run(seed: u64, metrics: &Arc<Metrics>, is_kept: bool) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(seed, is_kept);
        let nodes: Vec<Arc<Node>> = (0..world.plan.nodes).map(|place| Node::new(&world, place, metrics)).collect();
        let mut tasks = JoinSet::new();
        for node in &nodes {
            tasks.spawn(Arc::clone(node).keep());
        }
        if let Err(broken) = play(&world, &nodes, &mut tasks).await {
            world.breaks(|| broken);
        }
        let (digest, lines) = world.traced();
        Ran { broken: world.broken(), digest, lines }
    })
}

async fn play(world: &Arc<World>, nodes: &[Arc<Node>], tasks: &mut JoinSet<()>) -> Result<(), String> {
    for (at, deed) in &world.plan.deeds {
        tokio::time::sleep_until(world.at(*at)).await;
        let doer = match deed {
            Deed::Leave { node, .. } | Deed::SetClock { node, .. } => *node,
            _ => world.dice.below(nodes.len() as u64) as usize,
        };
        tasks.spawn(perform(Arc::clone(&nodes[doer]), *deed));
        check(world)?;
    }
    tokio::time::sleep_until(world.at(world.plan.calm)).await;
    world.note(0, "faults cease", 0);
    let mut pause = Duration::from_millis(500);
    for look in 1u64.. {
        tokio::time::sleep(pause).await;
        check(world)?;
        // An operator's stop may still be on its way.
        world.store.set_running(true).await.map_err(|e| e.to_string())?;
        if look % 6 == 3 {
            // Others come, by which those are known that no detector takes.
            let session = FRESH + look;
            let accepted = world.store.accept(new_session(session, &nodes[0])).await;
            accepted.map_err(|e| e.to_string())?;
            world.ledger().accepted(session);
        }
        if let Some(broken) = world.broken() {
            return Err(broken);
        }
        let counts = world.store.snapshot().await.map_err(|e| e.to_string())?.counts;
        if counts.unprocessed() == 0 {
            break;
        }
        if world.elapsed() > world.plan.calm + PATIENCE {
            return Err(format!("{} s after faults ceased there are {counts:?}", PATIENCE.as_secs()));
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
    tokio::time::sleep(AFTERMATH).await;
    check(world)?;
    check_batches(world)
}

/// Does something from outside by way of a node, if that is up.
async fn perform(node: Arc<Node>, deed: Deed) {
    let world = Arc::clone(&node.world);
    if let Deed::SetClock { by, .. } = deed {
        world.note(0, "the clock is set", by.cast_unsigned());
        node.clock.set_ahead(by);
        return;
    }
    let Some(Running { store, handle, shutdown, life }) = node.running() else { return };
    let now = node.clock.now();
    match deed {
        Deed::Submit(session) => match store.accept(new_session(session, &node)).await {
            Ok(Acceptance::New(_) | Acceptance::Duplicate(_)) => world.ledger().accepted(session),
            Ok(Acceptance::Erased) if world.ledger().is_erasure_known(session) => {}
            Ok(other) => world.breaks(|| format!("session {session} was answered {other:?}")),
            Err(_) => {}
        },
        Deed::Erase(session) => {
            world.ledger().may_be_erased(session);
            if let Ok(true) = store.erase_session(key(session), now).await {
                world.ledger().erased(session);
            }
        }
        Deed::Requeue => drop(store.requeue(None, now).await),
        Deed::Stop => drop(handle.stop().await),
        Deed::Start => drop(handle.start().await),
        Deed::RunNow => {
            if let Ok(ran) = handle.run_now().await {
                world.note(life, "a manual run is over", ran.success);
            }
        }
        Deed::Leave { grace, .. } => {
            world.note(life, "the node is told to end", 0);
            shutdown.trigger();
            tokio::time::sleep(grace).await;
            shutdown.trigger_hard();
            tokio::time::sleep(LEAVE).await;
            if node.running().is_some_and(|running| running.life == life) {
                world.breaks(|| format!("a node runs {} s after its grace period", LEAVE.as_secs()));
            }
        }
        Deed::SetClock { .. } => {}
    }
}

fn new_session(session: u64, node: &Node) -> NewSession {
    let features = v1::Features { duration_ms: session as f64, total_moves: 5.0, ..v1::Features::default() };
    let verdict = Verdict::heuristic(&Heuristic::judge(&features), &Thresholds::default());
    let first = FirstVerdict { verdict, scored_at: node.clock.now().wall, latency_ms: 0.1 };
    NewSession {
        key: key(session),
        user_id: None,
        game_type: "osu".to_owned(),
        device_type: "mouse".to_owned(),
        digest: SessionDigest([session as u8; 16]),
        record: vec![1],
        features,
        reasons: first.verdict.reasons,
        first,
        is_final: false,
        challenge: None,
    }
}
