//! Answers by their bytes: a body of any type, a file with its version, a stream of events.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;

/// `status` with a body of any type.
pub(crate) fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A file of the version `tag`, or 304 where the caller has that version.
pub(crate) fn tagged(tag: &str, asked: &HeaderMap, content_type: &'static str, body: impl Into<Body>) -> Response {
    let tag = format!("\"{tag}\"");
    let known = asked.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let mut response = if known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        bytes(StatusCode::OK, content_type, body)
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Server-sent events.
pub(crate) fn events<T: Into<Bytes>>(events: impl Stream<Item = Result<T, Infallible>> + Send + 'static) -> Response {
    let mut response = bytes(StatusCode::OK, "text/event-stream", Body::from_stream(events));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers would keep them all.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
