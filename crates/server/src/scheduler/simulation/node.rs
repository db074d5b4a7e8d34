//! Nodes: each runs the scheduler from life to life, whatever ends one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::detector::SimulatedDetector;
use super::link::{Life, Link};
use super::world::{NodeClock, World, lock};
use crate::clock::Clock as _;
use crate::detector::Detector;
use crate::domain::result::Thresholds;
use crate::metrics::Metrics;
use crate::result_notifier::ResultNotifier;
use crate::scheduler::{Handle, Parts, Randomness, Scheduler, Settings};
use crate::shutdown::Shutdown;
use crate::store::memory::MemoryStore;
use crate::store::testing::intercepted::Intercepted;
use crate::thresholds::ThresholdTable;

/// A store as a node sees it.
pub(super) type NodeStore = Intercepted<MemoryStore, Link>;

/// One node of a schedule.
pub(super) struct Node {
    pub(super) world: Arc<World>,
    place: usize,
    pub(super) clock: Arc<NodeClock>,
    metrics: Arc<Metrics>,
    running: Mutex<Option<Running>>,
}

/// A node that is up.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) store: Arc<NodeStore>,
    pub(super) handle: Handle,
    pub(super) shutdown: Shutdown,
    pub(super) life: u64,
}

impl Node {
    pub(super) fn new(world: &Arc<World>, place: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        let clock = world.clock(world.plan.skew[place]);
        let (world, metrics) = (Arc::clone(world), Arc::clone(metrics));
        Arc::new(Self { world, place, clock, metrics, running: Mutex::new(None) })
    }

    /// The node as it runs; `None` while it is down.
    pub(super) fn running(&self) -> Option<Running> {
        lock(&self.running).clone()
    }

    /// Starts the node again whenever it ended.
    pub(super) async fn keep(self: Arc<Self>) {
        let world = &self.world;
        loop {
            self.live().await;
            let pause = if world.is_calm() { 100 } else { world.dice.below(3_000) };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One life.
    async fn live(&self) {
        let world = &self.world;
        if !world.plan.is_shared
            && let Err(error) = world.store.reopen(self.clock.now().wall)
        {
            world.breaks(|| format!("the store cannot be opened again: {error}"));
        }
        let life = Life::begin(world);
        world.note(life.number, "a node starts", self.place as u64);
        let store = Arc::new(Intercepted { inner: Arc::clone(&world.store), interceptor: Link(Arc::clone(&life)) });
        let detector =
            |is_local| Arc::new(SimulatedDetector { life: Arc::clone(&life), is_local }) as Arc<dyn Detector>;
        let chance = Arc::clone(world);
        let parts = Parts {
            store: Arc::clone(&store) as _,
            detector: detector(false),
            local: world.plan.has_local.then(|| detector(true)),
            clock: Arc::clone(&self.clock) as _,
            randomness: Randomness::drawn_by(move || chance.dice.number()),
            metrics: Arc::clone(&self.metrics),
            thresholds: ThresholdTable::new(Thresholds::default()),
            settled: ResultNotifier::new(),
        };
        let shutdown = Shutdown::new();
        let settings = Settings { node: format!("node-{}", self.place), ..world.plan.settings.clone() };
        let mut scheduler = Scheduler::start(parts, settings, shutdown.clone());
        let running = Running { store, handle: scheduler.handle(), shutdown, life: life.number };
        *lock(&self.running) = Some(running);
        tokio::select! {
            biased;
            () = life.crashed() => {}
            well = scheduler.ended() => {
                world.note(life.number, "the node has ended", 0);
                if !well {
                    world.breaks(|| "a task of the scheduler panicked".to_owned());
                }
            }
        }
        *lock(&self.running) = None;
        life.end();
    }
}
