//! Queries, with errors in our shape, and the kinds of values in them.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::domain::time::Timestamp;
use crate::http::respond::error::ApiError;

/// The query of a URL.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        query(&parts.uri).map(Self)
    }
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    match Query::<T>::try_from_uri(uri) {
        Ok(Query(params)) => Ok(params),
        Err(e) => {
            let text = e.body_text();
            let fault = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            match fault.split_once(": ") {
                Some((name, _)) if name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    Err(ApiError::malformed(name, format!("{name} in the query has no value of its kind: {fault}")))
                }
                _ => Err(ApiError::malformed("query", format!("the query is wrong: {fault}"))),
            }
        }
    }
}

/// A span such as `30s`, `500ms`, `2m`, or a plain number of seconds.
pub(crate) fn span(path: &str, text: &str) -> Result<Duration, ApiError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => 0_u64,
    };
    match number.parse::<u64>() {
        Ok(n) if millis > 0 => Ok(Duration::from_millis(n.saturating_mul(millis))),
        _ => Err(ApiError::malformed(path, format!("{path} must be a span such as 30s or 500ms"))),
    }
}

/// A point in time: ISO 8601, or milliseconds since 1970.
pub(crate) fn time(path: &str, text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(millis) = text.parse::<i64>() {
        return Ok(Some(Timestamp(millis)));
    }
    // A `+` of an offset that was not percent-encoded arrives as a space.
    let time = text.replace(' ', "+").parse::<jiff::Timestamp>();
    let wrong = |_| ApiError::malformed(path, format!("{path} must be a time such as 2026-01-31T12:00:00Z"));
    time.map(|at| Some(Timestamp(at.as_millisecond()))).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_read() {
        assert_eq!(span("wait", "30s").unwrap(), Duration::from_secs(30));
        assert_eq!(span("wait", "1500ms").unwrap(), Duration::from_millis(1500));
        assert_eq!(span("wait", "2").unwrap(), Duration::from_secs(2));
        for bad in ["", "s", "-1s", "1h", "1.5s", "NaN"] {
            assert!(span("wait", bad).is_err(), "{bad}");
        }
        assert_eq!(time("since", Some("2026-01-31T12:00:00Z")).unwrap(), Some(Timestamp(1_769_860_800_000)));
        assert_eq!(time("since", Some("2026-01-31T13:00:00 01:00")).unwrap(), Some(Timestamp(1_769_860_800_000)));
        assert_eq!(time("since", Some("17")).unwrap(), Some(Timestamp(17)));
        assert!(time("since", Some("yesterday")).is_err());
    }
}
