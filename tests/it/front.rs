//! What stands in front of a node: a proxy that shows it under a path, Prometheus with a key of its own, whoever reads
//! the log.

use std::time::Duration;

use crate::process::{Place, Process, binary};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_behind_a_proxy_has_a_prefix_and_prometheus_a_key_for_metrics_alone() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        keys.path(),
        "# Prometheus, since March\nmetrics-key-0123456789\n\n  # the old one: metrics-key-old\n",
    )
    .unwrap();
    let settings = [
        ("PLAYPROOF_BASE_PATH", "/proof/"),
        ("PLAYPROOF_METRICS_KEYS_FILE", keys.path().to_str().unwrap()),
        ("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789"),
    ];
    let place = Place::embedded();
    let node = Process::begin(&place.url, &settings).unwrap();
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let ask = async |path: &str, key: &str| {
        client.get(format!("{}{path}", node.url)).bearer_auth(key).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/proof/metrics", "metrics-key-0123456789").await, 200);
    assert_eq!(ask("/proof/metrics", "metrics-key-old").await, 401, "a comment is no key");
    assert_eq!(ask("/proof/metrics", "#").await, 401);
    assert_eq!(ask("/proof/api/v1/batch/stats", "metrics-key-0123456789").await, 403);
    assert_eq!(ask("/proof/api/v1/batch/stats", "admin-key-0123456789").await, 200);
    assert_eq!(ask("/metrics", "metrics-key-0123456789").await, 404);
    assert_eq!(ask("/proof/health", "").await, 200);
}

#[test]
fn the_log_has_the_form_that_was_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let store = format!("embedded:{}", place.path().join("data").display());
    let log = |format: &str| {
        let settings = [
            ("PLAYPROOF_STORE", store.as_str()),
            ("PLAYPROOF_LOG_FORMAT", format),
            ("PLAYPROOF_LOG", "warn"),
            ("PLAYPROOF_LISTN", "nowhere"),
        ];
        String::from_utf8(binary(&settings).arg("migrate").output().unwrap().stderr).unwrap()
    };
    for json in ["json", "auto"] {
        let lines = log(json);
        let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(line["level"], "WARN", "{lines}");
    }
    let text = log("text");
    assert!(text.contains("WARN") && !text.starts_with('{') && !text.contains('\u{1b}'), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_ins_are_limited_as_the_settings_say() {
    let settings = [("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789"), ("PLAYPROOF_RATE_LIMIT_LOGIN", "1/h")];
    let place = Place::embedded();
    let node = Process::on(&place.url, &settings);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let log_in = async || {
        let body = serde_json::json!({"key": "admin-key-0123456789"});
        client.post(format!("{}/api/v1/session", node.url)).json(&body).send().await.unwrap()
    };
    assert_eq!(log_in().await.status(), 200);
    let limited = log_in().await;
    assert_eq!(limited.status(), 429);
    let wait: u64 = limited.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(Duration::from_secs(wait) > Duration::from_secs(3_000), "{wait}");
}
