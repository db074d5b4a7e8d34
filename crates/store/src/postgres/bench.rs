//! What only the benchmark asks of the shared store: a baseline to compare with, and finished sessions by the million.

use super::address::Address;
use super::core::Core;
use super::fault::Fault;
use super::pool::called;
use super::store::PostgresStore;
use crate::history::{History, SCORED_AFTER_MS};
use crate::{NewSession, StoreResult};

/// Sessions of one transaction of [`PostgresStore::make_history`].
const PIECE: i64 = 200_000;

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

impl PostgresStore {
    /// Fills a new store.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn make_history(&self, history: History) -> StoreResult<()> {
        self.core.make_history_once(&history).await.map_err(|fault| fault.for_callers())
    }
}

/// Makes the schema `name` in the database at `url`, without anything that it held.
///
/// # Errors
/// When the database cannot be reached or written.
pub async fn make_schema(url: &str, name: &str) -> StoreResult<()> {
    let outcome = async {
        let (client, connection) = Address::parse(url)?.connect().await?;
        let driven = tokio::spawn(connection);
        let done = client.batch_execute(&format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")).await;
        drop(client);
        let _ = driven.await;
        Ok::<(), Fault>(done?)
    };
    outcome.await.map_err(|fault| fault.for_callers())
}

impl Core {
    async fn make_history_once(&self, history: &History) -> Result<(), Fault> {
        let held = self.pool.get().await?;
        let setup = "SET statement_timeout = 0; SET synchronous_commit = off; SET enable_hashjoin = on; \
                     INSERT INTO models (name, version) VALUES ('bench', '1'); \
                     CREATE TEMP TABLE made_users (n bigint PRIMARY KEY, name bytea NOT NULL, hash bigint NOT NULL)";
        held.batch_execute(setup).await?;
        let names: Vec<String> = (0..history.users()).map(History::user).collect();
        let hashes: Vec<i64> = names.iter().map(|name| self.hasher.hash_user(name)).collect();
        let users = "INSERT INTO made_users SELECT place - 1, convert_to(name, 'UTF8'), hash \
                     FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS u(name, hash, place)";
        held.execute(users, &[&names, &hashes]).await?;
        held.batch_execute("ANALYZE made_users").await?;
        let sql = "WITH new AS MATERIALIZED (SELECT n, $3 + (n - 1) * $4 AS at \
               FROM generate_series($1::bigint, $2::bigint) n), \
             keys AS (INSERT INTO sessions (seq, accepted_at, user_hash, latency_ms, reasons, first_confidence, \
               first_score, hour, first_decision, id, deployment, digest, game, device, user_id, features) \
               SELECT new.n, at, u.hash, 1, 0, 0.5, 0.5, (at / 3600000)::int, 0, md5(new.n::text), '', \
               decode(md5(new.n::text), 'hex'), 'aim', 'mouse', u.name, decode(repeat('00', 224), 'hex') \
               FROM new JOIN made_users u ON u.n = new.n % $5 ORDER BY new.n) \
             INSERT INTO results (seq, scored_at, batch, confidence, score, raw, reasons, not_before, model, attempts, \
               lost_leases, decision, kind, source, extrapolated, fallback, class, deployment) \
             SELECT n, at + $6, 1, 0.9, (n % 977) / 200.0, 12.5, 0, 0, (SELECT min(id) FROM models), 1, 0, \
               CASE n % 10 WHEN 0 THEN 2 WHEN 1 THEN 1 ELSE 0 END, 1, 1, false, false, 'pooled', '' FROM new ORDER BY n";
        let statement = held.prepare(sql).await?;
        let mut first = 1;
        while first <= history.sessions {
            let last = (first + PIECE - 1).min(history.sessions);
            let (begin, step) = (history.begin.0, history.step_ms);
            held.execute(&statement, &[&first, &last, &begin, &step, &history.users(), &SCORED_AFTER_MS]).await?;
            first = last + 1;
        }
        held.execute("SELECT setval('session_seq', $1)", &[&history.sessions]).await?;
        let counted = "UPDATE counters SET processed = processed + $1, accepted = accepted + $1 WHERE shard = 0";
        held.execute(counted, &[&history.sessions]).await?;
        // As the server's own upkeep does sooner or later.
        for table in ["sessions", "results", "queue", "batches"] {
            held.batch_execute(&format!("VACUUM ANALYZE {table}")).await?;
        }
        held.batch_execute("CHECKPOINT").await?;
        // Not released: its settings are those of filling.
        Ok(())
    }

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
