//! The sessions that wait for the task that accepts them.

use tokio::sync::{mpsc, oneshot};

use crate::{Acceptance, NewSession, StoreError, StoreResult};

/// Sessions that wait for the task; whoever comes then waits for a place.
const MAX_WAITING: usize = 1_024;

/// A session and who waits for its answer.
pub(super) struct Waiting {
    pub(super) session: NewSession,
    pub(super) reply: oneshot::Sender<StoreResult<Acceptance>>,
}

/// The other tasks' end.
pub(super) type Intake = mpsc::Sender<Waiting>;

/// The two ends of the queue to the task.
pub(super) fn queue() -> (Intake, mpsc::Receiver<Waiting>) {
    mpsc::channel(MAX_WAITING)
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// Hands a session to the task and waits for its answer.
pub(super) async fn accept(intake: &Intake, session: NewSession) -> StoreResult<Acceptance> {
    let (reply, answer) = oneshot::channel();
    intake.send(Waiting { session, reply }).await.map_err(|_| closed())?;
    answer.await.map_err(|_| closed())?
}
