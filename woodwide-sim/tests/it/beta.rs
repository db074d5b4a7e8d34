//! The beta generation without faults.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{OUTLIERS, Service, probe, table};

#[tokio::test]
async fn a_dataset_is_uploaded_found_by_name_overwritten_and_deleted() {
    let service = Service::start();
    let id = service.beta_dataset("movement", &probe()).await;
    assert_eq!(id.len(), 20);
    let found = service.get("/api/datasets?name=movement").await.json();
    assert_eq!((found[0]["num_rows"].clone(), found.as_array().unwrap().len()), (json!(60), 1));
    assert_eq!(found[0]["dataset_schema"]["columns"][0]["name"], "speed");

    let taken = service.send(service.form("/api/datasets", &[("name", "movement")], probe())).await;
    assert_eq!(taken.status, 400);
    let fields = [("name", "movement"), ("overwrite", "true")];
    let over = service.send(service.form("/api/datasets", &fields, table(80, &[]))).await.json();
    assert_eq!(over["num_rows"], 80);

    let path = format!("/api/datasets/{}", over["id"].as_str().unwrap());
    assert!(service.delete(&path).await.status < 300);
    assert_eq!(service.get(&path).await.status, 404);
}

#[tokio::test]
async fn training_asks_for_a_form() {
    let service = Service::start();
    let id = service.beta_dataset("train", &table(300, &[])).await;
    let path = format!("/api/models/anomaly/train?dataset_id={id}");
    let refused = service.post(&path, &json!({"model_name": "m"})).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.detail()[0]["loc"], json!(["body", "model_name"]));

    let form = |path: &str, body: &'static str| {
        let request = service.request(Method::POST, path);
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let model = service.send(form(&path, "model_name=m&input_columns=speed&input_columns=turns")).await.json();
    assert_eq!((&model["training_status"], &model["type"]), (&json!("PENDING"), &json!("anomaly")));
    let polled = service.get(&format!("/api/models/{}", model["id"].as_str().unwrap())).await.json();
    assert_eq!((&polled["training_status"], &polled["err_msg"]), (&json!("COMPLETE"), &Value::Null));
    assert!(service.get("/api/models").await.json().is_array());

    let tiny = service.beta_dataset("tiny", &table(3, &[])).await;
    let failed = form(&format!("/api/models/anomaly/train?dataset_name=tiny&ignored={tiny}"), "model_name=t");
    let failed = service.send(failed).await.json();
    let polled = service.get(&format!("/api/models/{}", failed["id"].as_str().unwrap())).await.json();
    assert_eq!(polled["training_status"], "FAILED");
    assert!(polled["err_msg"].as_str().unwrap().contains("tensor"));
}

#[tokio::test]
async fn inference_names_the_anomalous_rows_as_strings() {
    let service = Service::start();
    let (model, probe) = service.beta_model().await;
    let answer = service.beta_infer(&model, &probe).await.json();
    let ids = answer["anomalous_ids"].as_array().unwrap();
    for outlier in OUTLIERS {
        assert!(ids.contains(&json!(outlier.to_string())), "{ids:?}");
    }
    // The SDK sends an empty JSON object.
    let path = format!("/api/models/anomaly/{model}/infer?dataset_name=probe");
    assert_eq!(service.post(&path, &json!({})).await.json(), answer);
    assert_eq!(service.post(&format!("/api/models/anomaly/{model}/infer"), &json!({})).await.status, 422);
}

#[tokio::test]
async fn a_key_and_a_user_are_told_who_they_are() {
    let service = Service::start();
    assert_eq!(service.get("/auth/me").await.json()["identity_type"], "api");
    let user = service.client.get(format!("{}/auth/me", service.sim.url())).bearer_auth("user_sim");
    let user = service.send(user).await.json();
    assert!(user["identity_type"] == "user" && user["wwai_credits"].is_u64());
}

#[tokio::test]
async fn the_generations_do_not_see_each_others_datasets() {
    let service = Service::start();
    service.beta_dataset("b", &probe()).await;
    service.upload("g", &probe()).await.json();
    assert_eq!(service.get("/api/datasets").await.json().as_array().unwrap().len(), 1);
    assert_eq!(service.get("/datasets").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(service.sim.dataset_names(), ["b", "g"]);
}
