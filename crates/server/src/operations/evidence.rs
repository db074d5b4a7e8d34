//! Evidence of a verdict: what the store keeps of it becomes a signed statement, for disputes and for regulators.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::Operations;
use crate::detector::embedded::Model;
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::heuristic::{self, Heuristic};
use crate::domain::hex;
use crate::domain::id::SessionKey;
use crate::domain::reason::Reason;
use crate::domain::record::{self, DamagedRecord};
use crate::domain::result::Source;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::evidence_bundle::statement::{
    FORMAT, FORMAT_VERSION, FeaturePart, LabelPart, RecordPart, RevisionPart, RulePart, SessionPart, Statement,
    VerdictPart, codes,
};
use crate::evidence_bundle::{PublicKey, SignedEvidence};
use crate::store::decisions::Revised;
use crate::store::evidence::KeptEvidence;
use crate::store::labels::Label;
use crate::store::{Lookup, StoreResult, StoredResult};

/// What there is to show of a session.
#[derive(Debug)]
pub enum Found {
    /// Everything that is needed.
    Kept(Box<Kept>),
    /// There is no result yet.
    Undecided,
    /// Its telemetry is gone, and nothing can be computed without it.
    TelemetryGone,
    /// It was erased.
    Erased,
    /// There is none.
    Unknown,
}

/// What the store keeps of a session that has a result and a record.
#[derive(Debug)]
pub struct Kept {
    evidence: KeptEvidence,
    result: StoredResult,
    record: Vec<u8>,
    user: Option<String>,
    issued_at: Timestamp,
}

impl Operations {
    /// What others check evidence with.
    #[must_use]
    pub fn evidence_key(&self) -> PublicKey {
        self.evidence_key.public()
    }

    /// Everything that is kept of a session, as it is at one moment.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn kept_evidence(&self, key: SessionKey) -> StoreResult<Found> {
        let seq = match self.find(key).await?.1 {
            Lookup::Found(session) => session.seq,
            Lookup::Erased => return Ok(Found::Erased),
            Lookup::Unknown => return Ok(Found::Unknown),
        };
        let Some(mut evidence) = self.store.evidence(seq).await? else { return Ok(Found::Erased) };
        let Some(result) = evidence.session.session.result.clone() else { return Ok(Found::Undecided) };
        let Some(record) = evidence.session.record.take() else { return Ok(Found::TelemetryGone) };
        let user = evidence.session.user_id.as_deref().map(|user| self.store.user_pseudonym(user));
        let issued_at = self.clock.now().wall;
        Ok(Found::Kept(Box::new(Kept { evidence, result, record, user, issued_at })))
    }

    /// The signed evidence of a session. `model` is asked for no score, only for the features that it wants.
    ///
    /// # Errors
    /// When the record is damaged.
    pub fn sign_evidence(&self, kept: Kept, model: &Model) -> Result<SignedEvidence, DamagedRecord> {
        let text = state(kept, model.feature_set())?.text().map_err(|_| DamagedRecord)?;
        Ok(self.evidence_key.sign(text))
    }
}

fn state(kept: Kept, of_model: FeatureSet) -> Result<Statement, DamagedRecord> {
    let Kept { evidence, result, record, user, issued_at } = kept;
    let KeptEvidence { session: whole, matches } = evidence;
    let session = record::decode(&record)?;
    let set = if result.verdict.source == Source::Embedded { of_model } else { FeatureSet::V1 };
    let mut extractor = Extractor::default();
    let mut values = Vec::new();
    extractor.extract(set, &session, &mut values);
    let found = whole.session;
    Ok(Statement {
        format: FORMAT.to_owned(),
        format_version: FORMAT_VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        issued_at: iso(issued_at),
        session: SessionPart {
            id: found.key.id.as_str().to_owned(),
            deployment: found.key.deployment,
            from_page: found.key.id.is_of_page(),
            user,
            game_type: found.game_type,
            device_type: found.device_type,
            accepted_at: iso(found.first.scored_at),
        },
        record: RecordPart {
            base64: STANDARD.encode(&record),
            sha256: hex::encode(&Sha256::digest(&record)),
            digest: hex::encode(&whole.digest.0),
        },
        features: FeaturePart { set: set.name().to_owned(), values },
        rules: rules(&session, &result, &mut extractor),
        verdict: verdict(&result),
        revisions: whole.revisions.into_iter().map(|(_, revised)| revision(revised)).collect(),
        label: whole.label.map(label),
        matches: matches.iter().map(|digest| hex::encode(&digest.0)).collect(),
    })
}

fn rules(session: &Session, result: &StoredResult, extractor: &mut Extractor) -> RulePart {
    let heuristic = Heuristic::judge(&extractor.v1(session));
    let known = result.verdict.basis.map(|basis| basis.known_reasons).unwrap_or_default();
    RulePart {
        score: heuristic.boosted(),
        reasons: codes(heuristic.reasons.union(heuristic::reservations(session))),
        ruling: known.iter().find(|reason| reason.forces().is_some()).map(Reason::code).map(str::to_owned),
    }
}

fn verdict(result: &StoredResult) -> VerdictPart {
    let StoredResult { verdict, batch, scored_at, attempts, scored, compared_under } = result;
    let standing = crate::domain::result::Decided {
        decision: verdict.decision,
        confidence: verdict.confidence,
        reasons: verdict.reasons,
    };
    VerdictPart {
        source: verdict.source.name().to_owned(),
        model_id: verdict.model.id.clone(),
        model_version: verdict.model.version.clone(),
        score_kind: verdict.kind.name().to_owned(),
        anomaly_score: verdict.anomaly_score,
        raw_score: verdict.raw_score,
        extrapolated: verdict.extrapolated,
        class: verdict.class.clone(),
        fallback: verdict.fallback,
        batch_id: batch.map(|batch| batch.0),
        scored_at: iso(*scored_at),
        attempts: *attempts,
        as_scored: scored.as_ref().map(Into::into),
        compared_under: compared_under.as_ref().map(Into::into),
        basis: verdict.basis.as_ref().map(Into::into),
        standing: (&standing).into(),
    }
}

fn revision(revised: Revised) -> RevisionPart {
    let Revised { at, cause, earlier, later, detail } = revised;
    RevisionPart {
        at: iso(at),
        cause: cause.name().to_owned(),
        from: earlier.name().to_owned(),
        to: later.name().to_owned(),
        detail: serde_json::from_str(&detail).unwrap_or_default(),
    }
}

fn label(label: Label) -> LabelPart {
    let Label { truth, note, actor, at, campaign: _ } = label;
    LabelPart { label: truth.name().to_owned(), note, actor, at: iso(at) }
}

/// ISO 8601 in UTC with milliseconds; times outside its years are clamped.
fn iso(at: Timestamp) -> String {
    const PRINTER: jiff::fmt::temporal::DateTimePrinter =
        jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3));
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    PRINTER.timestamp_to_string(&jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest))
}
