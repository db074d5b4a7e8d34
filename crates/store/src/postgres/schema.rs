//! The shared store's schema, its version and the steps that bring an older database up to date.
//!
//! Steps expand first: what a node of the version before needs stays as it was, so nodes are replaced one by one. A step
//! that breaks the version before says so in [`Step::oldest`].

use tokio_postgres::{Client, GenericClient};

use super::fault::Fault;
use crate::StoreError;

/// One version: what turns a database of the version before into it.
struct Step {
    /// The oldest version of this program that can work with it.
    oldest: i64,
    sql: &'static str,
}

/// Every version, the first one first.
const STEPS: [Step; 9] = [
    Step { oldest: 1, sql: include_str!("../../migrations/postgres/0001_initial.sql") },
    Step { oldest: 1, sql: include_str!("../../migrations/postgres/0002_sketches.sql") },
    Step { oldest: 1, sql: include_str!("../../migrations/postgres/0003_operators.sql") },
    Step { oldest: 1, sql: include_str!("../../migrations/postgres/0004_first_verdict_by_model.sql") },
    Step { oldest: 1, sql: include_str!("../../migrations/postgres/0005_reaches.sql") },
    Step { oldest: 1, sql: include_str!("../../migrations/postgres/0006_campaigns.sql") },
    Step { oldest: 7, sql: include_str!("../../migrations/postgres/0007_challenges.sql") },
    Step { oldest: 7, sql: include_str!("../../migrations/postgres/0008_decision_buckets.sql") },
    Step { oldest: 7, sql: include_str!("../../migrations/postgres/0009_evidence.sql") },
];

/// The version that this program writes.
pub(super) const VERSION: i64 = 9;

/// Who holds this advisory lock migrates; everybody else waits.
const LOCK: i64 = 0x706c_6179_7072;

/// Rows of counters. A transaction moves the counts of one row, that of its connection, so that nodes don't wait for
/// each other; the counts are the sums.
pub(super) const SHARDS: i32 = 64;

/// The version of the database and the oldest version of this program that can work with it; `None` when it is empty.
pub(super) async fn version(client: &impl GenericClient) -> Result<Option<(i64, i64)>, Fault> {
    let there: bool = client
        .query_one("SELECT to_regclass(quote_ident(current_schema()) || '.schema_version') IS NOT NULL", &[])
        .await?
        .get(0);
    if !there {
        return Ok(None);
    }
    let row = client.query_opt("SELECT version, oldest FROM schema_version", &[]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

/// Refuses a database that this program cannot work with.
pub(super) fn check(found: Option<(i64, i64)>) -> Result<(), Fault> {
    match found {
        Some((version, oldest)) if oldest > VERSION => Err(StoreError::Newer { found: version, known: VERSION }.into()),
        _ => Ok(()),
    }
}

/// Brings the database to [`VERSION`], one transaction a step, each while nobody else does any. The versions before and
/// after.
pub(super) async fn migrate(client: &mut Client, autostart: bool, now: Option<i64>) -> Result<(i64, i64), Fault> {
    let mut before = None;
    loop {
        let transaction = client.transaction().await?;
        // Other nodes may be at it for longer than a statement may take otherwise.
        transaction.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").await?;
        // The transaction's, not the session's: a pooler may give the next statement another session.
        let lock = "SELECT pg_advisory_xact_lock($1 # hashtextextended(current_schema(), 0))";
        transaction.execute(lock, &[&LOCK]).await?;
        let found = version(&transaction).await?;
        check(found)?;
        let found = found.map_or(0, |(version, _)| version);
        let before = *before.get_or_insert(found);
        let Some((step, target)) = STEPS.iter().zip(1i64..).nth(usize::try_from(found).unwrap_or(0)) else {
            transaction.commit().await?;
            return Ok((before, found));
        };
        transaction.batch_execute(step.sql).await?;
        if target == 1 {
            fill(&transaction, autostart, now).await?;
        }
        transaction.execute("UPDATE schema_version SET version = $1, oldest = $2", &[&target, &step.oldest]).await?;
        transaction.commit().await?;
    }
}

/// What a new store starts with.
async fn fill(transaction: &tokio_postgres::Transaction<'_>, autostart: bool, now: Option<i64>) -> Result<(), Fault> {
    let mut secret = [0u8; 32];
    rand::fill(&mut secret);
    transaction
        .batch_execute(
            "CREATE TABLE schema_version (version bigint NOT NULL, oldest bigint NOT NULL); \
        INSERT INTO schema_version VALUES (0, 0)",
        )
        .await?;
    transaction.execute("INSERT INTO meta (name, value) VALUES ('secret', $1)", &[&secret.as_slice()]).await?;
    let created = format!("INSERT INTO scheduler VALUES (1, $1, {})", super::pool::now("$2"));
    transaction.execute(&created, &[&autostart, &now]).await?;
    transaction.execute("INSERT INTO counters (shard) SELECT generate_series(0, $1 - 1)", &[&SHARDS]).await?;
    Ok(())
}
