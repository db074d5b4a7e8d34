//! A detector for tests: it answers as it is told, and remembers what it was asked. Not part of the product.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test ends at the first surprise")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::{Answer, Detector, DetectorError, Limits, Outcome, Row};
use playproof_domain::calibration::{Calibrated, Calibration};
use playproof_domain::features::FeatureSet;
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{ModelIdentity, Source};

type Script = dyn Fn(&[Row]) -> Result<Answer, DetectorError> + Send + Sync;

/// Answers by its script, unless it is held.
pub struct Scripted {
    script: Box<Script>,
    source: Source,
    healthy: AtomicBool,
    probes: AtomicUsize,
    /// One permit per call that may be answered.
    gate: Semaphore,
    /// Held while probes hang.
    pub probe_gate: tokio::sync::RwLock<()>,
    /// The rows of each call.
    pub calls: Mutex<Vec<Vec<Seq>>>,
}

/// The score that [`Scripted`] gives a row: a function of the row alone, so that a swapped score is noticed.
pub fn score_of(row: Seq) -> Calibrated {
    let place = f64::from(u32::try_from(row.0 % 100).unwrap_or(0));
    Calibration::new((0..999).map(f64::from).collect()).assess(place * 10.0)
}

/// The outcome that [`Scripted::honest`] gives a row.
#[must_use]
pub fn outcome_of(row: Seq) -> Outcome {
    let calibrated = score_of(row);
    Outcome::Calibrated { raw: calibrated.score, calibrated, class: "pooled".to_owned(), notes: Reasons::default() }
}

/// An answer of this model.
#[must_use]
pub fn answer(outcomes: Vec<(Seq, Outcome)>) -> Answer {
    Answer { models: identity().into(), outcomes }
}

/// The model of every [`Scripted`].
#[must_use]
pub fn identity() -> ModelIdentity {
    ModelIdentity { id: "scripted".to_owned(), version: "1".to_owned() }
}

impl Scripted {
    /// Answers as `script` says.
    pub fn new(script: impl Fn(&[Row]) -> Result<Answer, DetectorError> + Send + Sync + 'static) -> Self {
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
    #[must_use]
    pub fn honest() -> Self {
        Self::new(|rows| Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect())))
    }

    /// The same, answering as a remote detector.
    #[must_use]
    pub fn remote(self) -> Self {
        Self { source: Source::Woodwide, ..self }
    }

    /// What it says of its health from now on.
    pub fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Calls hang from now on until [`Self::release`].
    pub fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Calls that hang go on, and later ones too.
    pub fn release(&self) {
        self.gate.add_permits(1000);
    }

    /// How often it was asked for its health.
    pub fn probe_count(&self) -> usize {
        self.probes.load(Ordering::SeqCst)
    }

    /// How often it was asked for scores.
    pub fn call_count(&self) -> usize {
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
