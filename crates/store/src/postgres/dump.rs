//! A consistent copy in a folder, made while nodes run: each table as `COPY` writes it, and a script that puts it back
//! with `psql`. Operators have `pg_dump` and better; this is for who has only this program.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::pin::pin;

use futures_util::StreamExt as _;

use super::core::Core;
use super::fault::Fault;
use super::schema;
use crate::{StoreError, private};

/// In the order in which they are read; partitions are part of their table.
pub(super) const TABLES: [&str; 27] = [
    "meta",
    "scheduler",
    "counters",
    "sessions",
    "queue",
    "telemetry",
    "telemetry_kept",
    "models",
    "results",
    "decision_buckets",
    "batches",
    "memory",
    "erased",
    "challenges",
    "retention",
    "sketches",
    "sketch_keys",
    "matches",
    "uncompared",
    "campaigns",
    "campaign_members",
    "controls",
    "controls_version",
    "audit",
    "revisions",
    "labels",
    "deliveries",
];

impl Core {
    pub(super) async fn dump(&self, folder: &Path) -> Result<(), Fault> {
        let cannot = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", folder.display()));
        let script = folder.join("restore.sql");
        if script.exists() {
            let message = format!("{} holds a copy already; name an empty folder", folder.display());
            return Err(StoreError::Unavailable(message).into());
        }
        private::folder(folder).map_err(cannot)?;
        let mut held = self.pool.get().await?;
        let transaction = held
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        transaction.batch_execute("SET LOCAL enable_seqscan = on; SET LOCAL statement_timeout = 0").await?;
        let last: i64 = transaction.query_one("SELECT last_value FROM session_seq", &[]).await?.get(0);
        let mut text = format!(
            "-- Puts a store of schema version {} back: psql -v ON_ERROR_STOP=1 -f restore.sql, in an empty database that \
             `playproof-batch migrate` has prepared.\nBEGIN;\nTRUNCATE {};\n",
            schema::VERSION,
            TABLES.join(", ")
        );
        // Or their rows would end up where no partition can be made for them any more.
        for row in transaction.query(super::retention::PARTITIONS, &[]).await? {
            let (name, hour): (String, i64) = (row.get(0), row.get(1));
            let _ = writeln!(
                text,
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF telemetry FOR VALUES FROM ({hour}) TO ({}) \
                 WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.5);",
                hour + 1
            );
        }
        for table in TABLES {
            let mut file = private::file(&folder.join(format!("{table}.copy"))).map_err(cannot)?;
            file.set_len(0).map_err(cannot)?;
            let rows = transaction.copy_out(&format!("COPY (SELECT * FROM {table}) TO STDOUT")).await?;
            let mut rows = pin!(rows);
            while let Some(piece) = rows.next().await {
                file.write_all(&piece?).map_err(cannot)?;
            }
            file.sync_all().map_err(cannot)?;
            let _ = writeln!(text, "\\copy {table} FROM '{table}.copy'");
        }
        for table in ["models", "batches", "revisions", "deliveries"] {
            let _ = writeln!(
                text,
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table};"
            );
        }
        let _ = writeln!(text, "SELECT setval('session_seq', {last});\nCOMMIT;");
        // A copy without its script is none.
        private::file(&script).and_then(|mut file| file.write_all(text.as_bytes())).map_err(cannot)?;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)?;
        transaction.commit().await?;
        held.release();
        Ok(())
    }
}
