//! Tests of siteverify over real sockets: one answer for one token, in the form of other services.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::testing::{Reply, TestApp, add_keys, send, session};
use crate::store::StoreError;

const PATH: &str = "/api/v1/siteverify";

async fn app() -> TestApp {
    TestApp::with(|choice| {
        add_keys(&mut choice.http);
        choice.http.cors_origins = vec!["https://shop.example".to_owned()];
    })
    .await
}

/// A challenge whose page has sent its session.
async fn sent(app: &TestApp, asked: Value) -> Value {
    let made = app.post_as("ingest", "/api/v1/challenges", &asked).await.json();
    submit(app, &made).await;
    made
}

async fn submit(app: &TestApp, made: &Value) {
    let request = app.request("POST", "/api/v1/score").bearer_auth(made["token"].as_str().unwrap());
    let request = request.header("origin", "https://shop.example:8443");
    let reply = send(request.json(&session(made["sessionId"].as_str().unwrap()))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn ask(app: &TestApp, secret: &str, token: &Value) -> Reply {
    send(app.request("POST", PATH).form(&[("secret", secret), ("response", token.as_str().unwrap())])).await
}

#[track_caller]
fn refused(reply: &Reply, theirs: &str, code: &str) {
    let told = reply.json();
    assert_eq!((reply.status, &told["success"]), (200, &json!(false)), "{}", reply.text);
    assert_eq!((&told["error-codes"], &told["code"]), (&json!([theirs]), &json!(code)), "{}", reply.text);
    assert!(told["message"].is_string());
}

#[tokio::test]
async fn a_token_is_answered_once_with_everything_that_other_services_tell() {
    let app = app().await;
    let made = sent(&app, json!({"action": "sign-up", "userId": "jo"})).await;
    app.clock.advance(Duration::from_secs(9));
    let told = ask(&app, "ingest", &made["token"]).await.json();
    assert_eq!((&told["success"], &told["error-codes"]), (&json!(true), &json!([])));
    assert_eq!((&told["action"], &told["hostname"]), (&json!("sign-up"), &json!("shop.example")));
    assert_eq!(told["challenge_ts"], "2026-01-31T12:00:00.000Z");
    assert_eq!((&told["sessionId"], &told["status"]), (&made["sessionId"], &json!("queued")));
    assert!((0.0..=1.0).contains(&told["score"].as_f64().unwrap()) && told["reasons"].is_array());
    let path = format!("/api/v1/batch/result/{}", made["sessionId"].as_str().unwrap());
    let first = app.get_as("ingest", &path).await.json()["first"].take();
    assert_eq!((&told["decision"], &told["anomaly"]), (&first["decision"], &first["anomaly"]));
    refused(&ask(&app, "ingest", &made["token"]).await, "timeout-or-duplicate", "used_token");
}

#[tokio::test]
async fn of_many_servers_that_ask_at_once_one_is_answered() {
    let app = app().await;
    let made = sent(&app, json!({})).await;
    let replies = futures_util::future::join_all((0..20).map(|_| ask(&app, "ingest", &made["token"]))).await;
    assert_eq!(replies.iter().filter(|reply| reply.json()["success"] == true).count(), 1);
}

#[tokio::test]
async fn the_question_may_be_a_form_or_json_with_the_key_in_it_or_in_the_header() {
    let app = app().await;
    for form in 0..4 {
        let token = sent(&app, json!({})).await["token"].clone();
        let plain = app.request("POST", PATH);
        let request = match form {
            0 => plain.form(&[("secret", "ingest"), ("token", token.as_str().unwrap()), ("remoteip", "203.0.113.9")]),
            1 => plain.json(&json!({"secret": "admin", "response": token, "idempotency_key": 7})),
            2 => plain.bearer_auth("ingest").json(&json!({"token": token})),
            _ => plain.bearer_auth("ingest").body(json!({"response": token}).to_string()),
        };
        let reply = send(request).await;
        assert_eq!((reply.status, &reply.json()["success"]), (200, &json!(true)), "{form}: {}", reply.text);
    }
}

#[tokio::test]
async fn every_fault_has_its_error_code() {
    let app = app().await;
    let made = app.post_as("ingest", "/api/v1/challenges", &json!({"deploymentId": "us"})).await.json();
    let token = &made["token"];
    let post = |body: Value| send(app.request("POST", PATH).json(&body));
    refused(&post(json!({"response": token})).await, "missing-input-secret", "unauthorized");
    refused(&post(json!({"secret": "", "response": token})).await, "missing-input-secret", "unauthorized");
    refused(&ask(&app, "wrong", token).await, "invalid-input-secret", "unauthorized");
    refused(&ask(&app, "submit", token).await, "invalid-input-secret", "forbidden");
    refused(&ask(&app, "analyst", token).await, "invalid-input-secret", "forbidden");
    refused(&post(json!({"secret": "ingest"})).await, "missing-input-response", "malformed");
    refused(&post(json!({"secret": "ingest", "response": ""})).await, "missing-input-response", "malformed");
    refused(&ask(&app, "ingest", &json!("pc_x")).await, "invalid-input-response", "unknown_token");
    refused(&ask(&app, "ingest", token).await, "invalid-input-response", "unknown_session");
    submit(&app, &made).await;
    refused(&ask(&app, "ingest-eu", token).await, "invalid-input-response", "foreign_token");
    for (kind, body) in [
        ("application/json", "{"),
        ("application/json", r#"{"secret":7}"#),
        ("multipart/form-data", "x"),
        ("text/plain", "{}"),
    ] {
        let bad = send(app.request("POST", PATH).header("content-type", kind).body(body)).await;
        refused(&bad, "bad-request", "malformed");
    }
    let large = send(app.request("POST", PATH).form(&[("secret", "x".repeat(20_000))])).await;
    refused(&large, "bad-request", "malformed");
    assert_eq!(ask(&app, "ingest", token).await.json()["success"], true, "none of it used the token up");
    app.clock.advance(Duration::from_secs(300));
    refused(&ask(&app, "ingest", token).await, "timeout-or-duplicate", "expired_token");
}

#[tokio::test]
async fn an_erased_session_is_told_of_no_more() {
    let app = app().await;
    let made = sent(&app, json!({})).await;
    let path = format!("/api/v1/sessions/{}", made["sessionId"].as_str().unwrap());
    assert_eq!(send(app.request("DELETE", &path).bearer_auth("admin")).await.status, 200);
    refused(&ask(&app, "ingest", &made["token"]).await, "invalid-input-response", "session_erased");
}

#[tokio::test]
async fn a_store_that_is_away_asks_for_another_attempt_and_uses_nothing_up() {
    let app = app().await;
    let made = sent(&app, json!({})).await;
    app.store.fail(Some(StoreError::Unavailable("/secret".to_owned())));
    let away = ask(&app, "ingest", &made["token"]).await;
    assert_eq!((away.status, away.json()["error-codes"][0].as_str()), (503, Some("internal-error")));
    assert!(!away.text.contains("secret"));
    app.store.fail(None);
    assert_eq!(ask(&app, "ingest", &made["token"]).await.json()["success"], true);
}

#[tokio::test]
async fn a_test_key_decides_about_the_sessions_of_its_challenges() {
    let app = app().await;
    let key = json!({"role": "ingest", "testVerdict": "fail"});
    let key = app.post_as("admin", "/api/v1/keys", &key).await.json()["key"].as_str().unwrap().to_owned();
    let made = app.post_as(&key, "/api/v1/challenges", &json!({})).await.json();
    submit(&app, &made).await;
    let told = ask(&app, "ingest", &made["token"]).await.json();
    assert_eq!((&told["success"], &told["decision"], &told["score"]), (&json!(true), &json!("fail"), &json!(0.0)));
    assert!(told["reasons"].to_string().contains("test_fail"), "{told}");
}

#[tokio::test]
async fn without_keys_this_machine_may_ask() {
    let app = TestApp::start().await;
    let made = app.post("/api/v1/challenges", &json!({})).await.json();
    submit_here(&app, &made).await;
    let told = send(app.request("POST", PATH).json(&json!({"response": made["token"]}))).await.json();
    assert_eq!((&told["success"], &told["hostname"]), (&json!(true), &json!("localhost")), "{told}");
}

async fn submit_here(app: &TestApp, made: &Value) {
    let mut body = session(made["sessionId"].as_str().unwrap());
    body["token"] = made["token"].clone();
    let request = app.request("POST", "/api/v1/score").header("origin", "http://localhost:8080");
    let reply = send(request.header("content-type", "text/plain").body(body.to_string())).await;
    assert_eq!(reply.json()["status"], "queued", "{}", reply.text);
}
