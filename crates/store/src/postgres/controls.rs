//! What operators made through the API.

use async_trait::async_trait;
use deadpool_postgres::Transaction;

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::store::PostgresStore;
use crate::controls::{Control, ControlStore};
use crate::{StoreError, StoreResult};

const NEXT_VERSION: &str = "UPDATE controls_version SET version = version + 1";

/// Keeps one in place of what was there.
pub(super) async fn write(client: &Transaction<'_>, kind: &str, name: &str, value: &str) -> Result<(), Fault> {
    let sql = "INSERT INTO controls (kind, name, value) VALUES ($1, $2, $3) \
               ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value";
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, &[&kind, &name.as_bytes(), &value]).await?;
    Ok(())
}

#[async_trait]
impl ControlStore for PostgresStore {
    async fn controls(&self) -> StoreResult<(i64, Vec<Control>)> {
        called!(self.core.controls_once())
    }

    async fn controls_version(&self) -> StoreResult<i64> {
        called!(self.core.controls_version_once())
    }

    async fn set_control(&self, kind: String, name: String, value: Option<String>) -> StoreResult<()> {
        called!(self.core.set_control_once(&kind, &name, value.as_deref()))
    }

    async fn replace_control(&self, kind: String, name: String, value: String) -> StoreResult<bool> {
        called!(self.core.replace_control_once(&kind, &name, &value))
    }
}

impl Core {
    async fn controls_once(&self) -> Result<(i64, Vec<Control>), Fault> {
        // The version first: what changes in between is read again, not missed.
        let version = self.controls_version_once().await?;
        let held = self.pool.get().await?;
        let found = held.query("SELECT kind, name, value FROM controls ORDER BY kind, name", &[]).await?;
        held.release();
        let mut all = Vec::with_capacity(found.len());
        for row in found {
            let name = String::from_utf8(row.try_get(1)?);
            let name = name.map_err(|_| StoreError::Corrupt("a control's name is no text".to_owned()))?;
            all.push(Control { kind: row.try_get(0)?, name, value: row.try_get(2)? });
        }
        Ok((version, all))
    }

    async fn controls_version_once(&self) -> Result<i64, Fault> {
        let held = self.pool.get().await?;
        let version = held.query_one("SELECT version FROM controls_version WHERE id = 1", &[]).await?.get(0);
        held.release();
        Ok(version)
    }

    async fn set_control_once(&self, kind: &str, name: &str, value: Option<&str>) -> Result<(), Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        if let Some(value) = value {
            write(&transaction, kind, name, value).await?;
        } else {
            let sql = "DELETE FROM controls WHERE kind = $1 AND name = $2";
            transaction.execute(sql, &[&kind, &name.as_bytes()]).await?;
        }
        transaction.execute(NEXT_VERSION, &[]).await?;
        transaction.commit().await?;
        held.release();
        Ok(())
    }

    async fn replace_control_once(&self, kind: &str, name: &str, value: &str) -> Result<bool, Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        let sql = "UPDATE controls SET value = $3 WHERE kind = $1 AND name = $2";
        let replaced = transaction.execute(sql, &[&kind, &name.as_bytes(), &value]).await? > 0;
        if replaced {
            transaction.execute(NEXT_VERSION, &[]).await?;
        }
        transaction.commit().await?;
        held.release();
        Ok(replaced)
    }
}
