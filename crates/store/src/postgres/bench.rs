//! What only the benchmark asks of the shared store: a baseline to compare with, and finished sessions by the million.

use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::store::PostgresStore;
use crate::{NewSession, StoreResult};

impl PostgresStore {
    /// Inserts sessions as a plain service would: one connection, one row, one `INSERT` and its commit at a time, into a
    /// table with a key and nothing else.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn insert_one_by_one(&self, sessions: &[NewSession]) -> StoreResult<()> {
        called!(self.core.insert_one_by_one_once(sessions))
    }

    /// Makes `count` more finished sessions that are like any other but for their telemetry, which is gone.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn make_finished(&self, count: i64) -> StoreResult<()> {
        self.core.make_finished_once(count).await.map_err(|fault| fault.for_callers())
    }
}

impl Core {
    async fn insert_one_by_one_once(&self, sessions: &[NewSession]) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        let table = "CREATE TABLE IF NOT EXISTS bench_plain (id text PRIMARY KEY, accepted_at bigint NOT NULL, \
                     digest bytea NOT NULL, record bytea NOT NULL)";
        held.batch_execute(table).await?;
        let sql = "INSERT INTO bench_plain (id, accepted_at, digest, record) VALUES ($1, $2, $3, $4)";
        let statement = held.prepare_cached(sql).await?;
        for new in sessions {
            let at = new.first.scored_at.0;
            held.execute(&statement, &[&new.key.id.unique(), &at, &new.digest.0.as_slice(), &new.record]).await?;
        }
        held.batch_execute("DROP TABLE bench_plain").await?;
        held.release();
        Ok(())
    }

    async fn make_finished_once(&self, count: i64) -> Result<(), Fault> {
        let mut held = self.pool.get().await?;
        let transaction = held.transaction().await?;
        transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
        let sql = "INSERT INTO models (name, version) VALUES ('bench', '1') ON CONFLICT DO NOTHING";
        transaction.execute(sql, &[]).await?;
        let sql = "WITH new AS MATERIALIZED (SELECT nextval('session_seq') AS seq FROM generate_series(1, $1::bigint)), \
             keys AS (INSERT INTO sessions (seq, accepted_at, user_hash, latency_ms, reasons, first_confidence, \
               first_score, hour, first_decision, id, deployment, digest, game, device, user_id, features) \
               SELECT seq, seq, NULL, 1, 0, 0.5, 0.5, 0, 0, md5(seq::text), '', '\\x00', 'aim', 'mouse', NULL, \
               decode(repeat('00', 224), 'hex') FROM new), \
             counted AS (UPDATE counters SET processed = processed + $1, accepted = accepted + $1 WHERE shard = 0) \
             INSERT INTO results (seq, scored_at, batch, confidence, score, raw, reasons, not_before, model, attempts, \
               lost_leases, decision, kind, source, extrapolated, fallback, class, deployment) \
             SELECT seq, 1600000000000 + seq, NULL, 0.5, 1, 1, 0, 0, (SELECT min(id) FROM models), 1, 0, seq % 3, 1, 1, \
               false, false, '', '' FROM new";
        transaction.execute(sql, &[&count]).await?;
        transaction.commit().await?;
        // As the server's own upkeep does sooner or later.
        for table in ["sessions", "results", "queue", "batches"] {
            held.batch_execute(&format!("VACUUM ANALYZE {table}")).await?;
        }
        Ok(())
    }
}
