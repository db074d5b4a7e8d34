//! Who is alive: a row per node, renewed as long as it lives, on the database's clock.

use std::time::Duration;

use super::core::Core;
use super::fault::Fault;
use super::pool::now;
use super::rows;
use crate::{Heartbeat, NodeRow};
use playproof_domain::time::Timestamp;

/// Nodes silent for this long are forgotten, milliseconds.
const FORGOTTEN: i64 = 24 * 3_600_000;

impl Core {
    pub(super) async fn beat_once(&self, beat: &Heartbeat) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        if beat.leaving {
            held.execute("DELETE FROM nodes WHERE id = $1", &[&beat.id]).await?;
        } else {
            let sql = format!(
                "INSERT INTO nodes (id, version, address, started_at, seen_at, draining) \
                 VALUES ($1, $2, $3, $4, {}, $5) \
                 ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, draining = excluded.draining",
                now("NULL")
            );
            let statement = held.prepare_cached(&sql).await?;
            held.execute(&statement, &[&beat.id, &beat.version, &beat.address, &beat.started_at.0, &beat.draining])
                .await?;
            let sql = format!("DELETE FROM nodes WHERE seen_at < {} - $1", now("NULL"));
            let statement = held.prepare_cached(&sql).await?;
            held.execute(&statement, &[&FORGOTTEN]).await?;
        }
        held.release();
        Ok(())
    }

    pub(super) async fn nodes_once(&self) -> Result<Vec<NodeRow>, Fault> {
        let held = self.pool.get().await?;
        let sql = format!(
            "SELECT id, version, address, started_at, draining, greatest({} - seen_at, 0) AS silent FROM nodes ORDER BY id",
            now("NULL")
        );
        let statement = held.prepare_cached(&sql).await?;
        let found = held.query(&statement, &[]).await?;
        held.release();
        rows::all(&found, |row| {
            Ok(NodeRow {
                id: row.try_get("id")?,
                version: row.try_get("version")?,
                address: row.try_get("address")?,
                started_at: Timestamp(row.try_get("started_at")?),
                silent_for: Duration::from_millis(row.try_get::<_, i64>("silent")?.unsigned_abs()),
                draining: row.try_get("draining")?,
            })
        })
    }
}
