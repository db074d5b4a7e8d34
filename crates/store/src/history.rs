//! A long history, made for benchmarks: finished sessions and their results, without the work that led to them.

use playproof_domain::time::Timestamp;

/// What [`crate::sqlite::SqliteStore::make_history`] and [`crate::postgres::PostgresStore::make_history`] put into a new
/// store. Telemetry and sketches are past their retention.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// Finished sessions.
    pub sessions: i64,
    /// When the first one was accepted.
    pub begin: Timestamp,
    /// Milliseconds between two acceptances.
    pub step_ms: i64,
    /// Sessions of each user.
    pub per_user: i64,
}

impl History {
    /// When the session with this number, from 1 on, was accepted; a second later it was scored.
    #[must_use]
    pub fn accepted_at(&self, number: i64) -> Timestamp {
        Timestamp(self.begin.0 + (number - 1) * self.step_ms)
    }

    /// When the next session after the last one would be accepted.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        Timestamp(self.accepted_at(self.sessions + 1).0 + SCORED_AFTER_MS)
    }

    /// Users, each with sessions all over the history.
    #[must_use]
    pub fn users(&self) -> i64 {
        (self.sessions / self.per_user.max(1)).max(1)
    }

    /// Name of the user with this number, from 0 on.
    #[must_use]
    pub fn user(number: i64) -> String {
        format!("user-{number}")
    }
}

/// Milliseconds from acceptance to result.
pub(crate) const SCORED_AFTER_MS: i64 = 1_000;
