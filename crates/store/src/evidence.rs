//! Everything that is kept of one session, for whoever must show what its verdict rests on.

use async_trait::async_trait;

use super::StoreResult;
use super::export::ExportedSession;
use playproof_domain::id::Seq;
use playproof_domain::record::SessionDigest;

/// A session with everything that is kept of it, as it was at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptEvidence {
    /// The session.
    pub session: ExportedSession,
    /// Digests of the sessions that its result names, the closest first; without those that are gone.
    pub matches: Vec<SessionDigest>,
}

/// Where evidence is read.
#[async_trait]
pub trait EvidenceStore {
    /// What evidence is signed with where no other key is set: the same on all nodes of this store, and of no other store.
    fn evidence_key(&self) -> [u8; 32];

    /// Everything that is kept of a session, read at one moment: no change that is made meanwhile shows in part. `None` for
    /// one that is gone.
    async fn evidence(&self, seq: Seq) -> StoreResult<Option<KeptEvidence>>;
}
