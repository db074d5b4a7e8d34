//! Which parts of a session are parts of the sessions it is like.

use crate::domain::id::{SessionId, SessionKey};
use crate::domain::record;
use crate::domain::session::Session;
use crate::domain::sketch::{Aligned, Movement};
use crate::store::{Lookup, Store, StoreResult};

/// Another session that a session is like.
#[derive(Debug)]
pub struct Match {
    /// Its identifier.
    pub id: SessionId,
    /// Whether its telemetry is gone, so that nothing can be laid over.
    pub telemetry_gone: bool,
    /// Parts in common, in order of time.
    pub parts: Vec<Aligned>,
}

/// The records of sessions of a deployment, those of erased ones left out.
///
/// # Errors
/// When the store is away.
pub async fn records(
    store: &dyn Store,
    deployment: &str,
    ids: &[SessionId],
) -> StoreResult<Vec<(SessionId, Option<Vec<u8>>)>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let key = SessionKey { deployment: deployment.to_owned(), id: id.clone() };
        if let Lookup::Found(other) = store.session(key).await? {
            let record = store.telemetry(vec![other.seq]).await?.into_iter().next().flatten();
            found.push((id.clone(), record));
        }
    }
    Ok(found)
}

/// Lays others over a recorded session of `deployment`. Long sessions take a while.
#[must_use]
pub fn lay_over(deployment: &str, record: &[u8], others: Vec<(SessionId, Option<Vec<u8>>)>) -> Vec<Match> {
    let movement = |record: &[u8]| {
        let session = record::decode(record).ok()?;
        Movement::of(&Session { deployment_id: deployment.to_owned(), ..session })
    };
    let own = movement(record);
    let lay = |(id, other): (SessionId, Option<Vec<u8>>)| {
        let theirs = other.as_deref().and_then(movement);
        let parts = own.as_ref().zip(theirs).map(|(own, theirs)| own.aligned(&theirs)).unwrap_or_default();
        Match { id, telemetry_gone: other.is_none(), parts }
    };
    others.into_iter().map(lay).collect()
}
