//! SIGKILL at random moments under load: nothing acknowledged is lost, nothing is scored twice, restarts are quick.
//! `scripts/crash-test` runs the long form.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};

use playproof_batch::generator::{self, Family, Shape};
use serde_json::Value;

use crate::clients::{Told, all_results, compared, fill, finish, get, load, post};
use crate::process::{Place, Process, on_both_stores};

/// Clients that send side by side.
const CLIENTS: usize = 16;

struct Plan {
    /// How often the process is killed.
    kills: usize,
    /// Sessions queued before the first kill.
    backlog: usize,
}

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn plan() -> Plan {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    Plan { kills: number("CRASH_KILLS", 6), backlog: number("CRASH_BACKLOG", 2_000) }
}

#[expect(clippy::print_stdout, reason = "the numbers are what the long form is run for")]
fn report(line: &str) {
    println!("{line}");
}

/// Whether `now` is the result that was `before`. A comparison that came later may have added a replay with its campaign, and
/// the decision that follows; nothing else.
fn stands(before: &Value, now: &Value) -> bool {
    let is_replay = |result: &Value| result["reasons"].to_string().contains("replayed_movement");
    if before == now || is_replay(before) || !is_replay(now) {
        return before == now;
    }
    as_scored(before) == as_scored(now)
}

/// What only a second score could change of a result: without what a comparison with other sessions decides.
pub(crate) fn as_scored(result: &Value) -> Value {
    let mut rest = result.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.retain(|name, _| {
            !["matches", "campaignId", "reasons", "decision", "confidence", "isAnomaly"].contains(&name.as_str())
        });
    }
    rest
}

on_both_stores!(
    nothing_acknowledged_is_lost_and_nothing_scored_twice,
    what_was_still_to_be_compared_is_compared_after_a_kill,
);

async fn nothing_acknowledged_is_lost_and_nothing_scored_twice(place: Place) {
    let plan = plan();
    let settings = [
        ("PLAYPROOF_SCHEDULER_AUTOSTART", "false"),
        ("PLAYPROOF_SCHEDULER_INTERVAL", "1s"),
        // On a shared store the batches of a killed node come back when their leases end.
        ("PLAYPROOF_LEASE", "2s"),
    ];
    let told = Arc::new(Told::default());
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut node = Process::on(&place.url, &settings);
    fill(&node.url, &told, plan.backlog).await;
    let (mut slowest, mut queued_least, mut seen) = (Duration::ZERO, u64::MAX, HashMap::new());
    for kill in 0..plan.kills {
        if kill == plan.kills / 2 {
            // From here on batches run, so that kills hit claims and settlements too.
            post(&node.url, "/api/v1/batch/scheduler/start").await;
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (url, told) = (node.url.clone(), told.clone());
                tokio::spawn(async move { load(&url, &told).await })
            })
            .collect();
        // The moment of the kill is the experiment, not a wait for something.
        tokio::time::sleep(Duration::from_millis(chance.random_range(20..400))).await;
        node.kill();
        told.stop.store(true, Ordering::SeqCst);
        for client in clients {
            assert_eq!(client.await.unwrap(), None, "a session was refused");
        }
        told.stop.store(false, Ordering::SeqCst);
        node = Process::on(&place.url, &settings);
        let queued = get(&node.url, "/api/v1/batch/stats").await["queue"]["unprocessed"].as_u64().unwrap();
        if kill < plan.kills / 2 {
            queued_least = queued_least.min(queued);
        }
        slowest = slowest.max(node.ready_after);
        for (id, before) in &seen {
            let now = get(&node.url, &format!("/api/v1/batch/result/{id}")).await;
            assert!(stands(before, &now["result"]), "{id}: its result changed from {before} to {}", now["result"]);
        }
        let page = get(&node.url, "/api/v1/batch/results?limit=5").await;
        for row in page["results"].as_array().unwrap() {
            let id = row["sessionId"].as_str().unwrap().to_owned();
            let result = get(&node.url, &format!("/api/v1/batch/result/{id}")).await["result"].clone();
            seen.insert(id, result);
        }
    }

    finish(&node.url).await;
    let results = all_results(&node.url).await;
    let lost = told.lost(&results);
    report(&format!(
        "kills {}, acknowledged {}, lost {lost}, results {}, two results 0, slowest restart {:.3} s with at least {} queued",
        plan.kills,
        told.acknowledged().len(),
        results.len(),
        slowest.as_secs_f64(),
        queued_least
    ));
    assert_eq!(lost, 0);
    let (status, _) = node.terminate();
    assert!(status.success());
}

/// Recordings, and as many copies of them that are sent while the node is killed.
const RECORDINGS: u64 = 120;

/// One session of a pair with the same movement, scored at once: it is compared after its verdict.
fn one_of_two(n: u64, name: &str) -> Value {
    let recording = generator::generate(Family::WindMouse, n, Shape { movements: Some(300) });
    let mut session: Value = serde_json::from_slice(&generator::to_json(&recording, false)).unwrap();
    session["sessionId"] = format!("{name}-{n}").into();
    session["userId"] = format!("{name}-user-{n}").into();
    // Another session, with the same movement.
    session["misses"] = u64::from(name == "copy").into();
    session
}

async fn what_was_still_to_be_compared_is_compared_after_a_kill(place: Place) {
    let settings = [("PLAYPROOF_SCHEDULER_AUTOSTART", "false")];
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let node = Process::on(&place.url, &settings);
    let send = |url: String, session: Value| {
        let request = client.post(format!("{url}/api/v1/score")).json(&session);
        async move { request.send().await.is_ok_and(|answer| answer.status().is_success()) }
    };
    for n in 0..RECORDINGS {
        assert!(send(node.url.clone(), one_of_two(n, "recording")).await);
    }
    compared(&node.url).await;
    let sent: Vec<_> = (0..RECORDINGS).map(|n| tokio::spawn(send(node.url.clone(), one_of_two(n, "copy")))).collect();
    let mut answered = Vec::new();
    for (n, one) in (0..RECORDINGS).zip(sent) {
        answered.extend(one.await.unwrap().then_some(n));
    }
    node.kill();
    assert_eq!(answered.len() as u64, RECORDINGS);
    let node = Process::on(&place.url, &settings);
    compared(&node.url).await;
    for n in answered {
        let found = get(&node.url, &format!("/api/v1/batch/result/copy-{n}")).await;
        assert!(found["result"]["matches"].to_string().contains(&format!("recording-{n}\"")), "{n}: {found}");
    }
    assert!(node.terminate().0.success());
}
