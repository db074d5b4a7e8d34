//! What every request passes before and after its handler: request id, guard, preflight, rate, key, panic, log,
//! metric. One layer, so that the order can be read here.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use crate::access::address::ClientAddress;
use crate::access::rights::Access;
use crate::http::auth::bearer::{self, ByToken};
use crate::http::auth::proof;
use crate::http::respond::error::{ApiError, Cause, Code};
use crate::http::state::{Service, Shared};
use crate::http::transport::base_path::Place;
use crate::http::transport::local_guard;
use crate::http::transport::newcomers::Newcomer;
use crate::http::transport::peer::{self, Peer, Seat};
use crate::http::transport::request_ids::REQUEST_ID;
use crate::traces::{self, Caller};

const UNMATCHED: &str = "unmatched";

/// Who is let through to a group of routes; the router puts it into every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    key: KeyNeed,
    /// Whether it is held back by rates and when connections are short; whoever watches the process must see it when it is
    /// busy.
    limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyNeed {
    Key,
    /// Or the token of a challenge.
    KeyOrToken,
    /// It holds no data.
    None,
}

impl Admission {
    pub(crate) const KEY: Self = Self { key: KeyNeed::Key, limited: true };
    pub(crate) const KEY_OR_TOKEN: Self = Self { key: KeyNeed::KeyOrToken, limited: true };
    pub(crate) const METRICS: Self = Self { key: KeyNeed::Key, limited: false };
    pub(crate) const OPEN: Self = Self { key: KeyNeed::None, limited: true };
    pub(crate) const PROBE: Self = Self { key: KeyNeed::None, limited: false };
}

/// The layer.
pub(crate) async fn gate(State(service): State<Shared>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    let caller = Caller::of(request.headers());
    let id = service.request_ids.of(request.headers());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let place = request.extensions().get::<Place>().copied().unwrap_or(Place::Inside);
    let route = matched.as_ref().filter(|_| place == Place::Inside).map_or(UNMATCHED, |m| m.as_str());
    let admission = request.extensions().get::<Admission>().copied().filter(|_| route != UNMATCHED);
    let admission = admission.unwrap_or(Admission::OPEN);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let seat = request.extensions().get::<Seat>().copied().unwrap_or(Seat::Any);

    let mut response = match admit(&service, &mut request, admission).and_then(|answer| beside(&service, answer, place))
    {
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
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id = id, route, status = status.as_u16(), code, cause, "request failed");
        } else if status.is_server_error() {
            // Full or shutting down is an answer, not a failure.
            tracing::warn!(request_id = id, route, status = status.as_u16(), code, cause, "request put off");
        } else {
            tracing::debug!(request_id = id, route, status = status.as_u16(), code, "request refused");
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    if service.is_leaving() || seat == Seat::ForProbes {
        // The next request finds a node that stays.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(origin) = origin {
        allow(&service, origin, response.headers_mut());
    }
    service.metrics.http(route, method, status.as_u16(), started.elapsed());
    let ended = service.clock.now().wall;
    let (status, took) = (status.as_u16(), started.elapsed());
    traces::request(&traces::Request { caller: &caller, method, route, status, took, ended });
    response
}

/// Lets a request through, answers a preflight, or refuses. Puts the caller's access into the request.
fn admit(service: &Shared, request: &mut Request, admission: Admission) -> Result<Option<Response>, ApiError> {
    let settings = &service.settings;
    local_guard::guard_local(settings, request.uri(), request.headers())?;
    let peer = request.extensions().get::<Peer>().ok_or_else(|| ApiError::internal("a request without a peer"))?;
    let client = peer::client(peer.0.ip(), request.headers(), &settings.trusted_proxies);
    let client = ClientAddress::new(client);
    request.extensions_mut().insert(client);
    let limited = admission.limited;
    let seat = request.extensions().get::<Seat>().copied().unwrap_or(Seat::Any);
    if limited && seat == Seat::ForProbes {
        return Err(ApiError::new(Code::Busy, "all connections are in use; close one, or try again later"));
    }
    let now = service.clock.now().monotonic;
    if limited {
        service.limits.address(client, now).map_err(ApiError::rate_limited)?;
    }
    if let Some(answer) = preflight(service, request)? {
        return Ok(Some(answer));
    }
    if admission.key == KeyNeed::None {
        if limited {
            service.limits.caller(None, client, now).map_err(ApiError::rate_limited)?;
        }
        if settings.keys.is_empty() {
            stays(request);
        }
        return Ok(None);
    }
    let access = match proof::access(service, request.method(), request.headers()) {
        Err(_) if admission.key == KeyNeed::KeyOrToken && may_bring_token(request.headers()) => {
            // Its token is read with the body; until then it is a newcomer.
            if limited {
                service.limits.caller(None, client, now).map_err(ApiError::rate_limited)?;
            }
            request.extensions_mut().insert(ByToken);
            return Ok(None);
        }
        access => access,
    };
    let access: Access = service.attempts.judge(request.headers(), client, access)?;
    if limited {
        service.limits.caller(Some(&access), client, now).map_err(ApiError::rate_limited)?;
    }
    stays(request);
    request.extensions_mut().insert(access);
    Ok(None)
}

/// Whether a request without a key may have the token of a challenge, as its header or in its body.
fn may_bring_token(headers: &HeaderMap) -> bool {
    bearer::token(headers).is_some() || !headers.contains_key(header::AUTHORIZATION)
}

/// The request's connection has shown a right to be here.
fn stays(request: &Request) {
    if let Some(newcomer) = request.extensions().get::<Newcomer>() {
        newcomer.stays();
    }
}

/// The answer to a request that is not under the base path.
fn beside(service: &Service, answer: Option<Response>, place: Place) -> Result<Option<Response>, ApiError> {
    match place {
        _ if answer.is_some() => Ok(answer),
        Place::Inside => Ok(None),
        Place::Outside => {
            let message =
                format!("routes start at {}/ here; /openapi.json there lists them", service.settings.base_path);
            Err(ApiError::new(Code::UnknownRoute, message))
        }
        Place::Bare => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
            let page = HeaderValue::try_from(format!("{}/", service.settings.base_path));
            let page = page.map_err(|error| ApiError::internal(error.to_string()))?;
            answer.headers_mut().insert(header::LOCATION, page);
            Ok(Some(answer))
        }
    }
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
mod tests;
