//! Tests of `POST /api/v1/score` over real sockets, the hostile bodies among them.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::http::testing::{TestApp, read_all, send, session};
use crate::intake::FirstBy;
use crate::store::StoreError;

const SCORE: &str = "/api/v1/score";

#[tokio::test]
async fn a_queued_session_gets_its_first_verdict_in_the_originals_shape() {
    let app = TestApp::with(|choice| choice.first_by = FirstBy::Rules).await;
    let reply = app.post(SCORE, &session("a")).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let body = reply.json();
    assert_eq!(
        (&body["sessionId"], &body["status"], &body["source"]),
        (&json!("a"), &json!("queued"), &json!("heuristic"))
    );
    assert_eq!(body["scoredAt"], "2026-01-31T12:00:00.000Z");
    assert!(["pass", "review", "fail"].contains(&body["decision"].as_str().unwrap()));
    assert!(body["confidence"].is_number() && body["latencyMs"].is_number() && body["reasons"].is_array());
    let anomaly = &body["anomaly"];
    assert!(anomaly["anomalyScore"].is_number() && anomaly["isAnomaly"].is_boolean());
    assert_eq!((&anomaly["modelId"], &anomaly["modelVersion"]), (&json!("heuristic_fallback"), &json!("v1")));
    assert_eq!((&anomaly["scoreKind"], &anomaly["extrapolated"]), (&json!("heuristic"), &json!(false)));
    let names = [
        "pathEfficiency",
        "controlSmoothnessScore",
        "avgSpeed",
        "speedStd",
        "smallJitterRatio",
        "numDirectionChanges",
        "pauseTimeRatio",
        "overshootEvents",
        "clickAccuracy",
    ];
    let summary = body["featureSummary"].as_object().unwrap();
    assert!(summary.len() == names.len() && names.iter().all(|name| summary[*name].is_number()), "{summary:?}");
}

#[tokio::test]
async fn a_session_without_use_batch_is_processed_at_once() {
    let app = TestApp::start().await;
    let mut session = session("a");
    session["useBatch"] = json!(false);
    let body = app.post(SCORE, &session).await.json();
    assert_eq!((&body["status"], &body["source"]), (&json!("processed"), &json!("embedded")));
    assert_eq!(app.get("/api/v1/batch/result/a").await.json()["status"], "processed");
}

#[tokio::test]
async fn a_repeated_session_gets_the_first_answer_with_the_current_status() {
    let app = TestApp::start().await;
    let first = app.post(SCORE, &session("a")).await.json();
    app.clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(app.post(SCORE, &session("a")).await.json(), first);
    send(app.request("POST", "/api/v1/batch/process")).await;
    let mut processed = first;
    processed["status"] = json!("processed");
    assert_eq!(app.post(SCORE, &session("a")).await.json(), processed);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_a_conflict_within_its_deployment() {
    let app = TestApp::start().await;
    app.post(SCORE, &session("a")).await;
    let mut other = session("a");
    other["hits"] = json!(4);
    app.post(SCORE, &other).await.is_error(409, "session_conflict");
    other["deploymentId"] = json!("eu");
    assert_eq!(app.post(SCORE, &other).await.status, 200);
}

#[tokio::test]
async fn a_full_queue_and_a_store_that_is_away_say_when_to_come_back() {
    let app = TestApp::with(|choice| choice.queue_limit = 1).await;
    app.post(SCORE, &session("a")).await;
    let full = app.post(SCORE, &session("b")).await;
    full.is_error(503, "queue_full");
    assert!(full.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    for (fault, code) in [
        (StoreError::Full("/secret".to_owned()), "store_full"),
        (StoreError::Unavailable("/secret".to_owned()), "store_unavailable"),
    ] {
        app.store.fail(Some(fault));
        let reply = app.post(SCORE, &session("c")).await;
        reply.is_error(503, code);
        assert!(reply.header("retry-after").is_some() && !reply.text.contains("secret"));
    }
    app.store.fail(None);
    app.get("/api/v1/batch/result/c").await.is_error(404, "unknown_session");
}

#[tokio::test]
async fn nothing_is_acknowledged_that_the_store_did_not_take() {
    let app = TestApp::start().await;
    let mut offered = Vec::new();
    for (n, fault) in ["full", "away", "corrupt"].into_iter().enumerate() {
        app.store.fail(Some(match n {
            0 => StoreError::Full(fault.to_owned()),
            1 => StoreError::Unavailable(fault.to_owned()),
            _ => StoreError::Corrupt(fault.to_owned()),
        }));
        for use_batch in [true, false] {
            let id = format!("{fault}-{use_batch}");
            let mut session = session(&id);
            session["useBatch"] = json!(use_batch);
            let reply = app.post(SCORE, &session).await;
            assert!(reply.status >= 500, "{id}: {}", reply.text);
            offered.push(id);
        }
    }
    app.store.fail(None);
    for id in offered {
        app.get(&format!("/api/v1/batch/result/{id}")).await.is_error(404, "unknown_session");
    }
    assert_eq!(app.metric("playproof_sessions_received_total{outcome=\"accepted\"}").await as usize, 0);
}

#[tokio::test]
async fn a_session_scored_at_once_is_one_decision_however_often_it_is_sent() {
    let app = TestApp::start().await;
    let mut session = session("a");
    session["useBatch"] = json!(false);
    let first = app.post(SCORE, &session).await.json();
    app.clock.advance(std::time::Duration::from_secs(5));
    for _ in 0..3 {
        assert_eq!(app.post(SCORE, &session).await.json(), first);
    }
    let text = app.get("/metrics").await.text;
    let decisions = text.lines().filter(|line| line.starts_with("playproof_decisions_total{"));
    let decisions: f64 = decisions.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
    assert_eq!(decisions as usize, 1);
}

/// Every body that must be refused, how, and with which path.
fn hostile() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let with = |field: &str, value: &str| {
        format!(r#"{{"sessionId":"h","movements":[{{"x":1,"y":2,"timestamp":3}}],"{field}":{value}}}"#).into_bytes()
    };
    let movement =
        |x: &str| format!(r#"{{"sessionId":"h","movements":[{{"x":{x},"y":2,"timestamp":3}}]}}"#).into_bytes();
    let nested = "[".repeat(100_000);
    let million = vec![r#"{"x":1,"y":2,"timestamp":3}"#; 1_000_000].join(",");
    let many = vec![r#"{"x":1,"y":2,"timestamp":3}"#; 2_001].join(",");
    vec![
        ("nothing", vec![], 400, "body"),
        ("not JSON", b"hello".to_vec(), 400, "body"),
        ("half a document", br#"{"sessionId":"h","movements":[{"x":1"#.to_vec(), 400, "body"),
        ("a list", b"[]".to_vec(), 400, "body"),
        ("trailing text", [movement("1"), b" x".to_vec()].concat(), 400, "body"),
        ("NaN", movement("NaN"), 400, "body"),
        ("Infinity", movement("-Infinity"), 400, "body"),
        ("beyond doubles", movement("1e999"), 422, "movements[0].x"),
        ("1e308", movement("1e308"), 422, "movements[0].x"),
        ("a string for a number", movement("\"1\""), 400, "movements[0].x"),
        ("null for a number", movement("null"), 400, "movements[0].x"),
        ("a number for the id", with("sessionId", "7"), 400, "sessionId"),
        ("no list of movements", br#"{"sessionId":"h"}"#.to_vec(), 400, "movements"),
        ("no id", br#"{"movements":[{"x":1,"y":2,"timestamp":3}]}"#.to_vec(), 400, "sessionId"),
        ("an id with slashes", br#"{"sessionId":"a/../b","movements":[]}"#.to_vec(), 422, "sessionId"),
        ("an id of dots", br#"{"sessionId":"..","movements":[]}"#.to_vec(), 422, "sessionId"),
        ("a repeated key", with("hits", "1,\"hits\":2"), 400, "hits"),
        ("negative hits", with("hits", "-1"), 422, "hits"),
        ("a gigantic string", with("gameType", &format!("\"{}\"", "x".repeat(1 << 20))), 422, "gameType"),
        ("deep nesting", with("other", &nested), 400, "body"),
        ("deep nesting alone", nested.into_bytes(), 400, "body"),
        ("too many clicks", with("clicks", &format!("[{many}]")), 422, "clicks"),
        ("a million movements", format!(r#"{{"sessionId":"h","movements":[{million}]}}"#).into_bytes(), 413, "body"),
        ("invalid UTF-8", b"{\"sessionId\":\"\xff\xfe\"}".to_vec(), 400, "body"),
    ]
}

#[tokio::test]
async fn hostile_bodies_get_a_clear_refusal_and_the_next_request_is_served() {
    let app = TestApp::start().await;
    for (name, body, status, path) in hostile() {
        let reply = app.post_text(SCORE, body).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text);
        reply.error();
        assert_eq!(reply.json()["details"]["path"], path, "{name}");
        assert!(reply.text.len() < 1000, "{name}: {}", reply.text);
    }
    assert_eq!(app.post(SCORE, &session("next")).await.status, 200);
    assert_eq!(app.metric("playproof_sessions_received_total{outcome=\"refused\"}").await as usize, hostile().len());
    assert_eq!(app.metric("playproof_store_accepted").await as usize, 1);
}

#[tokio::test]
async fn content_types_and_encodings() {
    let app = TestApp::start().await;
    let post = |kind: Option<&str>, id: &str| {
        let request = app.request("POST", SCORE).body(session(id).to_string());
        send(kind.into_iter().fold(request, |request, kind| request.header("content-type", kind)))
    };
    assert_eq!(post(Some("application/json; charset=utf-8"), "a").await.status, 200);
    assert_eq!(post(Some("application/vnd.playproof+json"), "b").await.status, 200);
    assert_eq!(post(None, "c").await.status, 200);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"] {
        post(Some(kind), "d").await.is_error(415, "unsupported_media_type");
    }
    // What would be a bomb is refused before a byte of it is looked at.
    let bomb = app.request("POST", SCORE).header("content-type", "application/json").header("content-encoding", "br");
    send(bomb.body(vec![0x1f; 100_000])).await.is_error(415, "unsupported_encoding");
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_refused_before_the_body_is_sent() {
    let app = TestApp::start().await;
    let mut stream = app.connect().await;
    let head = "POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 5000000000\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_stream_over_the_limit_is_refused_without_being_announced() {
    let app = TestApp::with(|choice| choice.http.body_limit = 100_000).await;
    let pieces = futures_util::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 10_000])));
    let reply = app.post_text(SCORE, reqwest::Body::wrap_stream(pieces)).await;
    reply.is_error(413, "body_too_large");
    assert_eq!(reply.json()["details"], json!({"path": "body", "limit": 100_000}));
}

#[tokio::test]
async fn a_half_sent_body_ends_with_408_and_a_close() {
    let app = TestApp::with(|choice| choice.http.body_timeout = std::time::Duration::from_millis(50)).await;
    let half = b"POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"sessionId\":";
    let mut stream = app.connect().await;
    stream.write_all(half).await.unwrap();
    let answered = tokio::time::timeout(std::time::Duration::from_secs(8), stream.readable()).await;
    answered.expect("it waits on for the rest").unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(app.post(SCORE, &session("next")).await.status, 200);
}

#[tokio::test]
async fn a_page_learns_no_score() {
    let app = TestApp::with_keys().await;
    let reply = app.post_as("submit", SCORE, &session("a")).await;
    assert_eq!(reply.json(), json!({"sessionId": "a", "status": "queued"}));
    let full: Value = app.post_as("ingest", SCORE, &session("a")).await.json();
    assert!(full["anomaly"]["anomalyScore"].is_number());
}

#[tokio::test]
async fn a_bound_key_submits_to_its_deployment_only() {
    let app = TestApp::with_keys().await;
    assert_eq!(app.post_as("ingest-eu", SCORE, &session("a")).await.status, 200);
    let mut foreign = session("b");
    foreign["deploymentId"] = json!("us");
    app.post_as("ingest-eu", SCORE, &foreign).await.is_error(403, "wrong_deployment");
    app.get_as("ingest", "/api/v1/batch/result/a").await.is_error(404, "unknown_session");
    assert_eq!(app.get_as("ingest", "/api/v1/batch/result/a?deploymentId=eu").await.status, 200);
    assert_eq!(app.get_as("ingest-eu", "/api/v1/batch/result/a").await.status, 200);
    app.get_as("ingest-eu", "/api/v1/batch/result/a?deploymentId=us").await.is_error(403, "wrong_deployment");
}

#[tokio::test]
async fn times_of_another_unit_are_refused_with_the_unit_line_by_line_too() {
    let app = TestApp::start().await;
    for (factor, unit) in [(1e-3, "seconds"), (1e3, "microseconds"), (1e6, "nanoseconds")] {
        let mut wrong = session("wrong");
        for movement in wrong["movements"].as_array_mut().unwrap() {
            movement["timestamp"] = json!(movement["timestamp"].as_f64().unwrap() * factor);
        }
        let reply = app.post(SCORE, &wrong).await;
        reply.is_error(422, "timestamp_unit");
        let body = reply.json();
        assert!(body["message"].as_str().unwrap().contains(unit), "{body}");
        assert_eq!(body["details"]["path"], "movements[1].timestamp");
        let answers = app.bulk("", format!("{}\n{wrong}\n", session(unit))).await;
        assert_eq!((&answers[0]["outcome"], &answers[1]["outcome"]), (&json!("accepted"), &json!("refused")));
        assert_eq!((&answers[1]["code"], &answers[1]["message"]), (&json!("timestamp_unit"), &body["message"]));
    }
}

#[tokio::test]
async fn taps_without_a_path_are_reviewed_at_once_and_by_the_batch() {
    let app = TestApp::start().await;
    let point = |i: i32| json!({"x": i * 83 % 700, "y": i * 47 % 500, "timestamp": i * 640, "targetHit": true});
    let points: Vec<Value> = (0..20).map(point).collect();
    for (id, use_batch) in [("now", false), ("later", true)] {
        let taps = json!({"sessionId": id, "movements": points, "clicks": points, "useBatch": use_batch});
        let first = app.post(SCORE, &taps).await.json();
        send(app.request("POST", "/api/v1/batch/process")).await;
        let result = app.get(&format!("/api/v1/batch/result/{id}")).await.json()["result"].clone();
        for told in [first, result] {
            let codes: Vec<&Value> = told["reasons"].as_array().unwrap().iter().map(|reason| &reason["code"]).collect();
            assert_eq!(told["decision"], "review", "{told}");
            assert!(codes.contains(&&json!("too_little_movement")), "{told}");
        }
    }
}
