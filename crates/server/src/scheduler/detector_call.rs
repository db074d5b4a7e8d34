//! One call to a detector: its answer is paired with the rows by id, and each outcome says what it means for a session. The
//! detector, its shadow and its fallback are called in the same way.

use std::time::{Duration, Instant};

use crate::detector::{Answer, Detector, DetectorError, Models, Outcome, Row};
use crate::domain::heuristic;
use crate::domain::id::Seq;
use crate::domain::pairing::{PairingError, pair};
use crate::domain::result::{ModelIdentity, Source, Thresholds, Verdict};
use crate::metrics::{CallOutcome, Metrics};
use crate::store::Member;

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

/// Outcomes in the order of the rows asked about, and the models that gave them.
pub(super) type CallResult = Result<(Models, Vec<Outcome>), CallError>;

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
    let result = asked.and_then(|Answer { models, outcomes }| {
        let ids: Vec<Seq> = rows.iter().map(|row| row.id).collect();
        let unfit = |error: PairingError| CallError::Mismatch(error.to_string());
        let paired = pair(&ids, outcomes).map_err(unfit)?;
        // A score that is no number, or on no scale, is an answer that says nothing; it must not become a verdict.
        let usable = paired.iter().all(|outcome| match outcome {
            Outcome::Calibrated { raw, calibrated, .. } => raw.is_finite() && calibrated.is_sound(),
            Outcome::Flagged(_) | Outcome::Rejected(_) => true,
        });
        if usable { Ok((models, paired)) } else { Err(unfit(PairingError::NotANumber)) }
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
    let reasons = heuristic::reasons_with_notes(member.reasons, member.features.total_moves);
    match outcome {
        Outcome::Calibrated { raw, calibrated, class, notes } => {
            Ok(Verdict::calibrated(raw, &calibrated, &class, reasons.union(notes), source, model, thresholds))
        }
        Outcome::Flagged(flagged) => Ok(Verdict::flagged(flagged, reasons, source, model, thresholds)),
        Outcome::Rejected(error) => Err(error),
    }
}
