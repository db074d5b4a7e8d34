//! The queue's state machine: which states an accepted session can be in and every legal step between them.
//!
//! ```text
//! Ready --claim--> Leased --score--> Processed
//!   ^                |---give back--> Ready
//!   |                |---lease lost-> Ready, or Delayed (alone), or Failed (crashed_worker)
//!   |                |---retry------> Delayed (not before t) --claim--> Leased
//!   |                `---reject-----> Failed --requeue--> Ready
//! ```
//! Stores implement exactly these steps, one transaction each. Erasure and retention remove a session from the
//! machine altogether.

use super::time::Timestamp;

/// After this many lost leases a session runs alone, so that it can no longer take neighbours down with it.
pub const LOST_LEASES_BEFORE_ALONE: u32 = 3;
/// After this many lost leases a session is given up as `crashed_worker`.
pub const LOST_LEASES_BEFORE_FAILED: u32 = 6;

/// Where an accepted session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for a batch.
    Ready,
    /// In a batch that somebody is scoring.
    Leased,
    /// Waits for a retry at or after its `not_before`.
    Delayed,
    /// Has its one scored result. Final.
    Processed,
    /// Given up, with a reason; may be requeued by an operator. Final otherwise.
    Failed,
}

impl State {
    /// Every state, in the order in which stores number them.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Leased, Self::Delayed, Self::Processed, Self::Failed];

    /// The name used in metrics and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Delayed => "delayed",
            Self::Processed => "processed",
            Self::Failed => "failed",
        }
    }

    /// Whether a result or a failure has been reached.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Processed | Self::Failed)
    }
}

/// What the queue knows of one session besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub state: State,
    /// Times that a detector answered about it without a score.
    pub attempts: u32,
    /// Times that its lease ended without an answer.
    pub lost_leases: u32,
    /// When a delayed session is due.
    pub not_before: Timestamp,
}

impl Entry {
    /// A session just accepted for the queue.
    pub const NEW: Self = Self { state: State::Ready, attempts: 0, lost_leases: 0, not_before: Timestamp(0) };

    /// Whether the session must not share a batch.
    #[must_use]
    pub fn alone(&self) -> bool {
        self.lost_leases >= LOST_LEASES_BEFORE_ALONE
    }
}

/// Something that happens to a session in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A worker takes it into a batch.
    Claim,
    /// The worker returns it untouched, as on shutdown.
    GiveBack,
    /// The lease ended without an answer: the worker died or hung. It runs again at once.
    LeaseLost {
        /// When the loss was noticed.
        at: Timestamp,
    },
    /// The detector scored it.
    Score,
    /// It must be tried again.
    Retry {
        /// Not before this time.
        not_before: Timestamp,
        /// Whether the detector answered about this row, so that the attempt counts; an outage does not.
        counts: bool,
        /// The attempt that is the last one allowed.
        max_attempts: u32,
    },
    /// The detector refused it for good.
    Reject,
    /// An operator sends a failed session back.
    Requeue,
}

/// An event that the state does not allow; the store changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not possible for a session that is {}", state.name())]
pub struct IllegalStep {
    /// The state it was in.
    pub state: State,
    /// What was attempted.
    pub event: Event,
}

/// The entry after `event`.
///
/// # Errors
/// [`IllegalStep`] when the event is not possible in the entry's state.
pub fn step(entry: Entry, event: Event) -> Result<Entry, IllegalStep> {
    let next = match (entry.state, event) {
        (State::Ready | State::Delayed, Event::Claim) => Entry { state: State::Leased, ..entry },
        (State::Leased, Event::GiveBack) => waiting(entry, entry.not_before),
        (State::Leased, Event::LeaseLost { at }) => {
            let lost = Entry { lost_leases: entry.lost_leases + 1, ..entry };
            if lost.lost_leases >= LOST_LEASES_BEFORE_FAILED {
                Entry { state: State::Failed, ..lost }
            } else {
                waiting(lost, at)
            }
        }
        (State::Leased, Event::Score) => Entry { state: State::Processed, ..entry },
        (State::Leased, Event::Retry { not_before, counts, max_attempts }) => {
            let attempts = entry.attempts + u32::from(counts);
            let state = if counts && attempts >= max_attempts { State::Failed } else { State::Delayed };
            Entry { state, attempts, not_before, ..entry }
        }
        (State::Leased, Event::Reject) => Entry { state: State::Failed, attempts: entry.attempts + 1, ..entry },
        (State::Failed, Event::Requeue) => Entry::NEW,
        (state, event) => return Err(IllegalStep { state, event }),
    };
    Ok(next)
}

/// Back to waiting: in line, or, for a session that runs alone, due at `at` apart from the line.
fn waiting(entry: Entry, at: Timestamp) -> Entry {
    let state = if entry.alone() { State::Delayed } else { State::Ready };
    Entry { state, not_before: at, ..entry }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lose(times: u32) -> Entry {
        (0..times).fold(Entry::NEW, |entry, _| {
            let leased = step(entry, Event::Claim).unwrap();
            step(leased, Event::LeaseLost { at: Timestamp(7) }).unwrap()
        })
    }

    #[test]
    fn a_session_that_kills_its_worker_runs_alone_and_then_fails() {
        assert_eq!(lose(2).state, State::Ready);
        assert!(!lose(2).alone());
        assert_eq!((lose(3).state, lose(3).alone(), lose(3).not_before), (State::Delayed, true, Timestamp(7)));
        assert_eq!(lose(6).state, State::Failed);
        assert_eq!(step(lose(6), Event::Requeue).unwrap(), Entry::NEW);
    }

    #[test]
    fn outages_cost_no_attempt_and_answers_do() {
        let retry = |entry, counts| {
            step(
                Entry { state: State::Leased, ..entry },
                Event::Retry { not_before: Timestamp(1), counts, max_attempts: 2 },
            )
        };
        let outage = retry(Entry::NEW, false).unwrap();
        assert_eq!((outage.state, outage.attempts), (State::Delayed, 0));
        let first = retry(outage, true).unwrap();
        assert_eq!((first.state, first.attempts), (State::Delayed, 1));
        assert_eq!(retry(first, true).unwrap().state, State::Failed);
        assert_eq!(retry(first, false).unwrap().state, State::Delayed);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Claim),
            Just(Event::GiveBack),
            Just(Event::LeaseLost { at: Timestamp(3) }),
            Just(Event::Score),
            any::<bool>().prop_map(|counts| Event::Retry { not_before: Timestamp(9), counts, max_attempts: 3 }),
            Just(Event::Reject),
            Just(Event::Requeue),
        ]
    }

    proptest! {
        #[test]
        fn a_processed_session_never_moves_and_only_leased_ones_settle(events in proptest::collection::vec(any_event(), 0..40)) {
            let mut entry = Entry::NEW;
            for event in events {
                match step(entry, event) {
                    Ok(next) => {
                        prop_assert_ne!(entry.state, State::Processed);
                        if next.state == State::Processed { prop_assert_eq!(entry.state, State::Leased); }
                        entry = next;
                    }
                    Err(refused) => prop_assert_eq!(refused.state, entry.state),
                }
            }
        }
    }
}
