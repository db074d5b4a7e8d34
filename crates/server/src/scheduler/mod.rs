//! The scheduler: wakes, decides, claims, runs a batch, settles; and the handle by which it is steered.

mod batch_run;
mod circuit;
mod comparer;
mod detector_call;
mod driver;
mod engine;
mod evidence;
mod fallback;
mod isolate;
mod kept_reaches;
mod manual;
mod outage;
mod randomness;
mod records;
pub mod retention;
mod reuse;
mod shadow;
mod witness;

use std::sync::Arc;

pub use circuit::{Circuit, Permission};
pub use engine::{Parts, Settings};
pub use manual::ManualRun;
pub use outage::Outage;
pub use randomness::Randomness;
use tokio::task::JoinSet;

use self::engine::Engine;
use crate::domain::result::Source;
use crate::domain::time::Timestamp;
use crate::shutdown::Shutdown;
use crate::store::{Counts, StoreResult};

/// How the scheduler stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Status {
    /// Whether it runs batches by itself.
    pub running: bool,
    /// Whether this node has a batch in flight.
    pub is_processing: bool,
    /// When the last batch was claimed by any node.
    pub last_processed: Option<Timestamp>,
    /// Sessions by state.
    pub counts: Counts,
}

/// The running scheduler of one node.
pub struct Scheduler {
    handle: Handle,
    tasks: JoinSet<()>,
}

/// Steers the scheduler; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    engine: Arc<Engine>,
    shutdown: Shutdown,
}

impl Scheduler {
    /// Starts the loop and the retention task; both end with `shutdown`.
    #[must_use]
    pub fn start(parts: Parts, settings: Settings, shutdown: Shutdown) -> Self {
        let engine = Arc::new(Engine::new(parts, settings));
        let mut tasks = JoinSet::new();
        tasks.spawn(driver::drive(Arc::clone(&engine), shutdown.clone()));
        tasks.spawn(comparer::run(Arc::clone(&engine), shutdown.clone()));
        tasks.spawn(retention::keep(Arc::clone(&engine), shutdown.clone()));
        Self { handle: Handle { engine, shutdown }, tasks }
    }

    /// The handle by which it is steered.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until its tasks have ended; `false` when one of them ended by a fault of its own.
    pub async fn ended(&mut self) -> bool {
        let mut well = true;
        while let Some(task) = self.tasks.join_next().await {
            if let Err(error) = task {
                tracing::error!(%error, "a task of the scheduler died");
                well = false;
                self.handle.shutdown.trigger();
            }
        }
        well
    }
}

impl Handle {
    /// Lets batches run by themselves; outlives the process.
    pub async fn start(&self) -> StoreResult<()> {
        self.set_running(true).await
    }

    /// Lets batches in flight finish and starts no more.
    pub async fn stop(&self) -> StoreResult<()> {
        self.set_running(false).await
    }

    async fn set_running(&self, running: bool) -> StoreResult<()> {
        self.engine.parts.store.set_running(running).await?;
        tracing::info!(running, "the scheduler was told");
        self.engine.changed.notify_one();
        Ok(())
    }

    /// How it stands.
    pub async fn status(&self) -> StoreResult<Status> {
        let snapshot = self.engine.parts.store.snapshot().await?;
        Ok(Status {
            running: snapshot.running,
            is_processing: self.engine.in_flight() > 0,
            last_processed: snapshot.last_batch,
            counts: snapshot.counts,
        })
    }

    /// Whether the detector is away at the moment.
    #[must_use]
    pub fn circuit_is_open(&self) -> bool {
        self.engine.circuit().is_open()
    }

    /// The outage of the detector, if it is away; asks the store for the counts.
    pub async fn outage(&self) -> Option<Outage> {
        self.engine.outage().await
    }

    /// Who is away and since when, without asking anybody.
    #[must_use]
    pub fn away(&self) -> Option<(Source, Timestamp)> {
        let ongoing = self.engine.outages.ongoing()?;
        Some((self.engine.parts.detector.source(), ongoing.since.wall))
    }

    /// Batches of this node in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    /// Runs what is ready now, at most 20 batches, and answers after at most 25 s; a batch that still runs then
    /// finishes by itself. Works while the scheduler is stopped, and beside it.
    pub async fn run_now(&self) -> StoreResult<ManualRun> {
        manual::run(Arc::clone(&self.engine), self.shutdown.clone()).await
    }
}

#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod local_tests;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
