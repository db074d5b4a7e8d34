//! Whether the node can work: its store, the room in the queue, its detector. The last looks hold for a moment: whoever asks
//! needs no key, and a look may cost a remote call.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::detector::Detector;
use crate::store::{Store, StoreError};

/// How long a look at the store, and at the detector, holds.
const STORE_HOLDS: Duration = Duration::from_millis(250);
const DETECTOR_HOLDS: Duration = Duration::from_secs(2);
/// How long a look may take.
pub const MAX_LOOK: Duration = Duration::from_secs(3);

/// What a look at the store found.
#[derive(Clone, Copy, Debug)]
pub struct StoreCheck {
    /// Whether it takes sessions.
    pub store: StoreState,
    /// Whether the queue has no room.
    pub queue_full: bool,
    /// Whether it can be read.
    pub reads: bool,
}

/// Whether the store takes sessions, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// It does.
    Ok,
    /// It has no room.
    Full,
    /// It is damaged.
    Damaged,
    /// It does not answer.
    Unavailable,
}

impl StoreState {
    /// As clients know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Full => "full",
            Self::Damaged => "damaged",
            Self::Unavailable => "unavailable",
        }
    }

    /// What is wrong and how to mend it.
    #[must_use]
    pub const fn problem(self) -> Option<&'static str> {
        match self {
            Self::Ok => None,
            Self::Full => Some(
                "the disk or PLAYPROOF_STORE_LIMIT leaves no room for sessions; free some, intake resumes by itself",
            ),
            Self::Damaged => Some("the store is damaged; stop the node and restore a backup"),
            Self::Unavailable => Some("the store does not answer; the log says why"),
        }
    }
}

/// The last looks; whoever asks while one runs waits for it.
pub struct Readiness {
    store: Arc<dyn Store>,
    detector: Arc<dyn Detector>,
    queue_limit: u64,
    store_check: Mutex<Option<(Instant, StoreCheck)>>,
    detector_check: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, detector: Arc<dyn Detector>, queue_limit: u64) -> Self {
        Self { store, detector, queue_limit, store_check: Mutex::default(), detector_check: Mutex::default() }
    }

    /// How the store stands, and whether the detector can be used.
    pub async fn check(&self) -> (StoreCheck, bool) {
        let store = held(&self.store_check, STORE_HOLDS, self.look_at_store());
        let detector = async { looked("detector", self.detector.health()).await.is_ok() };
        tokio::join!(store, held(&self.detector_check, DETECTOR_HOLDS, detector))
    }

    async fn look_at_store(&self) -> StoreCheck {
        let health = looked("store", self.store.health());
        let (health, snapshot) = tokio::join!(health, timeout(MAX_LOOK, self.store.snapshot()));
        let store = match health {
            Ok(()) => StoreState::Ok,
            Err(Some(StoreError::Full(_))) => StoreState::Full,
            Err(Some(StoreError::Corrupt(_))) => StoreState::Damaged,
            Err(_) => StoreState::Unavailable,
        };
        let snapshot = snapshot.ok().and_then(Result::ok);
        let waiting = snapshot.as_ref().map_or(0, |snapshot| snapshot.counts.unprocessed());
        StoreCheck { store, queue_full: waiting >= self.queue_limit, reads: snapshot.is_some() }
    }
}

/// What `check` says; `None` for one that took too long.
async fn looked<T, E: std::fmt::Display>(
    name: &str,
    check: impl Future<Output = Result<T, E>>,
) -> Result<T, Option<E>> {
    match timeout(MAX_LOOK, check).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::warn!(%error, check = name, "not ready");
            Err(Some(error))
        }
        Err(_) => {
            tracing::warn!(check = name, "not ready: the check took too long");
            Err(None)
        }
    }
}

/// The last outcome of `check` if it still holds, else a new one.
async fn held<T: Copy>(last: &Mutex<Option<(Instant, T)>>, holds: Duration, check: impl Future<Output = T>) -> T {
    let mut last = last.lock().await;
    if let Some((at, outcome)) = *last
        && at.elapsed() < holds
    {
        return outcome;
    }
    let outcome = check.await;
    *last = Some((Instant::now(), outcome));
    outcome
}
