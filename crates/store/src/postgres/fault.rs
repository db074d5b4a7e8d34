//! What can go wrong on the way to the database, and what it means to callers.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

use crate::StoreError;

/// A failure inside the store: the database's, the connection's, or one that is already in the callers' terms.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// From the database or the way to it.
    #[error("{}", told(.0))]
    Engine(#[from] tokio_postgres::Error),
    /// No connection to be had.
    #[error("{0}")]
    Unreachable(String),
    /// In the callers' terms.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a fault says that a prepared statement is not, or already, where it should be.
pub(super) fn is_of_statements(code: &SqlState) -> bool {
    [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT].contains(code)
}

/// What to do where a pooler keeps no prepared statements.
pub(super) const STATEMENTS: &str = "the pooler keeps no prepared statements; set max_prepared_statements to 200 (PgBouncer 1.21 or later), \
     or pool_mode to session";

/// The whole of an error: the driver's own text says little more than "db error".
fn told(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(database), _) => format!("{} ({})", database.message(), database.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

impl Fault {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Engine(error) => error.code(),
            Self::Unreachable(_) | Self::Store(_) => None,
        }
    }

    /// Whether two transactions were in each other's way, so that the same one will do when run again.
    pub(super) fn is_a_collision(&self) -> bool {
        let collisions = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            // Another node stored the same key a moment before; the next look finds it.
            SqlState::UNIQUE_VIOLATION,
        ];
        self.code().is_some_and(|code| collisions.contains(code))
    }

    /// Whether what was to be written is at fault, so that others may be written without it.
    pub(super) fn is_of_this_data(&self) -> bool {
        self.code().is_some_and(|code| matches!(code.code().get(..2), Some("22" | "23" | "54")))
    }

    /// The callers' terms for it.
    pub(super) fn for_callers(&self) -> StoreError {
        if let Self::Store(error) = self {
            return error.clone();
        }
        let Some(code) = self.code() else { return StoreError::Unavailable(self.to_string()) };
        if *code == SqlState::DISK_FULL {
            return StoreError::Full(
                "the database's disk is full; free some space, intake resumes by itself".to_owned(),
            );
        }
        if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
            return StoreError::Corrupt(format!("{self}; restore a backup"));
        }
        if is_of_statements(code) {
            return StoreError::Unavailable(format!("{self}; {STATEMENTS}"));
        }
        StoreError::Unavailable(self.to_string())
    }
}
