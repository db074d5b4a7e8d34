//! What a collector is sent, by a service that answers and batches.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use bytes::Bytes;
use playproof_bots::generator::{self, Family, Shape};
use playproof_server::app::Node;
use playproof_server::config::{Config, Flags};
use playproof_server::shutdown::Shutdown;
use playproof_server::traces::{self, Traces};
use serde_json::Value;

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

    traces::send_by(crate::start);
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("PLAYPROOF_LISTEN", "127.0.0.1:0".to_owned()),
        ("PLAYPROOF_STORE", format!("embedded:{}", folder.path().display())),
        ("PLAYPROOF_MIN_FREE_DISK", "0B".to_owned()),
        // A base address, with or without a slash at its end.
        ("PLAYPROOF_OTLP_ENDPOINT", format!("{endpoint}/")),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let config = Config::load(&Flags::default(), settings).unwrap();
    assert_eq!(config.otlp_endpoint.as_ref(), Some(&endpoint));
    let sender = tokio::task::spawn_blocking(move || Traces::start(Some(&endpoint)).unwrap()).await.unwrap();

    let shutdown = Shutdown::new();
    let node = Node::start(&config, shutdown.clone()).await.unwrap();
    let url = format!("http://{}", node.address);
    let client = playproof_outbound::tls::http_client().no_proxy().build().unwrap();
    let trace = [0x4b_u8, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let score = client.post(format!("{url}/api/v1/score")).header("traceparent", parent).body(session());
    assert_eq!(score.header("content-type", "application/json").send().await.unwrap().status(), 200);
    let process = client.post(format!("{url}/api/v1/batch/process")).send();
    assert_eq!(process.await.unwrap().status(), 200);
    // The span of an answer ends beside it.
    let begun = Instant::now();
    let counted = async || {
        let metrics = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| line == "playproof_batch_sessions_count 1")
    };
    while !counted().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "no batch was counted");
    }
    shutdown.trigger();
    assert!(node.ended().await);
    // What is left is sent at the end.
    tokio::task::spawn_blocking(move || drop(sender)).await.unwrap();
    for name in ["POST /api/v1/score", "POST /api/v1/batch/process", "batch", "playproof.batch.outcome", "scored"] {
        assert!(holds(&got, name.as_bytes()), "{name}");
    }
    assert!(holds(&got, &trace), "the caller's trace goes on");
    assert!(!holds(&got, b"secret-session"));
}

/// A session with a name to look for, for the batch.
fn session() -> String {
    let session = generator::generate(Family::WindMouse, 1, Shape { movements: Some(60) });
    let mut session: Value = serde_json::from_slice(&generator::to_json(&session, true)).unwrap();
    session["sessionId"] = "secret-session".into();
    session.to_string()
}
