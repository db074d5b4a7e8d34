//! The scheduler: wakes, decides, claims, runs a batch, settles; and the handle by which it is steered.

use crate::domain::id::BatchId;
use crate::domain::time::Timestamp;
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

/// Steers the scheduler; cheap to clone.
#[derive(Clone)]
pub struct Handle;

impl Handle {
    /// Lets batches run by themselves; outlives the process.
    pub async fn start(&self) -> StoreResult<()> {
        Ok(())
    }

    /// Lets batches in flight finish and starts no more.
    pub async fn stop(&self) -> StoreResult<()> {
        Ok(())
    }

    /// How it stands.
    pub async fn status(&self) -> StoreResult<Status> {
        Ok(Status { running: false, is_processing: false, last_processed: None, counts: Counts::default() })
    }

    /// Runs what is ready now, at most 20 batches, and answers after at most 25 s.
    pub async fn run_now(&self) -> StoreResult<ManualRun> {
        Ok(ManualRun::default())
    }
}
