//! Detectors: who gives a batch its scores. ADD A DETECTOR: one folder here, or a crate above, and one arm
//! where the service is composed.
//!
//! A detector is asked about rows and answers one outcome per row, by id, in any order. It knows nothing of queues,
//! stores or HTTP; its errors say who must act.

#![cfg_attr(
    test,
    expect(clippy::float_cmp, clippy::cast_precision_loss, reason = "tests compare exact values and small counts")
)]

pub mod embedded;

#[cfg(any(test, feature = "testing"))]
pub mod scripted;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::embedded::kept::Kept;
use playproof_domain::calibration::Calibrated;
use playproof_domain::features::FeatureSet;
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{ModelIdentity, Source};

/// One session as a detector sees it: numbers and the claimed classes, no identifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Pairs the outcome to the session; never leaves the process.
    pub id: Seq,
    /// Whose model judges it, where a deployment has its own; never leaves the process.
    pub deployment: String,
    /// The game the client claims.
    pub game_type: String,
    /// The device the client claims.
    pub device_type: String,
    /// Values in the order of the detector's [`FeatureSet::columns`].
    pub features: Vec<f64>,
}

/// What a detector may be asked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rows in one call.
    pub rows: usize,
    /// Most calls at the same time.
    pub in_flight: usize,
}

/// What a detector says of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A raw value and its place among calibration humans.
    Calibrated {
        /// Uncalibrated, fine-grained, larger is odder.
        raw: f64,
        /// p-value and score.
        calibrated: Calibrated,
        /// The calibration class used.
        class: String,
        /// What the detector has to say of the score.
        notes: Reasons,
    },
    /// The detector only flags: no number at all.
    Flagged(bool),
    /// This row can't be scored, and asking again won't help.
    Rejected(String),
}

/// Which models gave the outcomes of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    /// The one of all rows but those below.
    pub general: ModelIdentity,
    /// The rows of deployments with a model of their own.
    pub own: HashMap<Seq, ModelIdentity>,
}

impl Models {
    /// The model that gave the outcome of a row.
    #[must_use]
    pub fn of(&self, row: Seq) -> &ModelIdentity {
        self.own.get(&row).unwrap_or(&self.general)
    }
}

impl From<ModelIdentity> for Models {
    fn from(general: ModelIdentity) -> Self {
        Self { general, own: HashMap::new() }
    }
}

/// One outcome per row asked about, in any order, and the models that gave them.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Which models.
    pub models: Models,
    /// Outcomes by row id.
    pub outcomes: Vec<(Seq, Outcome)>,
}

/// Why a detector gave no answer, by what must happen next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectorError {
    /// It may work later; the attempt counts against these rows.
    #[error("the detector failed for now: {message}")]
    Transient {
        /// What happened.
        message: String,
        /// When the detector asked to be left alone until.
        retry_after: Option<Duration>,
    },
    /// It refuses this batch for what is in it; the rows must be tried apart.
    #[error("the detector refuses the batch: {message}")]
    Permanent {
        /// What happened.
        message: String,
    },
    /// Its answer cannot be about these rows, or says nothing; nothing of it is believed.
    #[error("the detector's answer is of no use: {message}")]
    Unusable {
        /// What is wrong with it.
        message: String,
    },
    /// It works for nobody (unreachable, no credits, no valid key); no row is to blame.
    #[error("the detector is unavailable: {message}")]
    Unavailable {
        /// What happened.
        message: String,
        /// When the detector asked to be left alone until.
        retry_after: Option<Duration>,
    },
}

impl DetectorError {
    /// What happened, without whose fault it is.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Transient { message, .. }
            | Self::Permanent { message }
            | Self::Unusable { message }
            | Self::Unavailable { message, .. } => message,
        }
    }

    /// When the detector asked to be left alone until.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Permanent { .. } | Self::Unusable { .. } => None,
        }
    }
}

/// Scores rows. Implementations must be deterministic per row where the contract says so, and free of order effects.
#[async_trait]
pub trait Detector: Send + Sync {
    /// Which source its verdicts name.
    fn source(&self) -> Source;

    /// The feature set its rows must hold.
    fn feature_set(&self) -> FeatureSet;

    /// What it may be asked at once.
    fn limits(&self) -> Limits;

    /// What is known of scores that it gave when sessions were accepted; `None` for a detector that gave none.
    fn kept(&self) -> Option<Kept> {
        None
    }

    /// One outcome for each of `rows`.
    ///
    /// # Errors
    /// [`DetectorError`], by remedy; then no row was scored.
    async fn score(&self, rows: &[Row]) -> Result<Answer, DetectorError>;

    /// Whether a call would be answered now; used by readiness, `check` and the circuit's probe.
    ///
    /// # Errors
    /// [`DetectorError`] as a call would give.
    async fn health(&self) -> Result<ModelIdentity, DetectorError>;
}

/// Where a detector keeps what it learned, so that a restart does not ask again.
#[async_trait]
pub trait DetectorState: Send + Sync {
    /// What was kept under `key`.
    ///
    /// # Errors
    /// One sentence when it cannot be read.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String>;

    /// Keeps `value` under `key`, in the place of what was there; `None` forgets it.
    ///
    /// # Errors
    /// One sentence when it cannot be kept.
    async fn put(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), String>;
}

/// Remembers for as long as it lives: for a look at a detector without a store, and for tests.
#[derive(Debug, Default)]
pub struct Notebook(Mutex<BTreeMap<String, Vec<u8>>>);

impl Notebook {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Notebook {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.kept().clone()))
    }
}

#[async_trait]
impl DetectorState for Notebook {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.kept().get(key).cloned())
    }

    async fn put(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), String> {
        match value {
            Some(value) => self.kept().insert(key.to_owned(), value),
            None => self.kept().remove(key),
        };
        Ok(())
    }
}
