//! A deployment's own retention, carried out by a running node.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clients::{bulk, finish, get, id, session};
use crate::cluster::psql;
use crate::process::{Place, Process};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_keeps_a_deployments_sessions_for_less_time_in_a_folder() {
    check(Place::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_keeps_a_deployments_sessions_for_less_time_on_postgresql() {
    check(Place::postgres()).await;
}

/// Lets everything that is finished be two hours older.
fn age(place: &Place) {
    const RESULTS: &str = "UPDATE results SET scored_at = scored_at - 7200000";
    if let Some(folder) = place.url.strip_prefix("embedded:") {
        let store = rusqlite::Connection::open(Path::new(folder).join("playproof.sqlite")).unwrap();
        store.execute_batch(&format!("{RESULTS}; UPDATE sessions SET finished_at = finished_at - 7200000")).unwrap();
    } else {
        psql(&place.url, RESULTS);
    }
}

async fn check(place: Place) {
    let node = Process::on(&place.url, &[("PLAYPROOF_SCHEDULER_AUTOSTART", "false")]);
    let lines = (0..20).map(|n| {
        let mut session: Value = serde_json::from_str(&session(n, true)).unwrap();
        if n < 12 {
            session["deploymentId"] = if n < 6 { "brief" } else { "briefest" }.into();
        }
        format!("{session}\n")
    });
    bulk(&node.url, "", lines.collect()).await;
    finish(&node.url).await;
    let client = playproof_batch::tls::http_client().build().unwrap();
    for rule in [
        json!({"deploymentId": "brief", "telemetryHours": 1}),
        json!({"deploymentId": "briefest", "telemetryHours": 1, "resultsHours": 1}),
    ] {
        let set = client.post(format!("{}/api/v1/retention", node.url)).json(&rule).send().await.unwrap();
        assert_eq!(set.status(), 200);
    }
    assert!(node.terminate().0.success());
    age(&place);

    // The first look is at the start.
    let node = Process::on(&place.url, &[("PLAYPROOF_SCHEDULER_AUTOSTART", "false")]);
    let status = async |path: String| client.get(format!("{}{path}", node.url)).send().await.unwrap().status().as_u16();
    let begun = Instant::now();
    while get(&node.url, "/api/v1/batch/stats").await["queue"]["processed"] != 14 {
        assert!(begun.elapsed() < Duration::from_secs(25), "nothing was removed");
    }
    for n in 0..20 {
        let deployment = ["?deploymentId=brief", "?deploymentId=briefest", "", ""][n / 6];
        let told = (
            status(format!("/api/v1/batch/result/{}{deployment}", id(n))).await,
            status(format!("/api/v1/sessions/{}/telemetry{deployment}", id(n))).await,
        );
        let expected = [(200, 404), (404, 404), (200, 200), (200, 200)][n / 6];
        assert_eq!(told, expected, "session {n}{deployment}");
    }
}
