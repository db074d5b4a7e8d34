//! What goes into a store and comes out of it; shared by all stores, known to none of their engines.

use std::time::Duration;

use crate::domain::agreement::Agreement;
use crate::domain::batch::{QueueView, Trigger};
use crate::domain::calibration::Calibrated;
use crate::domain::false_discovery::FalseDiscovery;
use crate::domain::features::v1;
use crate::domain::id::{BatchId, LeaseToken, Seq, SessionId, SessionKey};
use crate::domain::queue::{Entry, State};
use crate::domain::reason::{Reason, Reasons};
use crate::domain::record::SessionDigest;
use crate::domain::result::{Decision, ModelIdentity, Source, Verdict};
use crate::domain::sketch::Sketch;
use crate::domain::time::Timestamp;
use crate::store::campaigns::CampaignId;
use crate::store::challenges::UsedChallenge;

/// Places of a queue that are looked at for the deployments of those who wait, and sessions at each of them.
pub(crate) const SAMPLED_PLACES: i64 = 20;
pub(crate) const SAMPLED_SESSIONS: i64 = 50;

/// The verdict that was answered at once, with what a repeated submission must repeat.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// When it was given; also the time of acceptance.
    pub scored_at: Timestamp,
    /// How long it took, ms.
    pub latency_ms: f64,
}

/// A session on its way into the store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSession {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Whose session it is, for erasure.
    pub user_id: Option<String>,
    /// Claimed game.
    pub game_type: String,
    /// Claimed device.
    pub device_type: String,
    /// Content digest, for telling repetition from conflict.
    pub digest: SessionDigest,
    /// The compact record.
    pub record: Vec<u8>,
    /// Feature set v1.
    pub features: v1::Features,
    /// The heuristic rules that hold, and what people ruled of it: the reasons that any detector's verdict carries.
    pub reasons: Reasons,
    /// What was answered at once.
    pub first: FirstVerdict,
    /// True: the first verdict is also the result, and the session needs no queue place.
    pub is_final: bool,
    /// The challenge that it came with, used up when it is stored.
    pub challenge: Option<UsedChallenge>,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// Stored, durably.
    New(Seq),
    /// The same session is known; here is how it stands.
    Duplicate(Box<StoredSession>),
    /// The key is known with other content, or the challenge was used for a session that is no more.
    Conflict,
    /// The key was erased.
    Erased,
    /// The queue is at its limit.
    QueueFull,
}

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

/// What the embedded model said of a session when it was accepted: everything that its verdict follows from beside
/// thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstScore {
    /// The model that scored.
    pub model: ModelIdentity,
    /// Uncalibrated.
    pub raw: f64,
    /// p-value and score.
    pub calibrated: Calibrated,
    /// The calibration class used.
    pub class: String,
    /// Every reason that was known, the model's notes among them.
    pub noted: Reasons,
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

/// Outcomes for members of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settlement {
    /// By row id; a session outside the batch makes the store refuse the whole settlement.
    pub outcomes: Vec<(Seq, MemberOutcome)>,
    /// Ends the batch.
    pub end: Option<BatchEnd>,
    /// The sessions that scored members are like, kept with their results.
    pub matches: Vec<Matches>,
    /// Scored members that are still to be compared with others; remembered until [`super::Store::compared`] says that
    /// they were.
    pub uncompared: Vec<Seq>,
}

/// A sketch to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSketch {
    /// Row id of the session.
    pub seq: Seq,
    /// The sketch.
    pub sketch: Sketch,
}

/// The sessions that a session is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    /// Row id of the session.
    pub seq: Seq,
    /// Other sessions with its movement or a part of it, the most alike first.
    pub others: Vec<Seq>,
}

/// A kept sketch.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Row id of its session.
    pub seq: Seq,
    /// Whose session it is; `None` where a page alone says so.
    pub user_id: Option<String>,
    /// Whether it came by a submit key alone.
    pub is_of_page: bool,
    /// Whether its own result names [`NAMED`](crate::domain::evidence::NAMED) others: it is one more copy of them, and
    /// they stand for it.
    pub is_copy: bool,
    /// The sketch.
    pub sketch: Sketch,
}

/// A place in the order in which kept sketches became visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SketchCursor {
    /// The transaction that kept the last one, where the store counts transactions.
    pub transaction: u64,
    /// The session of the last one.
    pub seq: i64,
}

/// Sessions whose sketches became visible, and where to go on. After the last page sketches that were seen may come again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SketchPage {
    /// Row ids of the sessions.
    pub seqs: Vec<Seq>,
    /// Where the next page begins.
    pub next: SketchCursor,
    /// Whether there are more now.
    pub more: bool,
}

/// A session whose verdict stands and that is still to be compared with others.
#[derive(Clone, Debug, PartialEq)]
pub struct Uncompared {
    /// Its decision and what that follows from.
    pub standing: super::decisions::DecidedResult,
    /// Whose session it is.
    pub user_id: Option<String>,
    /// Its compact record; `None` where it is gone.
    pub record: Option<Vec<u8>>,
    /// Whether its sketch alone is missing: it was compared by an earlier version.
    pub only_sketch: bool,
}

/// What comparing a settled session found.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The session.
    pub seq: Seq,
    /// Other sessions with its movement, the most alike first.
    pub matches: Vec<Seq>,
    /// What its decision follows from now, and the new one; `None` where nothing was found.
    pub found: Option<(crate::domain::result::DecisionInputs, crate::domain::result::Decided)>,
}

/// How much is still to be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComparisonBacklog {
    /// Sessions.
    pub sessions: u64,
    /// When the one that waits longest got its verdict.
    pub oldest: Option<Timestamp>,
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
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

/// Everything the store knows of one session but its telemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// Row id.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Claimed game.
    pub game_type: String,
    /// Claimed device.
    pub device_type: String,
    /// Feature set v1.
    pub features: v1::Features,
    /// The reasons as [`Member::reasons`]; of a session that was scored at once, those of its first verdict.
    pub reasons: Reasons,
    /// Its place in the state machine.
    pub entry: Entry,
    /// What was answered at once.
    pub first: FirstVerdict,
    /// Its result, when processed.
    pub result: Option<StoredResult>,
    /// The last error, when there was one.
    pub last_error: Option<String>,
    /// Sessions with the same movement that its result names, the closest first; without those that are gone.
    pub matches: Vec<SessionId>,
    /// The campaign that it is in, once that has members enough to be one.
    pub campaign: Option<CampaignId>,
}

/// A result as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResult {
    /// The verdict.
    pub verdict: Verdict,
    /// The batch; `None` for a session scored at once.
    pub batch: Option<BatchId>,
    /// When.
    pub scored_at: Timestamp,
    /// Attempts made, the one that scored included.
    pub attempts: u32,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// The session.
    Found(Box<StoredSession>),
    /// It was erased.
    Erased,
    /// Never seen, or pruned.
    Unknown,
}

/// Which results to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultQuery {
    /// Only this decision.
    pub decision: Option<Decision>,
    /// Only this source.
    pub source: Option<Source>,
    /// Only results at or after.
    pub since: Option<Timestamp>,
    /// Only results before.
    pub until: Option<Timestamp>,
    /// Only this deployment.
    pub deployment: Option<String>,
    /// Only results with this reason.
    pub reason: Option<Reason>,
    /// Only sessions that claim this device.
    pub device: Option<String>,
    /// Only members of this campaign.
    pub campaign: Option<CampaignId>,
    /// Continue after this place.
    pub after: Option<Cursor>,
    /// Most rows.
    pub limit: u32,
    /// Most rows looked at where a filter has no index of its own; a page may then hold fewer than `limit`, or none, and
    /// still have a next one. `None`: looks through all.
    pub window: Option<u32>,
}

impl ResultQuery {
    /// Whether rows that an index finds are looked at and left out: one filter, decision or deployment, has an index.
    pub(super) fn leaves_out(&self) -> bool {
        let deployment = self.deployment.as_ref();
        let two = deployment.is_some() && self.decision.is_some();
        let unnamed = deployment.is_some_and(String::is_empty);
        two || unnamed
            || self.source.is_some()
            || self.reason.is_some()
            || self.device.is_some()
            || self.campaign.is_some()
    }

    /// The page of what was found with one row more than `limit`. `border` is the last row that was looked at, where
    /// there are more behind it.
    pub(super) fn page(&self, mut found: Vec<(i64, ResultRow)>, border: Option<Cursor>) -> Page<ResultRow> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|(row, found)| Cursor { scored_at: found.result.scored_at, row: *row });
        Page { next: last.filter(|_| more).or(border), rows: found.into_iter().map(|(_, row)| row).collect() }
    }
}

/// A place in a list of results: the time and row of the last one seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Time of that result.
    pub scored_at: Timestamp,
    /// Its row.
    pub row: i64,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// A result in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Claimed device.
    pub device_type: String,
    /// The result.
    pub result: StoredResult,
}

/// A failed session in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadRow {
    /// Row id, also the place in the list.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its place in the state machine.
    pub entry: Entry,
    /// Why it failed.
    pub error: Option<String>,
}

/// A batch as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRow {
    /// Its number.
    pub id: BatchId,
    /// Why it ran.
    pub trigger: Trigger,
    /// Sessions claimed.
    pub size: u32,
    /// The node that ran it.
    pub owner: String,
    /// The source asked.
    pub source: Source,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended; `None` while it runs.
    pub end: Option<BatchEnd>,
}

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
