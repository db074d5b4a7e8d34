//! Evidence of a thousand verdicts of every kind, recomputed bit for bit, and what is not there to be shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::detector::Outcome;
use crate::detector::scripted::{Scripted, answer, outcome_of};
use crate::domain::testing::wandering;
use crate::domain::time::Timestamp;
use crate::evidence_bundle::{Extent, Models, PublicKey, Verification, verify};
use crate::http::testing::{TestApp, send, session};
use crate::store::{Retention, Store as _};

/// A service whose scheduler asks the embedded model.
pub(super) async fn embedded() -> TestApp {
    TestApp::with(|choice| choice.by_embedded = true).await
}

/// A service whose scheduler asks a remote detector, which scores some sessions and only flags others.
async fn remote() -> TestApp {
    let detector = Scripted::new(|rows| {
        let outcome = |row: &crate::detector::Row| match row.id.0 % 3 {
            0 => Outcome::Flagged(row.id.0 % 2 == 0),
            _ => outcome_of(row.id),
        };
        Ok(answer(rows.iter().map(|row| (row.id, outcome(row))).collect()))
    });
    TestApp::with(|choice| choice.detector = detector.remote()).await
}

fn deployment(n: usize) -> &'static str {
    if n.is_multiple_of(4) { "eu" } else { "" }
}

/// Sessions of people and bots, some without movement, with too little of it, made by a script, or copied.
pub(super) fn recorded(n: usize) -> Value {
    let drawn = |seed: usize, targets: usize| {
        let moves = wandering(seed as u64, targets).movements;
        let point = |i: usize| json!({"x": moves.x[i], "y": moves.y[i], "timestamp": moves.t[i]});
        (0..moves.t.len()).map(point).collect::<Vec<Value>>()
    };
    let mut one = session(&format!("s-{n}"));
    let movements = match n % 10 {
        0 => Vec::new(),
        1 => drawn(n, 4)[..4].to_vec(),
        2 => drawn(n, 14)
            .into_iter()
            .map(|mut point| {
                point["isTrusted"] = false.into();
                point
            })
            .collect(),
        // Two of the session before.
        4 | 5 => drawn(n - n % 10 + 3, 14),
        // A program: evenly along a line, another one each time.
        6 | 7 => (0..200).map(|i| json!({"x": (3 + n % 7) * i, "y": (1 + n % 5) * i, "timestamp": 16 * i})).collect(),
        _ => drawn(n, 14),
    };
    one["movements"] = movements.into();
    one["userId"] = format!("user-{n}").into();
    one["deploymentId"] = deployment(n).into();
    one
}

pub(super) async fn process(app: &TestApp) {
    while send(app.request("POST", "/api/v1/batch/process")).await.json()["remaining"] != 0 {}
}

/// Waits until those that were scored at once are compared, too.
pub(super) async fn compared(app: &TestApp) {
    let all = async {
        while app.store.comparison_backlog().await.unwrap().sessions > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
}

/// Takes in the sessions `range`, some of them scored at once.
async fn take_in(app: &TestApp, range: std::ops::Range<usize>) {
    let mut lines = String::new();
    for n in range {
        let mut one = recorded(n);
        if n % 5 == 4 {
            one["useBatch"] = false.into();
            assert_eq!(app.post("/api/v1/score", &one).await.status, 200, "{n}");
        } else {
            lines += &(one.to_string() + "\n");
        }
    }
    app.bulk("?report=refused", lines).await;
    process(app).await;
    compared(app).await;
}

pub(super) async fn exported(app: &TestApp, n: usize) -> String {
    let reply = app.get(&format!("/api/v1/sessions/s-{n}/evidence?deploymentId={}", deployment(n))).await;
    assert_eq!(reply.status, 200, "{n}: {}", reply.text);
    reply.text
}

pub(super) async fn key(app: &TestApp) -> PublicKey {
    let told = app.get("/api/v1/evidence-key").await.json();
    let key = PublicKey::parse(told["publicKey"].as_str().unwrap()).unwrap();
    assert_eq!((&told["algorithm"], &told["fingerprint"]), (&json!("Ed25519"), &json!(key.fingerprint())));
    key
}

/// Everything that changes decisions, on sessions below `count`.
async fn change(app: &TestApp, count: usize) {
    let label = |n: usize| format!("/api/v1/sessions/s-{n}/label?deploymentId={}", deployment(n));
    for n in (0..count).step_by(17) {
        let said = if n.is_multiple_of(2) { "bot" } else { "human" };
        let reply = app.post(&label(n), &json!({"label": said})).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let strict = json!({"pass": 0.2, "review": 0.5, "noPointer": "pass"});
    assert_eq!(app.post("/api/v1/thresholds", &strict).await.status, 200);
    for n in (0..count).step_by(34) {
        assert_eq!(app.delete(&label(n)).await.status, 200);
    }
    let mild = json!({"pass": 2.25, "review": 5.5, "deploymentId": "eu"});
    assert_eq!(app.post("/api/v1/thresholds", &mild).await.status, 200);
}

/// Exports and checks `count` sessions; how many there were of each kind.
async fn check(app: &TestApp, count: usize) -> BTreeMap<String, usize> {
    let (models, key) = (Models::with_bundled([]).unwrap(), key(app).await);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..count {
        let text = exported(app, n).await;
        let checked: Verification = verify(&text, Some(&key), &models);
        assert_eq!(checked.findings, [], "{n}: {text}");
        assert_eq!((checked.decision, checked.standing), (Extent::Recomputed, Extent::Recomputed), "{n}");
        let statement = checked.statement.unwrap();
        let verdict = &statement.verdict;
        let as_stated = if verdict.source == "woodwide" { Extent::AsStated } else { Extent::Recomputed };
        assert_eq!(checked.score, as_stated);
        *kinds.entry(format!("{} {}", verdict.source, verdict.score_kind)).or_default() += 1;
        *kinds.entry(verdict.standing.decision.clone()).or_default() += 1;
        for revision in &statement.revisions {
            *kinds.entry(format!("by {}", revision.cause)).or_default() += 1;
        }
        for (what, holds) in [
            ("matched", !statement.matches.is_empty()),
            ("found later", verdict.compared_under.is_some()),
            ("ruled", statement.rules.ruling.is_some()),
            ("labelled", statement.label.is_some()),
            ("at once", verdict.batch_id.is_none()),
        ] {
            *kinds.entry(what.to_owned()).or_default() += usize::from(holds);
        }
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_verdicts_of_every_kind_are_recomputed_bit_for_bit() {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for app in [embedded().await, remote().await] {
        for (user, action) in [("user-13", "deny"), ("user-26", "allow"), ("user-423", "allow")] {
            let rule = json!({"userId": user, "action": action});
            assert_eq!(app.post("/api/v1/overrides", &rule).await.status, 200);
        }
        take_in(&app, 0..300).await;
        change(&app, 300).await;
        take_in(&app, 300..500).await;
        assert_eq!(app.delete("/api/v1/thresholds").await.status, 200);
        for (kind, count) in check(&app, 500).await {
            *all.entry(kind).or_default() += count;
        }
    }
    let verdicts = ["embedded calibrated", "woodwide calibrated", "woodwide flag", "heuristic heuristic"];
    assert_eq!(verdicts.map(|kind| all[kind]).iter().sum::<usize>(), 1000);
    assert!(
        all["embedded calibrated"] > 400 && all["woodwide calibrated"] > 100 && all["woodwide flag"] > 50,
        "{all:?}"
    );
    for kind in ["pass", "review", "fail", "by thresholds", "by label", "by replay", "matched", "found later", "ruled"]
    {
        assert!(all.get(kind).is_some_and(|count| *count > 0), "none of kind {kind}: {all:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_shown() {
    let app = TestApp::start().await;
    let path = "/api/v1/sessions/a/evidence";
    app.get(path).await.is_error(404, "unknown_session");
    app.post("/api/v1/score", &session("a")).await;
    app.get(path).await.is_error(404, "unknown_session");
    process(&app).await;
    assert_eq!(app.get(path).await.status, 200);
    app.get(&format!("{path}?deploymentId=eu")).await.is_error(404, "unknown_session");
    let gone = Retention { results: Duration::MAX, telemetry: Duration::ZERO, telemetry_flagged: Duration::ZERO };
    compared(&app).await;
    app.store.prune(gone, Timestamp(app.now().wall.0 + 10_000)).await.unwrap();
    app.get(path).await.is_error(404, "telemetry_gone");
    app.delete("/api/v1/sessions/a").await;
    app.get(path).await.is_error(410, "session_erased");
}

#[tokio::test]
async fn neither_user_nor_matched_sessions_are_named_beside_the_record() {
    let app = embedded().await;
    for n in [3, 5] {
        app.post("/api/v1/score", &recorded(n)).await;
    }
    process(&app).await;
    let text = exported(&app, 5).await;
    let signed: Value = serde_json::from_str(&text).unwrap();
    let payload = signed["payload"].as_str().unwrap();
    let statement: Value = serde_json::from_str(payload).unwrap();
    assert_eq!(statement["matches"].as_array().unwrap().len(), 1, "{statement}");
    let source: Value = serde_json::from_str(&exported(&app, 3).await).unwrap();
    let source: Value = serde_json::from_str(source["payload"].as_str().unwrap()).unwrap();
    assert_eq!(
        statement["matches"][0], source["record"]["digest"],
        "who holds both can tell that they belong together"
    );
    assert!(!payload.contains("s-3") && !payload.contains("user-"), "{payload}");
}
