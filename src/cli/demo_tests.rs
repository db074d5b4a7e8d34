//! The demo against a stand-in for the node that passes people and fails bots after some waiting.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

use axum::extract::{Json, Path};
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse};
use serde_json::json;

use super::super::local_node::LocalNode;
use super::*;

fn stand_in(_: &NodeSettings) -> anyhow::Result<LocalNode> {
    static ASKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let routes = Router::new()
        .route(
            "/api/v1/score",
            post(async |Json(body): Json<Value>| {
                assert_eq!(body["useBatch"], true);
                Json(json!({"sessionId": body["sessionId"], "decision": "review", "status": "queued"}))
            }),
        )
        .route(
            "/api/v1/batch/result/{id}",
            get(async |Path(id): Path<String>| {
                if ASKED.lock().unwrap().insert(id.clone()) {
                    return Json(json!({"sessionId": id, "status": "queued"})).into_response();
                }
                let bot = id.starts_with("bot-");
                let result = json!({
                    "decision": if bot { "fail" } else { "pass" }, "anomalyScore": if bot { 3.25 } else { 0.5 },
                    "reasons": if bot { json!([{"code": "no_jitter"}, {"code": "unlike_humans"}]) } else { json!([]) },
                });
                Json(json!({"sessionId": id, "status": "processed", "result": result})).into_response()
            }),
        );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    runtime.spawn(async move { axum::serve(tokio::net::TcpListener::from_std(listener)?, routes).await });
    let stop = move || {
        runtime.shutdown_background();
        Ok(())
    };
    Ok(LocalNode { url, stop: Box::new(stop) })
}

#[test]
fn the_demo_prints_a_row_for_everybody_and_counts_them() {
    let mut out = Vec::new();
    let code = show(false, stand_in, &mut out).unwrap();
    assert_eq!(code, ExitCode::SUCCESS);
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 23 + 24 + 3, "{text}");
    assert!(text.contains("\nhumans: 23 of 23 pass (0 for review, 0 fail)\n"), "{text}");
    assert!(text.contains("\nbots:   24 of 24 don't pass (0 for review, 24 fail)\n"), "{text}");
    let bot = lines.iter().find(|line| line.starts_with("bot-windmouse-")).unwrap();
    let cells: Vec<_> = bot.split_whitespace().skip(1).collect();
    assert_eq!(cells, ["windmouse", "review", "fail", "3.25", "no_jitter", "unlike_humans"]);
}
