//! The names of requests.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderValue};

pub(crate) const REQUEST_ID: &str = "x-request-id";

/// Names requests that came without a name; unguessable, so that ids of others can't be put into the log.
pub(crate) struct RequestIds {
    seed: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { seed: RandomState::new(), next: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let number = self.seed.hash_one(self.next.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(format!("{number:016x}")).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }

    /// The client's own id when it is sane, else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let sane = |id: &&HeaderValue| {
            let id = id.as_bytes();
            (1..=64).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(b))
        };
        headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insane_request_ids_are_replaced() {
        let ids = RequestIds::new();
        let of = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, id.parse().unwrap());
            ids.of(&headers)
        };
        assert_eq!(of("abc-1.2:3_4"), "abc-1.2:3_4");
        for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert_eq!(of(bad).len(), 16, "{bad}");
        }
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }
}
