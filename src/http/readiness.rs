//! What the last looks at store and detector found, for as long as they hold.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last checks; whoever asks while one runs waits for it.
#[derive(Default)]
pub(crate) struct Readiness {
    pub(crate) store: Mutex<Option<(Instant, StoreCheck)>>,
    pub(crate) detector: Mutex<Option<(Instant, bool)>>,
}

/// What a look at the store found.
#[derive(Clone, Copy)]
pub(crate) struct StoreCheck {
    pub(crate) store: StoreState,
    pub(crate) queue_full: bool,
    pub(crate) reads: bool,
}

/// Whether the store takes sessions, and why not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreState {
    Ok,
    Full,
    Damaged,
    Unavailable,
}

impl StoreState {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Full => "full",
            Self::Damaged => "damaged",
            Self::Unavailable => "unavailable",
        }
    }

    /// What is wrong and how to mend it.
    pub(crate) const fn problem(self) -> Option<&'static str> {
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

/// The last outcome of `check` if it still holds, else a new one.
pub(crate) async fn held<T: Copy>(
    last: &Mutex<Option<(Instant, T)>>,
    holds: Duration,
    check: impl Future<Output = T>,
) -> T {
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
