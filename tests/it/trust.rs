//! Who may do what, on real nodes: what was ended stays ended, whoever asks and whichever node answers.

use serde_json::{Value, json};

use crate::process::{Place, Process, on_both_stores};

const ADMIN: &str = "admin-key-0123456789";

on_both_stores!(a_logged_out_cookie_stays_out_on_every_node_and_after_a_restart);

async fn a_logged_out_cookie_stays_out_on_every_node_and_after_a_restart(place: Place) {
    let settings = [("PLAYPROOF_ADMIN_KEYS", ADMIN)];
    let node = Process::on(&place.url, &settings);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let session = format!("{}/api/v1/session", node.url);
    let login = client.post(&session).json(&json!({ "key": ADMIN })).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let told: Value = login.json().await.unwrap();
    let ask = async |url: &str| {
        let request = client.get(format!("{url}/api/v1/batch/stats")).header("cookie", &cookie);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(&node.url).await, 200);
    let logout = client.delete(&session).header("cookie", &cookie);
    let logout = logout.header("x-csrf-token", told["csrfToken"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(logout.status(), 200);
    assert_eq!(ask(&node.url).await, 401);
    if place.url.starts_with("postgres") {
        let other = Process::on(&place.url, &settings);
        assert_eq!(ask(&other.url).await, 401);
    }
    node.kill();
    let node = Process::on(&place.url, &settings);
    assert_eq!(ask(&node.url).await, 401);
}
