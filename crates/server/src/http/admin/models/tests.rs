//! Models made from labels, on their way into service and back.

use serde_json::{Value, json};

use crate::access::rights::Role;
use crate::domain::session::{Bounds, Session};
use crate::http::testing::{TestApp, add_keys};
use crate::registry::touchstone::hard_bot;

/// A session drawn by rule: `waves` of them wander, the others go from corner to corner.
fn session(waves: bool, seed: u64, id: &str) -> Value {
    let seed = seed as f64;
    let movements: Vec<Value> = (0..160)
        .map(|i| {
            let t = f64::from(i);
            let (x, y) = if waves {
                let reach = 120.0 + 40.0 * (seed * 0.7).sin();
                (400.0 + reach * (t * 0.11 + seed).sin(), 300.0 + reach * (t * 0.07 + seed * 0.3).cos())
            } else {
                let (leg, way) = (i / 40, f64::from(i % 40) / 40.0);
                let corner = |n: i32| (100.0 + f64::from(n % 2) * (300.0 + seed), 100.0 + f64::from(n / 2 % 2) * 200.0);
                let (from, to) = (corner(leg), corner(leg + 1));
                (from.0 + (to.0 - from.0) * way, from.1 + (to.1 - from.1) * way)
            };
            json!({"x": x.round(), "y": y.round(), "timestamp": t * 16.0})
        })
        .collect();
    json!({"sessionId": id, "gameType": "osu", "deviceType": "mouse", "durationMs": 2560, "movements": movements,
           "clicks": [{"x": 5, "y": 6, "timestamp": 100, "targetHit": true}], "hits": 1, "misses": 0, "useBatch": false})
}

/// A recording of the demo's people, turned and scaled.
fn person(n: u64, id: &str) -> Value {
    static LINES: std::sync::LazyLock<Vec<Value>> = std::sync::LazyLock::new(|| {
        let packed: &[u8] = include_bytes!("../../../../../../data/demo/humans.ndjson.zst");
        let text = zstd::decode_all(packed).unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    });
    let mut session = LINES[n as usize % LINES.len()].clone();
    let ((sin, cos), scale) = ((n as f64 * 0.37).sin_cos(), 0.8 + 0.01 * (n % 50) as f64);
    for list in ["movements", "clicks"] {
        for point in session[list].as_array_mut().unwrap() {
            let [x, y] = ["x", "y"].map(|axis| point[axis].as_f64().unwrap());
            point["x"] = (scale * (cos * x - sin * y)).round().into();
            point["y"] = (scale * (sin * x + cos * y)).round().into();
        }
    }
    (session["sessionId"], session["useBatch"]) = (id.into(), false.into());
    session
}

/// A bot that the bundled model often passes.
fn morph(n: u64, id: &str) -> Value {
    let person = Session::parse(&serde_json::to_vec(&person(n, id)).unwrap(), &Bounds::default()).unwrap();
    let mut session: Value = serde_json::from_slice(&hard_bot(&person, n)).unwrap();
    session["sessionId"] = id.into();
    session
}

/// Labelled sessions: recordings of people, and bots that the bundled model often passes.
async fn labelled(app: &TestApp, people: u64, bots: u64) {
    labelled_as(app, [(people, "human", &person), (bots, "bot", &morph)]).await;
}

type Drawn<'a> = &'a (dyn Fn(u64, &str) -> Value + Sync);

async fn labelled_as(app: &TestApp, all: [(u64, &str, Drawn<'_>); 2]) {
    for (count, label, drawn) in all {
        for n in 0..count {
            let id = format!("{label}-{n}");
            let mut session = drawn(n, &id);
            session["userId"] = format!("user-{n}").into();
            assert_eq!(app.post("/api/v1/score", &session).await.status, 200);
            app.post(&format!("/api/v1/sessions/{id}/label"), &json!({"label": label})).await;
        }
    }
}

async fn trained(app: &TestApp) -> Value {
    assert_eq!(app.post("/api/v1/models/train", &json!({})).await.status, 202);
    loop {
        let told = app.get("/api/v1/models").await.json()["training"].take();
        if told["state"] != "running" {
            return told;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_of_labels_is_shadowed_tested_promoted_and_rolled_back() {
    let app = TestApp::start().await;
    labelled(&app, 290, 120).await;
    let before = app.get("/api/v1/models").await.json();
    let base = before["models"][0]["modelVersion"].as_str().unwrap().to_owned();
    app.post("/api/v1/models/rollback", &json!({})).await.is_error(409, "no_previous_model");
    let told = trained(&app).await;
    assert_eq!(told["state"], "done", "{told}");
    let version = told["modelVersion"].as_str().unwrap().to_owned();
    assert_ne!(version, base);
    let of = |what: &str| format!("/api/v1/models/{version}/{what}");
    assert_eq!(app.post(&of("shadow"), &json!({})).await.status, 200);
    let listed = app.get("/api/v1/models").await.json();
    let new = listed["models"].as_array().unwrap().iter().find(|m| m["modelVersion"] == version.as_str()).unwrap();
    assert_eq!((&new["stage"], &new["learned"]["base"]), (&json!("shadow"), &json!(base)));
    assert!(new["learned"]["people"].as_u64().unwrap() >= 200, "{new}");

    let test = app.post(&of("backtest"), &json!({})).await.json();
    assert_eq!(test["sessions"], 410);
    let sum = |tally: &Value| tally.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    for part in ["stored", "lastDay"] {
        let sums = ["before", "after"].map(|when| sum(&test[part][when]));
        assert_eq!(sums, [410, 410], "all were scored today: {test}");
    }
    let moves = test["moves"].as_array().unwrap();
    assert!(!moves.is_empty(), "{test}");
    for one in moves {
        let examples = one["examples"].as_array().unwrap();
        assert_eq!(examples.len() as u64, one["count"].as_u64().unwrap().min(5), "{one}");
        assert!(examples.iter().all(|example| example["scoreBefore"] != example["scoreAfter"]), "{one}");
    }
    assert!(test["tested"]["botsReviewed"].is_u64(), "{test}");
    let errors = |who: &str| test[who]["peopleFailed"].as_u64().unwrap() + test[who]["botsPassed"].as_u64().unwrap();
    assert!(test["tested"]["people"].as_u64().unwrap() > 40, "{test}");
    assert!(errors("active") > 0, "the base is wrong about some: {test}");
    assert!(errors("tested") < errors("active"), "{test}");
    assert_eq!(app.post(&of("promote"), &json!({})).await.status, 200);
    let scored = app.post("/api/v1/score", &person(900, "after")).await.json();
    assert_eq!(scored["anomaly"]["modelVersion"], version.as_str(), "{scored}");
    // The other way is refused: the base is worse on these labels.
    let back = app.post(&format!("/api/v1/models/{base}/promote"), &json!({})).await;
    back.is_error(409, "model_worse");
    assert!(back.text.contains("fails"), "{}", back.text);
    assert_eq!(app.post("/api/v1/models/rollback", &json!({})).await.json()["modelVersion"], base.as_str());
    let scored = app.post("/api/v1/score", &person(901, "later")).await.json();
    assert_eq!(scored["anomaly"]["modelVersion"], base.as_str());
    let actions = app.get("/api/v1/audit?limit=5").await.text;
    assert!(actions.contains("model.promote") && actions.contains("model.rollback"));
}

/// Labels that call waves people's and corner-to-corner bots', or people bots, make models that are refused however well they
/// do on the labels that were kept from them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_call_bots_people_or_people_bots_promote_nothing() {
    let waves: Drawn<'_> = &|n, id| session(true, n, id);
    let corners: Drawn<'_> = &|n, id| session(false, n, id);
    let person: Drawn<'_> = &person;
    for (people, bots) in [(waves, corners), (corners, person), (&morph, person)] {
        let app = TestApp::start().await;
        labelled_as(&app, [(290, "human", people), (60, "bot", bots)]).await;
        let told = trained(&app).await;
        assert_eq!(told["state"], "done", "{told}");
        let version = told["modelVersion"].as_str().unwrap();
        let refused = app.post(&format!("/api/v1/models/{version}/promote"), &json!({})).await;
        refused.is_error(409, "model_worse");
        assert!(refused.text.contains("bots of the kind"), "{}", refused.text);
    }
}

/// Whose labels a model is made from judges its own sessions by it and nobody else's, until who administers all promotes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployments_model_judges_its_own_sessions_alone_until_it_is_promoted_for_all() {
    let app = TestApp::with(|choice| {
        add_keys(&mut choice.http);
        choice.http.keys.add(Role::Admin, "admin-us@us").unwrap();
        choice.by_embedded = true;
    })
    .await;
    for (count, label, drawn) in [(290, "human", &person as Drawn<'_>), (120, "bot", &morph)] {
        for n in 0..count {
            let id = format!("{label}-{n}");
            let mut session = drawn(n, &id);
            session["userId"] = format!("user-{n}").into();
            assert_eq!(app.post_as("admin-eu", "/api/v1/score", &session).await.status, 200);
            app.post_as("admin-eu", &format!("/api/v1/sessions/{id}/label"), &json!({"label": label})).await;
        }
    }
    // Labels of another deployment are none of its business.
    app.post_as("admin-us", "/api/v1/models/train", &json!({})).await;
    let told = done(&app, "admin-us").await;
    assert!(told["state"] == "failed" && told["message"].as_str().unwrap().contains("200"), "{told}");
    assert_eq!(app.get_as("admin-eu", "/api/v1/models").await.json()["training"]["state"], "none");

    assert_eq!(app.post_as("admin-eu", "/api/v1/models/train", &json!({})).await.status, 202);
    let told = done(&app, "admin-eu").await;
    assert_eq!(told["state"], "done", "{told}");
    let version = told["modelVersion"].as_str().unwrap().to_owned();
    let of = |what: &str| format!("/api/v1/models/{version}/{what}");
    assert_eq!(app.get_as("admin-us", "/api/v1/models").await.json()["models"].as_array().unwrap().len(), 1);
    for what in ["backtest", "promote"] {
        app.post_as("admin-us", &of(what), &json!({})).await.is_error(404, "unknown_model");
    }
    app.post_as("admin", &format!("{}?deploymentId=", of("promote")), &json!({})).await.is_error(422, "out_of_bounds");
    let promoted = app.post_as("admin-eu", &of("promote"), &json!({})).await;
    assert_eq!(promoted.status, 200, "{}", promoted.text);
    let listed = app.get_as("admin", "/api/v1/models").await.json();
    let row =
        |version: &str| listed["models"].as_array().unwrap().iter().find(|m| m["modelVersion"] == version).unwrap();
    assert_eq!((&row(&version)["active"], &row(&version)["ownOf"]), (&json!(false), &json!(["eu"])));
    assert_eq!(row(&version)["learned"]["deploymentId"], "eu");
    assert_eq!(app.get_as("admin-eu", "/api/v1/models").await.json()["models"][1]["active"], true);

    let base = listed["models"][0]["modelVersion"].as_str().unwrap();
    assert_eq!(judged(&app, "one").await, [version.as_str(), base], "scored at once, and in one batch");
    assert_eq!(app.post_as("admin", &of("promote"), &json!({})).await.status, 200);
    assert_eq!(judged(&app, "two").await, [version.as_str(), version.as_str()]);
    let seen = app.get_as("admin-us", "/api/v1/models").await.json();
    assert!(seen["models"].as_array().unwrap().iter().any(|m| m["active"] == true), "what judges is seen: {seen}");
    let back = app.post_as("admin-eu", "/api/v1/models/rollback", &json!({})).await.json();
    assert_eq!(back["modelVersion"], version.as_str(), "of all");
    assert_eq!(app.post_as("admin", "/api/v1/models/rollback", &json!({})).await.json()["modelVersion"], base);
    assert_eq!(judged(&app, "three").await, [base, base]);
    app.post_as("admin-eu", "/api/v1/models/rollback", &json!({})).await.is_error(409, "no_previous_model");
}

/// The model that judges a session of `eu`, and of `us`: at once, and in a batch of both.
async fn judged(app: &TestApp, id: &str) -> [String; 2] {
    let mut versions: [Vec<String>; 2] = Default::default();
    for (versions, key) in versions.iter_mut().zip(["admin-eu", "admin-us"]) {
        let mut session = person(950, &format!("{id}-at-once"));
        let told = app.post_as(key, "/api/v1/score", &session).await.json();
        versions.push(told["anomaly"]["modelVersion"].as_str().unwrap().to_owned());
        (session["sessionId"], session["useBatch"]) = (id.into(), true.into());
        app.post_as(key, "/api/v1/score", &session).await;
    }
    assert_eq!(app.post_as("admin", "/api/v1/batch/process", &json!({})).await.json()["remaining"], 0);
    for (versions, key) in versions.iter_mut().zip(["admin-eu", "admin-us"]) {
        let told = app.get_as(key, &format!("/api/v1/batch/result/{id}")).await.json();
        versions.push(told["result"]["modelVersion"].as_str().unwrap().to_owned());
        let told = app.get_as(key, &format!("/api/v1/sessions/{id}/explanation")).await.json();
        assert_eq!(told["ofResult"], true, "{told}");
        assert_eq!(told["modelVersion"], versions[0].as_str(), "{told}");
        assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    }
    versions.map(|versions| versions[0].clone())
}

async fn done(app: &TestApp, key: &str) -> Value {
    loop {
        let told = app.get_as(key, "/api/v1/models").await.json()["training"].take();
        if told["state"] != "running" {
            return told;
        }
    }
}

#[tokio::test]
async fn without_enough_labels_nothing_is_made_and_the_reason_is_told() {
    let app = TestApp::start().await;
    labelled(&app, 3, 1).await;
    let told = trained(&app).await;
    assert_eq!(told["state"], "failed");
    assert!(told["message"].as_str().unwrap().contains("200"), "{told}");
    for what in ["shadow", "backtest", "promote"] {
        app.post(&format!("/api/v1/models/none/{what}"), &json!({})).await.is_error(404, "unknown_model");
    }
    app.delete("/api/v1/models/none/shadow").await.is_error(404, "unknown_model");
}
