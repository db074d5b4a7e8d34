//! The baseline: a bare axum handler that parses the same body into typed structs and drops it.

use std::net::TcpListener;

use anyhow::Context as _;
use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::super::local_node::LocalNode;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsing into the fields is the work that is measured")]
struct Body {
    session_id: String,
    game_type: Option<String>,
    device_type: Option<String>,
    duration_ms: Option<f64>,
    movements: Vec<Movement>,
    clicks: Vec<Click>,
    hits: u32,
    misses: u32,
    use_batch: bool,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing into the fields is the work that is measured")]
struct Movement {
    x: f64,
    y: f64,
    timestamp: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsing into the fields is the work that is measured")]
struct Click {
    x: f64,
    y: f64,
    timestamp: f64,
    target_hit: bool,
}

async fn parse_and_drop(body: Bytes) -> (StatusCode, &'static str) {
    match serde_json::from_slice::<Body>(&body) {
        Ok(parsed) => {
            drop(std::hint::black_box(parsed));
            (StatusCode::OK, "{}")
        }
        Err(_) => (StatusCode::BAD_REQUEST, "{\"error\":\"not a session\"}"),
    }
}

/// Starts the baseline in this process.
pub(super) fn start() -> anyhow::Result<LocalNode> {
    serve(Router::new().route("/api/v1/score", post(parse_and_drop)))
}

/// Serves bare routes in this process, on a runtime of their own as a node has one.
pub(super) fn serve(routes: Router) -> anyhow::Result<LocalNode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on the loopback interface")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    runtime.spawn(async move { axum::serve(listener, routes).await });
    let stop = move || {
        runtime.shutdown_background();
        Ok(())
    };
    Ok(LocalNode { url, stop: Box::new(stop) })
}
