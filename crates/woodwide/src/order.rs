//! What training is asked and answers, and why it may refuse.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dataset::WrongTable;
use super::failure::Failure;
use super::progress;

/// Why a table was not taken, or a training not started.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The table cannot be trained on.
    #[error(transparent)]
    Table(#[from] WrongTable),
    /// The name belongs to another table.
    #[error("a dataset called {0} with other content was uploaded before; take another name, or send overwrite: true")]
    Taken(String),
    /// There is no such dataset.
    #[error("there is no dataset called {0}; upload it first")]
    UnknownDataset(String),
    /// There is no such model.
    #[error("there is no model {0}; training/start answers the id")]
    UnknownModel(String),
    /// The columns to train on.
    #[error("{0}")]
    Columns(String),
    /// What was done cannot be written down.
    #[error("the store cannot keep what was done at Woodwide: {0}")]
    Memory(String),
    /// The service.
    #[error("Woodwide: {message}")]
    Remote {
        /// What kind.
        fault: Fault,
        /// What it said.
        message: String,
        /// When to try again.
        retry_after: Option<Duration>,
    },
}

/// What is wrong at the service, by who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The account.
    Credits,
    /// The keys, or what was sent.
    Refused,
    /// It is larger than the service takes.
    TooLarge,
    /// Time.
    Away,
    /// Nobody: the answer makes no sense.
    Unusable,
}

impl From<Failure> for TrainingError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        let (fault, retry_after) = match failure {
            Failure::Credits(_) => (Fault::Credits, Some(Duration::from_secs(600))),
            Failure::Limited { retry_after, .. } | Failure::Away { retry_after, .. } => (Fault::Away, retry_after),
            Failure::NotReady(_) => (Fault::Away, None),
            Failure::Key(_) | Failure::Refused(_) | Failure::Missing(_) | Failure::Conflict(_) => {
                (Fault::Refused, None)
            }
            Failure::TooLarge(_) => (Fault::TooLarge, None),
            Failure::Protocol(_) => (Fault::Unusable, None),
        };
        Self::Remote { fault, message, retry_after }
    }
}

/// A table at the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its id there.
    pub id: String,
    /// Rows.
    pub rows: usize,
    /// The columns it has there.
    pub columns: Vec<String>,
    /// Columns that were left out because they name a session or a person.
    pub dropped: Vec<String>,
    pub(super) version: Option<String>,
    pub(super) digest: String,
}

/// What to train.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Name of an uploaded table.
    pub dataset: String,
    /// Name of the model.
    pub model: String,
    /// All columns of the table when `None`; identifiers are left out.
    pub columns: Option<Vec<String>>,
    /// Train again although an equal model is there.
    pub overwrite: bool,
}

/// A training that was started, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The model.
    pub model: String,
    /// How it stands.
    pub stage: progress::Stage,
    /// What it learns from.
    pub columns: Vec<String>,
    /// Whether an earlier order had started it.
    pub found: bool,
}
