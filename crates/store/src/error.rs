//! Why a store did not do what it was asked, by who must act.

/// A store's failure. Nothing that returned one of these is acknowledged to anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room left, on disk or under `PLAYPROOF_STORE_LIMIT`; works again when there is room.
    #[error("the store has no room left: {0}")]
    Full(String),
    /// The store cannot be reached or written at the moment.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The lease was lost: another worker has, or had, these sessions. The caller drops its work.
    #[error("the lease on batch {0} is gone")]
    LeaseLost(i64),
    /// The data says something impossible.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// It was written by a later version of this program.
    #[error("the store has schema version {found}, this program knows up to {known}; run a newer playproof-batch")]
    Newer {
        /// Version found.
        found: i64,
        /// Latest version known.
        known: i64,
    },
    /// A value is larger than the store keeps.
    #[error("the value is too large for the store: {0}")]
    TooLarge(String),
    /// Somebody else has it open.
    #[error("{0}")]
    InUse(String),
    /// What the settings name cannot be used as it is, however long one waits.
    #[error("{0}")]
    Unusable(String),
}
