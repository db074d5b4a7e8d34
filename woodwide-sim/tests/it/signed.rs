//! Signed addresses: no key, one object, one method, a while.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::harness::{Answer, Service, table};

async fn prepare(service: &Service, csv: &str, key: &str) -> Value {
    let file = json!({"filename": "big.csv", "bytes": csv.len(), "content_type": "text/csv"});
    let request = service.request(reqwest::Method::POST, "/datasets/upload").header("idempotency-key", key);
    service.send(request.json(&json!({"file": file, "dataset_name": "big"}))).await.json()
}

fn put(service: &Service, prepared: &Value, content_type: &str, body: &str) -> RequestBuilder {
    let url = prepared["upload"]["upload_url"].as_str().unwrap();
    service.client.put(url).header("content-type", content_type).body(body.to_owned())
}

async fn results(service: &Service, job: &str) -> String {
    let results = service.get(&format!("/jobs/{job}/results")).await.json();
    results["inference_results_uri"].as_str().unwrap().to_owned()
}

async fn fetch(service: &Service, url: &str) -> Answer {
    service.send(service.client.get(url)).await
}

#[tokio::test]
async fn a_table_is_put_without_a_key_and_then_completed() {
    let service = Service::start();
    let csv = table(500, &[]);
    let prepared = prepare(&service, &csv, "once").await;
    assert_eq!(prepare(&service, &csv, "once").await, prepared, "the same key, the same answer");
    let job = format!("/jobs/{}", prepared["job_id"].as_str().unwrap());
    assert_eq!(service.get(&job).await.json()["status"], "waiting_for_upload");
    let complete = format!("/datasets/{}/complete", prepared["version_id"].as_str().unwrap());
    assert_eq!(service.post(&complete, &json!({})).await.status, 409, "nothing has arrived");

    assert_eq!(service.send(put(&service, &prepared, "text/plain", &csv)).await.status, 403);
    assert_eq!(service.send(put(&service, &prepared, "text/csv", "short")).await.status, 400);
    service.sim.clear_requests();
    assert_eq!(service.send(put(&service, &prepared, "text/csv", &csv)).await.status, 200);
    let entry = &service.sim.requests()[0];
    assert!(!entry.authorization && entry.key.is_none() && entry.route == Some("put-object"));

    let completed = service.post(&complete, &json!({})).await.json();
    assert_eq!(completed["id"], prepared["id"]);
    assert_eq!(service.get(&job).await.json()["status"], "succeeded");
    let dataset = service.get(&format!("/datasets/{}", prepared["id"].as_str().unwrap())).await.json();
    assert_eq!(dataset["current_version"]["row_count"], 500);
}

#[tokio::test]
async fn results_are_fetched_without_a_key_while_the_signature_holds() {
    let service = Service::start();
    let model = service.model().await;
    let job = service.infer_async(&model, "csv").await;
    let url = results(&service, &job).await;
    let direct = service.infer(&model, "csv", "per_row").await.text();
    assert_eq!(fetch(&service, &url).await.text(), direct, "the same rows as the synchronous call");

    let forged = url.replace("signature=", "signature=00");
    assert_eq!(fetch(&service, &forged).await.status, 403);
    let other = url.replace("-results", "-combined");
    assert_eq!(fetch(&service, &other).await.status, 403, "signed for another object");
    let later = url.replace("expires=1", "expires=2");
    assert_eq!(fetch(&service, &later).await.status, 403, "signed for another time");
    let unsigned = url.split('?').next().unwrap();
    assert_eq!(fetch(&service, unsigned).await.status, 403);

    service.sim.advance(Duration::from_secs(901));
    assert_eq!(fetch(&service, &url).await.status, 403, "expired");
    let fresh = results(&service, &job).await;
    assert_eq!(fetch(&service, &fresh).await.status, 200);
}

#[tokio::test]
async fn the_combined_file_has_the_input_too() {
    let service = Service::start();
    let model = service.model().await;
    for output in ["csv", "json", "parquet"] {
        let job = service.infer_async(&model, output).await;
        let results = service.get(&format!("/jobs/{job}/results")).await.json();
        let file = fetch(&service, results["combined_results_uri"].as_str().unwrap()).await;
        match output {
            "csv" => assert!(file.text().starts_with("id,speed,turns,device,is_anomaly,anomaly_score\n")),
            "json" => assert_eq!(file.json()["speed"].as_array().unwrap().len(), 60),
            _ => assert_eq!(&file.body[..4], b"PAR1"),
        }
    }
}
