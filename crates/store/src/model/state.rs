//! The state of a store: its counts, what retention removed, and the nodes that work on it.

use std::time::Duration;

use playproof_domain::batch::QueueView;
use playproof_domain::id::Seq;
use playproof_domain::queue::State;
use playproof_domain::time::Timestamp;

/// Who sends sessions: the servers of a deployment, or its pages. Whoever opens a page can send what they like, so what pages
/// send takes no room from servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// The deployment.
    pub deployment: String,
    /// Whether it is its pages.
    pub is_pages: bool,
}

/// Places of a queue that are looked at for the parties of those who wait, and sessions at each of them.
pub(crate) const SAMPLED_PLACES: i64 = 20;
pub(crate) const SAMPLED_SESSIONS: i64 = 50;

/// How many accepted sessions are in each state, since the store began. The sum of the rest is `accepted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting in line.
    pub ready: u64,
    /// In a batch.
    pub leased: u64,
    /// Waiting for a retry.
    pub delayed: u64,
    /// With a result that is still stored.
    pub processed: u64,
    /// Given up and still stored.
    pub failed: u64,
    /// Erased on request, ever.
    pub erased: u64,
    /// Removed by retention, ever.
    pub pruned: u64,
    /// Accepted, ever.
    pub accepted: u64,
}

impl Counts {
    /// Sessions without a final state.
    #[must_use]
    pub fn unprocessed(&self) -> u64 {
        self.ready + self.leased + self.delayed
    }

    /// Sessions stored.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.unprocessed() + self.processed + self.failed
    }

    /// The count of one state.
    #[must_use]
    pub fn of(&self, state: State) -> u64 {
        match state {
            State::Ready => self.ready,
            State::Leased => self.leased,
            State::Delayed => self.delayed,
            State::Processed => self.processed,
            State::Failed => self.failed,
        }
    }
}

/// The store at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// By state.
    pub counts: Counts,
    /// What the batch policy looks at.
    pub queue: QueueView,
    /// The last session accepted.
    pub last_seq: Seq,
    /// Whether the scheduler is to run.
    pub running: bool,
    /// When the last batch was claimed; `None` when none ever was.
    pub last_batch: Option<Timestamp>,
}

/// What one step of retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Telemetry records.
    pub telemetry: u64,
    /// Whole sessions.
    pub sessions: u64,
    /// Whether more is due.
    pub more: bool,
}

/// A node's sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its name, as in batch rows.
    pub id: String,
    /// The version of its program.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether it takes no new work.
    pub draining: bool,
    /// Whether this is its last sign: it ends in good order.
    pub leaving: bool,
}

/// A node as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name, as in batch rows.
    pub id: String,
    /// The version of its program.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Time since its last one.
    pub silent_for: Duration,
    /// Whether it took no new work then.
    pub draining: bool,
}

impl NodeRow {
    /// Time between two signs of life.
    pub const BEAT: Duration = Duration::from_secs(5);
    /// Who was silent for longer is taken for dead.
    pub const SILENCE: Duration = Duration::from_secs(20);

    /// Whether it lives, as far as one can tell.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.silent_for <= Self::SILENCE
    }
}
