//! Sessions: on their way into a store, in it, and what is said of them.

use crate::campaigns::CampaignId;
use crate::challenges::UsedChallenge;
use playproof_domain::calibration::Calibrated;
use playproof_domain::features::v1;
use playproof_domain::id::BatchId;
use playproof_domain::id::Seq;
use playproof_domain::id::SessionId;
use playproof_domain::id::SessionKey;
use playproof_domain::queue::Entry;
use playproof_domain::reason::Reasons;
use playproof_domain::record::SessionDigest;
use playproof_domain::result::AsScored;
use playproof_domain::result::ModelIdentity;
use playproof_domain::result::Thresholds;
use playproof_domain::result::Verdict;
use playproof_domain::time::Timestamp;

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
    pub known_reasons: Reasons,
}

/// Everything the store knows of one session but its telemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// Row id.
    pub seq: Seq,
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Whose session it is.
    pub user_id: Option<String>,
    /// Claimed game.
    pub game_type: String,
    /// Claimed device.
    pub device_type: String,
    /// Feature set v1.
    pub features: v1::Features,
    /// The reasons as [`super::Member::reasons`]; of a session that was scored at once, those of its first verdict.
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
    /// What it was when the session was scored; `None` in results of versions that did not keep it.
    pub scored: Option<AsScored>,
    /// The thresholds that held when the session was found to be like others after its verdict.
    pub compared_under: Option<Thresholds>,
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
