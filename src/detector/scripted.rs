//! A detector for tests: it answers as it is told, and remembers what it was asked. Not part of the product.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{Answer, Detector, DetectorError, Limits, Outcome, Row};
use crate::domain::calibration::{Calibrated, Calibration};
use crate::domain::features::FeatureSet;
use crate::domain::id::Seq;
use crate::domain::reason::Reasons;
use crate::domain::result::{ModelIdentity, Source};

type Script = dyn Fn(&[Row]) -> Result<Answer, DetectorError> + Send + Sync;

pub(crate) struct Scripted {
    script: Box<Script>,
    source: Source,
    healthy: AtomicBool,
    probes: AtomicUsize,
    /// One permit per call that may be answered.
    gate: Semaphore,
    /// Held while probes hang.
    pub(crate) probe_gate: tokio::sync::RwLock<()>,
    /// The rows of each call.
    pub(crate) calls: Mutex<Vec<Vec<Seq>>>,
}

/// The score that [`Scripted`] gives a row: a function of the row alone, so that a swapped score is noticed.
pub(crate) fn score_of(row: Seq) -> Calibrated {
    let place = f64::from(u32::try_from(row.0 % 100).unwrap_or(0));
    Calibration::new((0..999).map(f64::from).collect()).assess(place * 10.0)
}

pub(crate) fn outcome_of(row: Seq) -> Outcome {
    let calibrated = score_of(row);
    Outcome::Calibrated { raw: calibrated.score, calibrated, class: "pooled".to_owned(), notes: Reasons::default() }
}

pub(crate) fn answer(outcomes: Vec<(Seq, Outcome)>) -> Answer {
    Answer { model: identity(), outcomes }
}

/// The model of every [`Scripted`].
pub(crate) fn identity() -> ModelIdentity {
    ModelIdentity { id: "scripted".to_owned(), version: "1".to_owned() }
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&[Row]) -> Result<Answer, DetectorError> + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            source: Source::Embedded,
            healthy: AtomicBool::new(true),
            probes: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            probe_gate: tokio::sync::RwLock::default(),
            calls: Mutex::default(),
        }
    }

    /// Scores every row as [`score_of`] says.
    pub(crate) fn honest() -> Self {
        Self::new(|rows| Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect())))
    }

    /// The same, answering as a remote detector.
    pub(crate) fn remote(self) -> Self {
        Self { source: Source::Woodwide, ..self }
    }

    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Calls hang from now on until [`Self::release`].
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(1000);
    }

    /// How often it was asked for its health.
    pub(crate) fn probe_count(&self) -> usize {
        self.probes.load(Ordering::SeqCst)
    }

    pub(crate) fn call_count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

#[async_trait]
impl Detector for Scripted {
    fn source(&self) -> Source {
        self.source
    }

    fn feature_set(&self) -> FeatureSet {
        FeatureSet::V1
    }

    fn limits(&self) -> Limits {
        Limits { rows: 1000, in_flight: 8 }
    }

    async fn score(&self, rows: &[Row]) -> Result<Answer, DetectorError> {
        self.calls.lock().unwrap().push(rows.iter().map(|row| row.id).collect());
        self.gate.acquire().await.unwrap().forget();
        (self.script)(rows)
    }

    async fn health(&self) -> Result<ModelIdentity, DetectorError> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        let _open = self.probe_gate.read().await;
        if self.healthy.load(Ordering::SeqCst) {
            return Ok(identity());
        }
        Err(DetectorError::Unavailable { message: "scripted outage".to_owned(), retry_after: None })
    }
}
