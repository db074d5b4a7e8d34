//! A node's way to the store and the detector: every call may wait, fail, or be the last that the node makes.

use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;

use super::ledger;
use super::world::World;
use crate::store::testing::intercepted::Interceptor;
use crate::store::{StoreError, StoreResult};

/// Calls at which nothing is decided; they go through.
const PLAIN: [&str; 8] =
    ["uncompared", "sketched", "controls", "get_state", "put_state", "prune", "fold_buckets", "prune_deployment"];

/// One life of a node, from its start to its end or its crash.
pub(super) struct Life {
    pub(super) world: Arc<World>,
    /// Which life it is, of all nodes.
    pub(super) number: u64,
    steps: AtomicU64,
    /// After how many steps it crashes.
    crash_at: Option<u64>,
    is_dead: AtomicBool,
    crashed: Notify,
}

impl Life {
    pub(super) fn begin(world: &Arc<World>) -> Arc<Self> {
        let number = world.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let crash_at = world.plan.crashes.get(number as usize - 1).copied();
        let (steps, is_dead, crashed) = (AtomicU64::new(0), AtomicBool::new(false), Notify::new());
        Arc::new(Self { world: Arc::clone(world), number, steps, crash_at, is_dead, crashed })
    }

    /// Returns when it has crashed.
    pub(super) async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// Whatever it still does has no effect from now on.
    pub(super) fn end(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    /// One step; never returns where the node is dead, as nothing it does has an effect then.
    async fn step(&self) {
        let world = &self.world;
        let is_last = self.crash_at == Some(self.steps.fetch_add(1, Ordering::Relaxed)) && !world.is_calm();
        if is_last || !world.may_call() {
            world.note(self.number, "crashes", 0);
            self.end();
            self.crashed.notify_one();
        }
        if self.is_dead.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }

    /// Lets others go first, a number of times that chance names; perhaps for `longest`, `of_thousand` times of a thousand.
    pub(super) async fn pause(&self, of_thousand: u64, longest: Duration) {
        self.step().await;
        let dice = &self.world.dice;
        let yields = match dice.below(8) {
            0..=3 => 0,
            4..=6 => 1,
            _ => dice.from(2, 6),
        };
        for _ in 0..yields {
            yield_once().await;
            self.step().await;
        }
        if !self.world.is_calm() && dice.happens(of_thousand) {
            tokio::time::sleep(longest.mul_f64(dice.below(1_000) as f64 / 1_000.0)).await;
            self.step().await;
        }
    }
}

/// Goes to the end of the line of those that can go on.
async fn yield_once() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The way to the store.
pub(super) struct Link(pub(super) Arc<Life>);

impl Interceptor for Link {
    async fn intercept<T: Send>(
        &self,
        call: &'static str,
        work: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        let life = &self.0;
        let (world, faults) = (&life.world, &life.world.plan.faults);
        if PLAIN.contains(&call) {
            life.step().await;
            return work.await;
        }
        // Longer than any lease.
        let longest = Duration::from_secs(6);
        life.pause(faults.store_dawdles, longest).await;
        if !world.is_calm() && world.dice.happens(faults.store_refuses) {
            world.note(life.number, call, 1);
            return Err(StoreError::Unavailable("simulated: nothing was done".to_owned()));
        }
        let done = work.await;
        if let Err(StoreError::Corrupt(what)) = &done {
            world.breaks(|| format!("{call}: a step that no session takes: {what}"));
        }
        world.note(life.number, call, if done.is_ok() { 0 } else { 2 });
        if call == "settle"
            && let Err(broken) = ledger::check(world)
        {
            world.breaks(|| broken);
        }
        life.pause(faults.store_dawdles, longest).await;
        if !world.is_calm() && world.dice.happens(faults.store_forgets) {
            world.note(life.number, call, 3);
            return Err(StoreError::Unavailable("simulated: perhaps it was done".to_owned()));
        }
        done
    }
}
