//! Several nodes, real processes, on one PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::clients::{Told, all_results, fill, get, id, load, post, score, session};
use crate::cluster::Cluster;
use crate::process::{Place, Process};

/// Asks again until `done`; for things that other processes do in their own time.
pub(crate) async fn until(what: &str, limit: Duration, mut done: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(limit, asking).await.is_ok(), "not within {limit:?}: {what}");
}

pub(crate) async fn unprocessed(url: &str) -> u64 {
    get(url, "/api/v1/batch/stats").await["queue"]["unprocessed"].as_u64().unwrap_or(u64::MAX)
}

/// Runs what is ready until nothing waits: the last few alone would wait for company.
async fn drained(url: &str, limit: Duration) {
    until("every session has its result", limit, async || {
        post(url, "/api/v1/batch/process").await;
        unprocessed(url).await == 0
    })
    .await;
}

fn named<'a>(nodes: &'a Value, address: &str) -> Option<&'a Value> {
    nodes["nodes"].as_array().unwrap().iter().find(|node| address.ends_with(node["address"].as_str().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_queue_state_and_each_others_fate() {
    let place = Place::postgres();
    let settings =
        [("PLAYPROOF_LEASE", "2s"), ("PLAYPROOF_SCHEDULER_INTERVAL", "1s"), ("PLAYPROOF_SCHEDULER_AUTOSTART", "false")];
    let (one, two) = (Process::on(&place.url, &settings), Process::on(&place.url, &settings));
    let nodes = get(&one.url, "/api/v1/batch/nodes").await;
    for node in [&one, &two] {
        let row = named(&nodes, &node.url).unwrap_or_else(|| panic!("{} is not in {nodes}", node.url));
        assert_eq!((&row["alive"], &row["draining"]), (&true.into(), &false.into()));
    }
    let told = Arc::new(Told::default());
    fill(&one.url, &told, 600).await;
    assert_eq!(unprocessed(&two.url).await, 600, "what one took, the other sees");

    // The switch of one is the switch of all, and a node that is killed leaves its batches to the other.
    post(&two.url, "/api/v1/batch/scheduler/start").await;
    assert_eq!(get(&one.url, "/api/v1/batch/scheduler/status").await["running"], true);
    one.kill();
    drained(&two.url, Duration::from_secs(30)).await;
    let results = all_results(&two.url).await;
    assert_eq!((told.lost(&results), results.len()), (0, 600));

    let gone = Process::on(&place.url, &settings);
    let address = gone.url.clone();
    let (status, _) = gone.terminate();
    assert!(status.success());
    let nodes = get(&two.url, "/api/v1/batch/nodes").await;
    assert!(named(&nodes, &address).is_none(), "a node that ends in good order leaves the list: {nodes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_frozen_drops_its_work_and_goes_on() {
    let place = Place::postgres();
    let settings = [("PLAYPROOF_LEASE", "1s"), ("PLAYPROOF_SCHEDULER_INTERVAL", "1s")];
    let (frozen, other) = (Process::on(&place.url, &settings), Process::on(&place.url, &settings));
    let told = Arc::new(Told::default());
    let filling = tokio::spawn({
        let (url, told) = (other.url.clone(), told.clone());
        async move { fill(&url, &told, 3_000).await }
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        frozen.signal("STOP");
        // Longer than a lease is the experiment.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        frozen.signal("CONT");
    }
    filling.await.unwrap();
    drained(&frozen.url, Duration::from_secs(30)).await;
    let results = all_results(&frozen.url).await;
    assert_eq!((told.lost(&results), results.len()), (0, 3_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_intake_says_so_and_it_recovers_by_itself() {
    let cluster = Cluster::start(true);
    let node = Process::on(&cluster.url(), &[("PLAYPROOF_SCHEDULER_INTERVAL", "1s"), ("PLAYPROOF_LEASE", "2s")]);
    let client = playproof_batch::tls::http_client().build().unwrap();
    let told = Arc::new(Told::default());
    fill(&node.url, &told, 100).await;
    let (mut number, mut acknowledged) = (1_000_000, Vec::new());
    for word in ["stop", "kill"] {
        cluster.tell(word);
        // What a killed server still was at may be committed, and is acknowledged then.
        let answer = loop {
            let answer = score(&client, &node.url, session(number, true)).await.unwrap();
            if answer.status() != StatusCode::OK {
                break answer;
            }
            acknowledged.push(id(number));
            number += 1;
        };
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
        until("not ready", Duration::from_secs(10), async || {
            client.get(format!("{}/ready", node.url)).send().await.unwrap().status() == 503
        })
        .await;
        assert_eq!(client.get(format!("{}/health", node.url)).send().await.unwrap().status(), 200, "it lives");
        cluster.tell("start");
        until("ready again", Duration::from_secs(20), async || {
            client.get(format!("{}/ready", node.url)).send().await.unwrap().status() == 200
        })
        .await;
    }
    fill(&node.url, &told, 100).await;
    drained(&node.url, Duration::from_secs(20)).await;
    let results = all_results(&node.url).await;
    assert_eq!(told.lost(&results), 0);
    assert!(acknowledged.iter().all(|id| results.contains_key(id)), "{acknowledged:?}");
}

/// `OLD_PROGRAM` names another build for the nodes that are replaced: an upgrade then, else a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "another build is named by the environment")]
async fn replacing_every_node_under_load_fails_no_accepted_request_but_with_503() {
    let place = Place::postgres();
    let settings = [("PLAYPROOF_SCHEDULER_INTERVAL", "1s"), ("PLAYPROOF_LEASE", "5s")];
    let old = std::env::var("OLD_PROGRAM").ok();
    let first = || match &old {
        Some(old) => Process::of(old, &place.url, &settings),
        None => Process::on(&place.url, &settings),
    };
    let mut nodes = [first(), first()];
    let told = Arc::new(Told::default());
    for place_in_list in 0..nodes.len() {
        let clients: Vec<_> = nodes
            .iter()
            .flat_map(|node| [node.url.clone(), node.url.clone()])
            .map(|url| {
                let told = told.clone();
                tokio::spawn(async move { load(&url, &told).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let fresh = Process::on(&place.url, &settings);
        let (status, _) = std::mem::replace(&mut nodes[place_in_list], fresh).terminate();
        assert!(status.success());
        told.stop.store(true, Ordering::SeqCst);
        for client in clients {
            let last = client.await.unwrap();
            assert!(matches!(last, None | Some(503)), "{last:?}");
        }
        told.stop.store(false, Ordering::SeqCst);
    }
    drained(&nodes[0].url, Duration::from_secs(30)).await;
    assert_eq!(told.lost(&all_results(&nodes[0].url).await), 0);
    assert!(!told.acknowledged().is_empty());
    println!("{} acknowledged while each node was replaced, none lost", told.acknowledged().len());
}
