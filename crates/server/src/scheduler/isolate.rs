//! Scoring a batch whatever the detector makes of it: retry what failed, find what it refuses, never sink neighbours.
//!
//! A batch that is refused for its content is halved until the session at fault is alone. Before that a known-good row
//! goes to the detector: where that is refused too, the detector is at fault and the sessions are kept. Nor is anybody
//! blamed while the detector refuses the session that it scored last.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::detector_call::{self, CallError, CallResult, Effort};
use super::engine::Engine;
use super::witness::{self, Testimony};
use crate::detector::{DetectorError, Models, Outcome, Row};
use crate::domain::id::Seq;
use crate::domain::result::ModelIdentity;
use crate::domain::time::Timestamp;

/// Most sessions found at fault in one run; what is left then waits for a retry.
const MAX_ISOLATED: usize = 3;

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

impl Judgement {
    /// The conformal p-value, where the detector is calibrated: from the score that is kept, so that it is the same
    /// whether the session was scored now or when it was accepted.
    pub(super) fn p_value(&self) -> Option<f64> {
        match self {
            Self::Scored(_, Outcome::Calibrated { calibrated, .. }) => Some(10f64.powf(-calibrated.supported_score)),
            _ => None,
        }
    }
}

/// Judgements on the rows that got one; a row without one is given back.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) outcomes: Vec<(Seq, Judgement)>,
    pub(super) error: Option<String>,
}

impl Judged {
    pub(super) fn scored(&mut self, rows: &[Row], models: &Models, outcomes: Vec<Outcome>) {
        let judged =
            rows.iter().zip(outcomes).map(|(row, o)| (row.id, Judgement::Scored(models.of(row.id).clone(), o)));
        self.outcomes.extend(judged);
    }

    pub(super) fn retry(
        &mut self,
        rows: &[Row],
        not_before: Timestamp,
        counts: bool,
        error: &str,
        reason: &'static str,
    ) {
        let retry = Judgement::Retry { not_before, counts, error: error.to_owned(), reason };
        self.outcomes.extend(rows.iter().map(|row| (row.id, retry.clone())));
    }
}

/// Scores `rows`; every fault of the detector ends in a judgement, never in an error.
pub(super) async fn score(engine: &Engine, rows: &[Row], effort: &mut Effort) -> Judged {
    let mut judged = Judged::default();
    match call(engine, rows, effort).await {
        Ok((models, outcomes)) => judged.scored(rows, &models, outcomes),
        Err(CallError::Detector(DetectorError::Permanent { message })) => {
            judged.error = Some(message.clone());
            isolate(engine, rows, &message, effort, &mut judged).await;
        }
        Err(error) => {
            judged.error = Some(error.to_string());
            put_off(engine, rows, &error, effort, &mut judged);
        }
    }
    judged
}

/// One call to the detector. An answer that refuses every row is a refusal of the whole, whatever its form.
async fn call(engine: &Engine, rows: &[Row], effort: &mut Effort) -> CallResult {
    let (models, outcomes) =
        detector_call::ask(engine.parts.detector.as_ref(), &engine.parts.metrics, rows, effort).await?;
    let refusal = |outcome: &Outcome| match outcome {
        Outcome::Rejected(message) => Some(message.clone()),
        Outcome::Calibrated { .. } | Outcome::Flagged(_) => None,
    };
    if let Some(message) =
        outcomes.iter().map(refusal).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next())
    {
        return Err(CallError::Detector(DetectorError::Permanent { message }));
    }
    engine.answered();
    Ok((models, outcomes))
}

/// What to do about rows whose call failed for other reasons than their content; whether the detector is away.
fn put_off(engine: &Engine, rows: &[Row], error: &CallError, effort: &mut Effort, judged: &mut Judged) -> bool {
    match error {
        CallError::Detector(DetectorError::Unavailable { message, retry_after }) => {
            // No judgement: the sessions go back in line, at no cost, and wait for the circuit.
            engine.open_circuit(*retry_after, message);
            true
        }
        CallError::Mismatch(_) => {
            let message = error.to_string();
            // One run is one batch, however many of its parts were answered so.
            let at_fault = *effort.at_fault.get_or_insert_with(|| engine.unusable(&message));
            if !at_fault {
                judged.retry(rows, due(engine, effort, None), true, &message, error.outcome().name());
            }
            at_fault
        }
        CallError::Detector(failed) => {
            let due = due(engine, effort, failed.retry_after());
            judged.retry(rows, due, true, failed.message(), error.outcome().name());
            false
        }
    }
}

/// Finds the rows that the detector refuses, by halving.
async fn isolate(engine: &Engine, rows: &[Row], message: &str, effort: &mut Effort, judged: &mut Judged) {
    if let Err(error) = engine.parts.detector.health().await {
        engine.open_circuit(error.retry_after(), &format!("it refuses a known-good row: {}", error.message()));
        return;
    }
    let mut refused: Vec<(&Row, String)> = Vec::new();
    let mut scored = false;
    // Whether it scored something after it refused somebody last.
    let mut vouched = false;
    let mut away = false;
    let mut parts: Vec<&[Row]> = halves(rows);
    if parts.is_empty() {
        refused.extend(rows.first().map(|row| (row, message.to_owned())));
    }
    while refused.len() < MAX_ISOLATED && !away {
        let Some(part) = parts.pop() else { break };
        match (call(engine, part, effort).await, part) {
            (Ok((models, outcomes)), _) => {
                (scored, vouched) = (true, true);
                judged.scored(part, &models, outcomes);
            }
            (Err(CallError::Detector(DetectorError::Permanent { message })), [row]) => {
                vouched = false;
                refused.push((row, message));
            }
            (Err(CallError::Detector(DetectorError::Permanent { .. })), _) => parts.extend(halves(part)),
            (Err(error), _) => away = put_off(engine, part, &error, effort, judged),
        }
    }
    if away {
        // What was not asked about goes back in line. Who was refused by a detector that then failed was not judged.
        refused.retain(|_| scored);
        parts.clear();
    }
    if !scored && !away {
        scored = passes_last(engine, &mut parts, effort, judged).await;
        vouched = scored;
    }
    let mut is_at_fault = !scored && refused.len() > 1;
    if !refused.is_empty() && !vouched && !away {
        match hear_witnesses(engine, &refused, effort).await {
            Testimony::Missing => {}
            Testimony::Taken => is_at_fault = false,
            Testimony::Refused => is_at_fault = true,
            Testimony::Silent => {
                is_at_fault = false;
                parts.extend(refused.drain(..).map(|(row, _)| std::slice::from_ref(row)));
            }
        }
    }
    if is_at_fault {
        // It took a known-good row but not one of several real ones, or not the one that it scored last: that is no poison,
        // something is wrong with it. Nobody is blamed; but these step aside for a while, in case it is they after all.
        engine.open_circuit(None, "it refuses every session");
        let judged_already: HashSet<Seq> = judged.outcomes.iter().map(|(seq, _)| *seq).collect();
        let aside: Vec<Row> = rows.iter().filter(|row| !judged_already.contains(&row.id)).cloned().collect();
        judged.retry(&aside, engine.after_the_others(), false, message, "permanent");
        return;
    }
    for part in parts {
        judged.retry(part, due(engine, effort, None), false, message, "permanent");
    }
    judged.outcomes.extend(refused.into_iter().map(|(row, error)| (row.id, Judgement::Rejected(error))));
}

/// Where as many rows as may be were refused and none was scored: whether the row furthest from them is, which tells
/// several poison sessions from a detector that takes none.
async fn passes_last(engine: &Engine, parts: &mut [&[Row]], effort: &mut Effort, judged: &mut Judged) -> bool {
    let Some(furthest) = parts.first_mut() else { return false };
    let [rest @ .., row] = *furthest else { return false };
    match call(engine, std::slice::from_ref(row), effort).await {
        Ok((models, outcomes)) => {
            judged.scored(std::slice::from_ref(row), &models, outcomes);
            *furthest = rest;
            true
        }
        Err(_) => false,
    }
}

/// What the detector makes of the sessions that it scored last, one of each deployment of those `refused`: one that it
/// refuses or that cannot be heard speaks for all.
async fn hear_witnesses(engine: &Engine, refused: &[(&Row, String)], effort: &mut Effort) -> Testimony {
    let deployments: BTreeSet<&str> = refused.iter().map(|(row, _)| row.deployment.as_str()).collect();
    let mut heard = Testimony::Missing;
    for deployment in deployments {
        match hear_witness(engine, deployment, effort).await {
            Testimony::Missing => {}
            Testimony::Taken => heard = Testimony::Taken,
            decisive @ (Testimony::Refused | Testimony::Silent) => return decisive,
        }
    }
    heard
}

async fn hear_witness(engine: &Engine, deployment: &str, effort: &mut Effort) -> Testimony {
    let row = match witness::find(engine.parts.store.as_ref(), engine.parts.detector.as_ref(), deployment).await {
        Ok(Some(row)) => row,
        Ok(None) => return Testimony::Missing,
        Err(_) => return Testimony::Silent,
    };
    match call(engine, std::slice::from_ref(&row), effort).await {
        Ok(_) => Testimony::Taken,
        Err(CallError::Detector(DetectorError::Permanent { .. })) => Testimony::Refused,
        Err(CallError::Detector(DetectorError::Unavailable { message, retry_after })) => {
            engine.open_circuit(retry_after, &message);
            Testimony::Silent
        }
        Err(_) => Testimony::Silent,
    }
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
