//! Connections to the store's file, and how they are set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;

/// Cache of the writer and of each reader, in KiB. Small on purpose: the system's page cache does the caching, and the
/// process must not grow with the store.
pub(super) const WRITER_CACHE_KIB: i64 = 4 * 1024;
pub(super) const READER_CACHE_KIB: i64 = 512;
/// Bytes of a page: some six compact records.
const PAGE_SIZE: i64 = 16 * 1024;

/// How long a connection waits for a lock that another one has.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Opens the file at `path`, which is made where there is none.
pub(super) fn connect(path: &Path, cache_kib: i64) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // The planner looks at no value that is bound. Else each new value has the statement compiled again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Of effect in a new file only. Rows are written in order and side by side, so large pages save log and calls.
    connection.pragma_update(None, "page_size", PAGE_SIZE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Of effect on systems whose plain sync leaves the disk's own cache unwritten; elsewhere they change nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(connection)
}
