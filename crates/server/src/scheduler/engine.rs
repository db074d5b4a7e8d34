//! What every batch run needs, in one place: the store, the detector, the policy and the circuit.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::circuit::Circuit;
use super::kept_reaches::KeptReaches;
use super::outage::{Outage, Outages};
use super::randomness::Randomness;
use crate::clock::Clock;
use crate::detector::Detector;
use crate::domain::backoff::Backoff;
use crate::domain::batch::{Policy, Trigger};
use crate::domain::evidence::Evidence;
use crate::domain::id::LeaseToken;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::result_notifier::ResultNotifier;
use crate::shutdown::Shutdown;
use crate::store::{ClaimRequest, Retention, Store};
use crate::thresholds::ThresholdTable;

/// Unusable answers of different batches, one after the other, that are the detector's fault and not the batches'.
const MAX_UNUSABLE: u32 = 3;
/// Longest time that a probe may take, which is more than the time between two: a service that answers nothing about
/// fresh rows for half a minute would seem away for ever. A detector ends its own probe before.
const PROBE: Duration = Duration::from_secs(90);

/// The scheduler's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// When a batch runs.
    pub policy: Policy,
    /// Batches in flight on this node.
    pub concurrency: usize,
    /// Retries.
    pub backoff: Backoff,
    /// Length of a lease.
    pub lease: Duration,
    /// Time between probes of a detector that is away.
    pub circuit_probe: Duration,
    /// How long a session waits for a detector that is away before the local one scores it.
    pub fallback_after: Duration,
    /// How long things are kept.
    pub retention: Retention,
    /// How long decisions stay counted by time.
    pub retention_counts: Duration,
    /// When sessions are looked at side by side.
    pub evidence: Evidence,
    /// This node's name in batch rows.
    pub node: String,
}

/// The parts the scheduler works with.
#[derive(Clone)]
pub struct Parts {
    /// Where sessions wait and results go.
    pub store: Arc<dyn Store>,
    /// Who scores.
    pub detector: Arc<dyn Detector>,
    /// Where `detector` is a remote one, the one inside this program: it scores beside it, and in its place what has
    /// waited too long while it is away. `None` where there is no other than `detector`.
    pub local: Option<Arc<dyn Detector>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for retries and lease tokens.
    pub randomness: Randomness,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// From score to decision.
    pub thresholds: Arc<ThresholdTable>,
    /// Who waits for results.
    pub settled: Arc<ResultNotifier>,
}

/// Who scores a batch.
#[derive(Clone)]
pub(super) struct Scorer {
    pub(super) detector: Arc<dyn Detector>,
    /// Whether it does so in another's place.
    pub(super) fallback: bool,
}

/// The shared state of loop, batch runs and handle.
pub(super) struct Engine {
    pub(super) parts: Parts,
    pub(super) settings: Settings,
    /// Where batches run, whoever asks for one.
    pub(super) home: Runtime,
    /// One permit per batch in flight.
    pub(super) permits: Arc<Semaphore>,
    /// One permit per batch of the fallback, so that a detector that hangs does not keep it from working.
    pub(super) local_permits: Arc<Semaphore>,
    /// One permit per batch that is compared before its verdicts: it no longer counts as in flight.
    pub(super) comparing: Semaphore,
    /// Claims of the loop that wait for the store.
    pub(super) claiming: AtomicU64,
    /// Notified when a batch ended or somebody changed the scheduler's state.
    pub(super) changed: Notify,
    /// The reaches of all kept sketches.
    pub(super) reaches: KeptReaches,
    /// Notified when sessions were left to be compared after their verdicts.
    pub(super) uncompared: Notify,
    circuit: Mutex<Circuit>,
    /// What is remembered of an outage while the circuit is open.
    pub(super) outages: Outages,
    /// Held by the probe under way.
    probing: tokio::sync::Mutex<()>,
    /// Unusable answers since the last usable one.
    unusable: AtomicU32,
}

impl Engine {
    pub(super) fn new(parts: Parts, settings: Settings) -> Self {
        let places = |detector: &Arc<dyn Detector>| settings.concurrency.min(detector.limits().in_flight).max(1);
        let permits = Arc::new(Semaphore::new(places(&parts.detector)));
        let local_permits = Arc::new(Semaphore::new(parts.local.as_ref().map_or(0, places)));
        let circuit = Mutex::new(Circuit::new(settings.circuit_probe));
        let comparing = Semaphore::new(settings.concurrency.max(1));
        Self {
            parts,
            home: Runtime::current(),
            comparing,
            settings,
            permits,
            local_permits,
            claiming: AtomicU64::new(0),
            changed: Notify::new(),
            reaches: KeptReaches::default(),
            uncompared: Notify::new(),
            circuit,
            outages: Outages::default(),
            probing: tokio::sync::Mutex::default(),
            unusable: AtomicU32::new(0),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        let places = |detector: &Arc<dyn Detector>| self.settings.concurrency.min(detector.limits().in_flight).max(1);
        let remote = places(&self.parts.detector).saturating_sub(self.permits.available_permits());
        let local = self.parts.local.as_ref().map_or(0, places).saturating_sub(self.local_permits.available_permits());
        remote + local
    }

    /// The detector, in its own place.
    pub(super) fn scorer(&self) -> Scorer {
        Scorer { detector: Arc::clone(&self.parts.detector), fallback: false }
    }

    /// Who scores in the detector's place, if anybody.
    pub(super) fn fallback(&self) -> Option<Scorer> {
        self.parts.local.as_ref().map(|local| Scorer { detector: Arc::clone(local), fallback: true })
    }

    /// When to try again what there is no hurry to try.
    pub(super) fn much_later(&self) -> Timestamp {
        self.parts.clock.now().wall.plus(self.settings.backoff.max)
    }

    /// When to try again those for whom the circuit opened. Everybody behind them has had a turn by then: the circuit is
    /// probed before, and who is ready waits no longer than the policy says. Else they would open it again first, for ever.
    pub(super) fn after_the_others(&self) -> Timestamp {
        let turn = self.settings.circuit_probe * 2 + self.settings.policy.max_wait;
        self.parts.clock.now().wall.plus(self.settings.backoff.max.max(turn))
    }

    /// The circuit, locked for a moment; never held across an await.
    pub(super) fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The detector is away: leave it alone.
    pub(super) fn open_circuit(&self, retry_after: Option<Duration>, message: &str) {
        let (mut circuit, now) = (self.circuit(), self.parts.clock.now());
        self.outages.found(self.parts.detector.source(), message, now);
        circuit.fail(now.monotonic, retry_after);
        self.parts.metrics.circuit(self.parts.detector.source(), true);
    }

    /// The detector gave a usable answer about sessions.
    pub(super) fn answered(&self) {
        self.unusable.store(0, Ordering::SeqCst);
        self.close_circuit();
    }

    /// The detector gave a batch an answer that does not fit; whether it has done so too often to blame the batches, in
    /// which case it is left alone.
    pub(super) fn unusable(&self, message: &str) -> bool {
        let at_fault = self.unusable.fetch_add(1, Ordering::SeqCst).saturating_add(1) >= MAX_UNUSABLE;
        if at_fault {
            self.open_circuit(None, message);
        }
        at_fault
    }

    /// Asks a detector that was away whether it works again, unless it is being asked already; takes at most [`PROBE`].
    ///
    /// For a task of its own: nobody else's patience may end it.
    pub(super) async fn probe(self: Arc<Self>, shutdown: Shutdown) {
        let Ok(_alone) = self.probing.try_lock() else { return };
        let asked = tokio::select! {
            biased;
            asked = timeout(PROBE, self.parts.detector.health()) => asked,
            () = shutdown.soft() => return,
        };
        match asked {
            Ok(Ok(_)) => self.close_circuit(),
            Ok(Err(error)) => self.open_circuit(error.retry_after(), error.message()),
            Err(_) => self.open_circuit(None, "it does not answer a probe"),
        }
    }

    /// The circuit lets calls through again.
    fn close_circuit(&self) {
        let mut circuit = self.circuit();
        if circuit.is_open() {
            circuit.succeed();
            self.outages.ended(self.parts.detector.source(), self.parts.clock.now());
            self.parts.metrics.circuit(self.parts.detector.source(), false);
            self.changed.notify_one();
        }
    }

    /// The outage under way, with what the store counts meanwhile.
    pub(super) async fn outage(&self) -> Option<Outage> {
        let ongoing = self.outages.ongoing()?;
        let snapshot = self.parts.store.snapshot().await.ok();
        let now = self.parts.clock.now();
        let probed = snapshot.as_ref().is_some_and(|snapshot| snapshot.running);
        let next_probe = self.circuit().next_probe().filter(|_| probed);
        let fallback_after = self.parts.local.as_ref().map(|_| self.settings.fallback_after);
        let oldest = snapshot.as_ref().and_then(|snapshot| snapshot.queue.oldest_ready);
        Some(Outage {
            detector: self.parts.detector.source(),
            cause: ongoing.cause,
            since: ongoing.since.wall,
            next_probe: next_probe.map(|due| now.wall.plus(due.saturating_sub(now.monotonic))),
            fallback_after,
            fallback_at: oldest.zip(fallback_after).map(|(accepted, patience)| accepted.plus(patience)),
            waiting: snapshot.map(|snapshot| snapshot.counts.unprocessed()),
            scored_by_fallback: ongoing.scored_by_fallback,
        })
    }

    /// A claim of a batch for `scorer`.
    pub(super) fn request(&self, scorer: &Scorer, trigger: Trigger) -> ClaimRequest {
        let rows = u64::try_from(scorer.detector.limits().rows).unwrap_or(u64::MAX);
        ClaimRequest {
            trigger,
            max: u32::try_from(self.settings.policy.batch_size.min(rows)).unwrap_or(u32::MAX),
            up_to: None,
            accepted_by: None,
            lease: self.settings.lease,
            token: LeaseToken(self.parts.randomness.number()),
            owner: self.settings.node.clone(),
            source: scorer.detector.source(),
        }
    }
}
