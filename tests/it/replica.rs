//! Lists from a read replica: a real standby that streams from a real primary.

use std::time::Duration;

use serde_json::Value;

use crate::clients::{Told, fill, finish, get, id, score, session};
use crate::cluster::{Cluster, psql};
use crate::nodes::until;
use crate::process::{Process, binary};

const LIMIT: Duration = Duration::from_secs(20);

/// Sends a session that is decided at once.
async fn send(url: &str, number: usize) {
    let client = playproof_batch::tls::http_client().build().unwrap();
    assert_eq!(score(&client, url, session(number, false)).await.unwrap().status(), 200);
}

async fn listed(url: &str) -> Vec<Value> {
    let page = get(url, "/api/v1/batch/results?limit=1000").await;
    page["results"].as_array().unwrap_or_else(|| panic!("no list: {page}")).clone()
}

async fn is_listed(url: &str, number: usize) -> bool {
    listed(url).await.iter().any(|row| row["sessionId"] == id(number))
}

async fn replica(url: &str) -> Value {
    get(url, "/ready").await["checks"]["replica"].clone()
}

/// The sum of the decisions of the last day.
async fn counted(url: &str) -> u64 {
    let told = get(url, "/api/v1/overview?range=24h").await;
    ["pass", "review", "fail"].iter().map(|decision| told["decisions"][decision].as_u64().unwrap()).sum()
}

/// Keeps a standby where it is.
async fn pause(standby: &str) {
    psql(standby, "SELECT pg_wal_replay_pause()");
    let state = "SELECT pg_get_wal_replay_pause_state()";
    until("the standby stands still", LIMIT, async || psql(standby, state) == "paused").await;
}

/// What `check` says, and whether all is well.
fn check(store: &str, read: &str) -> (bool, String) {
    let output = binary(&[("PLAYPROOF_STORE", store), ("PLAYPROOF_STORE_READ", read)]).arg("check").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_read_from_the_replica_and_a_session_from_the_store() {
    let primary = Cluster::start(false);
    psql(&primary.url(), "CREATE ROLE playproof LOGIN");
    psql(&primary.url(), "CREATE DATABASE playproof OWNER playproof");
    let standby = primary.standby();
    // As a user who may do nothing beside.
    let plain =
        |cluster: &Cluster| format!("postgres://playproof@127.0.0.1:{}/playproof?sslmode=disable", cluster.port);
    let node = Process::on(&plain(&primary), &[("PLAYPROOF_STORE_READ", &plain(&standby))]);
    until("the replica is used", LIMIT, async || replica(&node.url).await == "ok").await;
    let (well, told) = check(&plain(&primary), &plain(&standby));
    assert!(well && told.contains("follows the store"), "{told}");
    fill(&node.url, &Told::default(), 20).await;
    finish(&node.url).await;
    until("the list has them", LIMIT, async || listed(&node.url).await.len() == 20).await;
    until("and the overview", LIMIT, async || counted(&node.url).await == 20).await;

    pause(&standby.url()).await;
    send(&node.url, 1_000).await;
    // What was just sent is known by its identifier, and counted as done, whatever the replica knows.
    let result = get(&node.url, &format!("/api/v1/batch/result/{}", id(1_000))).await;
    assert_eq!(result["status"], "processed", "{result}");
    let one = get(&node.url, &format!("/api/v1/batch/results?sessionId={}", id(1_000))).await;
    assert_eq!(one["results"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!(get(&node.url, "/api/v1/batch/stats").await["queue"]["processed"], 21);
    let label = format!("{}/api/v1/sessions/{}/label", node.url, id(1_000));
    let client = playproof_batch::tls::http_client().build().unwrap();
    assert_eq!(client.post(label).json(&serde_json::json!({"label": "human"})).send().await.unwrap().status(), 200);
    // Lists are as old as the replica.
    assert!(
        !is_listed(&node.url, 1_000).await && counted(&node.url).await == 20,
        "lists move while the replica does not"
    );
    assert_eq!(get(&node.url, "/api/v1/labels").await["labels"], serde_json::json!([]));
    psql(&standby.url(), "SELECT pg_wal_replay_resume()");
    until("the list has it", LIMIT, async || is_listed(&node.url, 1_000).await).await;
    until("the label is listed", LIMIT, async || {
        get(&node.url, "/api/v1/labels").await["labels"].as_array().unwrap().len() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_replica_lists_are_the_stores_own_and_two_lines_tell_it() {
    let primary = Cluster::start(false);
    let standby = primary.standby();
    let log = tempfile::NamedTempFile::new().unwrap();
    let node = Process::logging_to(log.reopen().unwrap(), &primary.url(), &[("PLAYPROOF_STORE_READ", &standby.url())]);
    until("the replica is used", LIMIT, async || replica(&node.url).await == "ok").await;
    for (word, number) in [("kill", 1), ("stop", 2)] {
        standby.tell(word);
        send(&node.url, number).await;
        for _ in 0..20 {
            assert!(is_listed(&node.url, number).await, "a list must not need the replica");
        }
        until("the loss is told", LIMIT, async || replica(&node.url).await == "away").await;
        let ready = get(&node.url, "/ready").await;
        assert_eq!(ready["status"], "ready", "{ready}");
        assert!(ready["problems"][0].as_str().unwrap().contains("PLAYPROOF_STORE_READ"), "{ready}");
        standby.tell("start");
        until("the replica is used again", LIMIT, async || replica(&node.url).await == "ok").await;
        until("what was sent is there", LIMIT, async || is_listed(&node.url, number).await).await;
    }
    let log = std::fs::read_to_string(log.path()).unwrap();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("lists are read from the replica"), 3);
    assert_eq!(lines("lists are read from the store itself"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_without_its_replica_and_finds_it_later() {
    let primary = Cluster::start(false);
    let standby = primary.standby();
    standby.tell("stop");
    let node = Process::on(&primary.url(), &[("PLAYPROOF_STORE_READ", &standby.url())]);
    send(&node.url, 1).await;
    assert!(is_listed(&node.url, 1).await && replica(&node.url).await == "away");
    standby.tell("start");
    until("the replica is used", LIMIT, async || replica(&node.url).await == "ok").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_standby_of_the_same_store_is_taken() {
    let (primary, other) = (Cluster::start(false), Cluster::start(false));
    let standby = primary.standby();
    let migrate = |store: &str| {
        assert!(binary(&[("PLAYPROOF_STORE", store)]).arg("migrate").output().unwrap().status.success());
    };
    pause(&standby.url()).await;
    migrate(&primary.url());
    migrate(&other.url());
    let (well, told) = check(&primary.url(), &standby.url());
    assert!(!well && told.contains("schema version 0"), "a schema that has not come so far: {told}");
    psql(&standby.url(), "SELECT pg_wal_replay_resume()");
    until("check is content", LIMIT, async || check(&primary.url(), &standby.url()).0).await;
    let (_, told) = check(&primary.url(), &standby.url());
    assert!(told.contains("follows the store, up to date"), "{told}");

    for (read, why) in [(other.url(), "another store"), (primary.url(), "no standby")] {
        let (well, told) = check(&primary.url(), &read);
        assert!(!well && told.contains(why) && told.contains("PLAYPROOF_STORE_READ"), "{told}");
        let begun = Process::begin(&primary.url(), &[("PLAYPROOF_STORE_READ", &read)]);
        assert!(begun.is_none(), "a node must not start with a replica of {why}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (well, told) = check(&format!("embedded:{}", folder.path().display()), &standby.url());
    assert!(!well && told.contains("PLAYPROOF_STORE_READ: the embedded store has no replica"), "{told}");
}
