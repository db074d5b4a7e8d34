//! What operators made through the API.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::fault::Fault;
use super::rows;
use super::state::WriterState;
use super::store::SqliteStore;
use crate::StoreResult;
use crate::controls::{Control, ControlStore};

const VERSION: &str = "SELECT version FROM controls_version WHERE id = 1";
const NEXT_VERSION: &str = "UPDATE controls_version SET version = version + 1";

/// All of them by kind and name.
pub(super) fn all(connection: &Connection) -> Result<Vec<Control>, Fault> {
    let mut statement = connection.prepare_cached("SELECT kind, name, value FROM controls ORDER BY kind, name")?;
    rows::collect(&mut statement, [], |row| Ok(Control { kind: row.get(0)?, name: row.get(1)?, value: row.get(2)? }))
}

#[async_trait]
impl ControlStore for SqliteStore {
    async fn controls(&self) -> StoreResult<(i64, Vec<Control>)> {
        self.read(|connection| {
            // The version first: what changes in between is read again, not missed.
            let version = connection.prepare_cached(VERSION)?.query_row([], |row| row.get(0))?;
            Ok((version, all(connection)?))
        })
        .await
    }

    async fn controls_version(&self) -> StoreResult<i64> {
        self.read(|connection| Ok(connection.prepare_cached(VERSION)?.query_row([], |row| row.get(0))?)).await
    }

    async fn set_control(&self, kind: String, name: String, value: Option<String>) -> StoreResult<()> {
        self.writer
            .execute(move |state| {
                let sql = match value {
                    Some(_) => {
                        "INSERT INTO controls (kind, name, value) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value"
                    }
                    None => "DELETE FROM controls WHERE kind = ?1 AND name = ?2 AND ?3 IS NULL",
                };
                state.connection.prepare_cached(sql)?.execute(params![kind, name, value])?;
                state.connection.execute(NEXT_VERSION, [])?;
                Ok(())
            })
            .await
    }

    async fn replace_control(&self, kind: String, name: String, value: String) -> StoreResult<bool> {
        let work = move |state: &mut WriterState| {
            let sql = "UPDATE controls SET value = ?3 WHERE kind = ?1 AND name = ?2";
            let replaced = state.connection.prepare_cached(sql)?.execute(params![kind, name, value])? > 0;
            if replaced {
                state.connection.execute(NEXT_VERSION, [])?;
            }
            Ok(replaced)
        };
        self.writer.execute(work).await
    }
}
