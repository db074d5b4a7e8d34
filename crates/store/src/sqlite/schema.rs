//! The embedded store's schema, its version and the steps that bring an older file up to date.

use rusqlite::Connection;

use crate::StoreError;
use crate::sqlite::fault::Fault;

/// The version that this program writes, kept in the file's `user_version`.
pub(super) const VERSION: i64 = 10;

/// One entry per version: what turns a file of the version before into it.
const STEPS: [&str; 10] = [
    include_str!("../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../migrations/sqlite/0002_sketches.sql"),
    include_str!("../../migrations/sqlite/0003_operators.sql"),
    include_str!("../../migrations/sqlite/0004_first_verdict_by_model.sql"),
    include_str!("../../migrations/sqlite/0005_reaches.sql"),
    include_str!("../../migrations/sqlite/0006_campaigns.sql"),
    include_str!("../../migrations/sqlite/0007_challenges.sql"),
    include_str!("../../migrations/sqlite/0008_decision_buckets.sql"),
    include_str!("../../migrations/sqlite/0009_evidence.sql"),
    include_str!("../../migrations/sqlite/0010_key_segments.sql"),
];

/// The version of the file; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings the file to [`VERSION`]; each step is one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    let found = version(connection)?;
    if found > VERSION {
        return Err(StoreError::Newer { found, known: VERSION }.into());
    }
    for (step, target) in STEPS.iter().zip(1..).skip(usize::try_from(found).unwrap_or(0)) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", target)?;
        transaction.commit()?;
    }
    Ok(())
}
