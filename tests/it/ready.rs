//! Whether a node takes sessions, and what it says when it does not; and what it does with a clock that it cannot trust.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::{Told, fill, finish, get, id, post, score, session};
use crate::cluster::psql;
use crate::process::{Place, Process, on_both_stores};

on_both_stores!(
    a_full_queue_is_named_and_reads_go_on,
    a_clock_far_ahead_at_the_start_prunes_nothing_until_an_operator_agrees
);

const STOPPED: (&str, &str) = ("PLAYPROOF_SCHEDULER_AUTOSTART", "false");

async fn ready(url: &str) -> (u16, Value) {
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let answer = client.get(format!("{url}/ready")).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Waits until `/ready` says so.
async fn until(url: &str, holds: impl Fn(&Value) -> bool) -> (u16, Value) {
    let begun = Instant::now();
    loop {
        let told = ready(url).await;
        if holds(&told.1) {
            return told;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", told.1);
    }
}

async fn a_full_queue_is_named_and_reads_go_on(place: Place) {
    let node = Process::on(&place.url, &[STOPPED, ("PLAYPROOF_QUEUE_LIMIT", "3")]);
    fill(&node.url, &Told::default(), 3).await;
    let (status, told) = until(&node.url, |told| told["checks"]["queue"] == "full").await;
    assert_eq!((status, &told["reads"]), (503, &Value::Bool(true)), "{told}");
    assert!(told["problems"][0].as_str().unwrap().contains("PLAYPROOF_QUEUE_LIMIT"), "{told}");
    assert_eq!(get(&node.url, &format!("/api/v1/batch/result/{}", id(0))).await["status"], "queued");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_and_reads_go_on() {
    let place = Place::embedded();
    let node = Process::on(&place.url, &[STOPPED]);
    fill(&node.url, &Told::default(), 3).await;
    node.terminate();
    let node = Process::begin(&place.url, &[STOPPED, ("PLAYPROOF_MIN_FREE_DISK", "1000TiB")]).unwrap();
    let (status, told) = ready(&node.url).await;
    assert_eq!((status, &told["checks"]["store"], &told["reads"]), (503, &"full".into(), &true.into()), "{told}");
    assert_eq!(get(&node.url, &format!("/api/v1/batch/result/{}", id(0))).await["status"], "queued");
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    assert_eq!(score(&client, &node.url, session(7, true)).await.unwrap().status(), 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detector_that_is_away_is_named_while_sessions_are_taken() {
    let settings = [
        ("PLAYPROOF_DETECTOR", "woodwide"),
        ("WOODWIDE_API_KEY", "sk_sim"),
        ("WOODWIDE_BASE_URL", "http://127.0.0.1:1"),
        ("ANOMALY_MODEL_ID", "m"),
        ("PLAYPROOF_BATCH_SIZE", "2"),
    ];
    let place = Place::embedded();
    let node = Process::on(&place.url, &settings);
    fill(&node.url, &Told::default(), 4).await;
    let (status, told) = until(&node.url, |told| told["checks"]["circuit"] == "open").await;
    assert_eq!((status, &told["checks"]["detector"]), (200, &"away".into()), "{told}");
    assert!(told["problems"][0].as_str().unwrap().contains("away"), "{told}");
}

/// Lets results be a hundred days older, and the last look at the clock ten.
fn age(place: &Place) {
    const RESULTS: &str = "UPDATE results SET scored_at = scored_at - 8640000000";
    const DAYS: i64 = 10;
    if let Some(folder) = place.url.strip_prefix("embedded:") {
        let store = rusqlite::Connection::open(Path::new(folder).join("playproof.sqlite")).unwrap();
        store.execute_batch(&format!("{RESULTS}; UPDATE sessions SET finished_at = finished_at - 8640000000")).unwrap();
        let look = "SELECT value FROM memory WHERE name = 'retention.clock'";
        let last: Vec<u8> = store.query_row(look, [], |row| row.get(0)).unwrap();
        let earlier = i64::from_le_bytes(last.try_into().unwrap()) - DAYS * 86_400_000;
        let set = "UPDATE memory SET value = ? WHERE name = 'retention.clock'";
        store.execute(set, [earlier.to_le_bytes().to_vec()]).unwrap();
    } else {
        psql(&place.url, RESULTS);
        let now: i64 = jiff::Timestamp::now().as_millisecond() - DAYS * 86_400_000;
        // The bytes of a number from the lowest on are those of its reverse from the highest on.
        let bytes = format!("{:016x}", now.swap_bytes());
        psql(&place.url, &format!("UPDATE memory SET value = '\\x{bytes}' WHERE name = 'retention.clock'"));
    }
}

async fn a_clock_far_ahead_at_the_start_prunes_nothing_until_an_operator_agrees(place: Place) {
    let processed = async |node: &Process| get(&node.url, "/api/v1/batch/stats").await["queue"]["processed"].clone();
    let node = Process::on(&place.url, &[STOPPED]);
    fill(&node.url, &Told::default(), 10).await;
    finish(&node.url).await;
    assert!(node.terminate().0.success());
    age(&place);
    // The first look is at the start; two of them have been, and nothing is gone.
    for _ in 0..2 {
        let node = Process::on(&place.url, &[STOPPED]);
        assert_eq!(processed(&node).await, 10);
        assert!(get(&node.url, "/api/v1/retention").await["pausedSince"].is_string());
        assert!(node.terminate().0.success());
    }
    let node = Process::on(&place.url, &[STOPPED]);
    post(&node.url, "/api/v1/retention/resume").await;
    assert!(get(&node.url, "/api/v1/retention").await["pausedSince"].is_null());
    assert!(node.terminate().0.success());
    let node = Process::on(&place.url, &[STOPPED]);
    let begun = Instant::now();
    while processed(&node).await != 0 {
        assert!(begun.elapsed() < Duration::from_secs(25), "nothing was removed");
    }
}
