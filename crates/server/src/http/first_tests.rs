//! First verdicts of queued sessions, by the model and by the rules, and what the batch makes of them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::detector::embedded::Model;
use crate::detector::scripted::Scripted;
use crate::domain::result::Thresholds;
use crate::http::testing::{TestApp, session};
use crate::intake::FirstBy;

const LITTLE: &str = "too_little_movement";
const SCORE: &str = "/api/v1/score";
const ASKED: &str = "playproof_detector_requests_total{detector=\"embedded\",outcome=\"ok\"}";

/// From what wanders like a hand to lines at an even pace, each of its own shape; some have hardly any motion.
fn drawn(n: u32) -> Value {
    let seed = f64::from(n);
    let count: u32 = if n % 9 == 8 { 4 } else { 160 };
    let movements: Vec<Value> = (0..count)
        .map(|i| {
            let t = f64::from(i);
            let wander = f64::from(n % 4) * 30.0;
            let x = 400.0 + t * 2.0 + wander * (t * 0.11 + seed).sin() + (t * 1.7 + seed).cos();
            let y = 300.0 + t + wander * (t * 0.07 + seed * 0.3).cos();
            let late = if n.is_multiple_of(3) { 0 } else { (i * 7 + n) % 5 };
            json!({"x": x, "y": y.round(), "timestamp": 16 * i + late})
        })
        .collect();
    let device = ["mouse", "touch", "trackpad"][n as usize % 3];
    json!({"sessionId": format!("s{n}"), "gameType": "osu", "deviceType": device, "durationMs": 2600,
           "movements": movements, "clicks": [], "hits": 1, "misses": 0, "useBatch": true})
}

/// A service whose batches its own model scores.
async fn app(first_by: FirstBy) -> TestApp {
    TestApp::with(|choice| (choice.first_by, choice.by_embedded) = (first_by, true)).await
}

async fn process(app: &TestApp) {
    assert_eq!(app.post("/api/v1/batch/process", &json!({})).await.status, 200);
}

async fn result(app: &TestApp, id: &str) -> Value {
    let told = app.get(&format!("/api/v1/batch/result/{id}")).await.json();
    assert_eq!(told["status"], "processed", "{told}");
    told["result"].clone()
}

/// The model of the service with other bytes, so that it goes by another version.
fn another(app: &TestApp) -> Arc<Model> {
    let mut contents = app.service.embedded.model().contents().clone();
    contents.provenance.push_str(", written again");
    Arc::new(Model::load(&contents.encode()).unwrap())
}

#[tokio::test]
async fn the_model_answers_first_and_its_batch_asks_it_nothing_more() {
    let app = app(FirstBy::Model).await;
    for n in 0..20 {
        let first = app.post(SCORE, &drawn(n)).await.json();
        let anomaly = &first["anomaly"];
        assert_eq!((&first["status"], &first["source"]), (&json!("queued"), &json!("embedded")), "{first}");
        assert_eq!((&anomaly["modelId"], &anomaly["scoreKind"]), (&json!("embedded"), &json!("calibrated")));
        assert!(first["heuristic"]["score"].is_number() && first["heuristic"]["decision"].is_string(), "{first}");
        let told = app.get(&format!("/api/v1/batch/result/s{n}")).await.json();
        for field in ["decision", "confidence", "anomaly", "source", "reasons", "scoredAt"] {
            assert_eq!(told["first"][field], first[field], "{field}");
        }
    }
    process(&app).await;
    for n in 0..20 {
        let first = app.post(SCORE, &drawn(n)).await.json();
        let result = result(&app, &format!("s{n}")).await;
        assert_eq!(first["status"], "processed");
        for field in ["decision", "confidence", "source"] {
            assert_eq!(result[field], first[field], "{n} {field}");
        }
        // The batch adds the traits of the movement, and takes nothing away.
        for reason in first["reasons"].as_array().unwrap() {
            assert!(result["reasons"].as_array().unwrap().contains(reason), "{n} {reason}");
        }
        for field in ["anomalyScore", "isAnomaly", "modelId", "modelVersion", "extrapolated"] {
            assert_eq!(result[field], first["anomaly"][field], "{n} {field}");
        }
    }
    assert!(app.metric(ASKED).await.abs() < 0.5, "every score was known");
}

#[tokio::test]
async fn the_batch_gives_what_it_gives_without_a_score_from_before() {
    let [kept, afresh] = [app(FirstBy::Model).await, app(FirstBy::Rules).await];
    for app in [&kept, &afresh] {
        for n in 0..40 {
            assert_eq!(app.post(SCORE, &drawn(n)).await.status, 200);
        }
        process(app).await;
    }
    assert!(afresh.metric(ASKED).await > 0.5);
    for n in 0..40 {
        let id = format!("s{n}");
        let [one, other] = [result(&kept, &id).await, result(&afresh, &id).await];
        assert_eq!(one, other, "{id}");
        let path = format!("/api/v1/sessions/{id}/explanation");
        assert_eq!(kept.get(&path).await.json(), afresh.get(&path).await.json(), "{id}");
    }
    let path = "/api/v1/batch/batches";
    let of = |told: Value| told["batches"].as_array().unwrap().iter().map(|b| b["falseDiscovery"].clone()).collect();
    let [one, other]: [Vec<Value>; 2] = [of(kept.get(path).await.json()), of(afresh.get(path).await.json())];
    assert_eq!(one, other);
}

#[tokio::test]
async fn what_is_kept_in_memory_makes_no_difference() {
    let [kept, forgotten] = [app(FirstBy::Model).await, app(FirstBy::Model).await];
    for app in [&kept, &forgotten] {
        for n in 0..30 {
            assert_eq!(app.post(SCORE, &drawn(n)).await.status, 200);
        }
    }
    // As after a restart: the same model, and nothing of late.
    let embedded = &forgotten.service.embedded;
    embedded.replace(embedded.model());
    for app in [&kept, &forgotten] {
        process(app).await;
    }
    let mut explained = 0;
    for n in 0..30 {
        let [one, other] = [result(&kept, &format!("s{n}")).await, result(&forgotten, &format!("s{n}")).await];
        assert_eq!(one, other, "{n}");
        explained += usize::from(one["reasons"].as_array().unwrap().len() > 3);
    }
    assert!(explained > 0);
    assert!(forgotten.metric(ASKED).await.abs() < 0.5, "the scores stand");
}

#[tokio::test]
async fn rules_give_the_answer_that_they_gave_before_there_was_a_choice() {
    let app = app(FirstBy::Rules).await;
    for n in 0..20 {
        let first = app.post(SCORE, &drawn(n)).await.json();
        let anomaly = &first["anomaly"];
        assert_eq!((&first["status"], &first["source"]), (&json!("queued"), &json!("heuristic")), "{first}");
        assert_eq!((&anomaly["modelId"], &anomaly["modelVersion"]), (&json!("heuristic_fallback"), &json!("v1")));
        assert_eq!(anomaly["scoreKind"], "heuristic");
        assert_eq!(first["heuristic"]["score"], anomaly["anomalyScore"]);
        // Too little movement is no rule; it reviews the session whoever answers.
        let little = first["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == LITTLE);
        let expected = if little { json!("review") } else { first["heuristic"]["decision"].clone() };
        assert_eq!(first["decision"], expected);
    }
}

#[tokio::test]
async fn the_rules_say_the_same_whoever_answers_first() {
    let apps = [app(FirstBy::Model).await, app(FirstBy::Rules).await];
    for n in 0..20 {
        let [by_model, by_rules] =
            [apps[0].post(SCORE, &drawn(n)).await.json(), apps[1].post(SCORE, &drawn(n)).await.json()];
        assert_eq!(by_model["heuristic"], by_rules["heuristic"], "{n}");
        assert_eq!(by_model["featureSummary"], by_rules["featureSummary"], "{n}");
        let mut reasons = by_rules["reasons"].clone();
        reasons.as_array_mut().unwrap().retain(|reason| reason["code"] != LITTLE);
        assert_eq!(by_model["heuristic"]["reasons"], reasons, "{n}");
    }
}

#[tokio::test]
async fn a_score_of_another_model_is_no_score() {
    let app = app(FirstBy::Model).await;
    let first = app.post(SCORE, &drawn(1)).await.json();
    let new = another(&app);
    app.service.embedded.replace(Arc::clone(&new));
    app.post(SCORE, &drawn(2)).await;
    process(&app).await;
    for n in [1, 2] {
        assert_eq!(result(&app, &format!("s{n}")).await["modelVersion"], new.identity().version.as_str(), "{n}");
    }
    assert!((app.metric(ASKED).await - 1.0).abs() < 0.5, "it was asked about the first one alone");
    let again = app.post(SCORE, &drawn(1)).await.json();
    assert_eq!(again["anomaly"], first["anomaly"], "what was answered first stays");
}

#[tokio::test]
async fn what_watches_the_model_counts_a_session_once() {
    for first_by in [FirstBy::Model, FirstBy::Rules] {
        let app = app(first_by).await;
        let embedded = &app.service.embedded;
        embedded.set_shadow(Some((embedded.model(), Thresholds { pass: 0.1, review: 0.2, ..Thresholds::default() })));
        for n in 0..220 {
            app.post(SCORE, &drawn(n)).await;
        }
        // What was known already is not a session.
        app.post(SCORE, &drawn(0)).await;
        process(&app).await;
        assert_eq!(embedded.drift().report().map(|report| report.sessions), Some(220), "{first_by:?}");
        assert_eq!(embedded.shadow().unwrap().tally().sessions, 220, "{first_by:?}");
    }
}

#[tokio::test]
async fn the_model_answers_first_where_another_detector_scores_the_batch() {
    let app = TestApp::with(|choice| choice.detector = Scripted::honest().remote()).await;
    let first = app.post(SCORE, &session("a")).await.json();
    assert_eq!((&first["status"], &first["source"]), (&json!("queued"), &json!("embedded")));
    process(&app).await;
    let told = app.get("/api/v1/batch/result/a").await.json();
    assert_eq!((&told["result"]["source"], &told["result"]["modelId"]), (&json!("woodwide"), &json!("scripted")));
    assert_eq!(app.detector.call_count(), 1, "its score is its own");
    let again = app.post(SCORE, &session("a")).await.json();
    assert_eq!((&again["anomaly"], &again["source"]), (&first["anomaly"], &json!("embedded")));
}

#[tokio::test]
async fn hardly_any_motion_gets_an_answer_that_says_so() {
    for first_by in [FirstBy::Model, FirstBy::Rules] {
        let app = app(first_by).await;
        let mut still = session("a");
        still["movements"] = json!([{"x": 1, "y": 2, "timestamp": 3}, {"x": 2, "y": 2, "timestamp": 20}]);
        let first = app.post(SCORE, &still).await.json();
        assert_eq!(first["status"], "queued", "{first}");
        process(&app).await;
        let result = result(&app, "a").await;
        assert_eq!(result["decision"], "review", "{result}");
        if first_by == FirstBy::Model {
            assert_eq!((&first["decision"], &first["reasons"]), (&result["decision"], &result["reasons"]));
        }
    }
}

#[tokio::test]
async fn without_a_batch_the_model_answers_whatever_is_set() {
    let mut answers = Vec::new();
    for first_by in [FirstBy::Model, FirstBy::Rules] {
        let app = app(first_by).await;
        let mut now = drawn(3);
        now["useBatch"] = json!(false);
        let mut answer = app.post(SCORE, &now).await.json();
        assert_eq!((&answer["status"], &answer["source"]), (&json!("processed"), &json!("embedded")));
        assert_eq!(app.post(SCORE, &now).await.json(), answer);
        answer["latencyMs"].take();
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
}
