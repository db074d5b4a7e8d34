//! The simulator's time: the machine's, plus what a test has moved it ahead.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// Tells the time.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    /// Unix milliseconds.
    pub(crate) fn now(&self) -> i64 {
        Timestamp::now().as_millisecond().saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Moves the time ahead.
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// ISO 8601 with zone.
pub(crate) fn iso(millis: i64) -> String {
    Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}

/// The date of an HTTP header `ahead` seconds from the machine's now, rounded up so that the wait is never shorter.
pub(crate) fn http_date(ahead: f64) -> String {
    let at = Timestamp::now().as_second().saturating_add(crate::number::whole(ahead) + 1);
    Timestamp::from_second(at).unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
