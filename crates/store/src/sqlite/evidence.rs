//! Everything that is kept of one session.

use async_trait::async_trait;
use rusqlite::Connection;

use super::fault::Fault;
use super::store::SqliteStore;
use super::{export, rows};
use crate::StoreResult;
use crate::evidence::{EvidenceStore, KeptEvidence};
use playproof_domain::id::Seq;
use playproof_domain::record::SessionDigest;

#[async_trait]
impl EvidenceStore for SqliteStore {
    fn evidence_key(&self) -> [u8; 32] {
        self.hasher.derived("evidence 1")
    }

    async fn evidence(&self, seq: Seq) -> StoreResult<Option<KeptEvidence>> {
        self.read(move |connection| {
            // All statements see the file as it is at the first one.
            let snapshot = connection.unchecked_transaction()?;
            evidence(&snapshot, seq)
        })
        .await
    }
}

fn evidence(connection: &Connection, seq: Seq) -> Result<Option<KeptEvidence>, Fault> {
    let found = export::sessions(connection, Seq(seq.0.saturating_sub(1)), 1)?.pop();
    let Some(session) = found.filter(|found| found.session.seq == seq) else { return Ok(None) };
    let sql = "SELECT s.digest FROM matches m JOIN sessions s ON s.seq = m.other WHERE m.session = ? ORDER BY m.place";
    let mut statement = connection.prepare_cached(sql)?;
    let matches = rows::collect(&mut statement, [seq.0], |row| Ok(SessionDigest(row.get(0)?)))?;
    Ok(Some(KeptEvidence { session, matches }))
}
