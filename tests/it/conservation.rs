//! No session appears or vanishes: whatever runs side by side, every look at the metrics sees as many sessions as were
//! accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{Client, StatusCode};

use crate::clients::{Told, bulk, id, load, post, score, session};
use crate::process::{Place, Process, on_both_stores};

/// The value of a metric; several lines of it are added up.
fn value(text: &str, metric: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(metric));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// Looks at the metrics; accepted sessions as the store counts them.
async fn look(client: &Client, url: &str) -> (u64, String) {
    let text = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    let accepted = value(&text, "playproof_store_accepted ");
    let of_the_store = || text.lines().filter(|line| line.starts_with("playproof_store_")).collect::<Vec<_>>();
    assert_eq!(value(&text, "playproof_store_sessions{"), accepted, "{:#?}", of_the_store());
    (accepted, text)
}

/// What a client does beside plain submissions; returns when all of it was done.
async fn do_everything(url: &str, told: &Told) {
    let client = playproof_batch::tls::http_client().build().unwrap();
    for _ in 0..10 {
        let first = told.take(40);
        let lines: String = (first..first + 40).map(|n| session(n, true) + "\n").collect();
        let answers = bulk(url, "", lines.clone() + "not a session\n").await;
        assert_eq!(answers[41]["summary"], serde_json::json!({"accepted": 40, "duplicate": 0, "refused": 1}));
        let answers = bulk(url, "?report=refused", lines).await;
        assert_eq!(answers[0]["summary"]["duplicate"], 40);

        let now = told.take(1);
        for _ in 0..2 {
            let answer = score(&client, url, session(now, false)).await.unwrap();
            assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["status"], "processed");
        }
        let other = session(now, false).replace("\"hits\":", "\"hits\":1");
        assert_eq!(score(&client, url, other).await.unwrap().status(), StatusCode::CONFLICT);

        let erased = client.delete(format!("{url}/api/v1/sessions/{}", id(first))).send().await.unwrap();
        assert_eq!(erased.status(), 200);
        let erased = client.delete(format!("{url}/api/v1/users/user-{}", first % 50)).send().await.unwrap();
        assert!(matches!(erased.status().as_u16(), 200 | 404), "{}", erased.status());
        post(url, "/api/v1/batch/dead/requeue").await;
        post(url, "/api/v1/batch/process").await;
    }
}

on_both_stores!(every_look_sees_as_many_sessions_as_were_accepted);

async fn every_look_sees_as_many_sessions_as_were_accepted(place: Place) {
    let node = Process::on(&place.url, &[("PLAYPROOF_BATCH_SIZE", "20")]);
    let told = Arc::new(Told::default());
    let done = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..4)
        .map(|_| {
            let (url, told) = (node.url.clone(), told.clone());
            tokio::spawn(async move { load(&url, &told).await })
        })
        .collect();
    let looks = tokio::spawn({
        let (url, done, client) =
            (node.url.clone(), done.clone(), playproof_batch::tls::http_client().build().unwrap());
        async move {
            let (mut looks, mut last) = (0, 0);
            while !done.load(Ordering::SeqCst) {
                let (accepted, _) = look(&client, &url).await;
                assert!(accepted >= last, "accepted went from {last} to {accepted}");
                (looks, last) = (looks + 1, accepted);
            }
            looks
        }
    });
    do_everything(&node.url, &told).await;
    // Clearing beside submissions and batches, then once more with nothing coming in.
    post(&node.url, "/api/v1/batch/clear").await;
    told.stop.store(true, Ordering::SeqCst);
    for load in loads {
        assert_eq!(load.await.unwrap(), None);
    }
    post(&node.url, "/api/v1/batch/clear").await;
    done.store(true, Ordering::SeqCst);
    assert!(looks.await.unwrap() > 10);

    let (accepted, text) = look(&playproof_batch::tls::http_client().build().unwrap(), &node.url).await;
    assert_eq!(value(&text, "playproof_sessions_received_total{outcome=\"accepted\"}"), accepted);
    assert_eq!(value(&text, "playproof_store_sessions{state=\"erased\"}"), accepted, "all was cleared");
    assert!(accepted >= 410, "{accepted}");
}
