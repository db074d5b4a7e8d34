//! The training routes over real sockets on both sides: ours, and a simulated Woodwide.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use woodwide_sim::{Settings, Simulator};

use crate::detector::{DetectorState, Notebook};
use crate::http::testing::{TestApp, add_keys, send};
use crate::secret::Secret;
use crate::woodwide::{Generation, Timing, Training, WoodwideSettings};

const BOTH: [Generation; 2] = [Generation::Ga, Generation::Beta];

fn simulator() -> Simulator {
    Simulator::start(Settings { training_time: Duration::from_secs(60), ..Settings::default() }).unwrap()
}

fn training(sim: &Simulator, generation: Generation, memory: &Arc<Notebook>) -> Training {
    let settings = WoodwideSettings {
        keys: vec![Secret::new("sk_sim")],
        base_url: sim.url().trim_end_matches('/').to_owned(),
        generation,
        model_id: None,
        persistent_dataset: None,
        min_rows: 10,
        in_flight: 2,
        timing: Timing::default(),
    };
    Training::new(&settings, Arc::clone(memory) as Arc<dyn DetectorState>).unwrap()
}

async fn app(sim: &Simulator, generation: Generation) -> TestApp {
    let training = training(sim, generation, &Arc::default());
    TestApp::with(|choice| choice.training = Some(training)).await
}

/// As `features` writes it.
fn table(rows: usize) -> String {
    let people = include_bytes!("../../../../../../data/reference/rows.csv.zst");
    let people = String::from_utf8(zstd::decode_all(&people[..]).unwrap()).unwrap();
    let lines = people.lines().take(rows + 1).enumerate();
    lines.map(|(i, line)| if i == 0 { format!("sessionId,{line}\n") } else { format!("\"s-{i}\",{line}\n") }).collect()
}

fn order() -> Value {
    json!({"datasetName": "people", "modelName": "humans", "modelType": "anomaly"})
}

fn trainings(sim: &Simulator) -> usize {
    sim.state()["models"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_table_becomes_a_model_in_both_generations_without_identifiers() {
    for generation in BOTH {
        let sim = simulator();
        let app = app(&sim, generation).await;
        let upload = json!({"name": "people", "data": table(50), "overwrite": false});
        let uploaded = app.post("/api/v1/datasets/upload", &upload).await.json();
        assert_eq!((&uploaded["success"], &uploaded["rowCount"]), (&json!(true), &json!(50)), "{uploaded}");
        assert_eq!((&uploaded["datasetName"], &uploaded["droppedColumns"]), (&json!("people"), &json!(["sessionId"])));
        let started = app.post("/api/v1/training/start", &order()).await.json();
        assert_eq!((&started["status"], &started["modelName"]), (&json!("PENDING"), &json!("humans")), "{started}");
        let columns = started["inputColumns"].as_array().unwrap();
        assert!(columns.len() == 30 && !columns.contains(&json!("sessionId")));
        let path = format!("/api/v1/training/{}", started["modelId"].as_str().unwrap());
        let early = app.get(&path).await.json();
        assert!(["PENDING", "TRAINING"].contains(&early["status"].as_str().unwrap()), "{early}");
        sim.advance(Duration::from_secs(120));
        let done = app.get(&path).await.json();
        let requests = sim.requests();
        let order = requests.iter().find(|entry| entry.route.is_some_and(|route| route.ends_with("train"))).unwrap();
        let form = order.content_type.as_deref() == Some("application/x-www-form-urlencoded");
        assert_eq!(form, generation == Generation::Beta, "only the beta generation wants a form");
        assert_eq!((&done["status"], &done["modelName"]), (&json!("COMPLETE"), &json!("humans")), "{done}");
        assert!(done["createdAt"].is_string() && done["completedAt"].is_string() && done["error"].is_null());
    }
}

#[tokio::test]
async fn a_csv_file_is_taken_as_it_is() {
    let sim = simulator();
    let app = app(&sim, Generation::Ga).await;
    let post = |path: &str| app.request("POST", path).header("content-type", "text/csv").body(table(20));
    let uploaded = send(post("/api/v1/datasets/upload?name=people")).await;
    assert_eq!((uploaded.status, &uploaded.json()["rowCount"]), (200, &json!(20)));
    send(post("/api/v1/datasets/upload")).await.is_error(400, "malformed");
    send(post("/api/v1/datasets/upload?name=a%2Fb")).await.is_error(422, "out_of_bounds");
}

#[tokio::test]
async fn the_same_table_and_the_same_order_are_found_and_not_made_again() {
    for generation in BOTH {
        let sim = simulator();
        let app = app(&sim, generation).await;
        let upload = json!({"name": "people", "data": table(50)});
        let first = app.post("/api/v1/datasets/upload", &upload).await.json();
        assert_eq!(app.post("/api/v1/datasets/upload", &upload).await.json(), first);
        assert_eq!(sim.dataset_names().len(), 1);
        let other = json!({"name": "people", "data": table(51)});
        app.post("/api/v1/datasets/upload", &other).await.is_error(409, "dataset_conflict");
        let model = app.post("/api/v1/training/start", &order()).await.json()["modelId"].clone();
        assert_eq!(app.post("/api/v1/training/start", &order()).await.json()["modelId"], model);
        assert_eq!(trainings(&sim), 1);
        let again = json!({"datasetName": "people", "modelName": "humans", "overwrite": true});
        assert_ne!(app.post("/api/v1/training/start", &again).await.json()["modelId"], model);
        let replaced = json!({"name": "people", "data": table(51), "overwrite": true});
        assert_eq!(app.post("/api/v1/datasets/upload", &replaced).await.json()["rowCount"], 51);
    }
}

#[tokio::test]
async fn a_lost_or_early_answer_never_starts_a_second_training() {
    for generation in BOTH {
        let route = if generation == Generation::Ga { "train" } else { "beta-train" };
        let faults =
            ["status-after=502", "status-after=500", "reset", "empty-body", "truncated-json", "status-before=503"];
        // Only the GA generation says that a table is not read yet.
        let early = (generation == Generation::Ga).then_some("conflict-not-ready=1");
        for fault in faults.into_iter().chain(early) {
            let sim = simulator();
            let app = app(&sim, generation).await;
            app.post("/api/v1/datasets/upload", &json!({"name": "people", "data": table(50)})).await;
            sim.arm(&format!("{fault}@{route};n=1")).unwrap();
            let started = app.post("/api/v1/training/start", &order()).await;
            assert_eq!((started.status, trainings(&sim)), (200, 1), "{fault} {}", started.text);
            let path = format!("/api/v1/training/{}", started.json()["modelId"].as_str().unwrap());
            assert_eq!(app.get(&path).await.json()["modelName"], "humans");
        }
    }
}

#[tokio::test]
async fn a_process_that_ended_after_its_order_was_sent_leaves_it_to_be_found() {
    for generation in BOTH {
        let route = if generation == Generation::Ga { "train" } else { "beta-train" };
        let (sim, memory) = (simulator(), Arc::default());
        let first = training(&sim, generation, &memory);
        first.upload("people", table(50), false).await.unwrap();
        // The work is done, its answer dribbles, and the process ends meanwhile.
        sim.arm(&format!("dribble=1s@{route};n=1")).unwrap();
        let order = super::Order { dataset: "people".into(), model: "humans".into(), ..super::Order::default() };
        let sent = tokio::time::timeout(Duration::from_secs(2), first.start(&order)).await;
        assert!(sent.is_err() && trainings(&sim) == 1);
        let second = training(&sim, generation, &memory);
        assert!(second.start(&order).await.unwrap().found);
        assert_eq!(trainings(&sim), 1);
    }
}

#[tokio::test]
async fn a_training_that_failed_says_why_and_may_be_started_again() {
    for generation in BOTH {
        let route = if generation == Generation::Ga { "train" } else { "beta-train" };
        let sim = simulator();
        let app = app(&sim, generation).await;
        app.post("/api/v1/datasets/upload", &json!({"name": "people", "data": table(50)})).await;
        sim.arm(&format!("train-failed=no luck@{route};n=1")).unwrap();
        let failed = app.post("/api/v1/training/start", &order()).await.json()["modelId"].clone();
        sim.advance(Duration::from_secs(120));
        let body = app.get(&format!("/api/v1/training/{}", failed.as_str().unwrap())).await.json();
        assert_eq!((&body["status"], &body["error"]), (&json!("FAILED"), &json!("no luck")), "{body}");
        let again = app.post("/api/v1/training/start", &order()).await;
        assert_eq!(again.status, 200, "{}", again.text);
        assert_ne!(again.json()["modelId"], failed);
    }
}

#[tokio::test]
async fn faults_of_the_service_have_honest_statuses() {
    let sim = simulator();
    let app = app(&sim, Generation::Ga).await;
    app.post("/api/v1/datasets/upload", &json!({"name": "people", "data": table(50)})).await;
    for (fault, status, code) in [
        ("credits=0@train", 503, "woodwide_no_credits"),
        ("unauthorized@authorized", 502, "woodwide_refused"),
        ("rate-limit=seconds,77@train", 503, "woodwide_unavailable"),
        ("status-before=409@train", 502, "woodwide_refused"),
    ] {
        sim.arm(fault).unwrap();
        let answer = app.post("/api/v1/training/start", &order()).await;
        answer.is_error(status, code);
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        sim.disarm_all();
    }
    assert_eq!(trainings(&sim), 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_sent() {
    let sim = simulator();
    let app = app(&sim, Generation::Ga).await;
    let upload = |data: String| json!({"name": "people", "data": data});
    for (data, words) in [
        (table(9), "9 rows"),
        (table(20).replace("avgSpeed,", "avgSped,"), "avgSped"),
        (table(20).replace("\"s-7\",", ""), "line 8"),
        ((0..501).map(|i| format!("c{i},")).collect::<Vec<_>>().concat(), "columns"),
    ] {
        let refused = app.post("/api/v1/datasets/upload", &upload(data)).await;
        refused.is_error(422, "out_of_bounds");
        assert!(refused.text.contains(words), "{}", refused.text);
    }
    let large = app.post("/api/v1/datasets/upload", &upload("x".repeat(31 << 20))).await;
    large.is_error(413, "body_too_large");
    app.post("/api/v1/training/start", &order()).await.is_error(404, "unknown_dataset");
    let prediction = json!({"datasetName": "people", "modelName": "m", "modelType": "prediction"});
    app.post("/api/v1/training/start", &prediction).await.is_error(422, "out_of_bounds");
    app.post_text("/api/v1/training/start", "").await.is_error(400, "malformed");
    app.get("/api/v1/training/mdl_NOBODY22").await.is_error(404, "unknown_model");
    app.get("/api/v1/training/a%2Fb").await.is_error(422, "out_of_bounds");
    assert!(sim.dataset_names().is_empty());
}

#[tokio::test]
async fn without_woodwide_and_without_the_role_there_is_no_training() {
    let app = TestApp::start().await;
    app.post("/api/v1/datasets/upload", &json!({})).await.is_error(409, "woodwide_not_configured");
    app.post("/api/v1/training/start", &json!({})).await.is_error(409, "woodwide_not_configured");
    app.get("/api/v1/training/m").await.is_error(409, "woodwide_not_configured");
    let guarded = TestApp::with(|choice| add_keys(&mut choice.http)).await;
    guarded.post_as("ingest", "/api/v1/training/start", &json!({})).await.is_error(403, "forbidden");
}
