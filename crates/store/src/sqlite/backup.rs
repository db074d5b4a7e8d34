//! Copies of the embedded store: made while it runs, before a migration, and put back.

use std::fs;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::folder::DATABASE;
use super::schema;
use crate::{StoreError, StoreResult, private};

/// Copies the store in `data` to the folder `to`, consistently, whether or not a node has it open.
///
/// # Errors
/// When there is no store, the target holds one already, or either cannot be read or written.
pub fn backup(data: &Path, to: &Path) -> StoreResult<()> {
    let target = to.join(DATABASE);
    if target.exists() {
        let message = format!("{} holds a store already; name an empty folder", to.display());
        return Err(StoreError::Unavailable(message));
    }
    private::folder(to).map_err(|e| folder_fault(to, &e))?;
    copy_whole(&data.join(DATABASE), &to.join("copying.sqlite"), &target)
}

/// Copies under another name first: a copy that was interrupted must not be taken for a whole one.
fn copy_whole(from: &Path, partial: &Path, target: &Path) -> StoreResult<()> {
    let _ = fs::remove_file(partial);
    copy(from, partial)?;
    let folder = target.parent().unwrap_or(target);
    fs::rename(partial, target).map_err(|e| folder_fault(folder, &e))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| folder_fault(folder, &e))
}

/// Puts the copy in the folder `from` in place as the store in `data`, which must not hold one.
///
/// # Errors
/// When `from` holds no usable store, or `data` holds one already.
pub fn restore(from: &Path, data: &Path) -> StoreResult<()> {
    let target = data.join(DATABASE);
    if target.exists() {
        let message = format!("{} holds a store already; move it away first", data.display());
        return Err(StoreError::InUse(message));
    }
    private::folder(data).map_err(|e| folder_fault(data, &e))?;
    copy_whole(&from.join(DATABASE), &data.join("restoring.sqlite"), &target)
}

fn folder_fault(folder: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", folder.display()))
}

/// Copies one database file through SQLite's backup interface and checks the copy.
pub(super) fn copy(from: &Path, to: &Path) -> StoreResult<()> {
    if !from.exists() {
        return Err(StoreError::Unavailable(format!("there is no store at {}", from.display())));
    }
    copy_checked(from, to).map_err(|fault| {
        let _ = fs::remove_file(to);
        fault.for_callers()
    })
}

fn copy_checked(from: &Path, to: &Path) -> Result<(), Fault> {
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    source.busy_timeout(std::time::Duration::from_secs(5))?;
    let found = schema::version(&source)?;
    if found > schema::VERSION {
        return Err(StoreError::Newer { found, known: schema::VERSION }.into());
    }
    if found == 0 {
        return Err(StoreError::Unavailable(format!("{} is no store", from.display())).into());
    }
    private::file(to).map_err(|e| folder_fault(to, &e))?;
    let mut target = Connection::open(to)?;
    target.pragma_update(None, "synchronous", "FULL")?;
    {
        let backup = Backup::new(&source, &mut target)?;
        // All pages in one step: one read snapshot, so writers in between cannot make it start over.
        let mut tries = 0;
        while backup.step(-1)? != StepResult::Done {
            tries += 1;
            if tries > 50 {
                return Err(StoreError::Unavailable("the store is busy; try again".to_owned()).into());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
    let verdict: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Corrupt(format!("the copy fails its check: {verdict}")).into());
    }
    Ok(())
}
