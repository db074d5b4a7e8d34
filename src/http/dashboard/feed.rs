//! Who listens to the events, what they are told, and the history of the last half hour.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::domain::time::Timestamp;
use crate::store::Counts;

/// Most listeners at a time.
pub(crate) const MAX_LISTENERS: usize = 64;
/// Length of one step of the history, and how many are kept: half an hour.
pub(crate) const STEP_MS: i64 = 10_000;
pub(crate) const MAX_STEPS: usize = 180;

/// Who listens, and what they are told.
pub(crate) struct Events {
    pub(crate) told: watch::Sender<Bytes>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) watching: AtomicBool,
    pub(crate) history: Mutex<History>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            told: watch::Sender::new(Bytes::new()),
            places: Arc::new(Semaphore::new(MAX_LISTENERS)),
            watching: AtomicBool::new(false),
            history: Mutex::default(),
        }
    }
}

/// Arrivals and verdicts by steps, from what the store counted at their ends.
#[derive(Default)]
pub(crate) struct History {
    /// When the newest step began, and what had come and gone by then.
    pub(crate) began: Option<(Timestamp, u64, u64)>,
    /// Arrivals and verdicts of each whole step, the oldest first.
    pub(crate) steps: VecDeque<(u64, u64)>,
}

impl History {
    /// Whether a step is over at `now`.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.began.is_none_or(|(began, ..)| now.0 - began.0 >= STEP_MS || now < began)
    }

    pub(crate) fn note(&mut self, now: Timestamp, counts: &Counts) {
        let (come, gone) = (counts.accepted, counts.accepted.saturating_sub(counts.unprocessed()));
        let Some((began, came, went)) = self.began.filter(|(began, ..)| now >= *began) else {
            self.began = Some((now, come, gone));
            return;
        };
        let passed = usize::try_from((now.0 - began.0) / STEP_MS).unwrap_or(usize::MAX).min(MAX_STEPS);
        if passed == 0 {
            return;
        }
        // What came in several steps at once, because nothing was looked at in between, is spread over them.
        let share = |sum: u64, i: usize| {
            let (passed, i) = (passed as u64, i as u64);
            sum * (i + 1) / passed - sum * i / passed
        };
        let (came, went) = (come.saturating_sub(came), gone.saturating_sub(went));
        for i in 0..passed {
            self.steps.push_back((share(came, i), share(went, i)));
        }
        while self.steps.len() > MAX_STEPS {
            self.steps.pop_front();
        }
        let end = if passed == MAX_STEPS { now.0 } else { began.0 + STEP_MS * i64::try_from(passed).unwrap_or(0) };
        self.began = Some((Timestamp(end), come, gone));
    }
}
