//! Tests of the gate: who is let through to which route, and what every answer carries.

use super::*;
use crate::access::rights::Role;
use crate::http::testing::{TestApp, add_keys, send, session};
use serde_json::json;
use std::time::Duration;

/// Every route that needs a key: method, path, the roles that may call it, and whether a bound admin may.
const GUARDED: [(&str, &str, &[&str], bool); 73] = [
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
    ("GET", "/api/v1/sessions/a/evidence", &["analyst", "admin"], true),
    ("GET", "/api/v1/evidence-key", &["analyst", "admin"], true),
    ("GET", "/api/v1/sessions/a/explanation", &["analyst", "admin"], true),
    ("GET", "/api/v1/sessions/a/telemetry", &["analyst", "admin"], true),
    ("GET", "/api/v1/sessions/a/history", &["ingest", "analyst", "admin"], true),
    ("POST", "/api/v1/sessions/a/label", &["analyst", "admin"], true),
    ("DELETE", "/api/v1/sessions/a/label", &["analyst", "admin"], true),
    ("POST", "/api/v1/labels", &["analyst", "admin"], true),
    ("POST", "/api/v1/sessions/erase", &["admin"], true),
    ("GET", "/api/v1/sessions", &["analyst", "admin"], true),
    ("GET", "/api/v1/users/a", &["analyst", "admin"], true),
    ("GET", "/api/v1/labels", &["analyst", "admin"], true),
    ("GET", "/api/v1/thresholds", &["analyst", "admin"], true),
    ("POST", "/api/v1/thresholds", &["admin"], true),
    ("DELETE", "/api/v1/thresholds", &["admin"], true),
    ("POST", "/api/v1/thresholds/simulate", &["analyst", "admin"], true),
    ("GET", "/api/v1/events", &["admin"], false),
    ("GET", "/api/v1/outage", &["analyst", "admin"], true),
    ("GET", "/api/v1/models", &["analyst", "admin"], true),
    ("POST", "/api/v1/datasets/upload", &["admin"], false),
    ("POST", "/api/v1/training/start", &["admin"], false),
    ("GET", "/api/v1/training/m", &["admin"], false),
    ("POST", "/api/v1/models/train", &["admin"], true),
    ("POST", "/api/v1/models/rollback", &["admin"], true),
    ("POST", "/api/v1/models/v/shadow", &["admin"], false),
    ("DELETE", "/api/v1/models/v/shadow", &["admin"], false),
    ("POST", "/api/v1/models/v/backtest", &["admin"], true),
    ("POST", "/api/v1/models/v/promote", &["admin"], true),
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
    ("GET", "/api/v1/evaluation", &["analyst", "admin"], true),
    ("GET", "/api/v1/overview", &["analyst", "admin"], true),
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
    let names = [("{sessionId}", "a"), ("{userId}", "a"), ("{batchId}", "1")];
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
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/roles.md")).unwrap();
    assert!(file.contains(&table()), "docs/roles.md is stale; its table is\n{}", table());
    for role in Role::ALL {
        assert!(file.contains(&format!("**{}**", role.name())), "docs/roles.md does not say what {} is", role.name());
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
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some("https://shop.example")));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("authorization"));
    let refused = preflight("https://evil.example").await;
    refused.is_error(403, "foreign_origin");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    let request = app.request("POST", "/api/v1/score").bearer_auth("submit").header("origin", "https://shop.example");
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
