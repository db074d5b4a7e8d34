//! Steering and watching a running simulator.

use std::process::{Command, Stdio};

use serde_json::json;
use woodwide_sim::{Settings, Simulator};

use super::harness::{Service, probe};

#[tokio::test]
async fn the_log_tells_who_asked_for_what_and_never_a_key() {
    let service = Service::with(Settings { api_keys: vec!["first:sk_secret_1".to_owned()], ..Settings::default() });
    let url = format!("{}/datasets?limit=3", service.sim.url());
    service.send(service.client.get(&url).bearer_auth("sk_secret_1")).await.json();
    service.send(service.client.get(&url).bearer_auth("sk_secret_2")).await;
    let log = service.get("/_sim/requests").await;
    assert!(!log.text().contains("sk_secret"));
    let log = log.json();
    let seen = |at: usize, name: &str| log["requests"][at][name].clone();
    assert_eq!(
        (seen(0, "route"), seen(0, "query"), seen(0, "status")),
        (json!("list-datasets"), json!("limit=3"), json!(200))
    );
    assert_eq!(
        (seen(0, "key"), seen(0, "authorization"), seen(0, "generation")),
        (json!("first"), json!(true), json!("ga"))
    );
    assert_eq!((seen(1, "key"), seen(1, "authorization"), seen(1, "status")), (json!(null), json!(true), json!(401)));
    service.delete("/_sim/requests").await;
    assert_eq!(service.get("/_sim/requests").await.json()["requests"], json!([]));
}

#[tokio::test]
async fn faults_are_switched_on_and_off_while_it_runs() {
    let service = Service::start();
    let bad = service.post("/_sim/faults", &json!({"faults": ["hang", "emty-body"]})).await;
    assert_eq!(bad.status, 422);
    assert!(bad.detail().as_str().unwrap().contains("\"empty-body\""));
    assert_eq!(service.sim.faults().len(), 0, "all or none");

    let armed = service.post("/_sim/faults", &json!({"fault": "status-before=503@list-models"})).await.json();
    assert_eq!(service.get("/models").await.status, 503);
    assert_eq!(service.get("/datasets").await.status, 200);
    assert_eq!(service.get("/_sim/faults").await.json()["faults"][0]["struck"], 1);
    assert_eq!(service.delete(&format!("/_sim/faults?fault={}", armed["ids"][0])).await.json()["disarmed"], 1);
    assert_eq!(service.get("/models").await.status, 200);
}

#[tokio::test]
async fn keys_are_revoked_and_added() {
    let service = Service::start();
    service.post("/_sim/keys", &json!({"revoke": "key-1", "status": 403})).await.json();
    assert_eq!(service.get("/models").await.status, 403);
    service.post("/_sim/keys", &json!({"add": "other", "key": "sk_other"})).await.json();
    let other = service.client.get(format!("{}/models", service.sim.url())).bearer_auth("sk_other");
    assert_eq!(service.send(other).await.status, 200);
    assert_eq!(service.post("/_sim/keys", &json!({"restore": "nobody"})).await.status, 404);
    service.post("/_sim/keys", &json!({"restore": "key-1"})).await.json();
    assert_eq!(service.get("/models").await.status, 200);
}

#[tokio::test]
async fn state_is_shown_and_reset() {
    let service = Service::start();
    service.upload("one", &probe()).await.json();
    let state = service.get("/_sim/state").await;
    assert!(!state.text().contains("sk_sim"));
    assert_eq!(state.json()["datasets"][0]["versions"][0]["rows"], 60);
    assert_eq!(service.post("/_sim/clock", &json!({"advance": "1h"})).await.status, 200);
    service.post("/_sim/reset", &json!({})).await;
    assert_eq!(service.get("/_sim/state").await.json()["datasets"], json!([]));
    assert_eq!(service.get("/models").await.status, 200, "the key is there again");
}

#[tokio::test]
async fn memory_is_bounded() {
    let service = Service::with(Settings { memory: 10_000, ..Settings::default() });
    let large = "x\n".repeat(4_000);
    assert_eq!(service.upload("one", &large).await.status, 200);
    assert_eq!(service.upload("two", &large).await.status, 507);
}

#[test]
fn a_simulator_stops_when_it_is_dropped() {
    let simulator = Simulator::start(Settings::default()).unwrap();
    let addr = simulator.addr();
    drop(simulator);
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn the_binary_says_where_it_listens_and_refuses_unknown_faults() {
    use std::io::{BufRead as _, BufReader};
    let binary = env!("CARGO_BIN_EXE_woodwide-sim");
    let mut child = Command::new(binary).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");

    let refused = Command::new(binary).args(["--fault", "hnag"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("\"hang\""));
    let list = Command::new(binary).args(["--fault", "list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).contains("\nwarm-up[=ROWS[,AGE]]: "));
}
