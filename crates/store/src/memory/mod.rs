//! A store in memory, for simulated schedules: what it holds outlives a node that is dropped, as a disk does. It passes the
//! part of the contract that the queue is made of; what the scheduler asks for nothing it refuses. Not part of the product.

mod queue;
mod read;
mod store;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use playproof_clock::Clock;
use tokio::sync::Notify;

use crate::settlement::Plan;
use crate::{BatchRow, Counts, NewSession, StoreResult, StoredResult};
use playproof_domain::id::{BatchId, LeaseToken, SessionKey};
use playproof_domain::queue::{Entry, State};
use playproof_domain::time::{Now, Timestamp};

/// The store in memory.
pub struct MemoryStore {
    held: Mutex<Held>,
    ready: Notify,
    /// Whose time holds: where nodes share it its own, as no node's is trusted; else the caller's.
    clock: Option<Arc<dyn Clock>>,
}

/// Everything that is kept.
struct Held {
    sessions: BTreeMap<i64, Kept>,
    keys: BTreeMap<SessionKey, i64>,
    erased: BTreeSet<SessionKey>,
    leases: BTreeMap<i64, HeldLease>,
    batches: BTreeMap<i64, (BatchRow, Vec<i64>)>,
    /// Settled sessions that are still to be compared.
    uncompared: BTreeSet<i64>,
    memories: BTreeMap<String, Vec<u8>>,
    accepted: u64,
    erased_count: u64,
    running: bool,
    began: Timestamp,
    last_batch: Option<Timestamp>,
    queue_limit: u64,
}

/// One session.
struct Kept {
    new: NewSession,
    entry: Entry,
    result: Option<StoredResult>,
    error: Option<String>,
}

/// The right of one worker to a batch.
struct HeldLease {
    token: LeaseToken,
    length: Duration,
    /// On the monotonic clock.
    expires: Duration,
    /// Members that are not settled yet.
    members: BTreeSet<i64>,
}

impl MemoryStore {
    /// An empty store for at most `queue_limit` waiting sessions, which begins at `began` with the scheduler running. With a
    /// `clock` nodes share it, and that is the time that holds.
    #[must_use]
    pub fn new(queue_limit: u64, began: Timestamp, clock: Option<Arc<dyn Clock>>) -> Self {
        let held = Held {
            sessions: BTreeMap::new(),
            keys: BTreeMap::new(),
            erased: BTreeSet::new(),
            leases: BTreeMap::new(),
            batches: BTreeMap::new(),
            uncompared: BTreeSet::new(),
            memories: BTreeMap::new(),
            accepted: 0,
            erased_count: 0,
            running: true,
            began,
            last_batch: None,
            queue_limit,
        };
        Self { held: Mutex::new(held), ready: Notify::new(), clock }
    }

    /// Opens it again after the node that had it for itself died: that node's leases are void.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`](crate::StoreError::Corrupt) when a member of a lease is not leased.
    pub fn reopen(&self, now: Timestamp) -> StoreResult<u64> {
        self.write(|held| held.lose(|_| true, now))
    }

    /// Shows every session that is there: its key, where it stands, its result and its last error.
    pub fn visit(&self, mut see: impl FnMut(&SessionKey, Entry, Option<&StoredResult>, Option<&str>)) {
        for kept in self.held().sessions.values() {
            see(&kept.new.key, kept.entry, kept.result.as_ref(), kept.error.as_deref());
        }
    }

    /// Every batch ever claimed, the oldest first.
    #[must_use]
    pub fn claimed(&self) -> Vec<BatchRow> {
        self.held().batches.values().map(|(row, _)| row.clone()).collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction; whoever waits is told when it leaves more to be claimed.
    fn write<T>(&self, change: impl FnOnce(&mut Held) -> StoreResult<T>) -> StoreResult<T> {
        let mut held = self.held();
        let before = held.waiting();
        let done = change(&mut held);
        let more = held.waiting() > before;
        drop(held);
        if more {
            self.ready.notify_waiters();
            self.ready.notify_one();
        }
        done
    }

    fn now(&self, told: Now) -> Now {
        self.clock.as_ref().map_or(told, |clock| clock.now())
    }
}

impl Held {
    fn waiting(&self) -> usize {
        self.sessions.values().filter(|kept| matches!(kept.entry.state, State::Ready | State::Delayed)).count()
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts { erased: self.erased_count, accepted: self.accepted, ..Counts::default() };
        for kept in self.sessions.values() {
            *(match kept.entry.state {
                State::Ready => &mut counts.ready,
                State::Leased => &mut counts.leased,
                State::Delayed => &mut counts.delayed,
                State::Processed => &mut counts.processed,
                State::Failed => &mut counts.failed,
            }) += 1;
        }
        counts
    }

    fn entry(&self, seq: i64) -> Option<Entry> {
        self.sessions.get(&seq).map(|kept| kept.entry)
    }

    /// Writes the steps of a batch's members.
    fn take(&mut self, plan: &Plan<'_>, batch: BatchId, now: Timestamp) {
        for step in &plan.steps {
            let Some(kept) = self.sessions.get_mut(&step.seq) else { continue };
            kept.entry = step.entry;
            if let Some(error) = step.error {
                kept.error = Some(error.to_owned());
            }
            if let Some(verdict) = step.verdict {
                kept.error = None;
                kept.result = Some(StoredResult {
                    verdict: verdict.clone(),
                    batch: Some(batch),
                    scored_at: now,
                    attempts: step.entry.attempts + 1,
                    scored: None,
                    compared_under: None,
                });
            }
        }
    }
}
