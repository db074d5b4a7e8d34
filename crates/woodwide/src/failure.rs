//! Why a request to Woodwide brought nothing, sorted by what must happen next.

use std::time::Duration;

use super::settings::Timing;
use playproof_detector::DetectorError;

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The service has not got there yet: an empty answer, a dataset still being read.
    #[error("not ready: {0}")]
    NotReady(String),
    /// No valid key is left.
    #[error("no valid key ({0}); check WOODWIDE_API_KEYS")]
    Key(String),
    /// The account has no credits left.
    #[error("no credits left ({0}); top the account up")]
    Credits(String),
    /// Too many requests.
    #[error("too many requests ({message})")]
    Limited { message: String, retry_after: Option<Duration> },
    /// Unreachable, broken, overloaded. `ambiguous`: it may have happened nevertheless.
    #[error("away: {message}")]
    Away { message: String, ambiguous: bool, retry_after: Option<Duration> },
    /// It refuses what was sent.
    #[error("refused: {0}")]
    Refused(String),
    /// It is not there: an id, or an endpoint of this deployment.
    #[error("not found: {0}")]
    Missing(String),
    /// It exists already, or is not in the state for this.
    #[error("conflict: {0}")]
    Conflict(String),
    /// More than the service takes at once.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The answer does not say what it must say.
    #[error("unusable answer: {0}")]
    Protocol(String),
}

impl Failure {
    /// [`Failure::Away`] without a wish for a pause.
    pub(super) fn away(message: &str, ambiguous: bool) -> Self {
        Self::Away { message: message.to_owned(), ambiguous, retry_after: None }
    }
}

impl Failure {
    /// What it means for the batch.
    pub(super) fn into_error(self, timing: &Timing) -> DetectorError {
        let message = format!("Woodwide: {self}");
        match self {
            // What is in the rows.
            Failure::Refused(_) | Failure::TooLarge(_) => DetectorError::Permanent { message },
            // Nobody's fault but the service's: no attempt is spent.
            Failure::Limited { retry_after, .. } | Failure::Away { retry_after, .. } => {
                DetectorError::Unavailable { message, retry_after }
            }
            // Credits and keys don't come back within seconds.
            Failure::Credits(_) | Failure::Key(_) => {
                DetectorError::Unavailable { message, retry_after: Some(timing.account) }
            }
            Failure::NotReady(_) | Failure::Missing(_) | Failure::Conflict(_) => {
                DetectorError::Unavailable { message, retry_after: None }
            }
            Failure::Protocol(_) => DetectorError::Unusable { message },
        }
    }
}
