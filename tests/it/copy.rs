//! Moving a store from a folder to PostgreSQL by the command.

use serde_json::json;

use crate::clients::{Told, all_results, bulk, fill, finish, get, id, post, session};
use crate::cluster::psql;
use crate::process::{Place, Process, binary};

/// Runs `copy`; whether it went well, and what it said.
fn copy(from: &Place, to: &Place) -> (bool, String) {
    let output = binary(&[]).args(["copy", "--from", &from.url, "--to", &to.url]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_store_goes_on_where_the_folder_was() {
    let (from, to) = (Place::embedded(), Place::postgres());
    let told = Told::default();
    let node = Process::on(&from.url, &[("PLAYPROOF_SCHEDULER_AUTOSTART", "false")]);
    fill(&node.url, &told, 1_300).await;
    post(&node.url, "/api/v1/batch/process").await;
    let at_once = bulk(&node.url, "", session(5_000, true) + "\n").await;
    assert_eq!(at_once.last().unwrap()["summary"]["accepted"], 1);
    let client = playproof_batch::tls::http_client().build().unwrap();
    let erased = client.delete(format!("{}/api/v1/sessions/{}", node.url, id(5_000))).send().await.unwrap();
    assert_eq!(erased.status(), 200);
    let made = [
        ("keys", json!({"role": "ingest", "name": "moved"})),
        ("overrides", json!({"userId": "mallory", "action": "deny"})),
        ("webhooks", json!({"url": "http://8.8.8.8/hook"})),
        ("retention", json!({"deploymentId": "eu", "telemetryHours": 24})),
        ("thresholds", json!({"pass": 0.9, "review": 1.8})),
        (&format!("sessions/{}/label", id(0)), json!({"label": "bot", "note": "seen"})),
    ];
    for (path, body) in made {
        let made = client.post(format!("{}/api/v1/{path}", node.url)).json(&body).send().await.unwrap();
        assert_eq!(made.status(), 200, "{path}");
    }
    // What operators and analysts see of it.
    let seen = async |url: &str| {
        let mut seen = Vec::new();
        for path in ["keys", "overrides", "webhooks", "retention", "thresholds", "labels", "audit?limit=100"] {
            seen.push(get(url, &format!("/api/v1/{path}")).await);
        }
        seen.push(get(url, &format!("/api/v1/sessions/{}/history", id(0))).await);
        let webhook = seen[2]["webhooks"][0]["id"].as_str().unwrap().to_owned();
        // Nobody answers there, so how often it was tried depends on the time.
        let mut told = get(url, &format!("/api/v1/webhooks/{webhook}/deliveries")).await["deliveries"].take();
        for line in told.as_array_mut().unwrap() {
            line.as_object_mut().unwrap().retain(|name, _| ["id", "event", "session", "createdAt"].contains(&&**name));
        }
        seen.push(told);
        seen
    };
    let managed = seen(&node.url).await;
    assert!(managed[8].to_string().contains("verdict.changed"), "{}", managed[8]);
    let before = all_results(&node.url).await;
    let counted = get(&node.url, "/api/v1/overview?range=90d").await["decisions"].take();
    let (well, said) = copy(&from, &to);
    assert!(!well && said.contains("another process"), "a folder in use is left alone: {said}");
    assert!(node.terminate().0.success());

    // What a copy leaves that was broken off in the middle.
    let (well, said) = copy(&from, &to);
    assert!(well && said.contains("copied 1300 sessions") && said.contains("1 erased keys"), "{said}");
    psql(
        &to.url,
        "DELETE FROM meta WHERE name = 'copy_done'; UPDATE meta SET value = '\\xf401000000000000' WHERE name = 'copied_up_to'; \
         DELETE FROM sessions WHERE seq > 500; DELETE FROM queue WHERE seq > 500; DELETE FROM results WHERE seq > 500; \
         DELETE FROM telemetry WHERE seq > 500; DELETE FROM sketches WHERE seq > 500; DELETE FROM sketch_keys WHERE seq > 500; \
         DELETE FROM matches WHERE seq > 500; DELETE FROM uncompared WHERE seq > 500; DELETE FROM controls; DELETE FROM audit; DELETE FROM revisions WHERE seq > 500; \
         DELETE FROM deliveries WHERE seq > 500; DELETE FROM labels WHERE seq > 500; UPDATE counters SET ready = 0, processed = 0, accepted = 0, erased = 0; \
         UPDATE counters SET processed = (SELECT count(*) FROM results), ready = (SELECT count(*) FROM queue), \
         accepted = (SELECT count(*) FROM sessions) WHERE shard = 0",
    );
    let (well, said) = copy(&from, &to);
    assert!(well && said.contains("goes on after session 500") && said.contains("copied 1300 sessions"), "{said}");
    let (well, said) = copy(&from, &to);
    assert!(!well && said.contains("name an empty database"), "a store is never copied over: {said}");

    let node = Process::on(&to.url, &[]);
    assert_eq!(get(&node.url, "/api/v1/batch/scheduler/status").await["running"], false, "the switch came along");
    let after = all_results(&node.url).await;
    // Campaigns are made anew of what is alike, and numbered anew.
    let without_campaigns = |mut all: std::collections::HashMap<String, serde_json::Value>| {
        for one in all.values_mut() {
            one.as_object_mut().unwrap().remove("campaignId");
        }
        all
    };
    assert!(without_campaigns(after) == without_campaigns(before), "results differ");
    assert_eq!(get(&node.url, "/api/v1/overview?range=90d").await["decisions"], counted, "counts by time came along");
    assert_eq!(seen(&node.url).await, managed);
    let again = bulk(&node.url, "", session(0, true) + "\n" + &session(5_000, true) + "\n").await;
    assert_eq!(again[2]["summary"], serde_json::json!({"accepted": 0, "duplicate": 1, "refused": 1}), "{again:?}");
    finish(&node.url).await;
    assert_eq!(told.lost(&all_results(&node.url).await), 0);
}
