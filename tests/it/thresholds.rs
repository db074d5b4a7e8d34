//! Applied thresholds reach every session, whenever the node that applied them dies.

use std::time::{Duration, Instant};

use playproof_batch::domain::id::{SessionId, SessionKey};
use playproof_batch::domain::result::{Decided, Decision};
use playproof_batch::domain::time::Timestamp;
use playproof_batch::store::decisions::{Cause, DecisionStore as _, Revision};
use playproof_batch::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use playproof_batch::store::{Lookup, Store as _};
use serde_json::{Value, json};

use crate::clients::{get, id, score, session};
use crate::process::Process;

async fn apply(node: &Process, thresholds: &Value) {
    let request = playproof_batch::tls::http_client()
        .build()
        .unwrap()
        .post(format!("{}/api/v1/thresholds", node.url))
        .json(thresholds);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

async fn decision(node: &Process) -> Value {
    get(&node.url, &format!("/api/v1/batch/result/{}", id(0))).await["result"]["decision"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_settled_by_old_thresholds_is_decided_anew_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), &[]);
    let answer =
        score(&playproof_batch::tls::http_client().build().unwrap(), &node.url, session(0, false)).await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let (scored, earlier) = (answer["anomaly"]["anomalyScore"].as_f64().unwrap(), answer["decision"].clone());
    // Whatever it was, it fails from now on; or passes where it failed.
    let fails = earlier == "fail" || scored <= 0.0;
    let thresholds = if fails {
        json!({"pass": 5.99, "review": 6.0})
    } else {
        json!({"pass": scored / 4.0, "review": scored / 2.0})
    };
    apply(&node, &thresholds).await;
    node.kill();

    // As another node would have settled it that did not know the thresholds yet.
    let room = CapacityLimits { queue_limit: 1000, store_limit: None, min_free_disk: 0 };
    let open = SqliteSettings { folder: folder.path().to_owned(), room, autostart: false };
    let store = SqliteStore::open(&open, Timestamp(0)).unwrap();
    let key = SessionKey { deployment: String::new(), id: SessionId::parse(&id(0)).unwrap() };
    let Lookup::Found(stored) = store.session(key).await.unwrap() else { panic!("it is stored") };
    let verdict = stored.result.unwrap().verdict;
    let was = Decision::parse(earlier.as_str().unwrap()).unwrap();
    assert_ne!(verdict.decision, was, "the first pass reached it");
    let decided = Decided { decision: was, confidence: verdict.confidence, reasons: verdict.reasons };
    let back = Revision {
        seq: stored.seq,
        earlier: verdict.decision,
        decided,
        cause: Cause::Thresholds,
        detail: "{}".to_owned(),
    };
    assert_eq!(store.revise(vec![back], Timestamp(1)).await.unwrap(), 1);
    drop(store);

    let node = Process::start(folder.path(), &[]);
    let begun = Instant::now();
    while decision(&node).await == earlier {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody made up for the second pass");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let history = get(&node.url, &format!("/api/v1/sessions/{}/history", id(0))).await;
    let causes: Vec<_> = history["revisions"].as_array().unwrap().iter().map(|r| r["cause"].clone()).collect();
    assert_eq!(causes, ["thresholds", "thresholds", "thresholds"]);
}
