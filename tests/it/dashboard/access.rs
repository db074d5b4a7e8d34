//! Keys, overrides and webhooks made, used and taken back in the dashboard, and the log of it all.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::{Value, json};

use super::browser::Page;
use super::{BY_HAND, block, on_both, people, tell};
use crate::process::{Place, Process};

on_both!(
    keys_are_made_used_and_revoked,
    overrides_are_made_and_removed,
    webhooks_are_made_tried_and_removed,
    a_deployment_is_kept_for_less_time,
);

const PRIVATE: &str = "PLAYPROOF_WEBHOOK_PRIVATE";

fn set(page: &mut Page, id: &str, value: &str) {
    page.eval(&format!(
        "(e => {{ e.value = {}; e.dispatchEvent(new Event('change')); }})(document.getElementById('{id}'))",
        json!(value)
    ));
}

/// Submits a session with a key; status and answer.
fn submit(node: &Process, key: &str, id: &str) -> (u16, Value) {
    let mut session = people().swap_remove(0);
    session["sessionId"] = id.into();
    block(async {
        let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
        let request = client.post(format!("{}/api/v1/score", node.url)).bearer_auth(key).json(&session);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    })
}

fn keys_are_made_used_and_revoked(place: &Place) {
    let node =
        Process::on(&place.url, &[&BY_HAND[..], &[("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789")][..]].concat());
    let mut page = Page::open();
    page.go(&node.url);
    page.sees("Enter an admin or analyst key");
    page.eval("document.getElementById('key').focus()");
    page.type_text("admin-key-0123456789");
    page.press("Log in");
    page.sees("Scheduler");
    page.eval("location.hash = '#/access'");
    page.sees("No keys were made here.");
    set(&mut page, "key-role", "ingest");
    set(&mut page, "key-deployment", "shop");
    set(&mut page, "key-name", "backend");
    set(&mut page, "key-test", "review");
    page.press("Make key");
    page.sees("The key, shown now and never again:");
    let key = page.eval("document.querySelector('.secret').textContent").as_str().unwrap().to_owned();
    let (status, answer) = submit(&node, &key, "tried");
    assert_eq!((status, &answer["decision"]), (200, &json!("review")), "{answer}");
    page.sees("backend");
    page.press("Revoke");
    page.press("Cancel");
    page.press("Revoke");
    page.click("document.querySelector('dialog .danger')");
    page.sees("No keys were made here.");
    assert_eq!(submit(&node, &key, "again").0, 401);
    page.sees("key.create");
    page.sees("key.revoke");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn overrides_are_made_and_removed(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let mut page = Page::open();
    page.go(&format!("{}/#/access", node.url));
    page.sees("Make override");
    set(&mut page, "override-user", "mallory");
    set(&mut page, "override-note", "seen twice");
    page.press("Make override");
    page.sees("seen twice");
    let mut session = people().swap_remove(0);
    session["userId"] = "mallory".into();
    assert_eq!(tell(&node, "/api/v1/score", &session)["decision"], "fail");
    assert!(!page.eval("document.body.textContent").as_str().unwrap().contains("mallory"), "kept as a hash");
    page.press("Remove");
    page.click("document.querySelector('dialog .danger')");
    page.sees("override.remove");
    assert_eq!(page.complaints(), Vec::<String>::new());
}

fn a_deployment_is_kept_for_less_time(place: &Place) {
    let node = Process::on(&place.url, &BY_HAND);
    let mut page = Page::open();
    page.go(&format!("{}/#/access", node.url));
    page.sees("Every deployment’s sessions are kept as long as the settings say.");
    set(&mut page, "retention-deployment", "shop");
    page.press("Keep for less time");
    page.sees("give telemetryHours, resultsHours or both");
    set(&mut page, "retention-telemetry", "24");
    page.press("Keep for less time");
    page.sees("paths after 24 hours");
    page.click("document.querySelector('dialog .danger')");
    page.sees("retention.set");
    page.sees("24 hours");
    page.press("Reset");
    page.click("document.querySelector('dialog .danger')");
    page.sees("retention.reset");
    page.sees("Every deployment’s sessions are kept as long as the settings say.");
    // The rule without a span is refused, and the browser says so.
    let complaints = page.complaints();
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:?}");
}

/// A receiver on a port of its own: it answers every request with 204 and hands on its head and body.
fn receiver() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (told, got) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut text, mut piece) = (String::new(), [0; 4096]);
            loop {
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.to_lowercase().lines().find_map(|line| {
                        line.strip_prefix("content-length: ").and_then(|length| length.parse::<usize>().ok())
                    });
                    length == Some(body.len())
                });
                if whole {
                    break;
                }
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0, "the request ends early: {text}");
                text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            if told.send(text).is_err() {
                return;
            }
        }
    });
    (url, got)
}

fn webhooks_are_made_tried_and_removed(place: &Place) {
    let node = Process::on(&place.url, &[&BY_HAND[..], &[(PRIVATE, "true")][..]].concat());
    let (url, got) = receiver();
    let mut page = Page::open();
    page.go(&format!("{}/#/access", node.url));
    page.sees("Make webhook");
    set(&mut page, "webhook-url", &url);
    page.press("Make webhook");
    page.sees("What signs its deliveries, shown now and never again:");
    let secret = page.eval("document.querySelector('.secret').textContent").as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let wait = std::time::Duration::from_secs(20);
    page.press("Send a test");
    assert!(got.recv_timeout(wait).unwrap().contains("\"webhook.test\""));
    let mut session = people().swap_remove(0);
    session["useBatch"] = false.into();
    tell(&node, "/api/v1/score", &session);
    let told = got.recv_timeout(wait).unwrap();
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&event["type"], &event["data"]["sessionId"]), (&json!("verdict.final"), &session["sessionId"]));
    assert!(head.to_lowercase().contains("playproof-signature: t="), "{head}");
    page.press("Deliveries");
    page.sees("verdict.final");
    // The button is disabled while it loads, so nothing is drawn anew once both are there.
    page.until(
        "document.querySelectorAll('.tag.pass').length === 2 \
         || ([...document.querySelectorAll('button')].find(b => b.textContent === 'Refresh').click(), false)",
    );
    let again = "[...document.querySelectorAll('tr')].find(r => r.textContent.includes('verdict.final') \
                 && r.textContent.includes('Send again')).querySelector('button')";
    page.click(again);
    let same = got.recv_timeout(wait).unwrap();
    assert!(same.contains(body), "the same again: {same} after {told}");
    page.click("[...document.querySelectorAll('button')].filter(b => b.textContent === 'Remove').at(-1)");
    page.click("document.querySelector('dialog .danger')");
    page.sees("webhook.remove");
    page.sees("What signs its deliveries");
    assert_eq!(page.complaints(), Vec::<String>::new());
}
