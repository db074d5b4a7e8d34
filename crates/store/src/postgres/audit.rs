//! The audit log.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use tokio_postgres::{Client, Row};

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::rows;
use super::store::PostgresStore;
use crate::audit::{AuditStore, Entry, Link, NewEntry, ROOT};
use crate::{StoreError, StoreResult};
use playproof_domain::id::SessionKey;
use playproof_domain::time::Timestamp;

fn link(row: &Row) -> Result<Link, Fault> {
    let bytes: &[u8] = row.try_get("hash")?;
    Link::try_from(bytes).map_err(|_| StoreError::Corrupt("a link of the audit log that is none".to_owned()).into())
}

fn read(row: &Row) -> Result<Entry, Fault> {
    let entry = NewEntry {
        at: Timestamp(row.try_get("at")?),
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        detail: row.try_get("detail")?,
    };
    Ok(Entry { id: row.try_get("id")?, entry, link: link(row)? })
}

/// Up to `limit` entries after one, the oldest first.
pub(super) async fn after(client: &Client, id: i64, limit: i64) -> Result<Vec<Entry>, Fault> {
    let found = client.query("SELECT * FROM audit WHERE id > $1 ORDER BY id LIMIT $2", &[&id, &limit]).await?;
    rows::all(&found, read)
}

/// Writes an entry behind the last one.
pub(super) async fn append(client: &Transaction<'_>, id: i64, entry: &NewEntry, link: &Link) -> Result<(), Fault> {
    let NewEntry { at, actor, action, target, detail } = entry;
    let sql = "INSERT INTO audit (id, at, actor, action, target, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&id, &at.0, actor, action, target, detail, &link.as_slice()]).await?;
    Ok(())
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn record(&self, entry: NewEntry) -> StoreResult<()> {
        called!(self.core.record_once(&entry))
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> StoreResult<Vec<Entry>> {
        called!(self.core.audit_once(before, limit))
    }

    fn session_pseudonym(&self, key: &SessionKey) -> String {
        self.core.hasher.session_pseudonym(key)
    }

    fn user_pseudonym(&self, user: &str) -> String {
        self.core.hasher.user_pseudonym(user)
    }
}

impl Core {
    async fn record_once(&self, entry: &NewEntry) -> Result<(), Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        // One after the other: each entry is bound to the one before.
        transaction.batch_execute("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE").await?;
        let last = transaction.query_opt("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", &[]).await?;
        let (last, head) = match &last {
            Some(row) => (row.try_get("id")?, link(row)?),
            None => (0i64, ROOT),
        };
        let id = last + 1;
        append(&transaction, id, entry, &entry.link(&head, id)).await?;
        transaction.commit().await?;
        held.release();
        Ok(())
    }

    async fn audit_once(&self, before: Option<i64>, limit: u32) -> Result<Vec<Entry>, Fault> {
        let held = self.pool.get().await?;
        let sql = "SELECT * FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
        let found = held.query(sql, &[&before.unwrap_or(i64::MAX), &i64::from(limit)]).await?;
        held.release();
        rows::all(&found, read)
    }
}
