//! What detectors learned, by key: a few values of bounded size, kept until they are replaced or forgotten.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;

pub(super) fn put(connection: &Connection, key: &str, value: Option<&[u8]>) -> Result<(), Fault> {
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

pub(super) fn get(connection: &Connection, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    let mut statement = connection.prepare_cached("SELECT value FROM memory WHERE name = ?")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}
