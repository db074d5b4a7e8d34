//! Every kind of fault does what its line in the list says.

use std::time::Duration;

use serde_json::{Value, json};
use woodwide_sim::fault::KINDS;

use super::harness::{Answer, OUTLIERS, Service, probe, table};

/// What a fault makes of a synchronous inference.
type Check = fn(&Answer) -> bool;

fn column<'a>(answer: &'a Value, name: &str) -> &'a Vec<Value> {
    answer["data"][name].as_array().unwrap()
}

fn json_of(answer: &Answer) -> Value {
    answer.json()
}

/// Faults that show in the answer of one synchronous inference: spec, output, format, check.
const INFER: &[(&str, &str, &str, Check)] = &[
    ("empty-body", "json", "per_row", |a| a.status == 200 && a.body.is_empty()),
    ("whitespace-body", "json", "per_row", |a| a.status == 200 && !a.body.is_empty() && a.text().trim().is_empty()),
    ("truncated-json", "json", "per_row", |a| a.status == 200 && serde_json::from_slice::<Value>(&a.body).is_err()),
    ("html-200", "json", "per_row", |a| a.status == 200 && a.text().starts_with("<!doctype html>")),
    ("wrong-content-type", "json", "per_row", |a| {
        a.header("content-type") == "text/plain" && a.json()["data"].is_object()
    }),
    ("credits=0", "json", "per_row", |a| a.status == 402 && a.text().contains("credit")),
    ("unauthorized", "json", "per_row", |a| a.status == 401),
    ("unauthorized=key-1", "json", "per_row", |a| a.status == 401),
    ("unauthorized=key-2", "json", "per_row", |a| a.status == 200),
    ("forbidden=sk_sim", "json", "per_row", |a| a.status == 403),
    ("rate-limit", "json", "per_row", |a| a.status == 429 && a.header("retry-after") == "1"),
    ("rate-limit=fraction,0.25", "json", "per_row", |a| a.status == 429 && a.header("retry-after") == "0.25"),
    ("rate-limit=date,30", "json", "per_row", |a| a.status == 429 && a.header("retry-after").ends_with(" GMT")),
    ("rate-limit=ms,0.5", "json", "per_row", |a| a.status == 429 && a.header("retry-after-ms") == "500"),
    ("rate-limit=none", "json", "per_row", |a| a.status == 429 && a.header("retry-after").is_empty()),
    ("status-before=503", "json", "per_row", |a| a.status == 503),
    ("status-after=502", "json", "per_row", |a| a.status == 502),
    ("too-large=100", "json", "per_row", |a| a.status == 413),
    ("poison=speed:900", "json", "per_row", |a| a.status == 422 && a.text().contains("row 4")),
    ("poison=speed:900.0,500", "json", "per_row", |a| a.status == 500),
    ("poison=speed:901", "json", "per_row", |a| a.status == 200),
    ("refuse-all", "json", "per_row", |a| a.status == 422),
    ("slow=1ms", "json", "per_row", |a| a.status == 200),
    ("dribble=0ms", "json", "per_row", |a| json_of(a)["data"].is_object()),
    ("data=columns", "json", "per_row", |a| json_of(a)["data"]["id"].is_array()),
    ("data=rows", "json", "per_row", |a| json_of(a)["data"][4]["is_anomaly"] == true),
    ("data=csv-text", "json", "per_row", |a| json_of(a)["data"].as_str().unwrap().starts_with("id,is_anomaly,")),
    ("data=bare", "json", "per_row", |a| json_of(a)["id"].as_array().unwrap().len() == 60),
    ("data=bare-rows", "json", "per_row", |a| json_of(a)[4]["is_anomaly"] == true),
    ("ids=strings", "json", "per_row", |a| column(&json_of(a), "id")[3] == "3"),
    ("ids=numbers", "json", "per_row", |a| column(&json_of(a), "id")[3] == 3),
    ("ids=shuffled", "json", "per_row", |a| column(&json_of(a), "id")[..5] != [0, 1, 2, 3, 4]),
    ("ids=missing", "json", "per_row", |a| column(&json_of(a), "id").len() == 59),
    ("ids=duplicated", "json", "ids_only", |a| {
        let answer = json_of(a);
        let ids = column(&answer, "anomalous_ids");
        ids.iter().any(|id| ids.iter().filter(|other| *other == id).count() == 2)
    }),
    ("ids=out-of-range", "json", "ids_only", |a| column(&json_of(a), "anomalous_ids").contains(&json!(65))),
    ("ids=permuted", "json", "per_row", |a| column(&json_of(a), "id")[3] == 3 && !planted(a)),
    ("ids=shifted", "json", "per_row", |a| column(&json_of(a), "is_anomaly")[5] == true && !planted(a)),
    ("ids=swapped", "json", "per_row", |a| column(&json_of(a), "id").len() == 60 && !planted(a)),
    ("ids=null-filled", "json", "per_row", |a| column(&json_of(a), "id").contains(&Value::Null)),
    ("rows=fewer", "json", "per_row", |a| column(&json_of(a), "id").len() == 59),
    ("rows=more", "csv", "per_row", |a| a.text().lines().count() == 62),
    ("rows=truncated", "csv", "per_row", |a| a.text().lines().count() == 31),
    ("rows=duplicated", "csv", "per_row", |a| a.text().lines().count() == 62),
    ("rows=null-filled", "json", "per_row", |a| column(&json_of(a), "anomaly_score")[59].is_null()),
    ("scores=nan", "json", "per_row", |a| a.text().contains("NaN")),
    ("scores=nan", "csv", "per_row", |a| a.text().contains(",nan\n")),
    ("scores=inf", "json", "per_row", |a| a.text().contains("Infinity")),
    ("scores=null,all", "json", "per_row", |a| column(&json_of(a), "anomaly_score").iter().all(Value::is_null)),
    ("scores=1e308", "json", "per_row", |a| a.text().contains("1e308") || a.text().contains("1e+308")),
    ("scores=negative", "csv", "per_row", |a| a.text().contains(",-1.0\n")),
    ("scores=text", "json", "per_row", |a| column(&json_of(a), "anomaly_score").contains(&json!("high"))),
    ("flags=all", "json", "ids_only", |a| column(&json_of(a), "anomalous_ids").len() == 60),
    ("flags=none", "csv", "ids_only", |a| a.text() == "anomalous_ids\n"),
    ("csv-booleans=True", "csv", "per_row", |a| a.text().contains("4,True,") && a.text().contains("5,False,")),
    ("csv-booleans=1", "csv", "per_row", |a| a.text().contains("\n4,1,") && a.text().contains("\n5,0,")),
    ("csv-crlf", "csv", "per_row", |a| a.text().matches("\r\n").count() == 61),
    ("csv-quoted", "csv", "per_row", |a| a.text().starts_with("\"id\",\"is_anomaly\",\"anomaly_score\"\n\"0\",")),
    ("csv-bom", "csv", "per_row", |a| a.body.starts_with(b"\xef\xbb\xbfid,")),
    ("csv-id-list", "csv", "ids_only", |a| a.text().lines().count() == 2 && a.text().contains("4, 17")),
];

/// Whether the planted outliers are where they belong.
fn planted(answer: &Answer) -> bool {
    let answer = answer.json();
    OUTLIERS.iter().all(|row| column(&answer, "is_anomaly")[*row] == true)
}

#[tokio::test]
async fn faults_of_an_inference_show_in_its_answer() {
    let service = Service::start();
    let model = service.model().await;
    assert!(planted(&service.infer(&model, "json", "per_row").await));
    for (spec, output, format, check) in INFER {
        service.sim.arm(spec).unwrap();
        let answer = service.infer(&model, output, format).await;
        assert!(check(&answer), "{spec}: {} {}", answer.status, answer.text());
        service.sim.disarm_all();
    }
    assert!(planted(&service.infer(&model, "json", "per_row").await), "it works again");
}

/// The kinds that the other tests of this file are about.
const ELSEWHERE: &[&str] = &[
    "warm-up",
    "conflict-not-ready",
    "infer-async-missing",
    "explain-missing",
    "results-404",
    "reset",
    "hang",
    "ingest-failed",
    "train-failed",
    "infer-failed",
    "job-stuck",
    "job-canceled",
    "job-rejected",
    "job-status",
    "progress-odd",
    "url-expired",
    "url-403-once",
    "url-redirect",
    "url-wrong-length",
    "url-gzip",
    "shape",
    "score-drift",
    "score-jitter",
    "model-version-changes",
];

#[test]
fn no_kind_is_left_out() {
    for kind in KINDS {
        let here = INFER.iter().any(|(spec, ..)| spec.split('=').next() == Some(kind.name));
        assert!(here || ELSEWHERE.contains(&kind.name), "{} has no test", kind.name);
    }
}

#[tokio::test]
async fn a_beta_dataset_warms_up_with_rows_and_age() {
    let service = Service::start();
    let (model, probe) = service.beta_model().await;
    service.sim.arm("warm-up=10,5s").unwrap();
    let cold = service.beta_infer(&model, &probe).await;
    assert_eq!((cold.status, cold.body.len()), (200, 0), "too young");
    service.sim.advance(Duration::from_secs(5));
    assert!(service.beta_infer(&model, &probe).await.json()["anomalous_ids"].is_array());
    service.sim.arm("warm-up=61").unwrap();
    assert_eq!(service.beta_infer(&model, &probe).await.body.len(), 0, "too few rows");
}

#[tokio::test]
async fn a_file_in_the_request_warms_up_from_its_first_sight() {
    let service = Service::start();
    let model = service.model().await;
    service.sim.arm("warm-up=10,5s").unwrap();
    assert_eq!(service.infer(&model, "json", "per_row").await.body.len(), 0, "never seen before");
    service.sim.advance(Duration::from_secs(5));
    assert!(service.infer(&model, "json", "per_row").await.json()["data"].is_object());
}

#[tokio::test]
async fn beta_ids_can_be_numbers() {
    let service = Service::start();
    let (model, probe) = service.beta_model().await;
    service.sim.arm("ids=numbers").unwrap();
    let answer = service.beta_infer(&model, &probe).await.json();
    assert!(answer["anomalous_ids"].as_array().unwrap().contains(&json!(4)));
}

#[tokio::test]
async fn credits_count_down_to_402() {
    let service = Service::start();
    let model = service.model().await;
    service.sim.arm("credits=2").unwrap();
    let left = async || service.get("/auth/me").await.json()["wwai_credits"].clone();
    assert_eq!(left().await, 2);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(service.infer(&model, "json", "per_row").await.status);
    }
    assert_eq!(statuses, [200, 200, 402, 402]);
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn an_error_after_the_work_leaves_what_was_made() {
    let service = Service::start();
    service.sim.arm("status-before=500@create-dataset;n=1").unwrap();
    assert_eq!(service.upload("a", &probe()).await.status, 500);
    assert!(service.sim.dataset_names().is_empty());
    service.sim.arm("status-after=504@create-dataset;n=1").unwrap();
    assert_eq!(service.upload("a", &probe()).await.status, 504);
    assert_eq!(service.sim.dataset_names(), ["a"]);
}

#[tokio::test]
async fn a_ready_dataset_is_not_ready_for_a_while() {
    let service = Service::start();
    let dataset = service.dataset().await;
    service.sim.arm("conflict-not-ready=2").unwrap();
    let body = json!({"model_type": "anomaly", "dataset_id": dataset});
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(service.post("/models/train", &body).await.status);
    }
    assert_eq!(statuses, [409, 409, 200]);
}

#[tokio::test]
async fn routes_and_results_can_be_missing() {
    let service = Service::start();
    let model = service.model().await;
    let job = service.infer_async(&model, "csv").await;
    for (spec, status) in
        [("infer-async-missing", 404), ("infer-async-missing=405", 405), ("infer-async-missing=501", 501)]
    {
        service.sim.arm(spec).unwrap();
        let path = format!("/models/{model}/infer-async");
        assert_eq!(service.send(service.form(&path, &[], probe())).await.status, status, "{spec}");
        service.sim.disarm_all();
    }
    service.sim.arm("explain-missing=501").unwrap();
    assert_eq!(service.post(&format!("/jobs/{job}/explain"), &json!({"ids": [1]})).await.status, 501);
    service.sim.arm("results-404").unwrap();
    assert_eq!(service.get(&format!("/jobs/{job}")).await.json()["status"], "succeeded");
    assert_eq!(service.get(&format!("/jobs/{job}/results")).await.status, 404);
}

#[tokio::test]
async fn connections_break_and_hang() {
    let service = Service::start();
    service.sim.arm("reset@list-models").unwrap();
    let broken = service.request(reqwest::Method::GET, "/models").send().await;
    let broken = match broken {
        Ok(response) => response.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(broken);

    service.sim.arm("hang@list-jobs").unwrap();
    let hanging = service.request(reqwest::Method::GET, "/jobs").timeout(Duration::from_millis(200)).send().await;
    assert!(hanging.unwrap_err().is_timeout());
    let log = service.sim.requests();
    let entry = log.iter().find(|entry| entry.route == Some("list-jobs")).unwrap();
    assert_eq!((entry.status, entry.faults.as_slice()), (None, &["hang"][..]));
    assert_eq!(service.get("/datasets").await.status, 200, "others go on");
}

#[tokio::test]
async fn jobs_end_as_faults_say() {
    let service = Service::start();
    let model = service.model().await;
    for (spec, status) in [
        ("infer-failed=out of memory", "failed"),
        ("job-stuck", "running"),
        ("job-stuck=queued", "queued"),
        ("job-canceled", "canceled"),
        ("job-rejected", "rejected"),
        ("job-status=pondering", "pondering"),
    ] {
        service.sim.arm(&format!("{spec};n=1")).unwrap();
        let id = service.infer_async(&model, "csv").await;
        let job = service.get(&format!("/jobs/{id}")).await.json();
        assert_eq!(job["status"], status, "{spec}");
        assert_eq!(service.get(&format!("/jobs/{id}/results")).await.status, 409, "{spec}");
        if status == "failed" {
            assert_eq!(job["error_message"], "out of memory");
            let retried = service.post(&format!("/jobs/{id}/retry"), &json!({})).await.json();
            assert_ne!(retried["id"], id.as_str());
            let retried = service.get(&format!("/jobs/{}", retried["id"].as_str().unwrap())).await.json();
            assert_eq!(retried["status"], "succeeded");
        }
        service.sim.disarm_all();
    }
}

#[tokio::test]
async fn ingests_and_trainings_fail_with_a_reason() {
    let service = Service::start();
    service.sim.arm("ingest-failed=bad bytes;n=1").unwrap();
    let made = service.upload("bad", &probe()).await.json();
    let job = service.get(&format!("/jobs/{}", made["job_id"].as_str().unwrap())).await.json();
    assert_eq!((&job["status"], &job["error_message"]), (&json!("failed"), &json!("bad bytes")));
    let body = json!({"model_type": "anomaly", "dataset_id": made["id"]});
    assert_eq!(service.post("/models/train", &body).await.status, 409);

    service.sim.arm("train-failed=nan in loss").unwrap();
    let model = service.model().await;
    assert_eq!(service.get(&format!("/models/{model}")).await.json()["status"], "failed");
    let (model, _) = service.beta_model().await;
    let polled = service.get(&format!("/api/models/{model}")).await.json();
    assert_eq!((&polled["training_status"], &polled["err_msg"]), (&json!("FAILED"), &json!("nan in loss")));
}

#[tokio::test]
async fn progress_can_be_odd() {
    let service = Service::start();
    let model = service.model().await;
    let id = service.infer_async(&model, "csv").await;
    let progress = async || service.get(&format!("/jobs/{id}")).await.json()["progress"].clone();
    service.sim.arm("progress-odd=backwards").unwrap();
    assert!(progress().await.as_f64() > progress().await.as_f64());
    service.sim.disarm_all();
    service.sim.arm("progress-odd=null").unwrap();
    assert!(progress().await.is_null());
    service.sim.disarm_all();
    service.sim.arm("progress-odd=over").unwrap();
    assert!(progress().await.as_f64() > Some(100.0));
}

#[tokio::test]
async fn signed_addresses_fail_as_faults_say() {
    let service = Service::start();
    let model = service.model().await;
    let job = service.infer_async(&model, "csv").await;
    let url =
        service.get(&format!("/jobs/{job}/results")).await.json()["inference_results_uri"].as_str().unwrap().to_owned();
    let fetch = |url: String| service.client.get(url);
    let right = service.send(fetch(url.clone())).await;

    service.sim.arm("url-expired;n=1").unwrap();
    assert_eq!(service.send(fetch(url.clone())).await.status, 403);
    service.sim.disarm_all();
    service.sim.arm("url-403-once").unwrap();
    assert_eq!(service.send(fetch(url.clone())).await.status, 403);
    assert_eq!(service.send(fetch(url.clone())).await.status, 200);
    service.sim.disarm_all();

    service.sim.arm("url-redirect").unwrap();
    let redirect = service.send(fetch(url.clone())).await;
    assert_eq!(redirect.status, 302);
    let target = format!("{}{}", service.sim.url(), redirect.header("location"));
    assert_eq!(service.send(fetch(target)).await.body, right.body);
    service.sim.disarm_all();

    service.sim.arm("url-wrong-length").unwrap();
    let response = fetch(url.clone()).send().await.unwrap();
    assert_eq!(response.content_length(), Some(right.body.len() as u64 + 64));
    assert!(response.bytes().await.is_err());
    service.sim.disarm_all();

    service.sim.arm("url-gzip").unwrap();
    let zipped = service.send(fetch(url)).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(zipped.body.as_slice()), &mut text).unwrap();
    assert_eq!(text, right.text());
}

#[tokio::test]
async fn mixed_shapes_nest_datasets_only() {
    let service = Service::start();
    service.sim.arm("shape=mixed").unwrap();
    let made = service.upload("train", &table(300, &[])).await.json();
    assert!(made["id"].is_null() && made["dataset"]["id"].is_string());
    let body = json!({"model_type": "anomaly", "dataset_id": made["dataset"]["id"]});
    let trained = service.post("/models/train", &body).await.json();
    assert!(trained["id"].is_string() && trained["model"].is_null());
}

#[tokio::test]
async fn scores_drift_and_versions_change_under_the_client() {
    let service = Service::start();
    let model = service.model().await;
    let score =
        async || service.infer(&model, "json", "per_row").await.json()["data"]["anomaly_score"][0].as_f64().unwrap();
    let before = score().await;
    service.sim.arm("score-drift=0.5").unwrap();
    let (first, second) = (score().await, score().await);
    assert!((first - before - 0.5).abs() < 1e-9 && (second - first - 0.5).abs() < 1e-9);
    service.sim.disarm_all();

    service.sim.arm("score-jitter=0.01").unwrap();
    let (first, second) = (score().await, score().await);
    assert!(first.to_bits() == second.to_bits() && first.to_bits() != before.to_bits(), "tables of one size are alike");
    assert!((first - before).abs() <= 0.01 * before);
    service.sim.disarm_all();

    let version = service.infer(&model, "json", "per_row").await.json()["model_version_id"].clone();
    service.sim.arm("model-version-changes;n=1").unwrap();
    let other = service.infer(&model, "json", "per_row").await.json()["model_version_id"].clone();
    assert_ne!(version, other);
    let fields = [("output_type", "json"), ("model_version_id", version.as_str().unwrap())];
    let pinned = service.send(service.form(&format!("/models/{model}/infer"), &fields, probe())).await.json();
    assert_eq!(pinned["model_version_id"], version);
}

#[tokio::test]
async fn results_of_a_job_carry_the_faults_of_its_request() {
    let service = Service::start();
    let model = service.model().await;
    service.sim.arm("rows=fewer@infer-async;n=1").unwrap();
    let id = service.infer_async(&model, "csv").await;
    let url =
        service.get(&format!("/jobs/{id}/results")).await.json()["inference_results_uri"].as_str().unwrap().to_owned();
    assert_eq!(service.send(service.client.get(url)).await.text().lines().count(), 60);
}
