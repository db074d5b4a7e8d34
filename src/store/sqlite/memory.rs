//! What detectors learned, by key: a few values of bounded size, kept until they are replaced or forgotten.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use crate::store::{LARGEST_MEMORY, LONGEST_MEMORY_KEY, StoreError, StoreResult};

/// Refuses what is too large before it reaches the writer.
pub(super) fn check(key: &str, value: Option<&[u8]>) -> StoreResult<()> {
    let size = value.map_or(0, <[u8]>::len);
    if size > LARGEST_MEMORY {
        let message = format!("a detector's memory of {size} bytes; {LARGEST_MEMORY} are the most");
        return Err(StoreError::TooLarge(message));
    }
    if key.len() > LONGEST_MEMORY_KEY {
        let message = format!("a detector's key of {} bytes; {LONGEST_MEMORY_KEY} are the most", key.len());
        return Err(StoreError::TooLarge(message));
    }
    Ok(())
}

pub(super) fn remember(connection: &Connection, key: &str, value: Option<&[u8]>) -> Result<(), Fault> {
    match value {
        Some(value) => {
            let sql = "INSERT INTO memory (name, value) VALUES (?, ?) \
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            connection.prepare_cached(sql)?.execute(params![key, value])?
        }
        None => connection.prepare_cached("DELETE FROM memory WHERE name = ?")?.execute([key])?,
    };
    Ok(())
}

pub(super) fn recall(connection: &Connection, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    let mut statement = connection.prepare_cached("SELECT value FROM memory WHERE name = ?")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}
