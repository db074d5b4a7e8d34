//! How the service stands: what came and went in the last half hour, and what went wrong lately.

use std::collections::VecDeque;

use crate::domain::id::{BatchId, SessionKey};
use crate::domain::time::Timestamp;
use crate::store::{Counts, Lists, StoreResult};

/// Length of one step of the history, and how many are kept: half an hour.
pub const STEP_MS: i64 = 10_000;
/// Most steps of the history.
pub const MAX_STEPS: usize = 180;
/// Batches, and failed sessions, in which an error is looked for.
const MAX_SEARCHED: u32 = 20;

/// Arrivals and verdicts by steps, from what the store counted at their ends.
#[derive(Debug, Default)]
pub struct History {
    /// When the newest step began, and what had come and gone by then.
    pub began: Option<(Timestamp, u64, u64)>,
    /// Arrivals and verdicts of each whole step, the oldest first.
    pub steps: VecDeque<(u64, u64)>,
}

impl History {
    /// Whether a step is over at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.began.is_none_or(|(began, ..)| now.0 - began.0 >= STEP_MS || now < began)
    }

    /// Takes what the store counts now.
    pub fn note(&mut self, now: Timestamp, counts: &Counts) {
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

/// Something that went wrong.
#[derive(Debug)]
pub struct Trouble {
    /// When.
    pub at: Timestamp,
    /// The batch, where it was one.
    pub batch: Option<BatchId>,
    /// The session that failed for it, where it was one.
    pub session: Option<SessionKey>,
    /// What became of it: the batch's outcome, or failed.
    pub outcome: &'static str,
    /// In words.
    pub message: String,
}

/// What went wrong lately, the newest first, at most `limit`.
///
/// # Errors
/// When the store is away.
pub async fn troubles(lists: &Lists, limit: usize) -> StoreResult<Vec<Trouble>> {
    let mut all = Vec::new();
    for batch in lists.batches(None, MAX_SEARCHED).await? {
        let at = batch.finished_at.unwrap_or(batch.claimed_at);
        let Some(end) = batch.end else { continue };
        let Some(message) = end.error else { continue };
        all.push(Trouble { at, batch: Some(batch.id), session: None, outcome: end.outcome.name(), message });
    }
    for dead in lists.dead(None, MAX_SEARCHED).await? {
        let Some(message) = dead.error else { continue };
        let session = Some(dead.key);
        all.push(Trouble { at: dead.accepted_at, batch: None, session, outcome: "failed", message });
    }
    all.sort_by_key(|trouble| std::cmp::Reverse(trouble.at.0));
    all.truncate(limit);
    Ok(all)
}
