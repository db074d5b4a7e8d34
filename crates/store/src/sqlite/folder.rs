//! The data folder: its files, who may look into it, and the process that has it.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::Path;

use super::reserve::RESERVE;
use crate::private;
use crate::{StoreError, StoreResult};

/// The database's file name in the data folder.
pub const DATABASE: &str = "playproof.sqlite";
pub(super) const LOCK: &str = "lock";
/// What is said of a folder that cannot be written to.
pub(super) fn cannot_write(folder: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!(
        "cannot write to the data folder {}: {error}; make it writable or name another with PLAYPROOF_STORE",
        folder.display()
    ))
}

/// Refuses to begin anew where a store was: its database is missing or empty, and its sessions are somewhere else.
pub(super) fn refuse_lost(folder: &Path, path: &Path) -> StoreResult<()> {
    let empty = |path: &Path| fs::metadata(path).map_or(true, |found| found.len() == 0);
    if !empty(path) || empty(&folder.join(LOCK)) {
        return Ok(());
    }
    let found = if path.exists() { "is empty" } else { "is missing" };
    Err(StoreError::Corrupt(format!(
        "{} {found}, though the data folder was in use; put the file back or restore a backup; to begin anew, name an \
         empty folder with PLAYPROOF_STORE",
        path.display()
    )))
}

/// Makes the database's files private, also those that an earlier version made.
pub(super) fn keep_private(folder: &Path, path: &Path) -> std::io::Result<()> {
    // SQLite gives the log beside a database the database's own mode.
    drop(private::file(path)?);
    for beside in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        private::tighten(Path::new(&name))?;
    }
    private::tighten(&folder.join(RESERVE))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "backup") {
            private::tighten(&path)?;
        }
    }
    Ok(())
}

/// Notes in the lock's file that the folder holds a store, so that a missing database is noticed.
pub(super) fn note_use(lock: &mut File) -> std::io::Result<()> {
    if lock.metadata()?.len() == 0 {
        lock.write_all(b"in use\n")?;
        lock.sync_all()?;
    }
    Ok(())
}

/// Makes the folder where there is none, and takes it for this process.
pub(super) fn lock_folder(folder: &Path) -> StoreResult<File> {
    let cannot = |error: &std::io::Error| cannot_write(folder, error);
    // Of a folder that holds a store already it is ours to say who may look into it.
    if folder.join(LOCK).exists() {
        private::tighten(folder).map_err(|e| cannot(&e))?;
    }
    let new = !folder.exists();
    private::folder(folder).map_err(|e| cannot(&e))?;
    if new {
        // Or a power cut could take the folder away again, with all that is in it.
        let parent = folder.canonicalize().ok().and_then(|folder| folder.parent().map(Path::to_path_buf));
        if let Some(parent) = parent {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(|e| cannot(&e))?;
        }
    }
    let lock = private::file(&folder.join(LOCK)).map_err(|e| cannot(&e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(format!(
            "another process uses the data folder {}; stop it or name another folder with PLAYPROOF_STORE",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(cannot(&error)),
    }
}
