//! Everything that is kept of one session.

use async_trait::async_trait;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::rows;
use super::store::PostgresStore;
use crate::evidence::{EvidenceStore, KeptEvidence};
use crate::{StoreError, StoreResult};
use playproof_domain::id::Seq;
use playproof_domain::record::SessionDigest;

#[async_trait]
impl EvidenceStore for PostgresStore {
    fn evidence_key(&self) -> [u8; 32] {
        self.core.hasher.derived("evidence 1")
    }

    async fn evidence(&self, seq: Seq) -> StoreResult<Option<KeptEvidence>> {
        called!(self.core.evidence_once(seq))
    }
}

impl Core {
    async fn evidence_once(&self, seq: Seq) -> Result<Option<KeptEvidence>, Fault> {
        let mut held = self.pool.get().await?;
        // All statements see the database as it is at the first one.
        let snapshot = held
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let found = super::export::whole(&snapshot, Seq(seq.0.saturating_sub(1)), 1).await?.pop();
        let sql = "SELECT s.digest FROM matches m JOIN sessions s ON s.seq = m.other WHERE m.seq = $1 ORDER BY m.place";
        let statement = snapshot.prepare_cached(sql).await?;
        let digests = snapshot.query(&statement, &[&seq.0]).await?;
        snapshot.commit().await?;
        held.release();
        let Some(session) = found.filter(|found| found.session.seq == seq) else { return Ok(None) };
        let matches = rows::all(&digests, |row| {
            let digest: &[u8] = row.try_get("digest")?;
            let digest = digest.try_into().map_err(|_| StoreError::Corrupt("a digest of another length".to_owned()))?;
            Ok(SessionDigest(digest))
        })?;
        Ok(Some(KeptEvidence { session, matches }))
    }
}
