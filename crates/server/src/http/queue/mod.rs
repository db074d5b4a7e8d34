//! The queue: what waits, batches, the scheduler and the nodes that run it.

pub(crate) mod batches;
pub(crate) mod failed;
pub(crate) mod nodes;
pub(crate) mod outage;
pub(crate) mod scheduler;
pub(crate) mod stats;
pub(crate) mod waiting;
