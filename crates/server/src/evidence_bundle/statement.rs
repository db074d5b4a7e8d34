//! What evidence states, and its one form as text.
//!
//! Every number of a feature, score or threshold is written so that it reads as the very same bits again.

use serde::{Deserialize, Serialize};

use crate::domain::reason::{Reason, Reasons};
use crate::domain::result::{AsScored, Decided, Decision, DecisionInputs, NoPointer, ScoreKind, Source, Thresholds};

/// `format` of every document.
pub const FORMAT: &str = "playproof-evidence";
/// `formatVersion` that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

macro_rules! stated {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$of:meta])+ $field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name { $($(#[$of])+ pub $field: $type,)+ }
    )+};
}

stated! {
    /// All that is stated of one verdict.
    Statement {
        /// [`FORMAT`].
        format: String,
        /// [`FORMAT_VERSION`].
        format_version: u32,
        /// The version of the program that issued it.
        program: String,
        /// When it was issued, ISO 8601.
        issued_at: String,
        /// Which session.
        session: SessionPart,
        /// What was recorded of it.
        record: RecordPart,
        /// The numbers that its detector sees.
        features: FeaturePart,
        /// What the fixed rules say of it.
        rules: RulePart,
        /// Its verdict.
        verdict: VerdictPart,
        /// How the decision changed, the first change first.
        revisions: Vec<RevisionPart>,
        /// What somebody said of it.
        label: Option<LabelPart>,
        /// Digests of the records of sessions with its movement, the closest first.
        matches: Vec<String>,
    }
    /// A session.
    SessionPart {
        /// Its identifier.
        id: String,
        /// Its deployment, empty when none.
        deployment: String,
        /// Whether it came by a submit key alone.
        from_page: bool,
        /// A keyed hash of its user, as overrides and the audit log name it.
        user: Option<String>,
        /// What the client claims.
        game_type: String,
        /// What the client claims.
        device_type: String,
        /// When it was accepted, ISO 8601.
        accepted_at: String,
    }
    /// A compact record.
    RecordPart {
        /// The bytes, base64.
        base64: String,
        /// SHA-256 of the bytes, hexadecimal.
        sha256: String,
        /// The digest under which the store knows the content: the first half.
        digest: String,
    }
    /// Features.
    FeaturePart {
        /// Their set.
        set: String,
        /// Their values in the order of the set's columns.
        values: Vec<f64>,
    }
    /// What the fixed rules say.
    RulePart {
        /// Their score.
        score: f64,
        /// Rules that hold, and what keeps the session from passing.
        reasons: Vec<String>,
        /// An override or test key that decides.
        ruling: Option<String>,
    }
    /// Thresholds.
    ThresholdPart {
        /// Up to this a score passes.
        pass: f64,
        /// Up to this it is reviewed.
        review: f64,
        /// What becomes of a session without movement.
        no_pointer: String,
    }
    /// What a decision follows from beside thresholds.
    BasisPart {
        /// What is compared with the thresholds.
        supported_score: Option<f64>,
        /// Every reason that was known.
        known_reasons: Vec<String>,
        /// Whether the movement is surely that of another session.
        surely_replayed: bool,
    }
    /// A decision.
    DecisionPart {
        /// pass, review or fail.
        decision: String,
        /// 0.5 to 1.
        confidence: f64,
        /// Why.
        reasons: Vec<String>,
    }
    /// A decision with all that it followed from.
    ScoredPart {
        /// The thresholds that held.
        thresholds: ThresholdPart,
        /// What else it followed from.
        basis: BasisPart,
        /// What was decided.
        decided: DecisionPart,
    }
    /// A verdict.
    VerdictPart {
        /// Who scored.
        source: String,
        /// Stable name of the model.
        model_id: String,
        /// Its version.
        model_version: String,
        /// What the score is.
        score_kind: String,
        /// The score as answered.
        anomaly_score: Option<f64>,
        /// Uncalibrated.
        raw_score: Option<f64>,
        /// Whether it lies beyond what the calibration resolves.
        extrapolated: bool,
        /// The calibration class.
        class: String,
        /// Whether the local detector stood in for a remote one.
        fallback: bool,
        /// The batch; `null` for a session scored at once.
        batch_id: Option<i64>,
        /// When it was scored, ISO 8601.
        scored_at: String,
        /// Attempts made.
        attempts: u32,
        /// The decision as it was then; `null` in results of versions that did not keep it.
        as_scored: Option<ScoredPart>,
        /// The thresholds that held when it was found to be like others after its verdict.
        compared_under: Option<ThresholdPart>,
        /// What the decision follows from now.
        basis: Option<BasisPart>,
        /// The decision as it stands.
        standing: DecisionPart,
    }
    /// A change of the decision.
    RevisionPart {
        /// When, ISO 8601.
        at: String,
        /// thresholds, model, label, override or replay.
        cause: String,
        /// The decision before.
        from: String,
        /// The decision after.
        to: String,
        /// More about the cause.
        detail: serde_json::Value,
    }
    /// What somebody said.
    LabelPart {
        /// human or bot.
        label: String,
        /// In their words.
        note: String,
        /// Digest of their key.
        actor: String,
        /// When, ISO 8601.
        at: String,
    }
}

/// The codes of reasons in their order.
#[must_use]
pub fn codes(reasons: Reasons) -> Vec<String> {
    reasons.iter().map(|reason| reason.code().to_owned()).collect()
}

/// The reasons of such codes; `None` where one is unknown, or they are in another order.
#[must_use]
pub fn reasons(stated: &[String]) -> Option<Reasons> {
    let reasons: Reasons = stated.iter().map(|code| Reason::parse(code)).collect::<Option<_>>()?;
    (codes(reasons) == stated).then_some(reasons)
}

/// The kind of score called `name`.
#[must_use]
pub fn score_kind(name: &str) -> Option<ScoreKind> {
    ScoreKind::ALL.into_iter().find(|kind| kind.name() == name)
}

impl Statement {
    /// Its one form as text.
    ///
    /// # Errors
    /// None that can happen: every part is text, a number or a list of them.
    pub fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl From<&Thresholds> for ThresholdPart {
    fn from(thresholds: &Thresholds) -> Self {
        let Thresholds { pass, review, no_pointer } = *thresholds;
        Self { pass, review, no_pointer: no_pointer.decision().name().to_owned() }
    }
}

impl ThresholdPart {
    /// What they are; `None` where a word is unknown.
    #[must_use]
    pub fn read(&self) -> Option<Thresholds> {
        let no_pointer = NoPointer::parse(&self.no_pointer)?;
        Some(Thresholds { pass: self.pass, review: self.review, no_pointer })
    }
}

impl From<&DecisionInputs> for BasisPart {
    fn from(basis: &DecisionInputs) -> Self {
        let DecisionInputs { supported_score, known_reasons, surely_replayed } = *basis;
        Self { supported_score, known_reasons: codes(known_reasons), surely_replayed }
    }
}

impl BasisPart {
    /// What it is; `None` where a reason is unknown.
    #[must_use]
    pub fn read(&self) -> Option<DecisionInputs> {
        let known_reasons = reasons(&self.known_reasons)?;
        let Self { supported_score, surely_replayed, .. } = *self;
        Some(DecisionInputs { supported_score, known_reasons, surely_replayed })
    }
}

impl From<&Decided> for DecisionPart {
    fn from(decided: &Decided) -> Self {
        let Decided { decision, confidence, reasons } = *decided;
        Self { decision: decision.name().to_owned(), confidence, reasons: codes(reasons) }
    }
}

impl DecisionPart {
    /// What it is; `None` where a word is unknown.
    #[must_use]
    pub fn read(&self) -> Option<Decided> {
        let decision = Decision::parse(&self.decision)?;
        Some(Decided { decision, confidence: self.confidence, reasons: reasons(&self.reasons)? })
    }
}

impl From<&AsScored> for ScoredPart {
    fn from(scored: &AsScored) -> Self {
        let AsScored { thresholds, basis, decided } = scored;
        Self { thresholds: thresholds.into(), basis: basis.into(), decided: decided.into() }
    }
}

impl ScoredPart {
    /// What it is; `None` where a word is unknown.
    #[must_use]
    pub fn read(&self) -> Option<AsScored> {
        let Self { thresholds, basis, decided } = self;
        Some(AsScored { thresholds: thresholds.read()?, basis: basis.read()?, decided: decided.read()? })
    }
}

/// A verdict's words as the values that they name.
pub(super) struct VerdictWords {
    pub(super) source: Source,
    pub(super) kind: ScoreKind,
    pub(super) as_scored: Option<AsScored>,
    pub(super) compared_under: Option<Thresholds>,
    pub(super) basis: Option<DecisionInputs>,
    pub(super) standing: Decided,
}

impl VerdictPart {
    /// What its words name; `None` where one is unknown.
    pub(super) fn read(&self) -> Option<VerdictWords> {
        Some(VerdictWords {
            source: Source::parse(&self.source)?,
            kind: score_kind(&self.score_kind)?,
            as_scored: self.as_scored.as_ref().map(|part| part.read().ok_or(())).transpose().ok()?,
            compared_under: self.compared_under.as_ref().map(|part| part.read().ok_or(())).transpose().ok()?,
            basis: self.basis.as_ref().map(|part| part.read().ok_or(())).transpose().ok()?,
            standing: self.standing.read()?,
        })
    }
}
