//! What the open store, its tasks and its statements share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::notifier::Notifier;
use super::pool::Pool;
use super::room::Room;
use crate::encoding::KeyHasher;
use playproof_domain::result::ModelIdentity;

/// Whose time counts for leases, retries and retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// The database's: no node's clock is trusted.
    Database,
    /// What callers pass; for tests, which turn the clock by hand.
    Callers,
}

impl Time {
    /// The parameter of a statement: `None` means the database's clock.
    pub(super) fn given(self, wall: i64) -> Option<i64> {
        match self {
            Self::Database => None,
            Self::Callers => Some(wall),
        }
    }
}

/// What the store and its tasks share.
pub(super) struct Core {
    pub(super) pool: Pool,
    pub(super) hasher: KeyHasher,
    pub(super) queue_limit: u64,
    pub(super) room: Room,
    pub(super) time: Time,
    pub(super) models: Mutex<HashMap<ModelIdentity, i32>>,
    pub(super) notifier: Arc<Notifier>,
}

impl Core {
    /// The numbers of the models that are known.
    pub(super) fn models(&self) -> MutexGuard<'_, HashMap<ModelIdentity, i32>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
