//! The database's clock, as a node sees it: what the database said last, carried on by the monotonic clock.
//!
//! The node's own wall clock is never read, so it may be wrong by any amount.

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::core::Core;
use super::fault::Fault;
use super::pool::now;
use playproof_clock::Clock;
use playproof_domain::time::{Now, Timestamp};

/// Time between two looks at the database's clock.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    started: Instant,
    /// Wall-clock time of `started`, by the last look, milliseconds.
    origin: RwLock<i64>,
}

impl DatabaseClock {
    /// Set by one look, and set again from time to time until the store is dropped.
    pub(super) async fn start(core: &Arc<Core>) -> Result<(Arc<Self>, tokio::task::AbortHandle), Fault> {
        let clock = Arc::new(Self { started: Instant::now(), origin: RwLock::new(0) });
        clock.look(core).await?;
        let task = tokio::spawn(Arc::clone(&clock).keep(Arc::downgrade(core)));
        Ok((clock, task.abort_handle()))
    }

    async fn keep(self: Arc<Self>, core: Weak<Core>) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            let Some(core) = core.upgrade() else { return };
            // Until the database answers again the monotonic clock carries on.
            let _ = tokio::time::timeout(REFRESH_INTERVAL, self.look(&core)).await;
        }
    }

    async fn look(&self, core: &Core) -> Result<(), Fault> {
        let held = core.pool.get().await?;
        let statement = held.prepare_cached(&format!("SELECT {}", now("NULL"))).await?;
        let asked = self.started.elapsed();
        let wall: i64 = held.query_one(&statement, &[]).await?.get(0);
        let answered = self.started.elapsed();
        held.release();
        // It was read somewhere between the two.
        let middle = i64::try_from(((asked + answered) / 2).as_millis()).unwrap_or(0);
        *self.origin.write().unwrap_or_else(PoisonError::into_inner) = wall - middle;
        Ok(())
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Now {
        let monotonic = self.started.elapsed();
        let origin = Timestamp(*self.origin.read().unwrap_or_else(PoisonError::into_inner));
        Now { wall: origin.plus(monotonic), monotonic }
    }
}
