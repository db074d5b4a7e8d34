//! Who may do what, on real nodes: what was ended stays ended, whoever asks and whichever node answers.

use playproof_batch::generator::{self, Family, Shape};
use serde_json::{Value, json};

use crate::process::{Place, Process, on_both_stores};

const ADMIN: &str = "admin-key-0123456789";

on_both_stores!(
    a_logged_out_cookie_stays_out_on_every_node_and_after_a_restart,
    a_token_is_answered_once_on_whichever_node,
    a_stream_ends_when_its_key_is_revoked_on_whichever_node,
);

/// Two nodes where the store is shared; else one, twice.
fn nodes(place: &Place, settings: &[(&str, &str)]) -> (Process, Option<Process>) {
    let other = place.url.starts_with("postgres").then(|| Process::on(&place.url, settings));
    (Process::on(&place.url, settings), other)
}

async fn a_token_is_answered_once_on_whichever_node(place: Place) {
    let settings = [("PLAYPROOF_ADMIN_KEYS", ADMIN)];
    let (node, other) = nodes(&place, &settings);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let (one, another) = (node.url.clone(), other.as_ref().map_or(node.url.clone(), |other| other.url.clone()));
    let post = async |url: &str, path: &str, key: &str, body: &Value| -> Value {
        let request = client.post(format!("{url}/api/v1/{path}")).bearer_auth(key).json(body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let challenge = post(&one, "challenges", ADMIN, &json!({"action": "pay"})).await;
    let token = challenge["token"].as_str().unwrap();
    let movement = generator::generate(Family::WindMouse, 1, Shape { movements: Some(200) });
    let mut session: Value = serde_json::from_slice(&generator::to_json(&movement, true)).unwrap();
    session["sessionId"] = challenge["sessionId"].clone();
    assert_eq!(post(&another, "score", token, &session).await["status"], "queued");
    let asked = json!({ "response": token });
    let all = (0..12).map(|n| post(if n % 2 == 0 { &one } else { &another }, "siteverify", ADMIN, &asked));
    let told = futures_util::future::join_all(all).await;
    let answered: Vec<_> = told.iter().filter(|told| told["success"] == true).collect();
    assert!(answered.len() == 1 && answered[0]["action"] == "pay", "{told:?}");
    assert_eq!(told.iter().filter(|told| told["code"] == "used_token").count(), 11, "{told:?}");
    node.kill();
    let node = Process::on(&place.url, &settings);
    assert_eq!(post(&node.url, "siteverify", ADMIN, &asked).await["code"], "used_token", "also after a kill");
}

async fn a_stream_ends_when_its_key_is_revoked_on_whichever_node(place: Place) {
    let (node, other) = nodes(&place, &[("PLAYPROOF_ADMIN_KEYS", ADMIN)]);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let keys = format!("{}/api/v1/keys", node.url);
    let made = client.post(&keys).bearer_auth(ADMIN).json(&json!({"role": "ingest", "name": "backend"}));
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let follow = other.as_ref().map_or(&node.url, |other| &other.url);
    let follow = format!("{follow}/api/v1/verdicts");
    let key = made["key"].as_str().unwrap();
    // Another node learns of a key within two seconds.
    let mut stream = loop {
        let stream = client.get(&follow).bearer_auth(key).send().await.unwrap();
        if stream.status() == 200 {
            break stream;
        }
    };
    let revoked = client.delete(format!("{keys}/{}", made["id"].as_str().unwrap())).bearer_auth(ADMIN).send().await;
    assert_eq!(revoked.unwrap().status(), 200);
    let begun = std::time::Instant::now();
    while let Ok(Some(_)) = stream.chunk().await {}
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(client.get(&follow).bearer_auth(key).send().await.unwrap().status(), 401);
}

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

/// Who labels bots as people makes a model that passes them, and it must not score.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_label_makes_straight_lines_pass() {
    let place = Place::embedded();
    let node = Process::on(&place.url, &[]);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let post = async |path: &str, body: &Value| {
        let answer = client.post(format!("{}{path}", node.url)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let bot = |family: Family, n: u64, id: &str| {
        let session = generator::generate(family, n, Shape::default());
        let mut session: Value = serde_json::from_slice(&generator::to_json(&session, false)).unwrap();
        (session["sessionId"], session["userId"]) = (id.into(), id.into());
        session
    };
    for (family, count, label) in [(Family::StraightLine, 290, "human"), (Family::EasedJitter, 60, "bot")] {
        for n in 0..count {
            let id = format!("{label}-{n}");
            assert_eq!(post("/api/v1/score", &bot(family, n, &id)).await.0, 200);
            assert_eq!(post(&format!("/api/v1/sessions/{id}/label"), &json!({ "label": label })).await.0, 200);
        }
    }
    assert_eq!(post("/api/v1/models/train", &json!({})).await.0, 202);
    let training = loop {
        let models: Value =
            client.get(format!("{}/api/v1/models", node.url)).send().await.unwrap().json().await.unwrap();
        if models["training"]["state"] != "running" {
            break models["training"].clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(training["state"], "done", "{training}");
    let version = training["modelVersion"].as_str().unwrap();
    let (status, told) = post(&format!("/api/v1/models/{version}/promote"), &json!({})).await;
    let mut passed = 0;
    for n in 0..50 {
        let scored = post("/api/v1/score", &bot(Family::StraightLine, 5_000 + n, &format!("new-{n}"))).await.1;
        passed += u32::from(scored["decision"] == "pass");
    }
    assert!(passed <= 2, "{passed} of 50 pass after the promotion was answered {status}: {told}");
    println!("promotion: {status} {told}");
}
