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

use crate::http::auth::access::{self, Access, ByToken};
use crate::http::auth::proof;
use crate::http::respond::error::{ApiError, Cause, Code};
use crate::http::state::{Service, Shared};
use crate::http::transport::base_path::Place;
use crate::http::transport::local_guard;
use crate::http::transport::newcomers::Newcomer;
use crate::http::transport::peer::{self, ClientAddress, Peer, Seat};
use crate::http::transport::request_ids::REQUEST_ID;

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
    access::token(headers).is_some() || !headers.contains_key(header::AUTHORIZATION)
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
mod tests {
    use super::*;
    use crate::http::auth::access::Role;
    use crate::http::testing::{TestApp, add_keys, send, session};
    use serde_json::json;
    use std::time::Duration;

    /// Every route that needs a key: method, path, the roles that may call it, and whether a bound admin may.
    const GUARDED: [(&str, &str, &[&str], bool); 64] = [
        ("POST", "/api/v1/score", &["submit", "ingest", "admin"], true),
        // The role submit only from a page of a listed origin.
        ("POST", "/api/v1/challenges", &["ingest", "admin"], true),
        ("POST", "/api/v1/batch/sessions", &["ingest", "admin"], true),
        ("GET", "/api/v1/batch/result/a", &["ingest", "analyst", "admin"], true),
        ("GET", "/api/v1/batch/results", &["ingest", "analyst", "admin"], true),
        ("GET", "/api/v1/batch/batches", &["admin"], false),
        ("GET", "/api/v1/batch/batches/1", &["admin"], false),
        ("POST", "/api/v1/batch/process", &["admin"], false),
        ("GET", "/api/v1/batch/stats", &["admin"], false),
        ("GET", "/api/v1/batch/dead", &["admin"], true),
        ("POST", "/api/v1/batch/dead/requeue", &["admin"], true),
        ("POST", "/api/v1/batch/clear", &["admin"], false),
        ("POST", "/api/v1/batch/scheduler/start", &["admin"], false),
        ("POST", "/api/v1/batch/scheduler/stop", &["admin"], false),
        ("GET", "/api/v1/batch/nodes", &["admin"], false),
        ("GET", "/api/v1/batch/scheduler/status", &["admin"], false),
        ("DELETE", "/api/v1/sessions/a", &["admin"], true),
        ("DELETE", "/api/v1/users/a", &["admin"], true),
        ("GET", "/api/v1/sessions/a/explanation", &["analyst", "admin"], true),
        ("GET", "/api/v1/sessions/a/telemetry", &["analyst", "admin"], true),
        ("GET", "/api/v1/sessions/a/history", &["ingest", "analyst", "admin"], true),
        ("POST", "/api/v1/sessions/a/label", &["analyst", "admin"], true),
        ("DELETE", "/api/v1/sessions/a/label", &["analyst", "admin"], true),
        ("GET", "/api/v1/labels", &["analyst", "admin"], true),
        ("GET", "/api/v1/thresholds", &["analyst", "admin"], true),
        ("POST", "/api/v1/thresholds", &["admin"], true),
        ("DELETE", "/api/v1/thresholds", &["admin"], true),
        ("POST", "/api/v1/thresholds/simulate", &["analyst", "admin"], true),
        ("GET", "/api/v1/events", &["admin"], false),
        ("GET", "/api/v1/models", &["analyst", "admin"], true),
        ("POST", "/api/v1/datasets/upload", &["admin"], false),
        ("POST", "/api/v1/training/start", &["admin"], false),
        ("GET", "/api/v1/training/m", &["admin"], false),
        ("POST", "/api/v1/models/train", &["admin"], false),
        ("POST", "/api/v1/models/rollback", &["admin"], false),
        ("POST", "/api/v1/models/v/shadow", &["admin"], false),
        ("DELETE", "/api/v1/models/v/shadow", &["admin"], false),
        ("POST", "/api/v1/models/v/backtest", &["admin"], false),
        ("POST", "/api/v1/models/v/promote", &["admin"], false),
        ("GET", "/api/v1/review", &["analyst", "admin"], true),
        ("GET", "/api/v1/verdicts", &["ingest", "analyst", "admin"], true),
        ("GET", "/api/v1/webhooks", &["admin"], false),
        ("POST", "/api/v1/webhooks", &["admin"], false),
        ("DELETE", "/api/v1/webhooks/w", &["admin"], false),
        ("GET", "/api/v1/webhooks/w/deliveries", &["admin"], false),
        ("POST", "/api/v1/webhooks/w/test", &["admin"], false),
        ("POST", "/api/v1/webhooks/w/redeliver", &["admin"], false),
        ("GET", "/api/v1/keys", &["admin"], false),
        ("POST", "/api/v1/keys", &["admin"], false),
        ("DELETE", "/api/v1/keys/k", &["admin"], false),
        ("GET", "/api/v1/overrides", &["admin"], false),
        ("POST", "/api/v1/overrides", &["admin"], false),
        ("DELETE", "/api/v1/overrides/o", &["admin"], false),
        ("GET", "/api/v1/retention", &["admin"], true),
        ("POST", "/api/v1/retention", &["admin"], true),
        ("DELETE", "/api/v1/retention", &["admin"], true),
        ("POST", "/api/v1/retention/resume", &["admin"], false),
        ("GET", "/api/v1/audit", &["admin"], false),
        ("GET", "/api/v1/campaigns", &["ingest", "analyst", "admin"], true),
        ("GET", "/api/v1/campaigns/1", &["ingest", "analyst", "admin"], true),
        ("POST", "/api/v1/campaigns/1/label", &["analyst", "admin"], true),
        ("DELETE", "/api/v1/campaigns/1/label", &["analyst", "admin"], true),
        ("GET", "/api/v1/sessions/a/matches", &["analyst", "admin"], true),
        ("GET", "/metrics", &["admin", "metrics"], false),
    ];

    #[tokio::test]
    async fn every_route_asks_for_its_role() {
        let app = TestApp::with_keys().await;
        for path in ["/", "/dashboard/app.js", "/health", "/ready", "/openapi.json", "/api/v1/session"] {
            assert_eq!(app.get(path).await.status, 200, "{path}");
        }
        // Streams end at once.
        app.service.drain();
        for (method, path, roles, bound) in GUARDED {
            send(app.request(method, path)).await.is_error(401, "unauthorized");
            let unknown = send(app.request(method, path).bearer_auth("unknown")).await;
            unknown.is_error(401, "unauthorized");
            assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));
            for role in Role::ALL.map(Role::name) {
                let reply = send(app.request(method, path).bearer_auth(role)).await;
                let allowed = reply.status != 403 && reply.status != 401;
                assert_eq!(allowed, roles.contains(&role), "{method} {path} as {role}: {}", reply.text);
            }
            let reply = send(app.request(method, path).bearer_auth("admin-eu")).await;
            assert_eq!(reply.status != 403, bound, "{method} {path} as bound admin: {}", reply.text);
        }
    }

    /// A path with something in place of its parameters.
    fn filled(path: &str) -> String {
        let names = [("{sessionId}", "a"), ("{userId}", "a"), ("{batchId}", "1"), ("{batch_id}", "1")];
        let more = [
            ("{modelId}", "m"),
            ("{modelVersion}", "v"),
            ("{webhookId}", "w"),
            ("{keyId}", "k"),
            ("{overrideId}", "o"),
            ("{campaignId}", "1"),
        ];
        names.into_iter().chain(more).fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
    }

    /// The table of `docs/roles.md`, from what the tests hold the routes to.
    fn table() -> String {
        let mut rows = vec![
            format!("| route | {} | bound admin |", Role::ALL.map(Role::name).join(" | ")),
            format!("|{}", " --- |".repeat(Role::ALL.len() + 2)),
        ];
        for (_, route, method) in crate::http::router::operations() {
            let guarded = GUARDED.iter().find(|(of, path, ..)| *of == method && *path == filled(&route));
            let word = |may: bool| if may { "yes" } else { "-" };
            let cells: Vec<&str> = match guarded {
                Some((_, _, roles, bound)) => {
                    let of_roles = Role::ALL.map(|role| word(roles.contains(&role.name())));
                    of_roles.into_iter().chain([word(*bound)]).collect()
                }
                None => vec!["open"; Role::ALL.len() + 1],
            };
            rows.push(format!("| {method} {route} | {} |", cells.join(" | ")));
        }
        rows.join("\n")
    }

    #[test]
    fn the_table_of_roles_is_what_the_routes_ask_for() {
        let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/roles.md")).unwrap();
        assert!(file.contains(&table()), "docs/roles.md is stale; its table is\n{}", table());
        for role in Role::ALL {
            assert!(
                file.contains(&format!("**{}**", role.name())),
                "docs/roles.md does not say what {} is",
                role.name()
            );
        }
    }

    #[test]
    fn every_documented_route_is_open_or_guarded() {
        let guarded: std::collections::HashSet<_> =
            GUARDED.iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
        for (admission, route, method) in crate::http::router::operations() {
            let open = admission.key == KeyNeed::None;
            assert!(open || guarded.contains(&format!("{method} {}", filled(&route))), "{method} {route}");
        }
    }

    #[tokio::test]
    async fn every_documented_route_is_served() {
        let app = TestApp::start().await;
        app.service.drain();
        let document = app.get("/openapi.json").await.json();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let reply = send(app.request(&method.to_uppercase(), &filled(path))).await;
                assert!(reply.status != 405, "{method} {path}");
                assert!(reply.status != 404 || reply.json()["code"] != "unknown_route", "{method} {path}");
            }
        }
    }

    #[tokio::test]
    async fn without_keys_foreign_hosts_and_origins_are_refused() {
        let app = TestApp::start().await;
        let host = |name: &str| send(app.request("GET", "/api/v1/batch/stats").header("host", name));
        for local in ["localhost", "localhost:9", "127.0.0.1:3000", "[::1]"] {
            assert_eq!(host(local).await.status, 200, "{local}");
        }
        for foreign in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:3000"] {
            host(foreign).await.is_error(403, "foreign_host");
        }
        for heads in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: [::1]evil.com\r\n"] {
            let mut stream = app.connect().await;
            let request = format!("GET /api/v1/batch/stats HTTP/1.1\r\nConnection: close\r\n{heads}\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
            let answer = crate::http::testing::read_all(&mut stream).await;
            let refused = ["HTTP/1.1 400 ", "HTTP/1.1 403 "].iter().any(|status| answer.starts_with(status));
            assert!(refused, "{heads:?}: {answer}");
        }
        let origin = |name: &str| send(app.request("POST", "/api/v1/batch/process").header("origin", name));
        assert_eq!(origin("http://localhost:8080").await.status, 200);
        for foreign in ["https://evil.example", "null", "http://localhost.evil.example"] {
            origin(foreign).await.is_error(403, "foreign_origin");
        }
        let keyed = TestApp::with_keys().await;
        let reply =
            send(keyed.request("GET", "/api/v1/batch/stats").header("host", "shop.example").bearer_auth("admin")).await;
        assert_eq!(reply.status, 200);
    }

    #[tokio::test]
    async fn listed_origins_may_call_and_others_are_not_told_anything() {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.http.cors_origins = vec!["https://shop.example".to_owned()];
        })
        .await;
        let preflight = |origin: &str| {
            let request = app.request("OPTIONS", "/api/v1/score").header("origin", origin);
            send(request.header("access-control-request-method", "POST"))
        };
        let allowed = preflight("https://shop.example").await;
        assert_eq!(
            (allowed.status, allowed.header("access-control-allow-origin")),
            (204, Some("https://shop.example"))
        );
        assert!(allowed.header("access-control-allow-headers").unwrap().contains("authorization"));
        let refused = preflight("https://evil.example").await;
        refused.is_error(403, "foreign_origin");
        assert_eq!(refused.header("access-control-allow-origin"), None);
        let request =
            app.request("POST", "/api/v1/score").bearer_auth("submit").header("origin", "https://shop.example");
        let reply = send(request.json(&session("a"))).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("https://shop.example")));
        assert_eq!(reply.header("vary"), Some("origin"));
    }

    #[tokio::test]
    async fn request_ids_are_echoed_or_made() {
        let app = TestApp::start().await;
        let reply = send(app.request("GET", "/no/such").header("x-request-id", "mine-1")).await;
        assert_eq!(reply.header("x-request-id"), Some("mine-1"));
        let made = send(app.request("GET", "/health").header("x-request-id", "not sane")).await;
        assert_eq!(made.header("x-request-id").unwrap().len(), 16);
    }

    #[tokio::test]
    async fn a_rate_holds_per_key_and_per_address() {
        let app = TestApp::with(|choice| choice.http.rate_limit = Some("3/s".parse().unwrap())).await;
        for _ in 0..3 {
            assert_eq!(app.get("/api/v1/batch/stats").await.status, 200);
        }
        let limited = app.get("/api/v1/batch/stats").await;
        limited.is_error(429, "rate_limited");
        assert_eq!(limited.header("retry-after"), Some("1"));
        assert_eq!(app.get("/health").await.status, 200, "probes are never held back");
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(app.get("/api/v1/batch/stats").await.status, 200);

        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.http.rate_limit = Some("2/s".parse().unwrap());
            choice.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
        let from = |client: &str, key: &str| {
            send(app.request("GET", "/api/v1/models").header("x-forwarded-for", client).bearer_auth(key))
        };
        assert_eq!(from("192.0.2.1", "admin").await.status, 200);
        assert_eq!(from("192.0.2.2", "admin").await.status, 200);
        from("192.0.2.3", "admin").await.is_error(429, "rate_limited");
        assert_eq!(from("192.0.2.4", "admin-eu").await.status, 200);
    }

    #[tokio::test]
    async fn one_visitor_cannot_use_up_the_key_of_a_page() {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.http.rate_limit = Some("2/s".parse().unwrap());
            choice.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
        let submit = |client: &str, id: &str| {
            let request = app.request("POST", "/api/v1/score").bearer_auth("submit");
            send(request.header("x-forwarded-for", client).json(&session(id)))
        };
        assert_eq!((submit("192.0.2.1", "a").await.status, submit("192.0.2.1", "b").await.status), (200, 200));
        submit("192.0.2.1", "c").await.is_error(429, "rate_limited");
        assert_eq!(submit("192.0.2.2", "d").await.status, 200, "the page's other visitors go on");
    }

    #[tokio::test]
    async fn addresses_and_log_ins_have_rates_of_their_own() {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.http.rate_limit = Some("100/s".parse().unwrap());
            choice.http.rate_limit_address = Some("4/s".parse().unwrap());
            choice.http.rate_limit_login = Some("2/m".parse().unwrap());
            choice.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
        let from = |method: &str, path: &str, client: &str| app.request(method, path).header("x-forwarded-for", client);
        let log_in = || send(from("POST", "/api/v1/session", "192.0.2.1").json(&json!({"key": "admin"})));
        assert_eq!((log_in().await.status, log_in().await.status), (200, 200));
        log_in().await.is_error(429, "rate_limited");
        let ask = |client: &'static str| send(from("GET", "/api/v1/models", client).bearer_auth("admin"));
        assert_eq!(ask("192.0.2.1").await.status, 200, "the key has not been used up by log-ins");
        ask("192.0.2.1").await.is_error(429, "rate_limited");
        assert_eq!(ask("192.0.2.2").await.status, 200, "another address with the same key goes on");
        app.clock.advance(Duration::from_secs(30));
        assert_eq!(log_in().await.status, 200);
    }

    #[tokio::test]
    async fn unmatched_requests_get_json_errors() {
        let app = TestApp::start().await;
        app.get("/no/such").await.is_error(404, "unknown_route");
        let wrong = app.get("/api/v1/score").await;
        wrong.is_error(405, "method_not_allowed");
        assert_eq!(wrong.header("allow"), Some("POST"));
        assert_eq!(app.post("/api/v1/score", &json!([])).await.error().0, 400);
    }
}
