//! Decides a verdict anew from the record that evidence holds, and says what of the evidence does not follow from it.
//!
//! What a remote service scored cannot be scored here: its answer is taken as stated, and everything that follows from it is
//! computed. Which sessions have the same movement, what people ruled, and times are stated alone, too; only the signature
//! stands for them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::comparison::Findings;
pub use super::comparison::{Extent, Finding, Part};
use super::revisions;
use super::signature::{PublicKey, SignedEvidence, Unsigned};
use super::statement::{FORMAT, FORMAT_VERSION, Statement, VerdictWords, codes, reasons};
use crate::detector::embedded::file::ModelError;
use crate::detector::embedded::{MODEL_ID, Model};
use crate::domain::calibration::{Calibrated, MAX_SCORE};
use crate::domain::evidence::{NAMED, by_others};
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::heuristic::{self, Heuristic};
use crate::domain::hex;
use crate::domain::reason::{Reason, Reasons};
use crate::domain::record::{self, SessionDigest};
use crate::domain::result::{DecisionInputs, ScoreKind, Source};
use crate::domain::session::Session;

/// The models at hand, by their versions.
#[derive(Debug)]
pub struct Models(BTreeMap<String, Model>);

impl Models {
    /// The bundled model and others.
    ///
    /// # Errors
    /// When the program was built with a damaged model.
    pub fn with_bundled(others: impl IntoIterator<Item = Model>) -> Result<Self, ModelError> {
        let all = others.into_iter().chain([Model::bundled()?]);
        Ok(Self(all.map(|model| (model.identity().version, model)).collect()))
    }
}

/// What became of checking one document.
#[derive(Debug)]
pub struct Verification {
    /// What does not hold; empty where everything does.
    pub findings: Vec<Finding>,
    /// Who signed it; `None` where nobody did.
    pub signer: Option<PublicKey>,
    /// The statement, where it could be read.
    pub statement: Option<Box<Statement>>,
    /// How far the score was computed.
    pub score: Extent,
    /// How far the decision, as scored, was computed.
    pub decision: Extent,
    /// How far the decision, as it stands, was computed.
    pub standing: Extent,
}

impl Verification {
    /// Whether everything that was checked holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks a document: its signature, against a `pinned` key where there is one, and all that follows from its record.
#[must_use]
pub fn verify(text: &str, pinned: Option<&PublicKey>, models: &Models) -> Verification {
    let mut checked = Verification {
        findings: Vec::new(),
        signer: None,
        statement: None,
        score: Extent::NotRecomputable,
        decision: Extent::NotRecomputable,
        standing: Extent::NotRecomputable,
    };
    let mut findings = Findings::default();
    match serde_json::from_str::<SignedEvidence>(text) {
        Ok(signed) => open(&signed, pinned, models, &mut checked, &mut findings),
        Err(error) => findings.add(Part::Form, format!("this is no evidence: {error}")),
    }
    checked.findings = findings.0;
    checked
}

fn open(
    signed: &SignedEvidence,
    pinned: Option<&PublicKey>,
    models: &Models,
    checked: &mut Verification,
    findings: &mut Findings,
) {
    match signed.signer() {
        Ok(signer) => {
            let is_expected = pinned.is_none_or(|pinned| *pinned == signer);
            let message = || format!("it is signed with the key {signer}, not with the one that was named");
            findings.holds(is_expected, Part::Signature, message());
            checked.signer = Some(signer);
        }
        Err(unsigned @ (Unsigned::Malformed | Unsigned::Invalid)) => {
            findings.add(Part::Signature, unsigned.to_string());
        }
    }
    let known = signed.format == FORMAT && signed.format_version == FORMAT_VERSION;
    if !known {
        let message = format!("it has the format {} {}, this program reads", signed.format, signed.format_version);
        return findings.add(Part::Form, format!("{message} {FORMAT} {FORMAT_VERSION}"));
    }
    let statement: Statement = match serde_json::from_str(&signed.payload) {
        Ok(statement) => statement,
        Err(error) => return findings.add(Part::Form, format!("the payload is no statement: {error}")),
    };
    // A member that stands twice, or is spelt in another way, would be read differently elsewhere.
    let is_plain = statement.text().is_ok_and(|text| text == signed.payload);
    findings.holds(is_plain, Part::Form, "the payload is not in its one form");
    let states = statement.format == FORMAT && statement.format_version == FORMAT_VERSION;
    findings.holds(states, Part::Form, "the payload names another format than the document");
    recompute(&statement, models, checked, findings);
    checked.statement = Some(Box::new(statement));
}

fn recompute(statement: &Statement, models: &Models, checked: &mut Verification, findings: &mut Findings) {
    let Some(words) = statement.verdict.read() else {
        return findings.add(Part::Form, "the verdict has a word that is unknown, or reasons in another order");
    };
    (checked.decision, checked.standing) = revisions::check(statement, &words, findings);
    matches(statement, &words, findings);
    let Some(session) = recorded(statement, findings) else { return };
    let mut extractor = Extractor::default();
    let row = features(statement, &words, &session, &mut extractor, findings);
    let v1 = extractor.v1(&session);
    let rules = Heuristic::judge(&v1);
    let held = rules.reasons.union(heuristic::reservations(&session));
    findings.same_bits(Part::Rules, "the rules' score", statement.rules.score, rules.boosted());
    findings.same(Part::Rules, "what holds", &statement.rules.reasons, &codes(held));
    let Some(ruling) = ruling(statement, findings) else { return };
    let known = held.union(ruling);
    let (score, expected) = match words.source {
        Source::Heuristic => (by_rules(statement, &words, &rules, &session, findings), Some(known)),
        Source::Embedded => {
            let (extent, notes) = by_model(statement, &words, models, row.as_deref(), findings);
            (extent, notes.map(|notes| heuristic::reasons_with_notes(known, v1.total_moves).union(notes)))
        }
        Source::Woodwide => {
            let flag = remote(statement, &words, findings);
            (Extent::AsStated, Some(heuristic::reasons_with_notes(known, v1.total_moves).union(flag)))
        }
    };
    checked.score = score;
    if let Some(expected) = expected {
        for (what, basis) in bases(&words) {
            basis_follows(what, &basis, expected, findings);
        }
    }
}

/// The decision inputs that are stated, as scored and as they stand.
fn bases(words: &VerdictWords) -> impl Iterator<Item = (&'static str, DecisionInputs)> {
    let scored = words.as_scored.map(|scored| ("what the decision followed from", scored.basis));
    scored.into_iter().chain(words.basis.map(|basis| ("what the decision follows from", basis)))
}

/// The session in the record, where that is what it is said to be.
fn recorded(statement: &Statement, findings: &mut Findings) -> Option<Session> {
    let part = &statement.record;
    let Some(bytes) = STANDARD.decode(&part.base64).ok() else {
        findings.add(Part::Record, "the record is not base64");
        return None;
    };
    findings.same(Part::Record, "its SHA-256", &part.sha256, &hex::encode(&Sha256::digest(&bytes)));
    findings.same(Part::Record, "its digest", &part.digest, &hex::encode(&SessionDigest::of(&bytes).0));
    let Ok(session) = record::decode(&bytes) else {
        findings.add(Part::Record, "the record is damaged or of a later format");
        return None;
    };
    if !record::is_within_bounds(&session) {
        findings.add(Part::Record, "the record holds what no session may");
        return None;
    }
    let stated = &statement.session;
    findings.same(Part::Session, "the game", &stated.game_type, &session.game_type);
    findings.same(Part::Session, "the device", &stated.device_type, &session.device_type);
    findings.same(Part::Session, "whether there is a user", &stated.user.is_some(), &session.user_id.is_some());
    Some(session)
}

/// The features, where their set is known.
fn features(
    statement: &Statement,
    words: &VerdictWords,
    session: &Session,
    extractor: &mut Extractor,
    findings: &mut Findings,
) -> Option<Vec<f64>> {
    let stated = &statement.features;
    let Some(set) = FeatureSet::parse(&stated.set) else {
        findings.add(Part::Features, format!("this program does not know the feature set {}", stated.set));
        return None;
    };
    if words.source != Source::Embedded {
        findings.same(Part::Features, "the set", &set, &FeatureSet::V1);
    }
    let mut row = Vec::new();
    extractor.extract(set, session, &mut row);
    findings.same(Part::Features, "how many there are", &stated.values.len(), &row.len());
    for ((column, stated), computed) in set.columns().iter().zip(&stated.values).zip(&row) {
        findings.same_bits(Part::Features, column, *stated, *computed);
    }
    Some(row)
}

/// The override or test key that decides.
fn ruling(statement: &Statement, findings: &mut Findings) -> Option<Reasons> {
    let stated: Vec<String> = statement.rules.ruling.iter().cloned().collect();
    let ruling = reasons(&stated).filter(|ruling| ruling.iter().all(|reason| reason.forces().is_some()));
    findings.holds(ruling.is_some(), Part::Rules, "the ruling is none that decides");
    ruling
}

/// A score of the fixed rules; they score where there is nothing for a model.
fn by_rules(
    statement: &Statement,
    words: &VerdictWords,
    rules: &Heuristic,
    session: &Session,
    findings: &mut Findings,
) -> Extent {
    let verdict = &statement.verdict;
    findings.same(Part::Model, "the model", &verdict.model_id.as_str(), &heuristic::MODEL_ID);
    findings.same(Part::Model, "its version", &verdict.model_version.as_str(), &heuristic::MODEL_VERSION);
    let score = (!session.movements.is_empty()).then(|| rules.boosted());
    findings.same(Part::Score, "what the score is", &words.kind, &ScoreKind::Heuristic);
    findings.same_bits(Part::Score, "the score", verdict.anomaly_score, score);
    plain(statement, findings);
    supported(words, score, findings);
    Extent::Recomputed
}

/// A verdict without a calibrated score has nothing that goes with one.
fn plain(statement: &Statement, findings: &mut Findings) {
    let verdict = &statement.verdict;
    findings.same_bits(Part::Score, "the raw score", verdict.raw_score, None);
    findings.same(Part::Score, "whether it is extrapolated", &verdict.extrapolated, &false);
    findings.same(Part::Score, "the calibration class", &verdict.class.as_str(), &"");
}

fn supported(words: &VerdictWords, score: Option<f64>, findings: &mut Findings) {
    for (what, basis) in bases(words) {
        findings.same_bits(Part::Score, format_args!("the score in {what}"), basis.supported_score, score);
    }
}

/// A score of an embedded model, and what the model notes.
fn by_model(
    statement: &Statement,
    words: &VerdictWords,
    models: &Models,
    row: Option<&[f64]>,
    findings: &mut Findings,
) -> (Extent, Option<Reasons>) {
    let verdict = &statement.verdict;
    findings.same(Part::Model, "the model", &verdict.model_id.as_str(), &MODEL_ID);
    let Some(model) = models.0.get(&verdict.model_version) else {
        let message = format!("the model version {} is not at hand; name its file with --model", verdict.model_version);
        findings.add(Part::Model, message);
        return (Extent::NotRecomputable, None);
    };
    let set = model.feature_set();
    findings.same(Part::Features, "the set", &statement.features.set.as_str(), &set.name());
    let Some(row) = row.filter(|row| row.len() == set.columns().len()) else {
        return (Extent::NotRecomputable, None);
    };
    let assessed = model.assess(row);
    let Calibrated { score, supported_score, extrapolated, .. } = assessed.calibrated;
    findings.same(Part::Score, "what the score is", &words.kind, &ScoreKind::Calibrated);
    findings.same_bits(Part::Score, "the score", verdict.anomaly_score, score);
    findings.same_bits(Part::Score, "the raw score", verdict.raw_score, assessed.raw);
    findings.same(Part::Score, "whether it is extrapolated", &verdict.extrapolated, &extrapolated);
    findings.same(Part::Score, "the calibration class", &verdict.class.as_str(), &assessed.class);
    supported(words, Some(supported_score), findings);
    (Extent::Recomputed, Some(assessed.notes))
}

/// What a remote service said: that it is possible, and whether it flagged.
fn remote(statement: &Statement, words: &VerdictWords, findings: &mut Findings) -> Reasons {
    let verdict = &statement.verdict;
    findings.holds(!verdict.fallback, Part::Score, "a stand-in is said to be remote");
    if words.kind == ScoreKind::Flag {
        findings.same_bits(Part::Score, "the score", verdict.anomaly_score, None);
        plain(statement, findings);
        supported(words, None, findings);
        let flagged = bases(words).next().is_some_and(|(_, basis)| basis.known_reasons.contains(Reason::Flagged));
        return flagged.then_some(Reason::Flagged).into_iter().collect();
    }
    findings.same(Part::Score, "what the score is", &words.kind, &ScoreKind::Calibrated);
    let on_scale = |score: Option<f64>| score.is_some_and(|score| (0.0..=MAX_SCORE).contains(&score));
    findings.holds(on_scale(verdict.anomaly_score), Part::Score, "the score is on no scale");
    findings.holds(verdict.raw_score.is_some(), Part::Score, "there is no raw score");
    for (what, basis) in bases(words) {
        let (supported, score) = (basis.supported_score, verdict.anomaly_score);
        let fits = on_scale(supported) && if verdict.extrapolated { supported <= score } else { supported == score };
        findings.holds(fits, Part::Score, format!("the score in {what} is not that of the verdict"));
    }
    Reasons::default()
}

/// Whether what is known is what follows from the record, with what likeness to others may add.
fn basis_follows(what: &str, basis: &DecisionInputs, expected: Reasons, findings: &mut Findings) {
    let others = by_others(basis.known_reasons);
    findings.same(Part::Basis, what, &codes(basis.known_reasons), &codes(expected.union(others)));
    let replayed = others.contains(Reason::ReplayedMovement);
    let fits = replayed || (!basis.surely_replayed && others.is_empty());
    findings.holds(fits, Part::Basis, format!("{what} says that others are alike, and not that it is a replay"));
}

/// Whether the sessions that are named are as many as the reasons say.
fn matches(statement: &Statement, words: &VerdictWords, findings: &mut Findings) {
    let named = statement.matches.len();
    findings.holds(named <= NAMED, Part::Matches, format!("{named} are named, {NAMED} are the most"));
    let is_digest = |text: &String| hex::decode(text).is_some_and(|bytes| bytes.len() == 16);
    findings.holds(statement.matches.iter().all(is_digest), Part::Matches, "one is no digest");
    let Some(basis) = words.basis else { return };
    for (least, reason) in [(1, Reason::ReplayedMovement), (2, Reason::Campaign)] {
        let says = basis.known_reasons.contains(reason);
        findings.holds(named < least || says, Part::Matches, format!("{named} are named without {}", reason.code()));
    }
}
