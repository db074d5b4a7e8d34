//! SIGKILL at random moments under load: nothing acknowledged is lost, nothing is scored twice, restarts are quick.
//! `scripts/crash-test` runs the long form.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use playproof_batch::generator::{self, Family, Shape};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::process::Process;

/// Sessions that every client sends side by side.
const CLIENTS: usize = 16;

struct Plan {
    /// How often the process is killed.
    kills: usize,
    /// Sessions queued before the first kill.
    backlog: usize,
}

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn plan() -> Plan {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    Plan { kills: number("CRASH_KILLS", 6), backlog: number("CRASH_BACKLOG", 2_000) }
}

fn body(n: usize) -> String {
    let shape = Shape { movements: Some(60) };
    let session = generator::generate(Family::ALL[n % Family::ALL.len()], n as u64, shape);
    let mut value: Value = serde_json::from_slice(&generator::to_json(&session, true)).unwrap();
    value["sessionId"] = format!("crash-{n}").into();
    value.to_string()
}

/// What the clients were told.
#[derive(Default)]
struct Told {
    next: AtomicUsize,
    acknowledged: Mutex<Vec<usize>>,
}

async fn load(url: String, told: Arc<Told>, stop: Arc<AtomicBool>) {
    let client = reqwest::Client::new();
    while !stop.load(Ordering::SeqCst) {
        let n = told.next.fetch_add(1, Ordering::SeqCst);
        let sent = client
            .post(format!("{url}/api/v1/score"))
            .header("content-type", "application/json")
            .body(body(n))
            .send()
            .await;
        let Ok(answer) = sent else { return };
        assert_eq!(answer.status(), 200);
        let Ok(answer) = answer.json::<Value>().await else { return };
        assert_eq!(answer["status"], "queued");
        told.acknowledged.lock().unwrap().push(n);
    }
}

async fn fill(url: &str, told: &Told, count: usize) {
    let first = told.next.fetch_add(count, Ordering::SeqCst);
    for chunk in (first..first + count).collect::<Vec<_>>().chunks(5_000) {
        let lines: String = chunk.iter().map(|n| body(*n) + "\n").collect();
        let answer = reqwest::Client::new()
            .post(format!("{url}/api/v1/batch/sessions?report=refused"))
            .header("content-type", "application/x-ndjson")
            .body(lines)
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        let summary: Value = serde_json::from_str(text.trim().lines().last().unwrap()).unwrap();
        assert_eq!(summary["summary"]["accepted"], chunk.len(), "{text}");
        told.acknowledged.lock().unwrap().extend(chunk);
    }
}

async fn get(url: &str, path: &str) -> Value {
    reqwest::get(format!("{url}{path}")).await.unwrap().json().await.unwrap()
}

/// Every result by identifier; a second one for the same identifier fails the test.
async fn all_results(url: &str) -> HashMap<String, Value> {
    let mut found = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = get(url, &format!("/api/v1/batch/results?limit=1000{cursor}")).await;
        for row in page["results"].as_array().unwrap() {
            let id = row["sessionId"].as_str().unwrap().to_owned();
            assert!(found.insert(id.clone(), row.clone()).is_none(), "{id} has two results");
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_scored_twice() {
    let plan = plan();
    let folder = tempfile::tempdir().unwrap();
    let settings = [("PLAYPROOF_SCHEDULER_AUTOSTART", "false"), ("PLAYPROOF_SCHEDULER_INTERVAL", "1s")];
    let told = Arc::new(Told::default());
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut node = Process::start(folder.path(), &settings);
    fill(&node.url, &told, plan.backlog).await;
    let (mut slowest, mut queued_least, mut seen) = (Duration::ZERO, u64::MAX, HashMap::new());
    for kill in 0..plan.kills {
        if kill == plan.kills / 2 {
            // From here on batches run, so that kills hit claims and settlements too.
            reqwest::Client::new().post(format!("{}/api/v1/batch/scheduler/start", node.url)).send().await.unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(load(node.url.clone(), told.clone(), stop.clone()))).collect();
        // The moment of the kill is the experiment, not a wait for something.
        tokio::time::sleep(Duration::from_millis(chance.random_range(20..400))).await;
        node.kill();
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        node = Process::start(folder.path(), &settings);
        let queued = get(&node.url, "/api/v1/batch/stats").await["queue"]["unprocessed"].as_u64().unwrap();
        if kill < plan.kills / 2 {
            queued_least = queued_least.min(queued);
        }
        slowest = slowest.max(node.ready_after);
        for (id, before) in &seen {
            let now = get(&node.url, &format!("/api/v1/batch/result/{id}")).await;
            assert_eq!(&now["result"], before, "{id}: its result changed");
        }
        let page = get(&node.url, "/api/v1/batch/results?limit=5").await;
        for row in page["results"].as_array().unwrap() {
            let id = row["sessionId"].as_str().unwrap().to_owned();
            let result = get(&node.url, &format!("/api/v1/batch/result/{id}")).await["result"].clone();
            seen.insert(id, result);
        }
    }

    let acknowledged = told.acknowledged.lock().unwrap().clone();
    loop {
        let run: Value = reqwest::Client::new()
            .post(format!("{}/api/v1/batch/process", node.url))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        if run["remaining"] == 0 && get(&node.url, "/api/v1/batch/stats").await["queue"]["unprocessed"] == 0 {
            break;
        }
    }
    let results = all_results(&node.url).await;
    let lost = acknowledged.iter().filter(|n| !results.contains_key(&format!("crash-{n}"))).count();
    println!(
        "kills {}, acknowledged {}, lost {lost}, results {}, two results 0, slowest restart {:.3} s with at least {} queued",
        plan.kills,
        acknowledged.len(),
        results.len(),
        slowest.as_secs_f64(),
        queued_least
    );
    assert_eq!(lost, 0);
    let (status, _) = node.terminate();
    assert!(status.success());
}
