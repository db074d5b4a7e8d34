//! What a collector is sent, by a service that answers and batches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use super::testing::{TestApp, send, session};
use crate::traces::Traces;

/// The bodies that a collector got.
type Got = Arc<Mutex<Vec<u8>>>;

async fn take(State(got): State<Got>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    got.lock().unwrap().extend_from_slice(&body);
}

fn holds(got: &Got, bytes: &[u8]) -> bool {
    got.lock().unwrap().windows(bytes.len()).any(|window| window == bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_a_span_for_each_request_in_its_callers_trace_and_for_each_batch() {
    let got = Got::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&got));
    tokio::spawn(async { axum::serve(listener, collector).await });
    let sender = tokio::task::spawn_blocking(move || Traces::start(Some(&endpoint)).unwrap()).await.unwrap();

    let app = TestApp::start().await;
    let trace = [0x4b_u8, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = app.request("POST", "/api/v1/score").header("traceparent", parent).json(&session("secret-session"));
    assert_eq!(send(request).await.status, 200);
    assert_eq!(app.post("/api/v1/batch/process", &json!({})).await.status, 200);
    // The span of an answer ends beside it.
    let begun = std::time::Instant::now();
    while app.metric("playproof_batch_sessions_count").await < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no batch was counted");
    }
    // What is left is sent at the end.
    tokio::task::spawn_blocking(move || drop(sender)).await.unwrap();
    for name in ["POST /api/v1/score", "POST /api/v1/batch/process", "batch", "playproof.batch.outcome", "scored"] {
        assert!(holds(&got, name.as_bytes()), "{name}");
    }
    assert!(holds(&got, &trace), "the caller's trace goes on");
    assert!(!holds(&got, b"secret-session"));
}
