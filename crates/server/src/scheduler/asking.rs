//! Asking a detector about the members of a batch: the rows it wants to see, its answer paired by id, and what an
//! outcome means for a session. The same for the detector, its shadow and its fallback.

use std::time::{Duration, Instant};

use crate::detector::{Answer, Detector, DetectorError, Outcome, Row};
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::heuristic;
use crate::domain::id::Seq;
use crate::domain::pairing::{PairingError, pair};
use crate::domain::record;
use crate::domain::result::{ModelIdentity, Source, Thresholds, Verdict};
use crate::metrics::{CallOutcome, Metrics};
use crate::store::{Member, Store, StoreError, StoreResult};

/// Why a call brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The detector said so.
    #[error(transparent)]
    Detector(DetectorError),
    /// The answer does not belong to the question, or says nothing: nothing of it is believed.
    #[error("the detector's answer does not fit: {0}")]
    Mismatch(String),
}

impl CallError {
    /// What the call counts as.
    pub(super) fn outcome(&self) -> CallOutcome {
        match self {
            Self::Detector(DetectorError::Transient { .. }) => CallOutcome::Transient,
            Self::Detector(DetectorError::Permanent { .. }) => CallOutcome::Permanent,
            Self::Detector(DetectorError::Unavailable { .. }) => CallOutcome::Unavailable,
            Self::Detector(DetectorError::Unusable { .. }) | Self::Mismatch(_) => CallOutcome::Mismatch,
        }
    }
}

/// Outcomes in the order of the rows asked about, and the model that gave them.
pub(super) type CallResult = Result<(ModelIdentity, Vec<Outcome>), CallError>;

/// Calls made and time spent, for the batch row, and how long retries of this run wait.
#[derive(Debug, Default)]
pub(super) struct Effort {
    pub(super) calls: u32,
    pub(super) spent: Duration,
    pub(super) backoff: Duration,
    /// Set by the first unusable answer of the run: whether the detector is at fault for it.
    pub(super) at_fault: Option<bool>,
}

/// One call to the detector, counted, its answer paired by id.
pub(super) async fn ask(detector: &dyn Detector, metrics: &Metrics, rows: &[Row], effort: &mut Effort) -> CallResult {
    let started = Instant::now();
    let asked = detector.score(rows).await;
    let asked = asked.map_err(|error| match error {
        DetectorError::Unusable { message } => CallError::Mismatch(message),
        other => CallError::Detector(other),
    });
    let result = asked.and_then(|Answer { model, outcomes }| {
        let ids: Vec<Seq> = rows.iter().map(|row| row.id).collect();
        let unfit = |error: PairingError| CallError::Mismatch(error.to_string());
        let paired = pair(&ids, outcomes).map_err(unfit)?;
        // A score that is no number, or on no scale, is an answer that says nothing; it must not become a verdict.
        let usable = paired.iter().all(|outcome| match outcome {
            Outcome::Calibrated { raw, calibrated, .. } => raw.is_finite() && calibrated.is_sound(),
            Outcome::Flagged(_) | Outcome::Rejected(_) => true,
        });
        if usable { Ok((model, paired)) } else { Err(unfit(PairingError::NotANumber)) }
    });
    let took = started.elapsed();
    effort.calls += 1;
    effort.spent += took;
    let outcome = result.as_ref().map_or_else(CallError::outcome, |_| CallOutcome::Ok);
    metrics.detector_call(detector.source(), outcome, took);
    result
}

/// The verdict that an outcome means for a session, or why it has none.
pub(super) fn verdict(
    member: &Member,
    outcome: Outcome,
    model: ModelIdentity,
    source: Source,
    thresholds: &Thresholds,
) -> Result<Verdict, String> {
    let reasons = heuristic::noted(member.reasons, member.features.total_moves);
    match outcome {
        Outcome::Calibrated { raw, calibrated, class, notes } => {
            Ok(Verdict::calibrated(raw, &calibrated, &class, reasons.union(notes), source, model, thresholds))
        }
        Outcome::Flagged(flagged) => Ok(Verdict::flagged(flagged, reasons, source, model, thresholds)),
        Outcome::Rejected(error) => Err(error),
    }
}

/// The members as a detector of `set` wants to see them, and those without the telemetry it needs, with the reason.
pub(super) async fn rows(
    store: &dyn Store,
    set: FeatureSet,
    members: &[&Member],
) -> StoreResult<(Vec<Row>, Vec<(Seq, String)>)> {
    let row = |member: &Member, features| Row {
        id: member.seq,
        game_type: member.game_type.clone(),
        device_type: member.device_type.clone(),
        features,
    };
    if set == FeatureSet::V1 {
        let rows = members.iter().map(|member| row(member, member.features.values().to_vec())).collect();
        return Ok((rows, Vec::new()));
    }
    if members.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let records = store.telemetry(members.iter().map(|m| m.seq).collect()).await?;
    // Off the async workers: a batch of long sessions would keep every request behind it waiting.
    let extracted = tokio::task::spawn_blocking(move || extract(set, records)).await;
    let extracted = extracted.map_err(|e| StoreError::Unavailable(format!("features could not be computed: {e}")))?;
    let (mut rows, mut without) = (Vec::new(), Vec::new());
    for (member, features) in members.iter().zip(extracted) {
        match features {
            Ok(features) => rows.push(row(member, features)),
            Err(error) => without.push((member.seq, error)),
        }
    }
    Ok((rows, without))
}

/// The feature rows of compact records, or why there is none.
fn extract(set: FeatureSet, records: Vec<Option<Vec<u8>>>) -> Vec<Result<Vec<f64>, String>> {
    let mut extractor = Extractor::default();
    let mut extract = |record: Option<Vec<u8>>| {
        let record = record.ok_or("its telemetry is gone, and the model needs it")?;
        let session = record::decode(&record).map_err(|damaged| damaged.to_string())?;
        let mut features = Vec::new();
        extractor.extract(set, &session, &mut features);
        Ok(features)
    };
    records.into_iter().map(&mut extract).collect()
}
