//! The dashboard as people use it: the real binary with real sessions, seen through a real browser. A console that
//! complains of anything fails the test, and so does a view on which axe-core finds anything.
//!
//! `PLAYPROOF_SCREENSHOTS=FOLDER` has every view's picture written there, light and dark, desktop and phone.

mod access;
mod actions;
mod browser;
mod campaigns;
mod cuts;
mod labels;
mod login;
mod measures;
mod models;
mod outage;
mod questions;
mod review;
mod views;

use playproof_batch::config::Generation;
use playproof_batch::generator::{self, Family, Shape};
use serde_json::Value;
use woodwide_sim::Settings;

use crate::process::{Place, Process};
use crate::woodwide::rig::{KEY, Rig};
use browser::Page;

/// axe-core; see axe/README.md.
const AXE: &str = include_str!("axe/axe.min.js");

/// The settings of a node that runs batches only when it is told to.
const BY_HAND: [(&str, &str); 2] = [("PLAYPROOF_SCHEDULER_AUTOSTART", "false"), ("PLAYPROOF_BATCH_SIZE", "25")];

/// The demo's people, as lines of JSON.
fn people() -> Vec<Value> {
    let packed = include_bytes!("../../../data/demo/humans.ndjson.zst");
    let text = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A bot's session.
fn bot(family: Family, seed: u64, movements: Option<usize>) -> Value {
    serde_json::from_slice(&generator::to_json(&generator::generate(family, seed, Shape { movements }), true)).unwrap()
}

/// People and bots, some in a deployment and with other devices.
fn everybody() -> Vec<Value> {
    let mut all = people();
    let bots = Family::ALL.into_iter().flat_map(|family| (0..6).map(move |seed| bot(family, seed, None)));
    all.extend(bots);
    for (i, session) in all.iter_mut().enumerate() {
        if i % 5 == 4 {
            session["deploymentId"] = "shop-eu".into();
        }
        if i % 7 == 3 {
            session["deviceType"] = "trackpad".into();
        }
    }
    all
}

/// Runs a future in a test that has no runtime.
fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Sends sessions for the queue.
fn send(node: &Process, key: Option<&str>, sessions: &[Value]) {
    let lines: String = sessions.iter().flat_map(|session| [session.to_string(), "\n".to_owned()]).collect();
    block(async {
        let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
        let request = client.post(format!("{}/api/v1/batch/sessions?report=refused", node.url));
        let request = request.header("content-type", "application/x-ndjson").body(lines);
        let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
        let told = request.send().await.unwrap().text().await.unwrap();
        assert!(told.contains("\"refused\":0"), "{told}");
    });
}

/// Asks the node itself.
fn ask(node: &Process, method: &str, path: &str) -> Value {
    block(async {
        let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
        let request = client.request(method.parse().unwrap(), format!("{}{path}", node.url));
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    })
}

/// Sends the node itself something.
fn tell(node: &Process, path: &str, body: &Value) -> Value {
    block(async {
        let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
        let answer = client.post(format!("{}{path}", node.url)).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    })
}

/// A node that has decided on everybody.
fn decided(place: &Place) -> Process {
    let node = Process::on(&place.url, &BY_HAND);
    send(&node, None, &everybody());
    let run = ask(&node, "POST", "/api/v1/batch/process");
    assert_eq!(run["remaining"], 0, "{run}");
    node
}

/// A node on Woodwide that has decided on eleven of twelve people; the service cannot score the one that is named.
fn one_that_cannot_be_scored(place: &Place) -> (Rig, Process, String) {
    let rig = block(Rig::new(Generation::Ga, Settings::default()));
    let url = rig.sim.url();
    let remote = [
        ("PLAYPROOF_DETECTOR", "woodwide"),
        ("WOODWIDE_API_KEY", KEY),
        ("WOODWIDE_BASE_URL", url.trim_end_matches('/')),
        ("ANOMALY_MODEL_ID", rig.model.as_str()),
    ];
    let node = Process::on(&place.url, &[&BY_HAND[..], &remote[..]].concat());
    let mut sessions = people()[..12].to_vec();
    sessions[3]["gameType"] = "poison".into();
    let poisoned = sessions[3]["sessionId"].as_str().unwrap().to_owned();
    rig.sim.arm("poison=gameType:poison").unwrap();
    send(&node, None, &sessions);
    ask(&node, "POST", "/api/v1/batch/process");
    (rig, node, poisoned)
}

/// What axe-core finds on the page as it is shown: nothing.
#[track_caller]
fn assert_accessible(page: &mut Page, what: &str) {
    page.eval(&format!("window.axe ? 0 : ({{}}, eval({}), 0)", serde_json::json!(AXE)));
    let found = page.eval(
        "axe.run(document, {resultTypes: ['violations']}).then(told => told.violations \
         .map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.target.join(' ') + ' ' + n.failureSummary).join(' | ')}`))",
    );
    assert_eq!(found, serde_json::json!([]), "{what}");
}

/// Nothing of the page is wider than its window.
#[track_caller]
fn assert_fits(page: &mut Page, what: &str) {
    let wide = page.eval(
        "document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')] \
         .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll')).slice(0, 5) \
         .map(e => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`)",
    );
    assert_eq!(wide, serde_json::json!([]), "{what} is wider than its window");
}

/// Labels eight people human and eight bots bot, of those without a deployment.
fn label_some(node: &Process) {
    let ids: Vec<String> = people().iter().map(|one| one["sessionId"].as_str().unwrap().to_owned()).collect();
    let rows = ask(node, "GET", "/api/v1/batch/results")["results"].take();
    let own = rows.as_array().unwrap().iter().filter(|row| row["deploymentId"] == "");
    let (people, bots): (Vec<_>, Vec<_>) =
        own.map(|row| row["sessionId"].as_str().unwrap()).partition(|id| ids.iter().any(|one| one == id));
    assert!(people.len() >= 8 && bots.len() >= 8, "{} people and {} bots", people.len(), bots.len());
    for (ids, label) in [(people, "human"), (bots, "bot")] {
        for id in &ids[..8] {
            tell(node, &format!("/api/v1/sessions/{id}/label"), &serde_json::json!({ "label": label }));
        }
    }
}

/// Makes two tests of each function from a [`Place`]: one for each store.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod embedded { $(#[test] fn $test() { super::$test(&crate::process::Place::embedded()); })* }
        mod postgres { $(#[test] fn $test() { super::$test(&crate::process::Place::postgres()); })* }
    };
}
use on_both;
