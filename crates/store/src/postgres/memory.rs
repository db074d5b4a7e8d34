//! What detectors learned, by key, and the scheduler's state: a few values that all nodes share.

use super::core::Core;
use super::fault::Fault;

impl Core {
    pub(super) async fn put_state_once(&self, key: &str, value: Option<&[u8]>) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        match value {
            Some(value) => {
                let sql = "INSERT INTO memory (name, value) VALUES ($1, $2) \
                           ON CONFLICT (name) DO UPDATE SET value = excluded.value";
                held.execute(sql, &[&key.as_bytes(), &value]).await?
            }
            None => held.execute("DELETE FROM memory WHERE name = $1", &[&key.as_bytes()]).await?,
        };
        held.release();
        Ok(())
    }

    pub(super) async fn get_state_once(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let held = self.pool.get().await?;
        let found = held.query_opt("SELECT value FROM memory WHERE name = $1", &[&key.as_bytes()]).await?;
        held.release();
        Ok(found.map(|row| row.get(0)))
    }

    pub(super) async fn set_running_once(&self, running: bool) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        held.execute("UPDATE scheduler SET running = $1 WHERE id = 1", &[&running]).await?;
        held.release();
        self.notifier.notify();
        Ok(())
    }

    /// Whether the database takes writes, and there is room.
    pub(super) async fn health_once(&self) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
        let read_only: bool = held.query_one(sql, &[]).await?.get(0);
        let room = self.room.fault(&held).await?;
        held.release();
        if read_only {
            return Err(Fault::Unreachable("the database is read-only: it is a standby, or is set so".to_owned()));
        }
        room.map_or(Ok(()), |fault| Err(fault.into()))
    }
}
