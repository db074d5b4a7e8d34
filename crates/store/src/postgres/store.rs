//! The open store: what its traits are implemented for.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::clock::DatabaseClock;
use super::core::Core;
use super::waiting::Intake;
use playproof_domain::time::Now;

/// The shared store, open.
pub struct PostgresStore {
    pub(super) core: Arc<Core>,
    pub(super) intake: Intake,
    /// One claim at a time of this node: they would share out the line among themselves.
    pub(super) claiming: tokio::sync::Mutex<()>,
    pub(super) clock: Arc<DatabaseClock>,
    pub(super) tasks: Vec<AbortHandle>,
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.core.pool.close();
    }
}

impl PostgresStore {
    /// The time that a statement is given; `None` where the database's own counts.
    pub(super) fn given(&self, now: Now) -> Option<i64> {
        self.core.time.given(now.wall.0)
    }
}
