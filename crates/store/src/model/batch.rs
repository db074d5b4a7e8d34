//! Batches: what a claim takes, what a detector made of it, and what a settlement did.

use std::time::Duration;

use super::comparison::Matches;
use super::session::FirstScore;
use playproof_domain::agreement::Agreement;
use playproof_domain::batch::Trigger;
use playproof_domain::false_discovery::FalseDiscovery;
use playproof_domain::features::v1;
use playproof_domain::id::BatchId;
use playproof_domain::id::LeaseToken;
use playproof_domain::id::Seq;
use playproof_domain::id::SessionKey;
use playproof_domain::queue::Entry;
use playproof_domain::reason::Reasons;
use playproof_domain::result::Source;
use playproof_domain::result::Verdict;
use playproof_domain::time::Timestamp;

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Why the batch runs; `Retry` takes due retries, everything else takes ready sessions, oldest first.
    pub trigger: Trigger,
    /// Most sessions.
    pub max: u32,
    /// Only sessions accepted up to this one, for a manual run that takes what was there at the call.
    pub up_to: Option<Seq>,
    /// Only sessions accepted at or before this time, for those that have waited too long. Of the ready ones it takes
    /// the head of the line and stops at the first that is younger.
    pub accepted_by: Option<Timestamp>,
    /// How long the lease holds without renewal.
    pub lease: Duration,
    /// A random number, unique with overwhelming probability.
    pub token: LeaseToken,
    /// The node that asks.
    pub owner: String,
    /// The source that will score.
    pub source: Source,
}

/// The right to settle a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The batch.
    pub batch: BatchId,
    /// What fences it.
    pub token: LeaseToken,
}

/// One session of a claimed batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Row id.
    pub seq: Seq,
    /// Deployment and identifier, for logs and thresholds.
    pub key: SessionKey,
    /// Claimed game.
    pub game_type: String,
    /// Claimed device.
    pub device_type: String,
    /// Feature set v1.
    pub features: v1::Features,
    /// The heuristic rules that hold, and what people ruled of it.
    pub reasons: Reasons,
    /// The embedded model's score, where that gave the first verdict.
    pub scored: Option<FirstScore>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its place in the state machine.
    pub entry: Entry,
}

/// A claimed batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The right to settle it.
    pub lease: Lease,
    /// At least one session.
    pub members: Vec<Member>,
}

/// What to write about one member.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberOutcome {
    /// Its one result.
    Scored(Box<Verdict>),
    /// Try again.
    Retry {
        /// Not before.
        not_before: Timestamp,
        /// Whether the attempt counts.
        counts: bool,
        /// The attempt that is the last.
        max_attempts: u32,
        /// What went wrong.
        error: String,
    },
    /// Give up.
    Rejected {
        /// What went wrong.
        error: String,
    },
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchOutcome {
    /// Every member was scored.
    Scored,
    /// Some were, some were not.
    Partial,
    /// All members wait for a retry.
    Retried,
    /// No member was scored and none will be retried.
    Failed,
    /// The worker gave it back or was lost.
    Abandoned,
}

impl BatchOutcome {
    /// Every outcome, in the order in which stores number them.
    pub const ALL: [Self; 5] = [Self::Scored, Self::Partial, Self::Retried, Self::Failed, Self::Abandoned];

    /// The name used in metrics and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::Partial => "partial",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// How a batch ended, for its row.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchEnd {
    /// The outcome.
    pub outcome: BatchOutcome,
    /// Calls made to the detector.
    pub attempts: u32,
    /// Time spent in the detector, ms.
    pub detector_ms: f64,
    /// The last error, if any.
    pub error: Option<String>,
    /// How far the shadow detector agreed; `None` when there was none, or it did not answer.
    pub agreement: Option<Agreement>,
    /// How sure its failed sessions are together; `None` where none failed by a calibrated score.
    pub false_discovery: Option<FalseDiscovery>,
}

impl BatchEnd {
    /// The end of a batch that asked no detector.
    #[must_use]
    pub fn without_detector(outcome: BatchOutcome, error: Option<String>) -> Self {
        Self { outcome, attempts: 0, detector_ms: 0.0, error, agreement: None, false_discovery: None }
    }
}

/// Outcomes for members of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settlement {
    /// By row id; a session outside the batch makes the store refuse the whole settlement.
    pub outcomes: Vec<(Seq, MemberOutcome)>,
    /// Ends the batch.
    pub end: Option<BatchEnd>,
    /// The sessions that scored members are like, kept with their results.
    pub matches: Vec<Matches>,
    /// Scored members that are still to be compared with others; remembered until [`crate::Store::compared`] says that
    /// they were.
    pub uncompared: Vec<Seq>,
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettleCounts {
    /// Members that got their result.
    pub processed: u64,
    /// Members that wait for a retry.
    pub delayed: u64,
    /// Members that failed.
    pub failed: u64,
    /// Members that were given back.
    pub returned: u64,
    /// Members that no longer existed (erased in between).
    pub gone: u64,
}
