//! Scoring a batch whatever the detector makes of it: retry what failed, find what it refuses, never sink neighbours.
//!
//! A batch that is refused for its content is halved until the session at fault is alone. Before that a known-good row
//! goes to the detector: where that is refused too, the detector is at fault and the sessions are kept.

use std::time::Duration;

use super::batch_run::{CallError, Effort, call};
use super::engine::Engine;
use crate::detector::{DetectorError, Outcome, Row};
use crate::domain::id::Seq;
use crate::domain::result::ModelIdentity;
use crate::domain::time::Timestamp;

/// Most sessions found at fault in one run; what is left then waits for a retry.
const MOST_ISOLATED: usize = 3;

/// What to do about one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judgement {
    /// The detector answered about it.
    Scored(ModelIdentity, Outcome),
    /// The detector refuses it, alone.
    Rejected(String),
    /// Try again.
    Retry { not_before: Timestamp, counts: bool, error: String, reason: &'static str },
}

/// Judgements on the rows that got one; a row without one is given back.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) outcomes: Vec<(Seq, Judgement)>,
    pub(super) error: Option<String>,
}

impl Judged {
    fn scored(&mut self, rows: &[Row], model: &ModelIdentity, outcomes: Vec<Outcome>) {
        let judged = rows.iter().zip(outcomes).map(|(row, o)| (row.id, Judgement::Scored(model.clone(), o)));
        self.outcomes.extend(judged);
    }

    fn retry(&mut self, rows: &[Row], not_before: Timestamp, counts: bool, error: &str, reason: &'static str) {
        let retry = Judgement::Retry { not_before, counts, error: error.to_owned(), reason };
        self.outcomes.extend(rows.iter().map(|row| (row.id, retry.clone())));
    }
}

/// Scores `rows`; every fault of the detector ends in a judgement, never in an error.
pub(super) async fn score(engine: &Engine, rows: &[Row], effort: &mut Effort) -> Judged {
    let mut judged = Judged::default();
    match call(engine, rows, effort).await {
        Ok((model, outcomes)) => {
            engine.close_circuit();
            judged.scored(rows, &model, outcomes);
        }
        Err(error) => recover(engine, rows, error, effort, &mut judged).await,
    }
    judged
}

async fn recover(engine: &Engine, rows: &[Row], error: CallError, effort: &mut Effort, judged: &mut Judged) {
    match error {
        CallError::Detector(DetectorError::Unavailable { message, retry_after }) => {
            // No judgement: the sessions go back in line, at no cost, and wait for the circuit.
            engine.open_circuit(retry_after, &message);
            judged.error = Some(message);
        }
        CallError::Detector(DetectorError::Transient { message, retry_after }) => {
            judged.retry(rows, due(engine, effort, retry_after), true, &message, "transient");
            judged.error = Some(message);
        }
        CallError::Detector(DetectorError::Unusable { message }) => {
            judged.retry(rows, due(engine, effort, None), true, &message, "mismatch");
            judged.error = Some(message);
        }
        CallError::Mismatch(error) => {
            let message = format!("the detector's answer does not fit: {error}");
            judged.retry(rows, due(engine, effort, None), true, &message, "mismatch");
            judged.error = Some(message);
        }
        CallError::Detector(DetectorError::Permanent { message }) => {
            judged.error = Some(message.clone());
            isolate(engine, rows, &message, effort, judged).await;
        }
    }
}

/// Finds the rows that the detector refuses, by halving.
async fn isolate(engine: &Engine, rows: &[Row], message: &str, effort: &mut Effort, judged: &mut Judged) {
    if let Err(error) = engine.parts.detector.health().await {
        engine.open_circuit(None, &format!("it refuses a known-good row: {error}"));
        return;
    }
    let mut refused: Vec<(&Row, String)> = Vec::new();
    let mut scored = false;
    let mut parts: Vec<&[Row]> = halves(rows);
    if parts.is_empty() {
        refused.extend(rows.first().map(|row| (row, message.to_owned())));
    }
    while let Some(part) = parts.pop() {
        if refused.len() >= MOST_ISOLATED {
            judged.retry(part, due(engine, effort, None), false, message, "permanent");
            continue;
        }
        match call(engine, part, effort).await {
            Ok((model, outcomes)) => {
                scored = true;
                judged.scored(part, &model, outcomes);
            }
            Err(CallError::Detector(DetectorError::Permanent { message })) => match part {
                [row] => refused.push((row, message)),
                _ => parts.extend(halves(part)),
            },
            Err(CallError::Detector(DetectorError::Unavailable { message, retry_after })) => {
                // This part and the rest go back in line.
                engine.open_circuit(retry_after, &message);
                judged.error = Some(message);
                break;
            }
            Err(CallError::Detector(DetectorError::Transient { message, retry_after })) => {
                judged.retry(part, due(engine, effort, retry_after), true, &message, "transient");
            }
            Err(CallError::Detector(DetectorError::Unusable { message })) => {
                judged.retry(part, due(engine, effort, None), true, &message, "mismatch");
            }
            Err(CallError::Mismatch(error)) => {
                judged.retry(part, due(engine, effort, None), true, &error.to_string(), "mismatch");
            }
        }
    }
    if !scored && refused.len() > 1 {
        // It took a known-good row but not one of several real ones: that is no poison, something is wrong with it.
        engine.open_circuit(None, "it refuses every session");
        return;
    }
    judged.outcomes.extend(refused.into_iter().map(|(row, error)| (row.id, Judgement::Rejected(error))));
}

/// Both halves, the first on top of the stack; nothing for a single row.
fn halves(rows: &[Row]) -> Vec<&[Row]> {
    if rows.len() < 2 {
        return Vec::new();
    }
    let (first, second) = rows.split_at(rows.len() / 2);
    vec![second, first]
}

/// When the retries of this run are due: one jitter draw for the run, so that its sessions come back together.
fn due(engine: &Engine, effort: &Effort, retry_after: Option<Duration>) -> Timestamp {
    engine.parts.clock.now().wall.plus(effort.backoff.max(retry_after.unwrap_or_default()))
}
