//! What people said of sessions.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::fault::Fault;
use super::intake::{TELEMETRY_KEPT, TELEMETRY_KEPT_LONGER};
use super::{SqliteStore, decisions, rows};
use crate::domain::id::Seq;
use crate::domain::time::Timestamp;
use crate::store::StoreResult;
use crate::store::coding::Numbered as _;
use crate::store::decisions::Revision;
use crate::store::labels::{Label, LabelRow, LabelStore, Truth};

fn read(row: &Row<'_>) -> Result<Label, Fault> {
    Ok(Label {
        truth: Truth::from_number(row.get("label")?)?,
        note: row.get("note")?,
        actor: row.get("actor")?,
        at: Timestamp(row.get("at")?),
    })
}

#[async_trait]
impl LabelStore for SqliteStore {
    async fn label(
        &self,
        seq: Seq,
        label: Option<Label>,
        revision: Option<Revision>,
        at: Timestamp,
    ) -> StoreResult<bool> {
        self.writer
            .execute(move |state| {
                let connection = &state.connection;
                if !connection.prepare_cached("SELECT 1 FROM results WHERE session = ?")?.exists([seq.0])? {
                    return Ok(false);
                }
                if let Some(label) = &label {
                    let sql = "INSERT OR REPLACE INTO labels (session, label, note, actor, at) VALUES (?, ?, ?, ?, ?)";
                    let Label { truth, note, actor, at } = label;
                    let row = params![seq.0, truth.number(), note, actor, at.0];
                    connection.prepare_cached(sql)?.execute(row)?;
                    // Its path is what a model learns from.
                    let sql = "UPDATE sessions SET telemetry = ? WHERE seq = ? AND telemetry = ?";
                    let class = params![TELEMETRY_KEPT_LONGER, seq.0, TELEMETRY_KEPT];
                    connection.prepare_cached(sql)?.execute(class)?;
                } else {
                    connection.prepare_cached("DELETE FROM labels WHERE session = ?")?.execute([seq.0])?;
                }
                if let Some(revision) = &revision {
                    decisions::revise(state, revision, at)?;
                }
                Ok(true)
            })
            .await
    }

    async fn label_of(&self, seq: Seq) -> StoreResult<Option<Label>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM labels WHERE session = ?")?;
            Ok(rows::collect(&mut statement, [seq.0], read)?.pop())
        })
        .await
    }

    async fn labels(&self, after: Seq, limit: u32, deployment: Option<String>) -> StoreResult<Vec<LabelRow>> {
        self.read(move |connection| {
            let sql = "SELECT l.*, s.deployment, s.id FROM labels l JOIN sessions s ON s.seq = l.session \
                       WHERE l.session > ?1 AND (?2 IS NULL OR s.deployment = ?2) ORDER BY l.session LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![after.0, deployment, limit], |row| {
                let key = rows::key(row, "deployment", "id")?;
                Ok(LabelRow { seq: Seq(row.get("session")?), key, label: read(row)? })
            })
        })
        .await
    }
}
