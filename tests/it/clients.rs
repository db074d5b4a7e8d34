//! Clients of a running node: they send generated sessions and remember what was acknowledged.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use playproof_batch::generator::{self, Family, Shape};
use serde_json::Value;

/// What the clients sent and were told.
#[derive(Default)]
pub(crate) struct Told {
    next: AtomicUsize,
    acknowledged: Mutex<Vec<usize>>,
    /// Ends [`load`].
    pub(crate) stop: AtomicBool,
}

impl Told {
    /// The numbers of the sessions that were acknowledged.
    pub(crate) fn acknowledged(&self) -> Vec<usize> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// How many of the acknowledged sessions have no result among `results`.
    pub(crate) fn lost(&self, results: &HashMap<String, Value>) -> usize {
        self.acknowledged().iter().filter(|n| !results.contains_key(&id(**n))).count()
    }

    /// Takes the next `count` numbers; the first of them.
    pub(crate) fn take(&self, count: usize) -> usize {
        self.next.fetch_add(count, Ordering::SeqCst)
    }
}

pub(crate) fn id(n: usize) -> String {
    format!("sent-{n}")
}

/// The `n`-th session; the same number gives the same bytes.
pub(crate) fn session(n: usize, use_batch: bool) -> String {
    let shape = Shape { movements: Some(60) };
    let session = generator::generate(Family::ALL[n % Family::ALL.len()], n as u64, shape);
    let mut value: Value = serde_json::from_slice(&generator::to_json(&session, use_batch)).unwrap();
    value["sessionId"] = id(n).into();
    value["userId"] = format!("user-{}", n % 50).into();
    value.to_string()
}

pub(crate) async fn score(client: &reqwest::Client, url: &str, body: String) -> reqwest::Result<reqwest::Response> {
    client.post(format!("{url}/api/v1/score")).header("content-type", "application/json").body(body).send().await
}

/// Sends one session after the other until it is told to stop or the node does not answer 200; the last status when it
/// was another one.
pub(crate) async fn load(url: &str, told: &Told) -> Option<u16> {
    let client = playproof_batch::tls::http_client().build().unwrap();
    while !told.stop.load(Ordering::SeqCst) {
        let n = told.take(1);
        let answer = score(&client, url, session(n, true)).await.ok()?;
        if answer.status() != 200 {
            return Some(answer.status().as_u16());
        }
        let answer = answer.json::<Value>().await.ok()?;
        assert_eq!(answer["status"], "queued");
        told.acknowledged.lock().unwrap().push(n);
    }
    None
}

/// Sends NDJSON lines; the answers.
pub(crate) async fn bulk(url: &str, query: &str, lines: String) -> Vec<Value> {
    let answer = playproof_batch::tls::http_client()
        .build()
        .unwrap()
        .post(format!("{url}/api/v1/batch/sessions{query}"))
        .header("content-type", "application/x-ndjson")
        .body(lines)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Queues `count` sessions.
pub(crate) async fn fill(url: &str, told: &Told, count: usize) {
    let first = told.take(count);
    for chunk in (first..first + count).collect::<Vec<_>>().chunks(5_000) {
        let answers = bulk(url, "?report=refused", chunk.iter().map(|n| session(*n, true) + "\n").collect()).await;
        assert_eq!(answers.last().unwrap()["summary"]["accepted"], chunk.len(), "{answers:?}");
        told.acknowledged.lock().unwrap().extend(chunk);
    }
}

pub(crate) async fn get(url: &str, path: &str) -> Value {
    let client = playproof_batch::tls::http_client().build().unwrap();
    client.get(format!("{url}{path}")).send().await.unwrap().json().await.unwrap()
}

/// Sends a POST without a body.
pub(crate) async fn post(url: &str, path: &str) -> Value {
    let answer =
        playproof_batch::tls::http_client().build().unwrap().post(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

/// Runs batches until no session is unprocessed.
pub(crate) async fn finish(url: &str) {
    while get(url, "/api/v1/batch/stats").await["queue"]["unprocessed"] != 0 {
        post(url, "/api/v1/batch/process").await;
    }
}

/// Waits until nothing is left to be compared.
pub(crate) async fn compared(url: &str) {
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    loop {
        let metrics = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
        let pending = metrics.lines().find_map(|line| line.strip_prefix("playproof_evidence_pending "));
        if pending.unwrap() == "0" {
            return;
        }
    }
}

/// Every result by identifier; a second one for the same identifier fails the test.
pub(crate) async fn all_results(url: &str) -> HashMap<String, Value> {
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
