//! What every request passes before and after its handler: request id, guard, preflight, rate, key, panic, log,
//! metric. One layer, so that the order can be read here.

use std::hash::{BuildHasher as _, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use super::Service;
use super::auth::{self, Access};
use super::error::{ApiError, Cause, Code};
use super::limits::{self, Peer};

/// Routes that need no key: they hold no data.
const OPEN: [&str; 4] = ["/", "/health", "/ready", "/openapi.json"];
/// Routes that are never held back: whoever watches the process must see it when it is busy.
const UNLIMITED: [&str; 3] = ["/health", "/ready", "/metrics"];

const REQUEST_ID: &str = "x-request-id";
const UNMATCHED: &str = "unmatched";

/// Names requests that came without a name; unguessable, so that ids of others can't be put into the log.
pub(super) struct RequestIds {
    seed: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { seed: RandomState::new(), next: AtomicU64::new(0) }
    }

    fn next(&self) -> HeaderValue {
        let number = self.seed.hash_one(self.next.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(format!("{number:016x}")).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }

    /// The client's own id when it is sane, else a new one.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let sane = |id: &&HeaderValue| {
            let id = id.as_bytes();
            (1..=64).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(b))
        };
        headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| self.next())
    }
}

/// The layer.
pub(super) async fn gate(State(service): State<Arc<Service>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    let id = service.request_ids.of(request.headers());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, |m| m.as_str());
    let origin = request.headers().get(header::ORIGIN).cloned();

    let mut response = match admit(&service, &mut request, route) {
        Ok(None) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => ApiError::internal(format!("a handler panicked: {}", panic_text(&*panic))).into_response(),
        },
        Ok(Some(answer)) => answer,
        Err(refusal) => refusal.into_response(),
    };

    let status = response.status();
    if let Some(Cause(code, cause)) = response.extensions_mut().remove::<Cause>() {
        let id = id.to_str().unwrap_or_default();
        if status.is_server_error() {
            tracing::error!(request_id = id, route, status = status.as_u16(), code, cause, "request failed");
        } else {
            tracing::debug!(request_id = id, route, status = status.as_u16(), code, "request refused");
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    if let Some(origin) = origin {
        allow(&service, origin, response.headers_mut());
    }
    service.metrics.http(route, method, status.as_u16(), started.elapsed());
    response
}

/// Lets a request through, answers a preflight, or refuses. Puts the caller's access into the request.
fn admit(service: &Service, request: &mut Request, route: &str) -> Result<Option<Response>, ApiError> {
    let settings = &service.settings;
    auth::guard_local(settings, request.uri(), request.headers())?;
    if let Some(limiter) = &service.limiter
        && !UNLIMITED.contains(&route)
        && let Some(Peer(peer)) = request.extensions().get::<Peer>()
    {
        let client = limits::client(peer.ip(), request.headers(), &settings.trusted_proxies);
        limiter.address(client, service.clock.now().monotonic).map_err(ApiError::rate_limited)?;
    }
    if let Some(answer) = preflight(service, request)? {
        return Ok(Some(answer));
    }
    if route == UNMATCHED || OPEN.contains(&route) {
        return Ok(None);
    }
    let access: Access = settings.keys.access(request.headers())?;
    if let Some(limiter) = &service.limiter
        && let Some(key) = access.key
        && !UNLIMITED.contains(&route)
    {
        limiter.key(key, service.clock.now().monotonic).map_err(ApiError::rate_limited)?;
    }
    request.extensions_mut().insert(access);
    Ok(None)
}

/// The answer to a browser that asks whether a page may call; `None` for other requests.
fn preflight(service: &Service, request: &Request) -> Result<Option<Response>, ApiError> {
    let headers = request.headers();
    if request.method() != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Ok(None);
    }
    let origin = headers.get(header::ORIGIN).and_then(|o| o.to_str().ok()).unwrap_or_default();
    if !service.settings.allows_origin(origin) {
        let message = "pages of this origin may not call; list it in API_CORS_ORIGINS";
        return Err(ApiError::new(Code::ForeignOrigin, message));
    }
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-request-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(Some(answer))
}

/// Tells the browser that a page of a listed origin may read the answer.
fn allow(service: &Service, origin: HeaderValue, headers: &mut HeaderMap) {
    if service.settings.cors_origins.is_empty() {
        return;
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if origin.to_str().is_ok_and(|origin| service.settings.allows_origin(origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("x-request-id, retry-after, x-next-cursor");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}

/// The method as a metric's label: clients may invent methods, labels must stay few.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
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
