//! The outage of a detector: since when and why it is away, how many the fallback scored meanwhile, and what the log says of
//! it at its begin, every ten minutes and at its end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::result::Source;
use crate::domain::time::{Now, Timestamp};
use crate::store::Snapshot;

/// How often the log tells that an outage goes on.
const TOLD_EVERY: Duration = Duration::from_secs(600);

/// An outage as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Who is away.
    pub detector: Source,
    /// Why, in the detector's words or about them.
    pub cause: String,
    /// When this node noticed.
    pub since: Timestamp,
    /// When it is asked next; `None` while the scheduler is stopped, or where the store cannot say whether it is.
    pub next_probe: Option<Timestamp>,
    /// How long a session waits before the fallback scores it; `None` where there is no fallback.
    pub fallback_after: Option<Duration>,
    /// When that is so for the oldest session that is ready; `None` too when none is.
    pub fallback_at: Option<Timestamp>,
    /// Sessions of all deployments without a final state; `None` where the store cannot say.
    pub waiting: Option<u64>,
    /// Sessions of all deployments that this node's fallback scored since then.
    pub scored_by_fallback: u64,
}

/// The outage under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Outages(Mutex<Option<Ongoing>>);

/// What is remembered of it.
#[derive(Clone, Debug)]
pub(super) struct Ongoing {
    pub(super) cause: String,
    pub(super) since: Now,
    fallback_since: Option<Now>,
    pub(super) scored_by_fallback: u64,
    /// When the log told of it last; on the monotonic clock.
    told: Duration,
}

impl Outages {
    /// The detector was found away, perhaps again; the newest cause counts.
    pub(super) fn found(&self, detector: Source, cause: &str, now: Now) {
        let mut ongoing = self.lock();
        if let Some(ongoing) = ongoing.as_mut() {
            cause.clone_into(&mut ongoing.cause);
            return;
        }
        tracing::warn!(
            detector = detector.name(),
            error = cause,
            "the detector is away; sessions are kept and it is probed until it answers"
        );
        let told = now.monotonic;
        *ongoing =
            Some(Ongoing { cause: cause.to_owned(), since: now, fallback_since: None, scored_by_fallback: 0, told });
    }

    /// The fallback scored sessions.
    pub(super) fn scored_by_fallback(&self, sessions: u64, now: Now) {
        let mut ongoing = self.lock();
        // What it settles after the outage belongs to no outage.
        let Some(ongoing) = ongoing.as_mut().filter(|_| sessions > 0) else { return };
        ongoing.scored_by_fallback += sessions;
        if ongoing.fallback_since.is_none() {
            ongoing.fallback_since = Some(now);
            tracing::warn!(sessions, "the fallback scores sessions in the detector's place");
        }
    }

    /// Tells the log that the outage goes on, when it has not for a while.
    pub(super) fn remind(&self, detector: Source, snapshot: &Snapshot, now: Now) {
        let mut ongoing = self.lock();
        let Some(ongoing) = ongoing.as_mut() else { return };
        if now.monotonic.saturating_sub(ongoing.told) < TOLD_EVERY {
            return;
        }
        ongoing.told = now.monotonic;
        tracing::warn!(
            detector = detector.name(),
            error = ongoing.cause,
            seconds = seconds(ongoing.since, now),
            waiting = snapshot.counts.unprocessed(),
            scored_by_fallback = ongoing.scored_by_fallback,
            "the detector is still away"
        );
        if let Some(since) = ongoing.fallback_since {
            tracing::warn!(
                seconds = seconds(since, now),
                sessions = ongoing.scored_by_fallback,
                "the fallback still scores sessions in the detector's place"
            );
        }
    }

    /// The detector answers.
    pub(super) fn ended(&self, detector: Source, now: Now) {
        let Some(ended) = self.lock().take() else { return };
        if let Some(since) = ended.fallback_since {
            tracing::info!(
                seconds = seconds(since, now),
                sessions = ended.scored_by_fallback,
                "the fallback scores no more sessions"
            );
        }
        tracing::info!(
            detector = detector.name(),
            seconds = seconds(ended.since, now),
            scored_by_fallback = ended.scored_by_fallback,
            "the detector answers again"
        );
    }

    /// The outage under way.
    pub(super) fn ongoing(&self) -> Option<Ongoing> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ongoing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(since: Now, now: Now) -> u64 {
    now.monotonic.saturating_sub(since.monotonic).as_secs()
}
