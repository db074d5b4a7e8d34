//! What people said of sessions.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::fault::Fault;
use super::pool::called;
use super::rows::{self, enumerated, number};
use super::{Core, PostgresStore, decisions};
use crate::domain::id::Seq;
use crate::domain::time::Timestamp;
use crate::store::StoreResult;
use crate::store::decisions::Revision;
use crate::store::labels::{Label, LabelRow, LabelStore};

fn read(row: &Row) -> Result<Label, Fault> {
    Ok(Label {
        truth: enumerated(row, "label")?,
        note: rows::text(row, "note")?,
        actor: row.try_get("actor")?,
        at: Timestamp(row.try_get("at")?),
    })
}

#[async_trait]
impl LabelStore for PostgresStore {
    async fn label(
        &self,
        seq: Seq,
        label: Option<Label>,
        revision: Option<Revision>,
        at: Timestamp,
    ) -> StoreResult<bool> {
        called!(self.core.label_once(seq, label.as_ref(), revision.as_ref(), at))
    }

    async fn label_of(&self, seq: Seq) -> StoreResult<Option<Label>> {
        called!(self.core.label_of_once(seq))
    }

    async fn labels(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<LabelRow>> {
        called!(self.core.labels_once(after, limit, deployment.as_deref()))
    }
}

impl Core {
    async fn label_once(
        &self,
        seq: Seq,
        label: Option<&Label>,
        revision: Option<&Revision>,
        at: Timestamp,
    ) -> Result<bool, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        // Locked, so that an erasure that runs beside it finds the label, or keeps it from being written.
        let there = transaction.query_opt("SELECT 1 FROM results WHERE seq = $1 FOR UPDATE", &[&seq.0]).await?;
        if there.is_none() {
            transaction.rollback().await?;
            held.release();
            return Ok(false);
        }
        if let Some(Label { truth, note, actor, at }) = label {
            let sql = "INSERT INTO labels (seq, label, note, actor, at) VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (seq) DO UPDATE SET label = excluded.label, note = excluded.note, \
                       actor = excluded.actor, at = excluded.at";
            transaction.execute(sql, &[&seq.0, &number(*truth), &note.as_bytes(), actor, &at.0]).await?;
        } else {
            transaction.execute("DELETE FROM labels WHERE seq = $1", &[&seq.0]).await?;
        }
        if let Some(revision) = revision {
            decisions::revise(&transaction, std::slice::from_ref(revision), at).await?;
        }
        transaction.commit().await?;
        held.release();
        Ok(true)
    }

    async fn label_of_once(&self, seq: Seq) -> Result<Option<Label>, Fault> {
        let held = self.pool.get().await?;
        let found = held.query_opt("SELECT * FROM labels WHERE seq = $1", &[&seq.0]).await?;
        held.release();
        found.as_ref().map(read).transpose()
    }

    async fn labels_once(&self, after: Seq, limit: u32, deployment: Option<&str>) -> Result<Vec<LabelRow>, Fault> {
        let sql = "SELECT l.*, s.deployment, s.id FROM labels l JOIN sessions s ON s.seq = l.seq \
                   WHERE l.seq > $1 AND ($2::bytea IS NULL OR s.deployment = $2) ORDER BY l.seq LIMIT $3";
        let held = self.pool.get().await?;
        let deployment = deployment.map(str::as_bytes);
        let found = held.query(sql, &[&after.0, &deployment, &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, |row| Ok(LabelRow { seq: Seq(row.try_get("seq")?), key: rows::key(row)?, label: read(row)? }))
    }
}
