//! What can go wrong below the store, and what it means to callers.

use rusqlite::ErrorCode;

use crate::StoreError;

/// What is said where the disk has no room.
pub(super) const DISK_FULL: &str = "the disk is full; free some space, intake resumes by itself";

/// A failure inside the store: the engine's, or one that is already in the callers' terms.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// From SQLite.
    #[error(transparent)]
    Engine(#[from] rusqlite::Error),
    /// In the callers' terms.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault {
    /// Whether the same work may succeed alone: not where the disk or the file is at fault.
    pub(super) fn is_of_this_work_alone(&self) -> bool {
        match self {
            Self::Engine(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                        | ErrorCode::DatabaseBusy
                )
            ),
            Self::Store(_) => true,
        }
    }

    /// Whether the disk had no room for what was written.
    pub(super) fn is_full_disk(&self) -> bool {
        matches!(self, Self::Engine(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// The callers' terms for it.
    pub(super) fn for_callers(&self) -> StoreError {
        let error = match self {
            Self::Store(error) => return error.clone(),
            Self::Engine(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full(DISK_FULL.to_owned()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(format!("{error}; restore a backup"))
            }
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}
