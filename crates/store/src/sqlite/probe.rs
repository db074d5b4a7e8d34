//! Looking at an embedded store without opening it for work.

use std::fs::{File, TryLockError};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::folder::{DATABASE, LOCK, refuse_lost};
use super::{audit, read, schema};
use crate::audit::Entry;
use crate::{StoreError, StoreResult};

/// Entries of the audit log read at once.
const AUDIT_STEP: u32 = 1000;

/// Says what is in `folder`, changing nothing: a store this program can use, with or without a node that has it open,
/// or none yet.
///
/// # Errors
/// When the file is damaged or from a later version.
pub fn probe(folder: &Path) -> StoreResult<String> {
    let path = folder.join(DATABASE);
    refuse_lost(folder, &path)?;
    if !path.exists() {
        return Ok(format!("{} holds none yet; one is made at the first start", folder.display()));
    }
    let found = look(&path).map_err(|fault| fault.for_callers())?;
    let user = if in_use(folder) { ", in use by a running node" } else { "" };
    Ok(format!("{} {found}{user}", folder.display()))
}

/// Gives every entry of the audit log in `folder`, the oldest first, changing nothing.
///
/// # Errors
/// When there is no store of this version, or where `each` fails.
pub fn each_audit_entry(folder: &Path, mut each: impl FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let path = folder.join(DATABASE);
    if !path.exists() {
        anyhow::bail!("{} holds no store", folder.display());
    }
    let open = || -> Result<Connection, Fault> {
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "query_only", true)?;
        match schema::version(&connection)? {
            found if found > schema::VERSION => Err(StoreError::Newer { found, known: schema::VERSION }.into()),
            found if found < schema::VERSION => {
                let message = format!("the store has schema version {found}, which has no audit log; run migrate");
                Err(StoreError::Unavailable(message).into())
            }
            _ => Ok(connection),
        }
    };
    let connection = open().map_err(|fault| fault.for_callers())?;
    let mut last = 0;
    loop {
        let entries = audit::after(&connection, last, AUDIT_STEP).map_err(|fault| fault.for_callers())?;
        let Some(end) = entries.last() else { return Ok(()) };
        last = end.id;
        entries.into_iter().try_for_each(&mut each)?;
    }
}

fn in_use(folder: &Path) -> bool {
    let lock = File::options().write(true).open(folder.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn look(path: &Path) -> Result<String, Fault> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "query_only", true)?;
    let found = schema::version(&connection)?;
    if found > schema::VERSION {
        return Err(StoreError::Newer { found, known: schema::VERSION }.into());
    }
    if found < schema::VERSION {
        return Ok(format!("has schema version {found}, brought to {} at the next start", schema::VERSION));
    }
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(StoreError::Unavailable(format!("the store is damaged: {sound}; restore a backup")).into());
    }
    let counts = read::snapshot(&connection)?.counts;
    Ok(format!("holds {} sessions, {} of them unprocessed", counts.stored(), counts.unprocessed()))
}
