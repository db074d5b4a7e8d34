//! Tests of challenges over real sockets: who gets one, and what a page may do with it.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::testing::{Reply, TestApp, add_keys, send, session};

const PAGE: &str = "https://shop.example";

/// A service with keys that pages of [`PAGE`] may call.
async fn app() -> TestApp {
    TestApp::with(|choice| {
        add_keys(&mut choice.http);
        choice.http.cors_origins = vec![PAGE.to_owned()];
    })
    .await
}

async fn challenge(app: &TestApp, asked: Value) -> Value {
    let reply = app.post_as("ingest", "/api/v1/challenges", &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

/// A session as a page sends it for a challenge, without a key.
fn of(challenge: &Value) -> Value {
    let mut session = session(challenge["sessionId"].as_str().unwrap());
    session["token"] = challenge["token"].clone();
    session
}

/// Sends text, as a page does that wants no preflight.
async fn send_text(app: &TestApp, body: impl Into<reqwest::Body>) -> Reply {
    let request = app.request("POST", "/api/v1/score").header("content-type", "text/plain").header("origin", PAGE);
    send(request.body(body)).await
}

#[tokio::test]
async fn a_server_gets_a_token_and_its_page_sends_one_session_with_it() {
    let app = app().await;
    let made = challenge(&app, json!({"userId": "jo", "action": "login", "ttl": "10m"})).await;
    assert_eq!((made["expiresIn"].as_u64(), &made["expiresAt"]), (Some(600), &json!("2026-01-31T12:10:00.000Z")));
    let mut session = of(&made);
    session["userId"] = json!("somebody else");
    session["useBatch"] = json!(false);
    let sent = send_text(&app, session.to_string()).await;
    assert_eq!(sent.json(), json!({"sessionId": made["sessionId"], "status": "queued"}), "{}", sent.text);
    assert_eq!(sent.header("access-control-allow-origin"), Some(PAGE));
    let path = format!("/api/v1/batch/result/{}", made["sessionId"].as_str().unwrap());
    assert_eq!(app.get_as("ingest", &path).await.json()["status"], "queued");
    // It is the token's user whose session it is.
    assert_eq!(send(app.request("DELETE", "/api/v1/users/jo").bearer_auth("admin")).await.json()["erased"], 1);
}

#[tokio::test]
async fn a_token_is_taken_as_the_key_and_in_the_body_and_for_the_same_session_again() {
    let app = app().await;
    let made = challenge(&app, json!({})).await;
    let mut session = of(&made);
    let first = send_text(&app, session.to_string()).await;
    assert_eq!((first.status, &first.json()["status"]), (200, &json!("queued")));
    let token = session.as_object_mut().unwrap().remove("token").unwrap();
    let again = app.request("POST", "/api/v1/score").bearer_auth(token.as_str().unwrap()).json(&session);
    assert_eq!(send(again).await.json(), first.json(), "a page that heard no answer sends again");
    session["hits"] = json!(9);
    let other = app.request("POST", "/api/v1/score").bearer_auth(token.as_str().unwrap()).json(&session);
    send(other).await.is_error(409, "used_token");
}

#[tokio::test]
async fn used_expired_unknown_and_foreign_tokens_have_codes_of_their_own() {
    let (app, elsewhere) = (app().await, app().await);
    let made = challenge(&app, json!({"ttl": 60, "deploymentId": "eu"})).await;
    send_text(&elsewhere, of(&made).to_string()).await.is_error(403, "foreign_token");
    for (field, value) in [("sessionId", json!("another")), ("deploymentId", json!("us"))] {
        let mut session = of(&made);
        session[field] = value;
        let refused = send_text(&app, session.to_string()).await;
        refused.is_error(403, "foreign_token");
        assert_eq!(refused.json()["details"]["path"], field);
    }
    for token in ["", "pc_", "pc_AAAA", "admin", "nothing"] {
        let mut session = of(&made);
        session["token"] = json!(token);
        send_text(&app, session.to_string()).await.is_error(401, "unknown_token");
    }
    let mut changed = made["token"].as_str().unwrap().to_owned();
    changed.pop();
    let unknown = app.request("POST", "/api/v1/score").bearer_auth(changed).json(&session("a"));
    send(unknown).await.is_error(401, "unknown_token");
    app.clock.advance(Duration::from_secs(60));
    send_text(&app, of(&made).to_string()).await.is_error(403, "expired_token");
    assert_eq!(app.get_as("admin", "/api/v1/batch/stats").await.json()["queue"]["total"], 0);
}

#[tokio::test]
async fn who_has_neither_key_nor_token_is_not_heard() {
    let app = app().await;
    send(app.request("POST", "/api/v1/score").json(&session("a"))).await.is_error(401, "unauthorized");
    send_text(&app, "no json, no \"tok").await.is_error(401, "unauthorized");
    send_text(&app, r#"{"sessionId":"a","movements":[],"token":null}"#).await.is_error(400, "malformed");
    send_text(&app, "{\"token\":").await.is_error(400, "malformed");
    // Text is for tokens: with a key it is a page of any origin that wants no preflight.
    let text = app.request("POST", "/api/v1/score").bearer_auth("ingest").header("content-type", "text/plain");
    send(text.body(session("a").to_string())).await.is_error(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_gzip_is_read_by_its_name_or_its_first_bytes_and_to_a_bound() {
    let app = app().await;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let made = challenge(&app, json!({})).await;
    let body = format!("\u{feff}{}", of(&made));
    assert_eq!(send_text(&app, gzip(&body)).await.status, 200);
    let named = app.request("POST", "/api/v1/score").bearer_auth("ingest").header("content-encoding", "gzip");
    let named = named.header("content-type", "application/json").body(gzip(&session("zipped").to_string()));
    assert_eq!(send(named).await.status, 200);
    send_text(&app, gzip(&" ".repeat(3 << 20))).await.is_error(413, "body_too_large");
    send_text(&app, gzip(&body)[..100].to_vec()).await.is_error(400, "malformed");
    let other = app.request("POST", "/api/v1/score").bearer_auth("ingest").header("content-encoding", "br");
    send(other.body("x")).await.is_error(415, "unsupported_encoding");
}

#[tokio::test]
async fn a_page_of_a_listed_origin_asks_with_a_submit_key_and_vouches_for_nobody() {
    let app = app().await;
    let ask = |origin: Option<&'static str>, body: Value| {
        let request = app.request("POST", "/api/v1/challenges").bearer_auth("submit").json(&body);
        send(origin.into_iter().fold(request, |request, origin| request.header("origin", origin)))
    };
    for foreign in [None, Some("https://evil.example"), Some("null")] {
        ask(foreign, json!({})).await.is_error(403, "foreign_origin");
    }
    let claimed = ask(Some(PAGE), json!({"userId": "jo"})).await;
    claimed.is_error(403, "forbidden");
    assert_eq!(claimed.json()["details"]["path"], "userId");
    app.post_as("admin", "/api/v1/overrides", &json!({"userId": "jo", "action": "allow"})).await;
    let made = ask(Some(PAGE), json!({"action": "sign-up"})).await.json();
    let mut session = of(&made);
    session["userId"] = json!("jo");
    assert_eq!(send_text(&app, session.to_string()).await.status, 200);
    let path = format!("/api/v1/batch/result/{}", made["sessionId"].as_str().unwrap());
    let reasons = app.get_as("ingest", &path).await.json()["first"]["reasons"].clone();
    assert!(!reasons.to_string().contains("allowed"), "{reasons}");
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_by_name() {
    let app = app().await;
    let long = "x".repeat(257);
    for (body, path) in [
        (json!({"ttl": "61m"}), "ttl"),
        (json!({"ttl": 0}), "ttl"),
        (json!({"ttl": "999ms"}), "ttl"),
        (json!({"userId": long}), "userId"),
        (json!({"action": long}), "action"),
        (json!({"deploymentId": long}), "deploymentId"),
    ] {
        let refused = app.post_as("ingest", "/api/v1/challenges", &body).await;
        refused.is_error(422, "out_of_bounds");
        assert_eq!(refused.json()["details"]["path"], path);
    }
    for body in [json!({"ttl": "soon"}), json!({"ttl": -1}), json!({"unknown": 1}), json!([])] {
        app.post_as("ingest", "/api/v1/challenges", &body).await.is_error(400, "malformed");
    }
    let bound = app.post_as("ingest-eu", "/api/v1/challenges", &json!({"deploymentId": "us"})).await;
    bound.is_error(403, "wrong_deployment");
    let empty = send(app.request("POST", "/api/v1/challenges").bearer_auth("ingest-eu")).await;
    assert_eq!((empty.status, empty.json()["expiresIn"].as_u64()), (200, Some(300)), "everything may be left out");
}

#[tokio::test]
async fn a_submit_key_alone_is_always_batched_vouches_for_nobody_and_takes_no_id_away() {
    let app = app().await;
    app.post_as("admin", "/api/v1/overrides", &json!({"userId": "jo", "action": "allow"})).await;
    let mut squatted = session("order-1");
    squatted["useBatch"] = json!(false);
    squatted["userId"] = json!("jo");
    let page = app.post_as("submit", "/api/v1/score", &squatted).await;
    assert_eq!(page.json(), json!({"sessionId": "order-1", "status": "queued"}));
    let read = async || app.get_as("ingest", "/api/v1/batch/result/order-1").await.json();
    let of_page = read().await;
    assert!(!of_page["first"]["reasons"].to_string().contains("allowed"), "{of_page}");
    assert_eq!(of_page["sessionId"], "order-1", "a server finds what its page sent");

    let mut real = session("order-1");
    real["hits"] = json!(9);
    real["userId"] = json!("jo");
    let taken = app.post_as("ingest", "/api/v1/score", &real).await;
    assert_eq!((taken.status, &taken.json()["decision"]), (200, &json!("pass")), "{}", taken.text);
    assert!(read().await["first"]["reasons"].to_string().contains("allowed"), "the server's own comes first");
    let path = "/api/v1/batch/result/page%2Forder-1";
    assert!(!app.get_as("ingest", path).await.json()["first"]["reasons"].to_string().contains("allowed"));
    assert_eq!(app.post_as("submit", "/api/v1/score", &squatted).await.json(), page.json(), "sent again");
    app.post_as("submit", "/api/v1/score", &real).await.is_error(409, "session_conflict");
    app.post_as("submit", "/api/v1/score", &session("page/order-1")).await.is_error(422, "out_of_bounds");

    // What is known of a user goes, whoever said that it is the user's.
    let erased = send(app.request("DELETE", "/api/v1/users/jo").bearer_auth("admin")).await;
    assert_eq!(erased.json()["erased"], 2);
    app.get_as("ingest", path).await.is_error(410, "session_erased");
}

#[tokio::test]
async fn a_visitor_without_a_pointer_is_reviewed_and_never_refused() {
    let app = app().await;
    let made = challenge(&app, json!({})).await;
    let session = json!({"token": made["token"], "sessionId": made["sessionId"], "deviceType": "unknown",
        "durationMs": 5400, "movements": [], "clicks": [], "useBatch": true,
        "context": {"client": "web 0.1.0", "keys": 12, "keyIntervals": [0, 1, 4], "focusChanges": 7}});
    assert_eq!(send_text(&app, session.to_string()).await.json()["status"], "processed");
    let path = format!("/api/v1/batch/result/{}", made["sessionId"].as_str().unwrap());
    let known = app.get_as("ingest", &path).await.json();
    let result = &known["result"];
    assert_eq!((&result["decision"], &result["anomalyScore"]), (&json!("review"), &json!(null)), "{known}");
    assert_eq!(result["reasons"].as_array().unwrap().iter().map(|r| &r["code"]).collect::<Vec<_>>(), ["no_pointer"]);
    assert_eq!(result["reasons"], known["first"]["reasons"]);
    let mut counted = session.clone();
    counted["context"] = json!({"keys": {}});
    send_text(&app, counted.to_string()).await.is_error(400, "malformed");
    for of_it in ["explanation", "telemetry", "history"] {
        let path = format!("/api/v1/sessions/{}/{of_it}", made["sessionId"].as_str().unwrap());
        assert_eq!(app.get_as("admin", &path).await.status, 200, "{of_it}");
    }
    let wish = json!({"pass": 1.0, "review": 2.5, "noPointer": "pass", "deploymentId": "kiosk"});
    assert_eq!(app.post_as("admin", "/api/v1/thresholds", &wish).await.status, 200);
    let kiosk = json!({"sessionId": "kiosk", "deploymentId": "kiosk", "movements": []});
    assert_eq!(app.post_as("ingest", "/api/v1/score", &kiosk).await.json()["decision"], "pass");
    let kept = json!({"pass": 0.5, "review": 2.5, "deploymentId": "kiosk"});
    app.post_as("admin", "/api/v1/thresholds", &kept).await;
    let told = app.get_as("admin", "/api/v1/thresholds").await.json();
    assert_eq!(
        (&told["noPointer"], &told["deployments"][0]["noPointer"]),
        (&json!("review"), &json!("pass")),
        "{told}"
    );
    let wrong = json!({"pass": 1.0, "review": 2.5, "noPointer": "fail"});
    app.post_as("admin", "/api/v1/thresholds", &wrong).await.is_error(422, "out_of_bounds");
    let by_server = json!({"sessionId": "plain", "movements": [], "useBatch": true});
    let answer = app.post_as("ingest", "/api/v1/score", &by_server).await.json();
    assert_eq!((&answer["decision"], &answer["status"]), (&json!("review"), &json!("processed")), "{answer}");
    assert_eq!(app.post_as("ingest", "/api/v1/score", &by_server).await.json(), answer);
}
