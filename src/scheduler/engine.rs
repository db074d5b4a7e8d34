//! What every batch run needs, in one place: the store, the detector, the policy and the circuit.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::circuit::Circuit;
use crate::clock::Clock;
use crate::detector::Detector;
use crate::domain::backoff::Backoff;
use crate::domain::batch::{Policy, Trigger};
use crate::domain::id::{LeaseToken, Seq};
use crate::domain::result::Thresholds;
use crate::metrics::Metrics;
use crate::settled::Settled;
use crate::store::{ClaimRequest, Retention, Store};

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
    /// How long things are kept.
    pub retention: Retention,
    /// From score to decision.
    pub thresholds: Thresholds,
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
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Who waits for results.
    pub settled: Arc<Settled>,
}

/// The shared state of loop, batch runs and handle.
pub(super) struct Engine {
    pub(super) parts: Parts,
    pub(super) settings: Settings,
    /// One permit per batch in flight.
    pub(super) permits: Arc<Semaphore>,
    /// Claims of the loop that wait for the store.
    pub(super) claiming: AtomicU64,
    /// Notified when a batch ended or somebody changed the scheduler's state.
    pub(super) changed: Notify,
    circuit: Mutex<Circuit>,
}

impl Engine {
    pub(super) fn new(parts: Parts, settings: Settings) -> Self {
        let in_flight = settings.concurrency.min(parts.detector.limits().in_flight).max(1);
        let circuit = Mutex::new(Circuit::new(settings.circuit_probe));
        Self {
            parts,
            settings,
            permits: Arc::new(Semaphore::new(in_flight)),
            claiming: AtomicU64::new(0),
            changed: Notify::new(),
            circuit,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        let most = self.settings.concurrency.min(self.parts.detector.limits().in_flight).max(1);
        most.saturating_sub(self.permits.available_permits())
    }

    /// The circuit, locked for a moment; never held across an await.
    pub(super) fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The detector is away: leave it alone.
    pub(super) fn open_circuit(&self, retry_after: Option<Duration>, message: &str) {
        let mut circuit = self.circuit();
        if !circuit.is_open() {
            tracing::error!(
                error = message,
                "the detector is away; sessions are kept and it is probed until it answers"
            );
        }
        circuit.fail(self.parts.clock.now().monotonic, retry_after);
        self.parts.metrics.circuit(self.parts.detector.source(), true);
    }

    /// The detector answered.
    pub(super) fn close_circuit(&self) {
        let mut circuit = self.circuit();
        if circuit.is_open() {
            tracing::info!("the detector answers again");
            circuit.succeed();
            self.parts.metrics.circuit(self.parts.detector.source(), false);
            self.changed.notify_one();
        }
    }

    pub(super) fn request(&self, trigger: Trigger, up_to: Option<Seq>) -> ClaimRequest {
        let rows = u64::try_from(self.parts.detector.limits().rows).unwrap_or(u64::MAX);
        ClaimRequest {
            trigger,
            max: u32::try_from(self.settings.policy.batch_size.min(rows)).unwrap_or(u32::MAX),
            up_to,
            accepted_by: None,
            lease: self.settings.lease,
            token: LeaseToken(rand::random()),
            owner: self.settings.node.clone(),
            source: self.parts.detector.source(),
        }
    }
}
