//! The audit log.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::rows;
use super::store::SqliteStore;
use crate::StoreResult;
use crate::audit::{AuditStore, Entry, NewEntry, ROOT};
use playproof_domain::id::SessionKey;
use playproof_domain::time::Timestamp;

fn read(row: &Row<'_>) -> Result<Entry, Fault> {
    let entry = NewEntry {
        at: Timestamp(row.get("at")?),
        actor: row.get("actor")?,
        action: row.get("action")?,
        target: row.get("target")?,
        detail: row.get("detail")?,
    };
    Ok(Entry { id: row.get("id")?, entry, link: row.get("hash")? })
}

/// Up to `limit` entries after one, the oldest first.
pub(super) fn after(connection: &Connection, id: i64, limit: u32) -> Result<Vec<Entry>, Fault> {
    let mut statement = connection.prepare_cached("SELECT * FROM audit WHERE id > ? ORDER BY id LIMIT ?")?;
    rows::collect(&mut statement, params![id, limit], read)
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn record(&self, entry: NewEntry) -> StoreResult<()> {
        self.writer
            .execute(move |state| {
                let sql = "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1";
                let last = state.connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
                let (last, head): (i64, _) = last.optional()?.unwrap_or((0, ROOT));
                let (id, NewEntry { at, actor, action, target, detail }) = (last + 1, &entry);
                let sql =
                    "INSERT INTO audit (id, at, actor, action, target, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";
                let row = params![id, at.0, actor, action, target, detail, entry.link(&head, id)];
                state.connection.prepare_cached(sql)?.execute(row)?;
                Ok(())
            })
            .await
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> StoreResult<Vec<Entry>> {
        self.read(move |connection| {
            let sql = "SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?";
            let mut statement = connection.prepare_cached(sql)?;
            rows::collect(&mut statement, params![before.unwrap_or(i64::MAX), limit], read)
        })
        .await
    }

    fn session_pseudonym(&self, key: &SessionKey) -> String {
        self.hasher.session_pseudonym(key)
    }

    fn user_pseudonym(&self, user: &str) -> String {
        self.hasher.user_pseudonym(user)
    }
}
