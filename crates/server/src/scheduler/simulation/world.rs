//! What all nodes of a schedule share: the store, the time, the chance, the trace, and what was found broken.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::dice::Dice;
use super::ledger::{Ledger, number};
use super::plan::{Deed, Plan, Spell};
use crate::clock::Clock;
use crate::domain::time::{Now, Timestamp};
use crate::store::memory::MemoryStore;

pub(super) const START: Timestamp = Timestamp(1_700_000_000_000);
/// Most calls of a schedule: one that makes more goes round in circles.
const MAX_CALLS: u64 = 300_000;

/// The world of one schedule.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    pub(super) store: Arc<MemoryStore>,
    pub(super) ledger: Mutex<Ledger>,
    /// Lives that nodes began.
    pub(super) lives: AtomicU64,
    begun: Instant,
    calls: AtomicU64,
    trace: Mutex<Trace>,
    broken: Mutex<Option<String>>,
}

/// What happened, in its order.
#[derive(Default)]
struct Trace {
    digest: u64,
    /// Where the trace is kept, and not its digest alone.
    lines: Option<Vec<String>>,
}

impl World {
    /// The world of a seed, at its beginning; with the trace in words where that is to be `kept`.
    pub(super) fn new(seed: u64, kept: bool) -> Arc<Self> {
        let dice = Dice::new(seed);
        let plan = Plan::draw(&dice);
        let begun = Instant::now();
        let clock: Option<Arc<dyn Clock>> =
            if plan.is_shared { Some(Arc::new(NodeClock { begun, ahead: AtomicI64::new(0) })) } else { None };
        Arc::new(Self {
            store: Arc::new(MemoryStore::new(1_000, START, clock)),
            ledger: Mutex::new(Ledger::default()),
            lives: AtomicU64::new(0),
            plan,
            dice,
            begun,
            calls: AtomicU64::new(0),
            trace: Mutex::new(Trace { digest: seed, lines: kept.then(Vec::new) }),
            broken: Mutex::new(None),
        })
    }

    /// A clock that is so far ahead, ms.
    pub(super) fn clock(&self, ahead: i64) -> Arc<NodeClock> {
        Arc::new(NodeClock { begun: self.begun, ahead: AtomicI64::new(ahead) })
    }

    pub(super) fn at(&self, at: Duration) -> Instant {
        self.begun + at
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether faults have ceased.
    pub(super) fn is_calm(&self) -> bool {
        self.elapsed() >= self.plan.calm
    }

    /// What the detector does as a whole at the moment.
    pub(super) fn spell(&self) -> Option<(Duration, Duration, Spell)> {
        let now = self.elapsed();
        let mut spells = self.plan.spells.iter().filter(|(from, to, _)| *from <= now && now < *to);
        spells.next().filter(|_| !self.is_calm()).copied()
    }

    /// Whether there is a session that the detector scored, and that nobody erases.
    pub(super) fn has_witness(&self) -> bool {
        let is_erased =
            |session| self.plan.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Erase(n) if *n == session));
        let mut there_is = false;
        self.store.visit(|key, _, result, _| {
            there_is |= result.is_some_and(|result| result.verdict.model.id == "asked") && !is_erased(number(key));
        });
        there_is
    }

    /// Notes that `who` did `what`.
    pub(super) fn note(&self, who: u64, what: &str, detail: u64) {
        let at = self.elapsed();
        let mut trace = lock(&self.trace);
        // FNV-1a, a word at a time.
        for word in [at.as_nanos() as u64, who, detail, what.len() as u64, u64::from(what.as_bytes()[0])] {
            trace.digest = (trace.digest ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        }
        if let Some(lines) = &mut trace.lines {
            lines.push(format!("{:>9.3} s  {who:>4}  {what} {detail}", at.as_secs_f64()));
        }
    }

    /// Counts a call; `false` when there were too many.
    pub(super) fn may_call(&self) -> bool {
        let may = self.calls.fetch_add(1, Ordering::Relaxed) < MAX_CALLS;
        if !may {
            self.breaks(|| format!("{MAX_CALLS} calls: it goes round in circles"));
        }
        may
    }

    /// A promise does not hold; the first that does not is kept.
    pub(super) fn breaks(&self, why: impl FnOnce() -> String) {
        let mut broken = lock(&self.broken);
        if broken.is_none() {
            let why = why();
            self.note(0, &format!("BROKEN: {why}"), 0);
            *broken = Some(why);
        }
    }

    pub(super) fn broken(&self) -> Option<String> {
        lock(&self.broken).clone()
    }

    /// The digest of the trace, and its lines where they are kept.
    pub(super) fn traced(&self) -> (u64, Vec<String>) {
        let trace = lock(&self.trace);
        (trace.digest, trace.lines.clone().unwrap_or_default())
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

pub(super) fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node's clocks: simulated time, and a wall clock that may be wrong.
pub(super) struct NodeClock {
    begun: Instant,
    /// Ms.
    ahead: AtomicI64,
}

impl NodeClock {
    pub(super) fn set_ahead(&self, by: i64) {
        self.ahead.store(by, Ordering::Relaxed);
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Now {
        let elapsed = self.begun.elapsed();
        let wall = START.plus(elapsed);
        Now { wall: Timestamp(wall.0 + self.ahead.load(Ordering::Relaxed)), monotonic: elapsed }
    }
}
