//! The GA service without faults.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use woodwide_sim::{Settings, Shape};

use super::harness::{OUTLIERS, Service, probe, table};

#[tokio::test]
async fn every_call_but_health_needs_a_key() {
    let service = Service::start();
    let url = |path: &str| format!("{}{path}", service.sim.url());
    assert_eq!(service.send(service.client.get(url("/health"))).await.status, 200);
    for path in ["/datasets", "/models", "/jobs", "/auth/me", "/api/datasets"] {
        let without = service.send(service.client.get(url(path))).await;
        assert_eq!((without.status, without.detail()), (401, json!("Not authenticated")), "{path}");
        let wrong = service.send(service.client.get(url(path)).bearer_auth("sk_other")).await;
        assert_eq!((wrong.status, wrong.detail()), (401, json!("Invalid API key")), "{path}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_404_or_405() {
    let service = Service::start();
    assert_eq!(service.get("/nothing").await.status, 404);
    assert_eq!(service.delete("/jobs").await.status, 405);
    for path in ["/datasets/ds_X", "/models/mdl_X", "/jobs/job_X", "/datasets/ds_X/preview", "/jobs/job_X/results"] {
        assert_eq!(service.get(path).await.status, 404, "{path}");
    }
    assert_eq!(service.post("/models/mdl_X/infer-batch", &json!({"dataset_id": "ds_X"})).await.status, 404);
}

#[tokio::test]
async fn answers_take_the_shape_that_is_set() {
    for (shape, flat, nested) in [(Shape::Both, true, true), (Shape::Flat, true, false), (Shape::Nested, false, true)] {
        let service = Service::with(Settings { shape, ..Settings::default() });
        let made = service.upload("train", &table(300, &[])).await.json();
        assert_eq!((made["id"].is_string(), made["dataset"]["version_id"].is_string()), (flat, nested), "{shape:?}");
        let id = if flat { &made["id"] } else { &made["dataset"]["id"] };
        let trained = service.post("/models/train", &json!({"model_type": "anomaly", "dataset_id": id})).await.json();
        assert_eq!((trained["id"].is_string(), trained["model"]["id"].is_string()), (flat, nested), "{shape:?}");
        let job = service.get(&format!("/jobs/{}", trained["job_id"].as_str().unwrap())).await.json();
        assert_eq!((job["id"].is_string(), job["job_id"].is_string()), (flat, nested), "{shape:?}");
        assert_eq!(job["status"], "succeeded");
    }
}

#[tokio::test]
async fn datasets_are_listed_read_renamed_versioned_and_archived() {
    let service = Service::start();
    let dataset = service.dataset().await;
    let again = service.upload("train", &probe()).await;
    assert_eq!(again.status, 400);
    assert!(again.detail().as_str().unwrap().contains("already exists"));

    let more = service.send(service.form("/datasets", &[("dataset_id", &dataset)], probe())).await.json();
    assert_eq!(more["dataset"]["version_number"], 2);
    let versions = service.get(&format!("/datasets/{dataset}/versions")).await.json();
    let numbers: Vec<&Value> = versions["items"].as_array().unwrap().iter().map(|v| &v["version"]).collect();
    assert_eq!(numbers, [2, 1], "newest first");
    assert_eq!(versions["items"][0]["row_count"], 60);

    let patch = service.request(Method::PATCH, &format!("/datasets/{dataset}")).json(&json!({"name": "Renamed"}));
    assert_eq!(service.send(patch).await.json()["name"], "Renamed");
    assert_eq!(service.get("/datasets?q=RENAM").await.json()["items"].as_array().unwrap().len(), 1);
    let preview = service.get(&format!("/datasets/{dataset}/preview?max_rows=2")).await.json();
    assert_eq!(preview["rows"].as_array().unwrap().len(), 2);
    let looked = service.post(&format!("/datasets/{dataset}/rows:lookup"), &json!({"ids": [17, 4, 17, 999]})).await;
    let ids: Vec<Value> = looked.json()["rows"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [17, 4], "in the order of the request, once, without those that are missing");

    let body = json!({"model_type": "anomaly", "dataset_version_id": versions["items"][1]["id"]});
    let model = service.post("/models/train", &body).await.json();
    let deleted = service.delete(&format!("/datasets/{dataset}")).await;
    assert_eq!((deleted.status, deleted.body.len(), deleted.header("content-type")), (204, 0, ""));
    assert_eq!(service.get(&format!("/datasets/{dataset}")).await.status, 404);
    assert_eq!(service.get(&format!("/datasets/{dataset}?include_archived=true")).await.json()["is_archived"], true);
    let scored = service.infer(model["id"].as_str().unwrap(), "json", "per_row").await;
    assert_eq!(scored.status, 200, "models stay usable");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let service = Service::start();
    for name in ["a", "b", "c", "d", "e"] {
        service.upload(name, &probe()).await.json();
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/datasets?limit=2&cursor={cursor}")).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
    assert_eq!(service.get("/datasets?limit=201").await.status, 422);
    assert_eq!(service.get("/models?limit=101").await.status, 422);
}

#[tokio::test]
async fn training_makes_reuses_and_retrains_models() {
    let service = Service::start();
    let dataset = service.dataset().await;
    let body = json!({"model_type": "anomaly", "dataset_id": dataset, "input_columns": ["speed"]});
    let first = service.post("/models/train", &body).await.json();
    assert_eq!(service.post("/models/train", &body).await.json()["version_id"], first["version_id"], "an equal model");
    let mut forced = body.clone();
    forced["force_retrain"] = json!(true);
    assert_ne!(service.post("/models/train", &forced).await.json()["id"], first["id"]);
    let mut retrained = body.clone();
    retrained["model_id"] = first["id"].clone();
    let retrained = service.post("/models/train", &retrained).await.json();
    assert_eq!((&retrained["id"], &retrained["model"]["version_number"]), (&first["id"], &json!(2)));

    let missing = service.post("/models/train", &json!({"dataset_id": dataset})).await;
    assert_eq!((missing.status, &missing.detail()[0]["loc"]), (422, &json!(["body", "model_type"])));
    let tiny = service.upload("tiny", &table(3, &[])).await.json();
    let failed =
        service.post("/models/train", &json!({"model_type": "anomaly", "dataset_id": tiny["id"]})).await.json();
    let job = service.get(&format!("/jobs/{}", failed["job_id"].as_str().unwrap())).await.json();
    assert_eq!(job["status"], "failed");
    assert!(job["error_message"].as_str().unwrap().contains("tensor"));

    let model = format!("/models/{}", first["id"].as_str().unwrap());
    assert_eq!(service.delete(&model).await.status, 204);
    assert_eq!(service.get(&model).await.status, 404);
}

#[tokio::test]
async fn inference_answers_in_every_format() {
    let service = Service::start();
    let model = service.model().await;
    let answer = service.infer(&model, "json", "per_row").await.json();
    assert_eq!(answer["data"]["id"], json!((0..60).collect::<Vec<_>>()));
    let flags = answer["data"]["is_anomaly"].as_array().unwrap();
    let scores: Vec<f64> =
        answer["data"]["anomaly_score"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).collect();
    let ordinary = (0..60).filter(|row| !OUTLIERS.contains(row)).map(|row| scores[row]).fold(0.0, f64::max);
    for row in OUTLIERS {
        assert!(flags[row] == true && scores[row] > ordinary, "row {row}");
    }
    assert!(answer["anomaly_descriptions"]["4"]["description"].is_string());

    let flagged: Vec<usize> = (0..60).filter(|row| flags[*row] == true).collect();
    let ids = service.infer(&model, "json", "ids_only").await.json();
    assert_eq!(ids["data"]["anomalous_ids"], json!(flagged), "consistent with the flags");

    let csv = service.infer(&model, "csv", "per_row").await;
    assert_eq!(csv.header("content-type"), "text/csv");
    let text = csv.text();
    assert_eq!(text.lines().next(), Some("id,is_anomaly,anomaly_score"));
    assert!(text.lines().nth(5).unwrap().starts_with("4,true,"));
    assert_eq!(
        service.infer(&model, "csv", "per_row").await.text(),
        text,
        "the same bytes for the same model and rows"
    );

    let parquet = service.infer(&model, "parquet", "per_row").await;
    assert_eq!((&parquet.body[..4], parquet.header("content-type")), (&b"PAR1"[..], "application/octet-stream"));
    // What it writes it can read.
    let back = service.send(service.form("/datasets", &[("dataset_name", "back")], &parquet.body)).await.json();
    let version = format!("/datasets/{}", back["id"].as_str().unwrap());
    assert_eq!(service.get(&version).await.json()["current_version"]["row_count"], 60);
    assert_eq!(service.infer(&model, "xml", "per_row").await.status, 422);
}

#[tokio::test]
async fn batch_inference_is_cached_until_it_is_forced() {
    let service = Service::start();
    let model = service.model().await;
    let probe = service.upload("probe", &probe()).await.json();
    let path = format!("/models/{model}/infer-batch");
    let mut body = json!({"dataset_id": probe["id"], "output_type": "csv", "anomaly_format": "per_row"});
    let first = service.post(&path, &body).await.json()["job_id"].clone();
    assert_eq!(service.post(&path, &body).await.json()["job_id"], first);
    body["force_rerun"] = json!(true);
    assert_ne!(service.post(&path, &body).await.json()["job_id"], first);

    let job = format!("/jobs/{}", first.as_str().unwrap());
    assert_eq!(service.get(&job).await.json()["resources"]["dataset"]["id"], probe["id"]);
    let results = service.get(&format!("{job}/results")).await.json();
    assert_eq!(results["summary"]["total_row_count"], 60);
    for columns in ["columns=id&columns=anomaly_score", "columns=id%2Canomaly_score"] {
        let path = format!("{job}/results/rows?limit=2&sort_by=anomaly_score&sort_dir=desc&{columns}");
        let page = service.get(&path).await.json();
        let row = page["rows"][0].as_object().unwrap();
        assert_eq!(row.keys().collect::<Vec<_>>(), ["anomaly_score", "id"], "{columns}");
        assert!(OUTLIERS.iter().any(|outlier| row["id"] == json!(outlier)));
    }
    let explained = service.post(&format!("{job}/explain"), &json!({"ids": [4, "17"]})).await.json();
    assert_eq!(explained["explanations"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn jobs_take_their_time_and_versions_wait_for_them() {
    let minute = Duration::from_secs(60);
    let service = Service::with(Settings { ingest_time: minute, training_time: minute, ..Settings::default() });
    let made = service.upload("train", &table(300, &[])).await.json();
    let job = format!("/jobs/{}", made["job_id"].as_str().unwrap());
    assert_eq!(service.get(&job).await.json()["status"], "queued");
    let body = json!({"model_type": "anomaly", "dataset_id": made["id"]});
    let early = service.post("/models/train", &body).await;
    assert_eq!((early.status, early.detail()), (409, json!("No ready dataset version found")));

    service.sim.advance(minute / 2);
    let running = service.get(&job).await.json();
    assert!(running["status"] == "running" && (40.0..60.0).contains(&running["progress"].as_f64().unwrap()));
    service.sim.advance(minute / 2);
    assert_eq!(service.get(&job).await.json()["status"], "succeeded");

    let trained = service.post("/models/train", &body).await.json();
    let model = trained["id"].as_str().unwrap();
    assert_eq!(service.infer(model, "json", "per_row").await.status, 409);
    let cancel = format!("/jobs/{}/cancel", trained["job_id"].as_str().unwrap());
    // The SDK declares JSON and sends no body, the CLI declares nothing.
    let declared = service.request(Method::POST, &cancel).header("content-type", "application/json");
    assert_eq!(service.send(declared).await.json()["status"], "canceled");
    assert_eq!(service.get(&format!("/models/{model}")).await.json()["status"], "failed");
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_413() {
    let service = Service::start();
    for mebibytes in [30, 40] {
        let large = vec![b'x'; mebibytes * 1024 * 1024 + 1];
        assert_eq!(service.send(service.form("/datasets", &[], &large)).await.status, 413);
    }
}

#[tokio::test]
async fn keys_are_made_revoked_and_rotated_with_the_users_token() {
    let service = Service::start();
    assert_eq!(service.get("/api-keys").await.status, 403);
    let url = |path: &str| format!("{}{path}", service.sim.url());
    let user = |path: &str| service.client.post(url(path)).bearer_auth("user_sim");
    let made = service.send(user("/api-keys").json(&json!({"name": "second"}))).await.json();
    let lists = async |key: &Value| {
        service.send(service.client.get(url("/datasets")).bearer_auth(key.as_str().unwrap())).await.status
    };
    assert_eq!(lists(&made["key"]).await, 200);
    let path = format!("/api-keys/{}", made["id"].as_str().unwrap());
    service.send(user(&format!("{path}/revoke"))).await.json();
    assert_eq!(lists(&made["key"]).await, 401);
    let rotated = service.send(user(&format!("{path}/rotate"))).await.json();
    assert_eq!(lists(&rotated["key"]).await, 200);
    let shown = service.send(service.client.get(url("/api-keys")).bearer_auth("user_sim")).await;
    assert!(!shown.text().contains(rotated["key"].as_str().unwrap()), "secrets are shown once");
}
